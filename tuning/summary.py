"""What the command prints at the end, and what `tune status` prints: plain text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..reports.wording import NAMES, but_not, interval
from .owner import is_gone
from .records import FRESH
from .snapshot import Snapshot
from .wording import best_text, duration

if TYPE_CHECKING:
    from ..storage.fleet import Worker


def delivered_lines(delivered: dict[str, Any]) -> list[str]:
    """The winner's figures on the test part, beside the baselines, how sure they are, and where all of it lies."""
    unit, test = delivered["units"], delivered["test"]
    lines = [*_winner_lines(delivered), "", f"{'test part':24}{_HEAD}"]
    lines.append(f"{'  this model':24}{_figures(test)}")
    lines += [
        f"{'  ' + NAMES.get(name, name):24}{_figures(figures)}" for name, figures in delivered["baselines"].items()
    ]
    between = interval(test.get("rmse_ci"))
    if between:
        lines.append(f"  RMSE {test['rmse']:.3f} {unit}: 95 % interval {between}")
    skill = test.get("skill")
    if skill is not None:
        verdict = f"better than persistence{but_not(delivered)}" if skill > 0 else "NOT better than persistence"
        lines.append(f"  skill {skill:.3f}: {verdict}; errors in {unit}")
    best = delivered.get("best_baseline")
    if best is not None:
        lines.append(f"  {best['sentence']}")
    lines += [
        "",
        f"bundle   {delivered['bundle']}  (loaded back, reproduces its figures)",
        f"report   {delivered['report']}",
    ]
    return lines


def _winner_lines(delivered: dict[str, Any]) -> list[str]:
    """The trial that was exported, or the members of an ensemble."""
    choice = delivered.get("choice") or {}
    trials = choice.get("winners") or [delivered["trial"]]
    what = "exported" if choice.get("rule") == "asked" else "winner"
    if len(trials) == 1:
        return [f"{what:9}trial {trials[0]}: {assignments(delivered['parameters'])}"]
    listed = ", ".join(str(trial) for trial in trials)
    return [
        f"{what:9}mean of {len(trials)} trials ({listed})",
        *(f"  trial {one['trial']}: {assignments(one['parameters'])}" for one in delivered.get("winners") or ()),
    ]


def status_lines(snapshot: Snapshot) -> list[str]:
    """One study: counts, best, and a line for each running trial."""
    counts = ", ".join(
        f"{name} {getattr(snapshot, name)}" for name in ("done", "running", "pruned", "failed", "waiting")
    )
    orders = {"pause": " (paused)", "pause-now": " (paused)", "stop": " (stopped)"}
    lines = [f"{snapshot.study}: {counts}{orders.get(snapshot.control, '')}"]
    if snapshot.returning:
        lines.append(f"  tickets that the next worker to come puts back into the queue: {snapshot.returning}")
    lines += [f"  stopped: {sentence}" for sentence in snapshot.stopped]
    if snapshot.used_up is not None:
        lines.append(f"  no new trial begins: {snapshot.used_up[0].lower()}{snapshot.used_up[1:]}")
    if snapshot.requeued:
        lines.append(
            f"  rows of tickets that went back to the queue (lost, interrupted, withdrawn): {snapshot.requeued}"
        )
    if snapshot.failed:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(snapshot.failures.items()))
        lines.append(f"  failed rows by reason: {reasons}")
        if snapshot.last_error is not None:
            lines.append(f"  last error, of {snapshot.last_error}")
    if snapshot.best is not None and not snapshot.study.endswith(FRESH):
        lines.append(f"  best {best_text(snapshot)}: {assignments(snapshot.best.parameters)}")
    for trial in snapshot.workers:
        epoch = "starting" if trial.epoch is None else f"epoch {trial.epoch + 1}"
        lines.append(f"  trial {trial.number}: {epoch}, worker {trial.worker} on {trial.host}, pid {trial.pid}")
    return lines


EXPIRY_SECONDS = 60.0
"""A worker that was not heard of for so long is shown as gone; a study may say otherwise for its own queue."""


def fleet_lines(workers: Sequence[Worker], snapshots: Sequence[Snapshot]) -> list[str]:
    """A line for each worker: where it is, on what it works, when it was heard of."""
    running = {trial.trial_id: trial for snapshot in snapshots for trial in snapshot.workers}
    rows = [("HOST", "PID", "WORKER", "DEVICE", "STUDY", "TRIAL", "EPOCH", "LAST BEAT")]
    for worker in workers:
        trial = None if worker.trial_id is None else running.get(worker.trial_id)
        rows.append(
            (
                worker.host,
                str(worker.pid),
                "-" if worker.worker is None else str(worker.worker),
                worker.device,
                worker.study or "-",
                "-" if trial is None else str(trial.number),
                "-" if trial is None or trial.epoch is None else str(trial.epoch + 1),
                f"{duration(worker.age)} ago" + (", gone" if is_gone(worker, EXPIRY_SECONDS) else ""),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


_HEAD = f"{'RMSE':>11}{'MAE':>11}{'R²':>11}{'bias':>11}{'nRMSE':>11}"


def _figures(figures: dict[str, Any]) -> str:
    shown = [figures.get(name) for name in ("rmse", "mae", "r2", "bias", "nrmse")]
    return "".join(f"{'-':>11}" if value is None else f"{value:>11.4f}" for value in shown)


def assignments(parameters: dict[str, Any]) -> str:
    """Parameters as ``name=value, …``, numbers shortened."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in parameters.items()
    )

"""What `tune check` says of a study file: all mistakes, what would be run, and what it would cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..objectives.runtime import resolve_backend
from . import fresh, queue
from .folds import cuts_of
from .look_over import Checked, look_over
from .machine import available_cores
from .spec import with_default_trials
from .user_models import models_named
from .wording import counted, duration


@dataclass(frozen=True)
class Cost:
    """What a study costs at most: every trial to its last epoch. Pruning saves about half, early stopping some.

    Attributes:
        epoch_seconds: of one epoch on the newest fold, as timed.
        start_seconds: before the first epoch of a new model shape: building and compiling.
        trial_seconds: of a whole trial.
        search_seconds: of all trials, on `workers`; fresh_seconds: of the candidates with fresh seeds.
        retraining_seconds: of the winner, on one worker.
    """

    workers: int
    epoch_seconds: float
    start_seconds: float
    trial_seconds: float
    search_seconds: float
    fresh_seconds: float
    retraining_seconds: float


@dataclass(frozen=True)
class Report:
    """A study that may be started.

    Attributes:
        tickets: trials that would be run, of a new study.
        fits: trainings of one trial.
        windows: training windows of the newest fold; None without data.
        n_parameters: weights of one model of the space; None where none was built.
        cost: None for an objective function, whose length nobody knows.
        lines: of the audit, and what may be a mistake.
    """

    study: str
    model: str
    sampler: str
    pruner: str
    metric: tuple[str, ...]
    backend: str
    tickets: int
    fits: int
    epochs: int
    windows: int | None
    n_parameters: int | None
    timeout: float | None
    cost: Cost | None
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return asdict(self)


def check(raw: Mapping[str, Any], *, workers: int | None = None, timed: bool = True) -> Report:
    """Check a study without starting it: nothing is written.

    Args:
        raw: nested tables, presets merged in.
        workers: for the cost; None: one a core.
        timed: whether a few epochs are trained for it.

    Raises:
        SpecError: with everything that the user can put right.
    """
    checked = look_over(raw, [], timed=timed)
    spec, looked = checked.spec, checked.looked
    tickets = len(queue.plan(with_default_trials(spec)))
    fits, windows = 1, None
    if checked.source is not None:
        cuts = cuts_of(checked.source, spec.validation)
        fits, windows = sum(cut.fitted == cut.number for cut in cuts), len(cuts[-1].dataset.train.windows)
    timing = None if looked is None else looked.timing
    n_parameters = None if looked is None else looked.n_parameters
    if n_parameters is None and timing is not None:
        n_parameters = int(timing["n_parameters"])
    return Report(
        study=spec.study,
        model=models_named(spec),
        sampler=spec.search.sampler,
        pruner=spec.search.pruner,
        metric=spec.search.value_names,
        backend=resolve_backend(spec.backend),
        tickets=tickets,
        fits=fits,
        epochs=spec.training.epochs,
        windows=windows,
        n_parameters=n_parameters,
        timeout=spec.search.timeout,
        cost=None if timing is None else _cost(checked, timing, tickets, workers or available_cores()),
        lines=(*(() if checked.audit is None else checked.audit.lines()), *checked.notes),
    )


def lines(report: Report) -> list[str]:
    """For people."""
    several = f", {counted(report.fits, 'fold')} each" if report.fits > 1 else ""
    found = [*report.lines, f"study    {report.study}"]
    size = "" if report.n_parameters is None else f", {report.n_parameters:,} weights in one model of the space"
    found.append(f"model    {report.model}{size}; on {report.backend}")
    epochs = "" if report.windows is None else f"{several}, up to {counted(report.epochs, 'epoch')}"
    found.append(
        f"search   {counted(report.tickets, 'ticket')} by {report.sampler}{epochs}; pruner {report.pruner}, judged by "
        f"{' and '.join(report.metric)}"
    )
    cost = report.cost
    if cost is None:
        return found
    found.append(
        f"cost     {cost.epoch_seconds:.2g} s an epoch on {report.windows:,} windows and {cost.start_seconds:.2g} s to "
        f"begin: {duration(cost.trial_seconds)} a trial, {duration(cost.search_seconds)} for all on "
        f"{counted(cost.workers, 'worker')}, if none is pruned and none larger"
    )
    if report.timeout is not None and report.timeout < cost.search_seconds:
        found.append(f"         no new trial after {duration(report.timeout)}")
    then = f"retraining {duration(cost.retraining_seconds)}"
    if cost.fresh_seconds:
        then = f"fresh seeds {duration(cost.fresh_seconds)}, {then}"
    return [*found, f"then     {then}, for this model"]


def _cost(checked: Checked, timing: Mapping[str, float], tickets: int, workers: int) -> Cost:
    spec, source = checked.spec, checked.source
    assert source is not None
    cuts = cuts_of(source, spec.validation)
    newest = max(1, len(cuts[-1].dataset.train.windows))
    share = sum(len(cut.dataset.train.windows) / newest for cut in cuts if cut.fitted == cut.number)
    trial = timing["start_seconds"] + timing["epoch_seconds"] * spec.training.epochs * share
    trainings = min(spec.winner.top, tickets) * spec.winner.fresh_seeds if fresh.wanted(spec) else 0
    whole = len(source.everything().train.windows) / newest
    winners = min(spec.winner.top, tickets) if spec.winner.rule == "ensemble" else 1
    final = min(spec.training.epochs, spec.final.epochs) if spec.final.refit == "all" else spec.final.epochs
    return Cost(
        workers=min(workers, max(1, tickets)),
        epoch_seconds=timing["epoch_seconds"],
        start_seconds=timing["start_seconds"],
        trial_seconds=trial,
        search_seconds=trial * tickets / min(workers, max(1, tickets)),
        fresh_seconds=trial * trainings / workers,
        retraining_seconds=winners * (timing["start_seconds"] + timing["epoch_seconds"] * final * whole),
    )

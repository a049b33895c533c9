"""What a study has come to, for people who work in Python: figures, the table of all trials, the forecaster."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from ..storage.address import find_storage, redact, storage_url
from ..storage.mistakes import Mistake
from ..storage.rdb import open_storage
from . import delivery, records, table
from .pareto import front_rows
from .snapshot import Snapshot, take_snapshot
from .spec import StudySpec
from .summary import assignments, delivered_lines
from .wording import best_text, counted, duration

if TYPE_CHECKING:
    import pandas as pd

    from ..reports.forecaster import Forecaster

_COUNTS = ("done", "running", "pruned", "failed", "waiting", "requeued")


@dataclass(frozen=True, repr=False)
class TuneResult:
    """What a run left behind.

    Attributes:
        spec: the specification, as it stands in the study.
        snapshot: counts and the best trial at the end.
        table: CSV of all trials.
        agreement: of a grid: whether penalty and forecast error agree on the best point.
        pareto: with several objectives the trials on the Pareto front, the smallest error first.
        delivered: figures and places of the retrained winner; None when there is no winner yet.
        interrupted: somebody pressed Ctrl-C; the same command goes on.
        added: tickets that this run added to the queue.
        seconds: that the run took; None for a study that was only looked at.
        rows: of the table of all trials, in plain values; see :attr:`trials`.
    """

    storage: str
    folder: Path
    spec: StudySpec
    snapshot: Snapshot
    table: Path
    agreement: str | None
    delivered: dict[str, Any] | None
    interrupted: bool
    added: int
    seconds: float | None
    pareto: tuple[dict[str, Any], ...] = ()
    rows: tuple[dict[str, Any], ...] = field(default=(), compare=False)

    @property
    def best(self) -> dict[str, Any] | None:
        """The best trial of the search: ``trial``, ``value``, ``rmse`` in the unit of the data, ``parameters``.

        None before any trial is complete. The winner may be another one: it stands in `delivered`.
        """
        best = self.snapshot.best
        if best is None:
            return None
        return {"trial": best.number, "value": best.value, "rmse": best.rmse, "parameters": dict(best.parameters)}

    @property
    def metrics(self) -> dict[str, Any]:
        """The delivered winner's figures on the test part, ``rmse`` and so on; empty when there is no winner yet."""
        return {} if self.delivered is None else dict(self.delivered["test"])

    @property
    def trials(self) -> pd.DataFrame:
        """The table of all trials: a row each, the best first; see :func:`.table.full_rows`.

        Lists are lists, whole numbers that a trial may lack are pandas' ``Int64``, times are UTC.
        """
        return table.frame(self.rows)

    def forecaster(self) -> Forecaster:
        """The delivered winner, ready to forecast: ``result.forecaster().predict("new.csv")``. Imports Keras.

        Raises:
            Mistake: there is no winner yet, or its bundle does not load.
        """
        if self.delivered is None:
            raise Mistake(
                f"A forecaster needs a delivered winner; the study '{self.spec.study}' has none yet. Go on with it by "
                f"`tune`, or make one of what there is: tune export --study {self.spec.study}."
            )
        from ..reports.forecaster import Forecaster

        return Forecaster.load(self.delivered["bundle"])

    @property
    def succeeded(self) -> bool:
        """Whether there is a winner; of an objective function, whether any trial has a value."""
        return self.delivered is not None or (self.spec.objective_function is not None and self.snapshot.done > 0)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "study": self.spec.study,
            "storage": self.storage,
            "folder": str(self.folder),
            "trials": {name: getattr(self.snapshot, name) for name in _COUNTS},
            "best": self.snapshot.to_json()["best"],
            "table": str(self.table),
            "agreement": self.agreement,
            "interrupted": self.interrupted,
            "added": self.added,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            **({"pareto": list(self.pareto)} if self.pareto else {}),
            **(self.delivered or {}),
        }

    def __repr__(self) -> str:
        return summary(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(summary(self))}</pre>"


FRONT_LINES = 10


def summary(result: TuneResult) -> str:
    """The end of a run: the search, the winner in figures, where everything lies."""
    lines = [_search_line(result)]
    if result.agreement is not None:
        lines.append(result.agreement)
    lines += _front_lines(result)
    if result.interrupted:
        lines.append("Interrupted. Nothing is lost: the same command goes on.")
    elif result.spec.objective_function is not None and result.snapshot.best is not None:
        lines += _best_lines(result)
    elif result.delivered is None:
        lines.append(_nothing_to_deliver(result.snapshot))
    else:
        lines += delivered_lines(result.delivered)
    lines.append(f"table    {result.table}")
    return "\n".join(lines)


def _search_line(result: TuneResult) -> str:
    snapshot = result.snapshot
    counts = ", ".join(f"{getattr(snapshot, name)} {name}" for name in ("done", "pruned", "failed", "waiting"))
    best = "" if snapshot.best is None else f"; best {best_text(snapshot)}"
    took = "" if result.seconds is None else f", {duration(result.seconds)} in all"
    return f"study    {snapshot.study}: {counts}{took}{best}"


def _front_lines(result: TuneResult) -> list[str]:
    """The trials on the Pareto front, the smallest error first; nothing with one objective."""
    if not result.pareto:
        return []
    unit, n = result.snapshot.unit, len(result.pareto)
    lines = [f"pareto   {counted(n, 'trial')}: no other is as good in everything and better in something"]
    for row in result.pareto[:FRONT_LINES]:
        error = "" if row["rmse"] is None else f"{row['rmse']:.4f} {unit} RMSE, "
        values = ", ".join(
            f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.6g}"
            for name, value in row["values"].items()
        )
        lines.append(f"  trial {row['trial']}: {error}{values}")
    return [*lines, f"  and {n - FRONT_LINES} more; see the table"] if n > FRONT_LINES else lines


def _best_lines(result: TuneResult) -> list[str]:
    """Of an objective function: there is no model to deliver, so the best point is the result."""
    best = result.snapshot.best
    if best is None or result.pareto:
        return []
    return [f"best     trial {best.number}: {assignments(best.parameters)}"]


def _nothing_to_deliver(snapshot: Snapshot) -> str:
    if snapshot.best is not None:
        return f"No winner is delivered yet: tune export --study {snapshot.study} makes one of what there is."
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(snapshot.failures.items()))
    last = "" if snapshot.last_error is None else f" The last error, of {snapshot.last_error}"
    counts = f"Failed trials by reason: {reasons or 'none'}; see the logs."
    return f"No trial is complete, so there is no winner. {counts}{last}"


def result_of(
    study: optuna.Study,
    spec: StudySpec,
    folder: Path,
    url: str,
    *,
    delivered: dict[str, Any] | None,
    interrupted: bool = False,
    added: int = 0,
    seconds: float | None = None,
) -> TuneResult:
    """The result of a study as it is now, with what was delivered from it."""
    several = len(spec.search.value_names) > 1
    return TuneResult(
        storage=redact(url),
        folder=folder,
        spec=spec,
        snapshot=take_snapshot(study),
        table=table.table_path(spec, folder),
        agreement=table.agreement(study) if spec.search.sampler == "grid" else None,
        delivered=delivered,
        interrupted=interrupted,
        added=added,
        seconds=seconds,
        pareto=tuple(front_rows(study.get_trials(deepcopy=False), spec)) if several else (),
        rows=tuple(table.full_rows(study, spec)),
    )


def load_result(
    study: str | None = None,
    *,
    storage: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = records.DEFAULT_OUT,
) -> TuneResult:
    """The result of a study that was tuned earlier, or is being tuned: as `tune` returned it, without any work.

    Args:
        study: its name; None: the newest of the database.
        storage: database URL or SQLite file; None: what the environment names, or ``greentune.db`` in `out`.
        out: folder of all runs; where it does not hold the study, the folder that the study names is looked at.

    Returns:
        its trials as they are now, and the winner as it was delivered last.

    Raises:
        Mistake: there is no such database or study, or it is a comparison.
    """
    url = storage_url(find_storage(storage) or Path(out) / records.DATABASE)
    found = records.load_study(open_storage(url, create=False), study)
    spec = records.read_spec(found)
    if spec.entries:
        raise Mistake(
            f"`study` must be a search; '{spec.study}' is a comparison, which `greentune.tuning.compare` gives back. "
            "Name another."
        )
    here = (Path(out) / spec.study).resolve()
    folder = here if here.is_dir() else Path(found.user_attrs.get(records.FOLDER) or here)
    return result_of(found, spec, folder, url, delivered=delivery.last(folder))

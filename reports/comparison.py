"""Several models on the same test windows: one table, how sure each figure is, and how each does against the best.

How seeds enter: an entry that was trained with S seeds has S forecasts of each window. Its squared error of a window is
the mean over outputs and seeds, so its RMSE is the root of the mean over windows, outputs and seeds: what one training
of it misses by, not what the mean of its forecasts would. The bootstrap draws windows, each with all its seeds, so an
interval says what other windows would give with these seeds; how far seeds differ is a figure of its own. Two entries
are compared window by window and seed by seed.

Arrays are (n, n_outputs), in one unit, windows in order of time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import r2, rmse, skill
from .plain_json import plain
from .significance import (
    LEVEL,
    N_RESAMPLES,
    Interval,
    diebold_mariano,
    difference_interval,
    error_intervals,
    skill_interval,
)
from .wording import NAMES, number, probability

Values = NDArray[np.float64]
_SIGNIFICANT = 0.05


@dataclass(frozen=True, eq=False)
class TestWindows:
    """The windows on which all are judged.

    Attributes:
        observed: (n, n_outputs) in `unit`, NaN where nothing was measured.
        persistence: of the same shape; None where it cannot be known.
        block: windows in a block of the bootstrap, from `significance.block_length`.
        longest_step: steps ahead of the farthest output.
    """

    __test__ = False  # pytest: this is no test

    observed: Values
    persistence: Values | None
    unit: str
    block: int
    longest_step: int


@dataclass(frozen=True, eq=False)
class Entrant:
    """A model, or a baseline.

    Attributes:
        builder: its key; None: a baseline.
        n_parameters: of the model.
        val_loss, val_mse: of the best epoch, in scaled units; means over the seeds.
        forecasts: by seed, (n, n_outputs) in the unit; none where every training failed, one of a baseline.
    """

    name: str
    builder: str | None
    forecasts: Mapping[int, Values] = field(repr=False)
    parameters: Mapping[str, object] = field(default_factory=dict)
    n_parameters: int | None = None
    val_loss: float | None = None
    val_mse: float | None = None


@dataclass(frozen=True)
class Row:
    """A line of the table; None where something is unknown.

    Attributes:
        n_seeds: trainings that were judged.
        rmse, rmse_ci: on the test part, in the unit, with its interval.
        rmse_sd: standard deviation of the RMSE between seeds.
        r2: share of the variance explained.
        skill, skill_ci: against persistence, on the windows where that is known.
        behind, behind_ci: RMSE − RMSE of the best entry, in the unit, on the windows and seeds that both have.
        p_value: of the test of Diebold and Mariano that this one and the best are equally good.
    """

    name: str
    builder: str | None
    parameters: Mapping[str, object]
    n_parameters: int | None
    n_seeds: int
    val_loss: float | None
    val_mse: float | None
    rmse: float | None = None
    rmse_ci: Interval | None = None
    rmse_sd: float | None = None
    r2: float | None = None
    skill: float | None = None
    skill_ci: Interval | None = None
    behind: float | None = None
    behind_ci: Interval | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class ComparisonTable:
    """All of it.

    Attributes:
        rows: the entries, in the order in which they were given.
        references: baselines, in the same columns.
        best: name of the entry with the smallest test RMSE; None where none has any.
        verdict: a sentence on the best and how far the others are behind.
        n_windows: of the test part.
    """

    unit: str
    rows: tuple[Row, ...]
    references: tuple[Row, ...]
    best: str | None
    verdict: str
    n_windows: int
    block_windows: int

    def to_json(self) -> dict[str, Any]:
        """Plain values without NaN, as they stand in ``comparison.json``."""
        content: dict[str, Any] = plain(asdict(self))
        return {**content, "level": LEVEL, "resamples": N_RESAMPLES}


def compare_entrants(
    entrants: Sequence[Entrant], references: Sequence[Entrant], windows: TestWindows
) -> ComparisonTable:
    """Judge all on the same windows, and each against the best.

    Args:
        entrants: with different names.
        references: baselines; they cannot be the best.
    """
    rows = [_row(entrant, windows) for entrant in entrants]
    known = [row for row in rows if row.rmse is not None]
    first = min(known, key=lambda row: row.rmse or 0.0, default=None)
    best = next((entrant for entrant in entrants if first is not None and entrant.name == first.name), None)
    if best is not None:
        rows = [_paired(row, e, best, windows) for row, e in zip(rows, entrants, strict=True)]
    beside = [_row(reference, windows) for reference in references]
    if best is not None:
        beside = [_paired(row, e, best, windows) for row, e in zip(beside, references, strict=True)]
    return ComparisonTable(
        unit=windows.unit,
        rows=tuple(rows),
        references=tuple(beside),
        best=None if best is None else best.name,
        verdict=verdict(rows, beside, windows.unit),
        n_windows=len(windows.observed),
        block_windows=windows.block,
    )


def with_recorded(table: ComparisonTable, recorded: Sequence[Row]) -> ComparisonTable:
    """The table with further baselines of which only figures are known, no forecasts.

    Args:
        recorded: with `behind` and, where the test was made, `p_value` against the best entry.
    """
    references = (*table.references, *recorded)
    return replace(table, references=references, verdict=verdict(table.rows, references, table.unit))


def strongest(references: Sequence[Row]) -> Row | None:
    """The baseline with the smallest error, among those that can be held against the best entry."""
    known = [row for row in references if row.rmse is not None and row.behind is not None]
    return min(known, key=lambda row: row.rmse or 0.0, default=None)


def verdict(rows: Sequence[Row], references: Sequence[Row], unit: str) -> str:
    """Which entry has the smallest error, and which others cannot be told from it, in one sentence or two."""
    known = sorted((row for row in rows if row.rmse is not None), key=lambda row: row.rmse or 0.0)
    if not known:
        return "No entry has a forecast that can be judged."
    best, *others = known
    told = f"{best.name} has the smallest RMSE on the test part: {number(best.rmse)} {unit}"
    near = [row for row in others if row.p_value is not None and row.p_value >= _SIGNIFICANT]
    worse = [row for row in others if row.p_value is not None and row.p_value < _SIGNIFICANT]
    untested = [row.name for row in others if row.p_value is None]
    parts = [told]
    if near:
        parts.append(f"not significantly worse: {_listed(near)}")
    if worse:
        parts.append(f"significantly worse: {_listed(worse)}")
    if untested:
        parts.append(f"cannot be tested on these windows: {', '.join(untested)}")
    return f"{'; '.join(parts)}.{_against_references(best, references, unit)}"


def flat_rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of ``comparison.json`` for a CSV: intervals as two columns, parameters as text."""
    unit = str(content["unit"]).lower().replace(" ", "_")
    return [
        {
            "name": row["name"],
            "builder": row["builder"] or "baseline",
            "parameters": "; ".join(f"{name}={value}" for name, value in row["parameters"].items()),
            "n_parameters": row["n_parameters"],
            "seeds": row["n_seeds"],
            "val_loss": row["val_loss"],
            "val_mse": row["val_mse"],
            f"test_rmse_{unit}": row["rmse"],
            **_ends(f"test_rmse_{unit}", row["rmse_ci"]),
            f"test_rmse_sd_{unit}": row["rmse_sd"],
            "test_r2": row["r2"],
            "skill": row["skill"],
            **_ends("skill", row["skill_ci"]),
            f"behind_best_{unit}": row["behind"],
            **_ends(f"behind_best_{unit}", row["behind_ci"]),
            "p_value": row["p_value"],
        }
        for row in (*content["rows"], *content["references"])
    ]


def _row(entrant: Entrant, windows: TestWindows) -> Row:
    """A line without the comparison with the best."""
    own = list(entrant.forecasts.values())
    row = Row(
        name=entrant.name,
        builder=entrant.builder,
        parameters=dict(entrant.parameters),
        n_parameters=entrant.n_parameters,
        n_seeds=len(own),
        val_loss=entrant.val_loss,
        val_mse=entrant.val_mse,
    )
    if not own:
        return row
    observed, forecast = _side_by_side(windows.observed, own)
    if entrant.builder is None:  # a baseline says nothing about some windows; a model that does so is not finite
        observed = np.where(np.isfinite(forecast), observed, np.nan)
    by_seed = [error for values in own if (error := rmse(windows.observed, values)) is not None]
    row = replace(
        row,
        rmse=rmse(observed, forecast),
        rmse_ci=error_intervals(observed, forecast, windows.block)[0],
        rmse_sd=stdev(by_seed) if len(by_seed) > 1 else None,
        r2=r2(observed, forecast),
    )
    if windows.persistence is None:
        return row
    _, last = _side_by_side(windows.observed, [windows.persistence] * len(own))
    known = np.isfinite(observed) & np.isfinite(last)
    return replace(
        row,
        skill=skill(rmse(observed[known], forecast[known]), rmse(observed[known], last[known])),
        skill_ci=skill_interval(observed, forecast, last, windows.block),
    )


def _paired(row: Row, entrant: Entrant, best: Entrant, windows: TestWindows) -> Row:
    """The line with its distance to the best, on the windows and seeds that both have."""
    if row.rmse is None or entrant is best:
        return row
    only = next(iter(entrant.forecasts.values()))
    theirs = dict.fromkeys(best.forecasts, only) if entrant.builder is None else entrant.forecasts
    seeds = [seed for seed in best.forecasts if seed in theirs]
    if not seeds:
        return row
    observed, forecast = _side_by_side(windows.observed, [theirs[seed] for seed in seeds])
    _, reference = _side_by_side(windows.observed, [best.forecasts[seed] for seed in seeds])
    observed = np.where(np.isfinite(forecast), observed, np.nan)
    mine, other = rmse(observed, forecast), rmse(observed, reference)
    return replace(
        row,
        behind=None if mine is None or other is None else mine - other,
        behind_ci=difference_interval(observed, forecast, reference, windows.block),
        p_value=diebold_mariano(observed, reference, forecast, windows.longest_step).p_value,
    )


def _side_by_side(observed: Values, forecasts: Sequence[Values]) -> tuple[Values, Values]:
    """Seeds as further outputs: both (n, n_outputs · n_seeds)."""
    return np.tile(observed, (1, len(forecasts))), np.concatenate(list(forecasts), axis=1)


def _listed(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row.name} ({probability(row.p_value)})" for row in rows)


def _against_references(best: Row, references: Sequence[Row], unit: str) -> str:
    """How the best entry does against the best baseline."""
    first = strongest(references)
    if first is None:
        return ""
    name, behind, p_value = NAMES.get(first.name, first.name), first.behind or 0.0, first.p_value
    more = f"{number(abs(behind))} {unit} {'more' if behind >= 0 else 'less'} than {best.name}"
    if p_value is None:
        return f" The best baseline, {name}, misses by {more}; whether that is luck cannot be tested."
    significant = "" if p_value < _SIGNIFICANT else ", which may be luck"
    return f" The best baseline, {name}, misses by {more}{significant} ({probability(p_value)})."


def _ends(name: str, interval: Sequence[float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}

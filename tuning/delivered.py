"""Delivered studies side by side: their winners' recorded forecasts of the test part, if all forecast the same windows.

Nothing is trained and no model is loaded: everything stands in the bundles (``OUT/STUDY/bundle``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..reports import layout
from ..reports.bundle import unit_suffix
from ..reports.comparison import ComparisonTable, Entrant, Row, TestWindows, compare_entrants, with_recorded
from ..reports.loading import read_info, read_json
from ..reports.significance import block_length
from ..reports.wording import NAMES, number
from ..storage.mistakes import Mistake
from ..storage.resilient import ResilientStorage
from . import comparison_output, records

LONGEST_NAME = 80
_PRECISION = 1e-5
"""Relative; the recorded forecasts have seven digits."""


class ComparisonError(Mistake):
    """Studies that cannot be compared: not delivered yet, or on other test windows."""


@dataclass(frozen=True, eq=False)
class Delivered:
    """A study with its delivered winner.

    Attributes:
        facts: the content of ``model_info.json``.
        figures: the content of ``metrics.json``.
        times: (n · n_outputs,) target times as texts; the numbers of the windows for arrays, which know no times.
        observed, forecast, persistence: (n, n_outputs) in the unit, NaN where unknown.
        looks: how often the study has used its test part.
    """

    study: str
    facts: dict[str, Any] = field(repr=False)
    figures: dict[str, Any] = field(repr=False)
    times: NDArray[np.str_] = field(repr=False)
    observed: NDArray[np.float64] = field(repr=False)
    forecast: NDArray[np.float64] = field(repr=False)
    persistence: NDArray[np.float64] = field(repr=False)
    looks: int = 1

    @property
    def unit(self) -> str:
        """Of all figures."""
        return str(self.figures["units"])


def read_all(
    database: ResilientStorage, studies: Sequence[str], out: Path, mistakes: Sequence[str] = ()
) -> list[Delivered]:
    """Read the bundles of the studies.

    Args:
        out: folder of runs; where a study has no bundle in it, the folder that the study names is looked at.
        mistakes: what is wrong already; told together with the rest.

    Raises:
        ComparisonError: unknown or undelivered studies, fewer than two, or other test windows; all at once.
    """
    wrong = list(mistakes)
    names = list(dict.fromkeys(studies))
    wrong += [
        f"A study is compared with others; '{n}' is named twice. Leave one out." for n in names if studies.count(n) > 1
    ]
    if len(names) < 2:
        wrong.append(f"`--study` must name at least two studies to compare; got {', '.join(names)}. Name another.")
    found = []
    for name in names:
        try:
            found.append(_read(database, name, out))
        except Mistake as error:
            wrong += error.mistakes
    for other in found[1:]:
        wrong += differences(found[0], other)
    if wrong:
        raise ComparisonError(wrong)
    return found


def differences(one: Delivered, other: Delivered) -> list[str]:
    """In what the test windows of two studies differ, a sentence each; none where they are the same."""
    pair = f"'{one.study}' and '{other.study}'"
    way_out = "Compare studies of one target, horizon, lookback, split and known_ahead_beyond."
    found = []
    if one.unit != other.unit:
        found.append(f"the errors of the one are in {one.unit}, those of the other in {other.unit}")
    targets = [study.facts["data"].get("target") for study in (one, other)]
    if targets[0] != targets[1]:
        found.append(f"the one forecasts {targets[0]}, the other {targets[1]}")
    steps = [study.facts["data"].get("steps_ahead") for study in (one, other)]
    if steps[0] != steps[1] or one.observed.shape[1] != other.observed.shape[1]:
        found.append(f"the one forecasts {_steps(steps[0])}, the other {_steps(steps[1])}")
    elif not np.array_equal(one.times, other.times):
        found.append(_other_times(one, other))
    elif not found:
        found += _other_values(one, other)
    return [f"The test windows of {pair} must be the same: {'; '.join(found)}. {way_out}"] if found else []


def content(found: Sequence[Delivered], name: str) -> dict[str, Any]:
    """What stands in ``comparison.json`` and on the page."""
    first = found[0]
    data = first.facts["data"]
    steps = data.get("steps_ahead") or [first.observed.shape[1]]
    unknown = bool(np.isnan(first.persistence).all())
    windows = TestWindows(
        observed=first.observed,
        persistence=None if unknown else first.persistence,
        unit=first.unit,
        block=block_length(len(first.observed), step_seconds=data.get("step_seconds"), longest_step=steps[-1]),
        longest_step=steps[-1],
    )
    references = [] if unknown else [Entrant("persistence", None, {0: first.persistence})]
    compared = compare_entrants([_entrant(study) for study in found], references, windows)
    compared = with_recorded(compared, _recorded(found, compared))
    common = {key: value for key, value in data.items() if all(s.facts["data"].get(key) == value for s in found)}
    return comparison_output.described(
        compared,
        name=name,
        data=common,
        basis={study.study: study.facts.get("created") for study in found},
        facts=_facts(found),
    )


def default_name(studies: Sequence[str]) -> str:
    """The name of a comparison of studies that was given none."""
    joined = f"compare-{'-'.join(studies)}"
    digest = hashlib.sha256("\n".join(studies).encode()).hexdigest()[:6]
    return joined if len(joined) <= LONGEST_NAME else f"compare-{len(studies)}-studies-{digest}"


def _read(database: ResilientStorage, name: str, out: Path) -> Delivered:
    import pandas as pd

    study = records.load_study(database, name)
    folders = [out / name, Path(str(study.user_attrs.get(records.FOLDER) or out / name))]
    bundles = [folder / "bundle" for folder in folders if (folder / "bundle" / layout.PREDICTIONS).is_file()]
    if not bundles:
        raise ComparisonError(
            f"The study '{name}' must be delivered before it is compared; there is no bundle in {folders[0]}. "
            f"`tune export --study {name}` makes it."
        )
    bundle = bundles[0]
    facts, figures = read_info(bundle), read_json(bundle, layout.METRICS)
    suffix, n = unit_suffix(str(figures.get("units"))), int(figures.get("n_windows") or 0)
    try:
        frame = pd.read_csv(bundle / layout.PREDICTIONS)
        values = [
            frame[f"{what}_{suffix}"].to_numpy(np.float64).reshape(n, -1)
            for what in ("observed", "forecast", "persistence")
        ]
        times = frame["target_time" if "target_time" in frame else "window"].astype(str).to_numpy(np.str_)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ComparisonError(
            f"{bundle / layout.PREDICTIONS} must hold observed, forecast and persistence of the {n} windows of "
            f"{layout.METRICS}; it cannot be read so: {error}. `tune export --study {name}` writes the bundle again."
        ) from error
    looks = len(study.user_attrs.get(records.TESTED) or ()) or 1
    return Delivered(name, facts, figures, times, values[0], values[1], values[2], looks)


def _entrant(study: Delivered) -> Entrant:
    facts = study.facts
    members = ((facts.get("training") or {}).get("fit") or {}).get("members") or ()
    parameters = {f"trial {member['trial']}": member["parameters"] for member in members}
    values = {} if members else ((facts.get("study") or {}).get("winner") or {}).get("values") or {}
    return Entrant(
        name=study.study,
        builder=str(facts.get("builder")),
        forecasts={0: study.forecast},
        parameters=parameters or facts.get("hyperparameters") or {},
        n_parameters=(facts.get("model") or {}).get("n_parameters"),
        val_loss=values.get("val_loss"),
        val_mse=values.get("val_mse"),
    )


def _facts(found: Sequence[Delivered]) -> list[str]:
    """What was done, in sentences."""
    searched = (
        "Each study was searched, chosen and retrained in its own way; its winner is compared by the forecasts that "
        "stand in its bundle. Nothing was trained for this table."
    )
    values = (
        "val_loss and val_mse are those of the winning trial in its own search, where folds, scaling or loss may be "
        "others than in the next study; an ensemble has none."
    )
    looks = [f"{study.study} has used the test part {study.looks} times." for study in found if study.looks > 1]
    baselines = (
        "Of the baselines, a bundle keeps the forecasts of persistence only. The others have the figures that their "
        "study has recorded, so no intervals; gradient boosting saw the features of its study."
    )
    return [searched, values, baselines, *looks]


def _recorded(found: Sequence[Delivered], compared: ComparisonTable) -> list[Row]:
    """The other baselines by their recorded figures: a row each, or one a study where these differ.

    Only the best study has tested its baselines against the best model.
    """
    best = next((row for row in compared.rows if row.name == compared.best), None)
    if best is None or best.rmse is None:
        return []
    rows = []
    for name in dict.fromkeys(name for study in found for name in study.figures.get("baselines") or {}):
        figures = {study.study: (study.figures.get("baselines") or {}).get(name) or {} for study in found}
        known = {study: values for study, values in figures.items() if values.get("rmse") is not None}
        errors = [values["rmse"] for values in known.values()]
        if name == "persistence" or not known:
            continue
        alike = best.name in known and len(known) == len(found) and np.allclose(errors, errors[0], rtol=_PRECISION)
        for study, values in {best.name: known[best.name]}.items() if alike else known.items():
            title = name if alike else f"{NAMES.get(name, name)} ({study})"
            rows.append(_recorded_row(title, values, best.rmse, own=study == best.name))
    return rows


def _recorded_row(name: str, values: Mapping[str, Any], best: float, *, own: bool) -> Row:
    against = values.get("model_rmse", best) if own else None if values.get("n_left_out") else best
    return Row(
        name=name,
        builder=None,
        parameters={},
        n_parameters=None,
        n_seeds=1,
        val_loss=None,
        val_mse=None,
        rmse=values["rmse"],
        r2=values.get("r2"),
        behind=None if against is None else values["rmse"] - against,
        p_value=(values.get("dm") or {}).get("p_value") if own else None,
    )


def _other_times(one: Delivered, other: Delivered) -> str:
    a, b = one.times, other.times
    first = next((f"{x} and {y}" for x, y in zip_longest(a, b, fillvalue="none") if x != y), "")
    return (
        f"the one has {len(one.observed):,} windows from {a[0]} to {a[-1]}, the other {len(other.observed):,} from "
        f"{b[0]} to {b[-1]}; the first target times that differ are {first}"
    )


def _other_values(one: Delivered, other: Delivered) -> list[str]:
    a, b = one.observed.ravel(), other.observed.ravel()
    same = np.isclose(a, b, rtol=_PRECISION, atol=_PRECISION * float(np.nanmax(np.abs(a), initial=0.0)), equal_nan=True)
    if same.all():
        return []
    place = int(np.argmin(same))
    first = f"{one.times[place]} ({number(float(a[place]))} and {number(float(b[place]))} {one.unit})"
    many = f"{int((~same).sum()):,} of {same.size:,} values"
    return [f"what was observed differs in {many}, first at {first}, so the data are others"]


def _steps(steps: Any) -> str:
    return f"{', '.join(str(step) for step in steps)} steps ahead" if steps else "an unknown number of steps ahead"

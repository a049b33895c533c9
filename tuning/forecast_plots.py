"""Pictures on the dashboard of what the best trials forecast: prepared as numbers, drawn by Plotly in the browser.

optuna-dashboard shows such a picture on the page of the study, never on that of a trial, and cannot remove one. So
there are a few places, by rank, and a better trial takes the place of a worse one.
"""

from __future__ import annotations

import hashlib
import html
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import optuna_dashboard
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from ..reports.forecast_file import ForecastFileError, KeptForecast, read_forecast
from . import records
from .pareto import by_error, error_of

N_PLOTS, N_POINTS = 5, 500
FOLDER = "forecasts"
"""In the folder of the artifacts; it holds ``trial-NUMBER.npz``."""

_SAVED = "greentune:plots"
"""System attribute of the study: a digest of each picture as it was saved last."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Curves:
    """The last forecasts of one trial at even distances, NaN where there was none.

    Attributes:
        start: Unix seconds of the first point; its number where times are unknown.
        step: seconds between two points; 1 where times are unknown.
        timed: whether times are known.
        observed, predicted: (m,) of the last step ahead, in `unit`.
    """

    start: int
    step: int
    timed: bool
    observed: NDArray[np.float32]
    predicted: NDArray[np.float32]
    unit: str


class _Figure:
    """All that optuna-dashboard asks of a figure of Plotly, so that Plotly need not be installed."""

    def __init__(self, text: str) -> None:
        self._text = text

    def to_json(self) -> str:
        return self._text


def refresh_plots(study: optuna.Study) -> None:
    """Save a picture for each of the best trials whose forecast can be read here, unless it stands there already."""
    storage, study_id = study._storage, study._study_id
    saved: dict[str, str] = dict(storage.get_study_system_attrs(study_id).get(_SAVED, {}))
    for rank, (trial, kept) in enumerate(_best_kept(study), start=1):
        place, text = f"forecast-{rank}", json.dumps(figure(prepare(kept), title(rank, trial, kept.unit)))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        if saved.get(place) == digest:
            continue
        optuna_dashboard.save_plotly_graph_object(study, _Figure(text), graph_object_id=place)
        saved[place] = digest
        storage.set_study_system_attr(study_id, _SAVED, saved)


def prepare(kept: KeptForecast, *, n_points: int = N_POINTS) -> Curves:
    """The last `n_points` places of the last step ahead, so that a line has a hole where the data have one.

    Even distances spare the database the time of each point. The distance is the most usual one; times that lie
    between two places, which a series on its grid does not have, go to the nearer one.

    Args:
        kept: with at least one forecast; times in any order.
        n_points: places in time, or forecasts where times are unknown.
    """
    observed, predicted = kept.observed[:, -1], kept.predicted[:, -1]
    if not kept.times.size:
        first = max(0, len(observed) - n_points)
        return Curves(first, 1, False, observed[first:], predicted[first:], kept.unit)
    order = np.argsort(kept.times, kind="stable")
    times = kept.times[order]
    distances, counts = np.unique(np.diff(np.unique(times)), return_counts=True)
    step = int(distances[counts.argmax()]) if distances.size else 1
    places = np.rint((times - times[-1]) / step).astype(np.int64) + n_points - 1
    shown = places >= 0
    first = int(places[shown].min())
    even = np.full((2, n_points), np.nan, dtype=np.float32)
    even[:, places[shown]] = observed[order][shown], predicted[order][shown]
    start = int(times[-1]) - (n_points - 1 - first) * step
    return Curves(start, step, True, even[0, first:], even[1, first:], kept.unit)


def title(rank: int, trial: FrozenTrial, unit: str) -> str:
    """``No. 1: trial 12, validation RMSE 0.7512 MW``; the pictures stand in no order on the page."""
    rmse = trial.user_attrs.get("values", {}).get("val_rmse")
    error = f"validation RMSE {rmse:.4f} {unit}" if isinstance(rmse, float) else f"value {error_of(trial):.6g}"
    return f"No. {rank}: trial {trial.number}, {error}".rstrip()


def figure(curves: Curves, heading: str) -> dict[str, Any]:
    """The curves as Plotly's JSON figure."""
    # A date axis counts in milliseconds.
    scale = 1000 if curves.timed else 1
    along = {"type": "scatter", "mode": "lines", "x0": curves.start * scale, "dx": curves.step * scale}
    return {
        "data": [
            {**along, "name": "observed", "y": _plain(curves.observed), "line": {"color": "#555555", "width": 2}},
            {**along, "name": "forecast", "y": _plain(curves.predicted), "line": {"color": "#d95f02", "width": 1}},
        ],
        "layout": {
            "title": {"text": html.escape(heading, quote=False), "font": {"size": 15}, "x": 0.02},
            "xaxis": {
                "type": "date" if curves.timed else "linear",
                "title": {"text": "time (UTC)" if curves.timed else "window of the validation part"},
            },
            "yaxis": {"title": {"text": html.escape(curves.unit, quote=False)}},
            "hovermode": "x unified",
            "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"},
            "margin": {"t": 60, "r": 20, "b": 50},
        },
    }


def _best_kept(study: optuna.Study) -> Iterator[tuple[FrozenTrial, KeptForecast]]:
    """The best complete trials whose forecasts can be read, at most `N_PLOTS`, the best first."""
    files = _files(study.user_attrs.get(records.ARTIFACTS))
    if not files:
        return
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ranked = sorted((t for t in trials if t.number in files), key=by_error)
    found = 0
    for trial in ranked:
        try:
            kept = read_forecast(files[trial.number])
        except FileNotFoundError:
            continue  # a worker has just given its place to a better trial
        except (ForecastFileError, OSError) as error:
            _log.warning("No picture of trial %d: %s", trial.number, error)
            continue
        if not kept.observed.size:
            continue
        yield trial, kept
        found += 1
        if found == N_PLOTS:
            return


def _files(artifacts: object) -> dict[int, Path]:
    """The forecasts that can be seen from this machine, by the number of the trial."""
    if not isinstance(artifacts, str) or not Path(artifacts).is_absolute():
        return {}
    named = {path: re.fullmatch(r"trial-(\d+)\.npz", path.name) for path in Path(artifacts, FOLDER).glob("*.npz")}
    return {int(match[1]): path for path, match in named.items() if match}


def _plain(values: NDArray[np.float32]) -> list[float | None]:
    """Four digits are more than a picture shows; JSON has no NaN."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]

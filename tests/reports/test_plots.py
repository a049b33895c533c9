from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from greentune.reports import plots
from greentune.reports.plot_data import legible_stretch

from .test_plot_data import HISTORY

PNG = b"\x89PNG\r\n"
N = 60
OBSERVED = np.sin(np.arange(N) / 5.0)
FORECAST = OBSERVED + 0.1 * np.cos(np.arange(N))
TIMES = np.arange(N).astype("datetime64[h]").astype("datetime64[ns]")


@pytest.mark.parametrize("history", [HISTORY, {}, {"loss": [1.0]}, {"loss": [np.nan, 1.0]}, {"learning_rate": [0.0]}])
def test_curves(history: dict[str, list[float]], tmp_path: Path) -> None:
    plots.curves(history, tmp_path / "curves.png", best_epoch=1)
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("times", [TIMES, None])
def test_residuals(times: np.ndarray | None) -> None:
    stream = io.BytesIO()
    plots.residuals(OBSERVED, FORECAST, stream, unit="MW", times=times)
    assert stream.getvalue().startswith(PNG)


@pytest.mark.parametrize("values", [np.empty((0, 1)), np.full((4, 2), 0.5), np.full((2, 1), np.nan)])
def test_residuals_of_edge_cases(values: np.ndarray) -> None:
    stream = io.BytesIO()
    plots.residuals(values, values, stream, unit="MW")
    plots.scatter(values, values, stream, unit="MW")
    assert stream.getvalue().startswith(PNG)


@pytest.mark.parametrize("times", [TIMES, None])
def test_forecast(times: np.ndarray | None) -> None:
    stream = io.BytesIO()
    plots.forecast(legible_stretch(OBSERVED, FORECAST, FORECAST, times), stream, unit="MW")
    assert stream.getvalue().startswith(PNG)


def test_same_numbers_give_the_same_bytes() -> None:
    one, other = io.BytesIO(), io.BytesIO()
    for stream in (one, other):
        plots.scatter(OBSERVED, FORECAST, stream, unit="MW")
    assert one.getvalue() == other.getvalue()


def test_drawing_does_not_touch_pyplot_or_global_settings() -> None:
    code = (
        "import io, sys, matplotlib as m; before = m.rcParams['font.size']\n"
        "from greentune.reports import plots\n"
        "plots.curves({'loss': [1.0, 0.5]}, io.BytesIO())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert m.rcParams['font.size'] == before != plots._STYLE['font.size']\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

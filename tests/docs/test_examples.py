"""The example studies run as their first lines say, in the short form."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ..project.house import ROOT
from ..tuning.wind_farm import tune

EXAMPLES = ROOT / "examples"
SHORT = ("--trials", "2", "--epochs", "2", "--fresh-seeds", "0", "--final-epochs", "2")


def made_series(out: Path) -> Path:
    script = EXAMPLES / "solar" / "make_series.py"
    ended = subprocess.run([sys.executable, "-W", "error", script, out], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert "made-up" in ended.stdout
    return out


def test_the_solar_series_is_the_same_each_time_and_says_that_it_is_made_up(tmp_path: Path) -> None:
    first, second = (made_series(tmp_path / name).read_bytes() for name in ("a.csv", "b.csv"))
    assert first == second
    frame = pd.read_csv(tmp_path / "a.csv")
    assert list(frame) == ["time", "solar_mw", "cloud_forecast", "temperature_c", "clearsky_wm2"]
    assert len(frame) == 2 * 365 * 24
    assert frame["solar_mw"].between(0, 10).all()
    assert frame.loc[frame["clearsky_wm2"] == 0, "solar_mw"].max() < 0.01  # a rounded last ray at most
    assert "MADE UP" in (EXAMPLES / "solar" / "study.toml").read_text()


@pytest.mark.parametrize("name", ["wind", "solar"])
def test_an_example_says_how_to_run_it_shortly(name: str) -> None:
    text = (EXAMPLES / name / "study.toml").read_text()
    assert f"tune --config examples/{name}/study.toml --study {name}-quick {' '.join(SHORT)}" in text


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", ["wind", "solar"])
def test_an_example_runs_to_its_report(name: str, tmp_path: Path) -> None:
    study = shutil.copy(EXAMPLES / name / "study.toml", tmp_path)
    if name == "solar":
        made_series(tmp_path / "solar.csv")
    checked = tune(tmp_path, "folds", "--config", study)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "suspicion" not in checked.stdout
    ended = tune(tmp_path, "--config", study, "--study", "quick", *SHORT)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "runs" / "quick" / "report.html").stat().st_size > 10_000
    assert re.search(r"2 done|1 done, 1 pruned", ended.stdout)  # beside the other one, a trial may end as hopeless

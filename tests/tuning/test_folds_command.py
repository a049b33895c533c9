"""`tune folds` as users run it: what it draws, what it says of leaks, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from .wind_farm import tune, write_series


def test_folds_end_with_two_where_a_leak_is_proven(tmp_path: Path) -> None:
    frame = pd.read_csv(write_series(tmp_path / "wind.csv"))
    frame["copied"] = frame["power_mw"].shift(-2)
    frame.dropna().to_csv(tmp_path / "wind.csv", index=False)
    options = ("--data", "wind.csv", "--target", "power_mw", "--horizon", "2", "--validation", "expanding")
    drawn = tune(tmp_path, "folds", *options)
    assert drawn.returncode == 2
    assert "fold 2" in drawn.stdout
    assert "1 proven leak" in drawn.stdout
    assert not drawn.stderr
    told = tune(tmp_path, "folds", *options, "--json")
    assert told.returncode == 2
    leaks = [found for found in json.loads(told.stdout)["audit"]["findings"] if found["verdict"] == "leak"]
    assert [found["check"] for found in leaks] == ["lead"]


def test_folds_end_with_nothing_where_all_is_well(tmp_path: Path) -> None:
    write_series(tmp_path / "wind.csv")
    series = ("--data", "wind.csv", "--target", "power_mw", "--horizon", "2")
    drawn = tune(tmp_path, "folds", *series)
    assert drawn.returncode == 0, drawn.stderr
    assert "proven leak" not in drawn.stdout
    assert "'wind_ms@+2' takes away" not in drawn.stdout
    known = tune(tmp_path, "folds", *series, "--known-ahead", "wind_ms")
    assert known.returncode == 0, known.stderr
    assert "'wind_ms@+2' takes away" in known.stdout, "power follows this wind, which nobody could know so well"


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    write_series(tmp_path / "wind.csv")
    wrong = ("--target", "power", "--known-ahead", "wind", "--horizon", "0", "--validation", "expandin")
    refused = tune(tmp_path, "folds", "--data", "wind.csv", *wrong)
    assert refused.returncode == 2
    told = [line.split(maxsplit=1)[1] for line in refused.stderr.splitlines()[1:]]
    begun = (
        "`validation.method` must be",
        "`horizon` must be",
        "wind.csv has no column 'power'",
        "`known_ahead` names",
    )
    assert all(line.startswith(words) for line, words in zip(told, begun, strict=True)), refused.stderr

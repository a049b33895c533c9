"""Whatever a user gets wrong: one clear message, exit code 2, no traceback, nothing made or lost."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greentune.tuning import cli

from .wind_farm import write_series

Prepare = Callable[[Path], list[str]]


def complaint(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says on standard error; it must end with exit code 2 and without a traceback."""
    monkeypatch.setattr(sys, "argv", ["tune", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert "Traceback" not in said
    return said


def changed(change: Callable[[pd.DataFrame], pd.DataFrame], *more: str) -> Prepare:
    """A series after a change, given with its target."""

    def prepare(folder: Path) -> list[str]:
        frame = pd.read_csv(write_series(folder / "wind.csv"))
        change(frame).to_csv(folder / "wind.csv", index=False)
        return ["--data", str(folder / "wind.csv"), "--target", "power_mw", *more]

    return prepare


def column(name: str, value: object, rows: slice = slice(None)) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[name].astype(object)
        values.iloc[rows] = value
        return frame.assign(**{name: values})

    return change


def local_times_twice(frame: pd.DataFrame) -> pd.DataFrame:
    """Times of a clock with daylight saving, where one of the two autumn hours cannot be told from the other."""
    times = pd.date_range("2024-10-26", periods=len(frame), freq="h").strftime("%Y-%m-%d %H:%M").to_list()
    times[27] = "2024-10-27 02:00"
    times[26] = "2024-10-27 01:30"
    return frame.assign(time=times)


def arrays(**replace: np.ndarray) -> Prepare:
    """A folder of arrays in which some are other than they should be."""

    def prepare(folder: Path) -> list[str]:
        for part, n in (("train", 60), ("val", 20), ("test", 20)):
            x, y = np.random.default_rng(0).random((n, 4, 2)), np.random.default_rng(1).random(n)
            np.save(folder / f"X_{part}.npy", replace.get(f"X_{part}", x))
            np.save(folder / f"y_{part}.npy", replace.get(f"y_{part}", y), allow_pickle=True)
        return ["--data", str(folder)]

    return prepare


def truncated(folder: Path) -> list[str]:
    options = arrays()(folder)
    whole = (folder / "X_train.npy").read_bytes()
    (folder / "X_train.npy").write_bytes(whole[: len(whole) // 2])
    return options


def terabytes(folder: Path) -> list[str]:
    options = arrays()(folder)
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 1000, 2)}
    with (folder / "X_train.npy").open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, header)
    return options


def file(name: str, content: bytes) -> Prepare:
    def prepare(folder: Path) -> list[str]:
        (folder / name).write_bytes(content)
        return ["--data", str(folder / name), "--target", "power_mw"]

    return prepare


def toml(text: str) -> Prepare:
    def prepare(folder: Path) -> list[str]:
        (folder / "study.toml").write_text(text)
        return ["--config", str(folder / "study.toml")]

    return prepare


def foreign_database(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")
    return ["--storage", str(folder / "shop.db")]


def options(*arguments: str) -> Prepare:
    return lambda _folder: list(arguments)


infinite = np.random.default_rng(0).random((60, 4, 2))
infinite[3, 1, 0] = np.inf

CASES: dict[str, tuple[Prepare, str]] = {
    "no such file": (options("--data", "nowhere.csv", "--target", "p"), "nowhere.csv"),
    "not a CSV": (file("wind.csv", bytes(range(256)) * 20), "wind.csv"),
    "empty file": (file("wind.csv", b""), "wind.csv"),
    "no target": (changed(lambda f: f, "--target", "power_mv"), "power_mw"),
    "unsorted": (changed(lambda f: f.iloc[[1, 0, *range(2, len(f))]]), "must rise; line 3"),
    "duplicated": (changed(lambda f: pd.concat([f.iloc[:5], f.iloc[4:]])), "must be distinct; line 7"),
    "irregular": (changed(lambda f: f.assign(time=f["time"].str.replace("T05:00", "T05:17"))), "step"),
    "daylight saving": (changed(local_times_twice, "--timezone", "Europe/Paris"), "Europe/Paris"),
    "text in a column": (changed(column("wind_ms", "calm", slice(7, 8))), "calm"),
    "target empty": (changed(column("power_mw", np.nan)), "power_mw"),
    "target constant": (changed(column("power_mw", 1.5)), "must vary"),
    "too few rows": (changed(lambda f: f.head(30)), "rows"),
    "unknown feature": (changed(lambda f: f, "--known-ahead", "wind_sm"), "Did you mean 'wind_ms'"),
    "lookback 0": (changed(lambda f: f, "--lookback", "0"), "lookback"),
    "X and y differ in length": (arrays(y_train=np.zeros(59)), "59"),
    "X has two dimensions": (arrays(X_train=np.zeros((60, 4))), "X_train"),
    "feature counts differ": (arrays(X_test=np.zeros((20, 4, 3))), "X_test"),
    "NaN in arrays": (arrays(y_val=np.full(20, np.nan)), "y_val"),
    "inf in arrays": (arrays(X_train=infinite), "X_train"),
    "object dtype": (arrays(y_train=np.array([{}] * 60, dtype=object)), "y_train"),
    "truncated": (truncated, "X_train"),
    "terabytes": (terabytes, "X_train"),
    "arrays missing": (lambda folder: ["--data", str(folder)], "X_train"),
    "unknown sampler": (options("--sampler", "gird"), "Did you mean 'grid'?"),
    "unknown pruner": (options("--pruner", "medain"), "Did you mean 'median'?"),
    "unknown metric": (options("--metric", "val_mes"), "Did you mean 'val_mse'?"),
    "unknown objective": (options("--objective", "rmse,n_parms"), "Did you mean 'n_params'?"),
    "unknown builder": (options("--model", "staked_lstm"), "Did you mean 'stacked_lstm'?"),
    "unknown parameter": (toml("[space]\ndropuot_rate = [0.1]"), "Did you mean 'dropout_rate'?"),
    "unknown setting": (toml("[training]\nepocs = 3"), "Did you mean 'epochs'?"),
    "low above high": (toml("[space]\ndropout_rate = {low = 0.5, high = 0.1}"), "low ≤ high"),
    "log from zero": (toml("[space]\nl1 = {low = 0.0, high = 0.1, log = true}"), "low > 0"),
    "no choices": (toml("[space]\nlstm_units = []"), "at least one choice"),
    "not TOML": (toml("space = ["), "not valid TOML"),
    "no study file": (options("--config", "none.toml"), "none.toml"),
    "no workers": (options("--workers", "0"), "`workers` must be at least 1; got 0"),
    "negative workers": (options("--workers", "-2"), "got -2"),
    "no trials": (options("--trials", "0"), "search.trials"),
    "negative trials": (options("--trials", "-1"), "got -1"),
    "no epochs": (options("--epochs", "0"), "training.epochs"),
    "negative epochs": (options("--epochs", "-1"), "got -1"),
    "timeout in words": (options("--timeout", "soon"), "also 90s, 8m or 2h; got 'soon'"),
    "no final epochs": (options("--final-epochs", "0"), "final.epochs"),
    "database of others": (foreign_database, "other tables"),
    "database is a text": (lambda f: ["--storage", str(write_series(f / "x.csv"))], "another kind of file"),
    "out is a file": (lambda f: ["--out", str(write_series(f / "x.csv"))], "must be a folder"),
    "nothing to export": (options("export", "--out", "nowhere"), "no database"),
    "no status": (options("status", "--out", "nowhere"), "no database"),
    "no bundle": (lambda f: ["predict", str(f / "none"), str(write_series(f / "x.csv"))], "none"),
    "prepare over files": (
        lambda f: ["prepare", str(write_series(f / "x.csv")), "--target", "power_mw", "--out", str(f)],
        "new or empty folder",
    ),
    "nothing to prepare": (options("prepare", "nowhere.csv", "--target", "p", "--out", "arrays"), "nowhere.csv"),
}


@pytest.mark.parametrize("case", CASES)
def test_mistake_is_named_and_nothing_is_made(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, sentence = CASES[case]
    (tmp_path / "input").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    said = complaint(prepare(tmp_path / "input"), monkeypatch, capsys)
    assert sentence in said, said
    assert list(Path("runs").glob("*")) == [] or not Path("runs/greentune.db").exists() or "database" in case


def test_mistakes_of_specification_and_data_come_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = changed(column("power_mw", 1.5))(tmp_path)
    said = complaint([*arguments, "--sampler", "gird", "--epochs", "0", "--workers", "0"], monkeypatch, capsys)
    assert said.startswith("4 mistakes:")


def test_mistakes_are_json_for_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tune", "--sampler", "gird", "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    assert len(json.loads(capsys.readouterr().out)["mistakes"]) == 1

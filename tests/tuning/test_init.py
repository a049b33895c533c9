"""`tune init`: the study file that it makes of a series works, says what was assumed, and replaces nothing unasked."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from greentune.storage.dataspec import sample_spec
from greentune.storage.mistakes import Mistake
from greentune.tuning.beginning import Ask, Begun, begin, written_path
from greentune.tuning.comparison_spec import comparison_tables
from greentune.tuning.presets import with_preset
from greentune.tuning.spec import SpecError, parse_spec

from .wind_farm import TUNE, tune, write_series


def solar(n_days: int = 60, step: str = "15min") -> pd.DataFrame:
    """A solar plant with day-first times, a forecast of the radiation, and columns that no model should see."""
    random = np.random.default_rng(0)
    times = pd.date_range("2024-03-01", periods=n_days * (pd.Timedelta("1D") // pd.Timedelta(step)), freq=step)
    n_rows = len(times)
    hour = (times.hour + times.minute / 60).to_numpy()
    sun = np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None) * (0.6 + 0.4 * random.random(n_rows))
    return pd.DataFrame(
        {
            "Time": times.strftime("%d.%m.%Y %H:%M"),
            "No": np.arange(n_rows),
            "PV power (kW)": (500 * sun).round(2),
            "radiation forecast": (900 * sun + random.normal(0, 150, n_rows)).round(1),
            "Temp °C": random.normal(12, 4, n_rows).round(1),
            "wind dir": random.uniform(0, 360, n_rows).round(0),
            "state": "ok",
            "broken": np.where(np.arange(n_rows) < n_rows // 10, 1.0, np.nan),
        }
    )


def begun(series: Path | str | None, *, ask: Ask | None = None, **asked: Any) -> Begun:
    folder = series.parent if isinstance(series, Path) else Path()
    return begin(None if series is None else str(series), folder / "study.toml", asked, ask=ask, with_schema=True)


def mistakes_of(series: Path, **asked: Any) -> str:
    with pytest.raises(Mistake) as caught:
        begun(series, **asked)
    return str(caught.value)


def test_a_solar_plant_is_understood(tmp_path: Path) -> None:
    frame = solar()
    frame.drop(frame.index[500:520]).to_csv(tmp_path / "plant.csv", index=False, sep=";")
    found = begun(tmp_path / "plant.csv")
    assert found.data == {
        "path": "plant.csv",
        "timestamp": "Time",
        "target": "PV power (kW)",
        "unit": "kW",
        "features": ["radiation forecast", "Temp °C", "wind dir"],
        "known_ahead": ["radiation forecast"],
        "circular": ["wind dir"],
        "calendar": ["hour"],
        "lookback": 96,
        "horizon": 4,
    }
    assert tomllib.loads(found.text)["data"] == found.data
    assert "Temp °C, wind dir may be measured. Measured weather is NOT known ahead" in " ".join(
        found.text.replace("\n# ", " ").split()
    )
    assert "as at night" in found.text
    assert "rows: 5,740; 20 missing (at most 20 in a row)" in found.text
    assert "horizon = 4  # Steps ahead: 1 h." in found.text
    assert any("'No' is left out" in sentence for sentence in found.assumed)
    assert any("'broken' is left out" in sentence for sentence in found.assumed)


def test_three_years_of_days_have_a_season_and_no_hour(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01", periods=1095, freq="D", tz="UTC")
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"at": times, "energy_mwh": random.random(1095), "wind": random.random(1095)})
    frame.to_parquet(tmp_path / "days.parquet")
    data = begun(tmp_path / "days.parquet").data
    assert (data["calendar"], data["unit"], data["lookback"], data["horizon"]) == (["day_of_year"], "MWh", 14, 1)


def test_a_short_series_gets_a_short_window(tmp_path: Path) -> None:
    found = begun(write_series(tmp_path / "wind.csv", n_rows=120))
    assert found.data["lookback"] == 6


def test_without_a_series_it_is_the_packaged_farm() -> None:
    found = begun(None)
    spec = parse_spec(with_preset({}, tomllib.loads(found.text)))
    assert spec.data == sample_spec()
    assert found.assumed == ()


def test_names_may_hold_anything(tmp_path: Path) -> None:
    name = 'wind "speed" #1\n[m/s]\x7f'
    frame = pd.read_csv(write_series(tmp_path / "wind.csv")).rename(columns={"wind_ms": name})
    frame.assign(**{"text = 1\n": "x"}).to_parquet(tmp_path / "odd.parquet")
    found = begun(tmp_path / "odd.parquet", known_ahead=[name])
    assert tomllib.loads(found.text)["data"]["known_ahead"] == [name]


def taken_in(text: str, chosen: set[int]) -> dict[str, Any]:
    """The file as it reads when some of its lines are not commented out any more."""
    lines = text.splitlines()
    return tomllib.loads("\n".join(line[1:] if place in chosen else line for place, line in enumerate(lines)))


def test_every_line_that_is_commented_out_is_a_setting_that_works(tmp_path: Path) -> None:
    solar().to_csv(tmp_path / "plant.csv", index=False)
    text = begun(tmp_path / "plant.csv").text
    lines = text.splitlines()
    space, search, compare = (lines.index(line) for line in ("#[space]", "[search]", "#[[compare]]"))
    settings = {place for place, line in enumerate(lines[:compare]) if line.startswith("#") and line[1:2].isalpha()}
    dates = {place for place in settings if lines[place].startswith(("#val_start", "#test_start"))}
    users_code = {p for p in settings if lines[p].startswith(("#hypermodel", "#objective_function", "#directions"))}
    assert len(settings) > 60
    wrong = []
    for place in settings - users_code:
        chosen = dates if place in dates else {place, space} if space < place < search else {place}
        folds = lines[place].startswith(("#validation_size", "#step", "#train_size"))
        asked = text.replace('#method = "holdout"', 'method = "expanding"') if folds else text
        try:
            parse_spec(with_preset({}, taken_in(asked, chosen)))
        except (SpecError, tomllib.TOMLDecodeError) as error:
            wrong.append(f"{lines[place]}: {error}")
    assert wrong == []
    parse_spec(with_preset({}, taken_in(text, set(range(space, search - 2)))))
    entries = taken_in(text, set(range(compare, len(lines))))
    assert [entry["name"] for entry in entries["compare"]] == ["Small", "Large"]
    assert comparison_tables(entries, seeds=1, name=None)[1] == []


def test_the_file_holds_every_setting_of_the_specification(tmp_path: Path) -> None:
    text = begun(write_series(tmp_path / "wind.csv")).text
    spec = parse_spec(with_preset({}, {}))
    made_by_tune = ("entries", "code", "points")
    for section, values in spec.model_dump(mode="json").items():
        nested = isinstance(values, dict) and section not in ("space", "parameters", "entries")
        for name in values if nested else [section]:
            shown = any(line.lstrip("#").startswith((f"{name} =", f"[{name}]")) for line in text.splitlines())
            assert shown or name in made_by_tune, f"{section}.{name}"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("time;power_kw\n2024-01-01 00:00;1,5\n2024-01-01 01:00;2,5\n", "Write decimals with a point"),
        ("time;power_kw;x\n2024-01-01 00:00;1,5;1\n2024-01-01 01:00;2,5;3\n", "naming the --target"),
        ("time,a\n2024-01-01 00:00,x\n2024-01-01 01:00,y\n", "only text: a"),
        ("time,a,b\n2024-01-01 00:00,1,2\n2024-01-01 01:00,2,4\n", "Use --target with one of: a, b"),
        ("a,b\n1,2\n3,4\n", "No column of series.csv reads as times"),
        ("time,power_kw\n2024-01-01 00:00,1\n2024-01-01 01:00,2\n", "The series is too short"),
        ("time,power_kw\n2024-01-01 00:00,inf\n2024-01-01 01:00,2\n", "must be finite"),
        ("time,power_kw\n", "has a header but no rows"),
        ("", "is empty"),
    ],
)
def test_a_series_that_cannot_be_used_is_a_sentence(tmp_path: Path, table: str, said: str) -> None:
    (tmp_path / "series.csv").write_text(table)
    assert said in mistakes_of(tmp_path / "series.csv")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"target": "power_wm"}, "Did you mean 'power_mw'?"),
        ({"timestamp": "tim"}, "Did you mean 'time'?"),
        ({"timezone": "Mars"}, "got 'Mars'"),
        ({"horizon": 0}, "`horizon` must be at least 1; got 0"),
        ({"known_ahead": ["wind"]}, "Did you mean 'wind_ms'?"),
    ],
)
def test_an_option_that_does_not_fit_the_series_is_refused(tmp_path: Path, asked: dict[str, Any], said: str) -> None:
    assert said in mistakes_of(write_series(tmp_path / "wind.csv"), **asked)


def test_a_person_is_asked_what_names_do_not_say_until_the_answer_fits(tmp_path: Path) -> None:
    frame = pd.read_csv(write_series(tmp_path / "wind.csv")).rename(columns={"power_mw": "a"})
    frame.assign(b=frame["a"] / 2).to_csv(tmp_path / "odd.csv", index=False)
    answers = {"Column to forecast": ["c", "b"], "How many steps": ["none", "2"], "Which of these": ["x", "wind_ms"]}
    refused: list[str] = []

    def ask(question: str, usual: str, wrong: Callable[[str], str | None]) -> str:
        given = next(answers[known] for known in answers if known in question)
        for answer in given:
            mistake = wrong(answer)
            if mistake is None:
                return answer
            refused.append(mistake)
        raise AssertionError(question)

    found = begun(tmp_path / "odd.csv", ask=ask)
    assert (found.data["target"], found.data["horizon"], found.data["known_ahead"]) == ("b", 2, ["wind_ms"])
    assert len(refused) == 3


def test_paths_count_from_the_study_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert written_path("farm.csv", Path("studies/one.toml")) == "../farm.csv"
    assert written_path(str(tmp_path / "data" / "farm.csv"), Path("one.toml")) == "data/farm.csv"
    assert written_path(str(tmp_path / "farm.csv"), Path("studies/one.toml")) == str(tmp_path / "farm.csv")
    assert written_path("sample:la_haute_borne", Path("one.toml")) == "sample:la_haute_borne"


def test_the_packaged_series_as_a_file_of_the_users_own(tmp_path: Path) -> None:
    packed = resources.files("greentune.storage.sample").joinpath("la_haute_borne_hourly.csv.gz").read_bytes()
    (tmp_path / "farm.csv").write_bytes(gzip.decompress(packed))
    made = tune(tmp_path, "init", "farm.csv", "--out", "studies/farm.toml", "--horizon", "3")
    assert made.returncode == 0, made.stderr
    assert "The target is 'wind_power_mw'" in made.stderr
    assert json.loads((tmp_path / "studies" / "greentune.schema.json").read_text())["title"] == "greentune study file"
    text = (tmp_path / "studies" / "farm.toml").read_text()
    assert text.startswith("#:schema ./greentune.schema.json\n")
    assert "#capacity = 8.2  # Of the plant, in MW" in text
    drawn = tune(tmp_path, "folds", "--config", "studies/farm.toml")
    assert drawn.returncode == 0, drawn.stderr
    assert "proven leak" not in drawn.stdout


def test_an_existing_file_is_only_replaced_by_force(tmp_path: Path) -> None:
    write_series(tmp_path / "wind.csv")
    (tmp_path / "study.toml").write_text("mine")
    (tmp_path / "greentune.schema.json").write_text("mine, too")
    refused = tune(tmp_path, "init", "wind.csv", "--json")
    assert refused.returncode == 2
    first, second = json.loads(refused.stdout)["mistakes"]
    assert "study.toml exists" in first
    assert "--force" in first
    assert "--no-schema" in second
    assert (tmp_path / "study.toml").read_text() == "mine"
    made = tune(tmp_path, "init", "wind.csv", "--json", "--force", "--no-schema")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert (told["study_file"], told["schema"], told["data"]["target"]) == ("study.toml", None, "power_mw")
    assert "schema" not in (tmp_path / "study.toml").read_text().splitlines()[0]
    assert (tmp_path / "greentune.schema.json").read_text() == "mine, too"


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    write_series(tmp_path / "wind.csv")
    ours, theirs = pty.openpty()
    with subprocess.Popen([*TUNE, "init", "wind.csv"], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs) as run:
        os.close(theirs)
        os.write(ours, b"6\nwind_ms\n")
        assert run.wait(60) == 0
    os.close(ours)
    data = tomllib.loads((tmp_path / "study.toml").read_text())["data"]
    assert (data["horizon"], data["known_ahead"]) == (6, ["wind_ms"])

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from optuna.trial import TrialState, create_trial

from greentune.tuning import notes, records
from greentune.tuning.notes import note_text, refresh_note, report_file
from greentune.tuning.spec import parse_spec

from .wind_farm import study_tables

MARKDOWN = MarkdownIt("commonmark").enable("table")


def make(folder: Path, **more: Any) -> optuna.Study:
    """A study without trials whose folder is `folder`."""
    spec = parse_spec(study_tables(folder / "wind.csv", **more))
    return records.create_study(
        optuna.storages.InMemoryStorage(),
        spec,
        fingerprint="f",
        unit="MW",
        folder=str(folder),
        artifacts=str(folder / "artifacts"),
    )


def tell(study: optuna.Study, value: float, rate: float = 0.1) -> None:
    choices = optuna.distributions.CategoricalDistribution((0.0, 0.1, 0.2))
    attributes = {"values": {"val_rmse": value * 10, "val_mse": value}}
    study.add_trial(
        create_trial(
            value=value, params={"dropout_rate": rate}, distributions={"dropout_rate": choices}, user_attrs=attributes
        )
    )


def version(study: optuna.Study) -> int:
    attributes = study._storage.get_study_system_attrs(study._study_id)
    return int(attributes.get("dashboard:note_ver", 0))


def shown(markdown: str) -> str:
    """What a reader sees, one line for each row and paragraph."""
    page = re.sub(r"</(td|th)>\s*<(td|th)[^>]*>", " ", MARKDOWN.render(markdown))
    return html.unescape(re.sub(r"<[^>]*>", "", page))


def test_note_says_what_is_searched_how_far_it_is_and_the_best(tmp_path: Path) -> None:
    space = {
        "dropout_rate": [0.0, 0.1, 0.2],
        "l1": {"low": 1e-6, "high": 1e-2, "log": True},
        "lstm_units": [[32, 16], [64]],
    }
    study = make(tmp_path, space=space, parameters={}, search={"sampler": "tpe", "pruner": "asha", "trials": 30})
    tell(study, 0.5)
    tell(study, 0.25, 0.2)
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"reason": "nonfinite"}))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"reason": "lost"}))
    study.enqueue_trial({})
    lines = shown(note_text(study)).splitlines()
    for line in (
        "small",
        "Trials: 2 done, 0 running, 1 waiting, 0 pruned, 1 failed, 1 went back to the queue; planned: 30.",
        "Best so far: trial 1",
        "validation RMSE 2.5000 MW",
        "val_mse 0.25",
        "dropout_rate 0.2",
        "data wind.csv",
        "target power_mw",
        "horizon 1 step",
        "lookback 4 steps",
        "builder stacked_lstm",
        "sampler tpe",
        "pruner asha",
        "metric val_mse",
        "dropout_rate 0, 0.1, 0.2",
        "l1 1e-06 to 0.01, logarithmic",
        "lstm_units [32, 16], [64]",
    ):
        assert line in lines, line
    assert str(tmp_path) not in note_text(study)


def test_note_of_a_study_that_has_just_begun(tmp_path: Path) -> None:
    text = note_text(make(tmp_path))
    assert "No trial is complete yet." in text
    assert "planned: all points of the grid" in text


def test_unchanged_note_gets_no_new_version(tmp_path: Path) -> None:
    study = make(tmp_path)
    refresh_note(study)
    refresh_note(study)
    assert version(study) == 1
    tell(study, 0.5)
    refresh_note(study)
    assert version(study) == 2
    assert "1 done" in optuna_dashboard.get_note(study)


def test_what_users_write_below_the_line_stays(tmp_path: Path) -> None:
    study = make(tmp_path)
    refresh_note(study)
    ours = optuna_dashboard.get_note(study)
    optuna_dashboard.save_note(study, f"{ours}\n\nRuns on the *new* machine.\n")
    refresh_note(study)
    assert version(study) == 2
    tell(study, 0.5)
    refresh_note(study)
    renewed = optuna_dashboard.get_note(study)
    assert renewed.endswith(f"{notes.YOURS}\n\nRuns on the *new* machine.")
    assert "1 done" in renewed
    assert "0 done" not in renewed


def test_note_that_was_there_before_ours_becomes_a_remark(tmp_path: Path) -> None:
    study = make(tmp_path)
    optuna_dashboard.save_note(study, "Written by hand.")
    refresh_note(study)
    assert optuna_dashboard.get_note(study).endswith(f"{notes.YOURS}\n\nWritten by hand.")
    assert version(study) == 2


def test_report_is_linked_where_it_can_be_seen(tmp_path: Path) -> None:
    study = make(tmp_path, study="a b|c")
    assert "tune export --study 'a b|c'" in shown(note_text(study))
    assert "](" not in note_text(study)
    (tmp_path / "report.html").write_text("<html></html>")
    assert "(/report/a%20b%7Cc)" in note_text(study)
    assert "tune export" not in note_text(study)


def test_only_a_real_report_in_a_folder_named_from_the_root_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("x")
    (tmp_path / "report.html").write_text("x")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "report.html").symlink_to(secret)
    (tmp_path / "folder" / "report.html").mkdir(parents=True)
    assert report_file({records.FOLDER: str(tmp_path)}) == tmp_path / "report.html"
    for folder in (None, 5, "", ".", str(tmp_path / "linked"), str(tmp_path / "folder"), str(secret), "/nowhere"):
        assert report_file({records.FOLDER: folder}) is None
    assert report_file({}) is None


EVIL = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) `|` **b** http://evil.example # ~~s~~ \\| ``"


def test_names_from_outside_are_shown_as_they_are_and_do_nothing(tmp_path: Path) -> None:
    study = make(
        tmp_path,
        study=EVIL.replace("/", "").replace("\\", ""),
        data={"path": str(tmp_path / EVIL.replace("/", "")), "target": EVIL},
    )
    study.set_user_attr(records.UNIT, EVIL)
    tell(study, 0.5)
    page = MARKDOWN.render(note_text(study))
    assert not re.findall("<(?:img|a|em|strong|s|del|script)[ >]", page)
    assert shown(note_text(study)).count(f"target {EVIL}\n") == 1
    assert f"validation RMSE 5.0000 {EVIL}\n" in shown(note_text(study))
    assert study.study_name in shown(note_text(study)).splitlines()


PRINTED = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" `|\\<&[*_$")).map(
    lambda text: " ".join(text.split())
)


@given(left=PRINTED, right=PRINTED)
def test_any_text_survives_in_a_table(left: str, right: str) -> None:
    page = MARKDOWN.render(notes._table(("a", "b"), [(notes._code(left), notes._code(right))]))
    cells = [html.unescape(cell) for cell in re.findall("<td[^>]*>(?:<code>)?(.*?)(?:</code>)?</td>", page)]
    assert cells == [left or "–", right or "–"]


@given(st.text())
def test_any_text_stays_on_one_line_and_is_nothing_but_a_code_span(text: str) -> None:
    span = notes._code(text)
    assert len(span.splitlines()) == 1
    page = MARKDOWN.render(f"x {span} y")
    assert re.fullmatch(r"<p>x (<code>[^<]*</code>|–) y</p>\n", page)

"""One name for one thing: an option of `tune` is called as in the study file, or as in Python."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from greentune.tuning import study as studies
from greentune.tuning.cli import app
from greentune.tuning.machine import Machines
from greentune.tuning.spec import StudySpec

OTHER_NAMES = {
    "--data": "data.path",  # the section is what people think of
    "--model": "builder",  # the word of people who do not know ours
    "--objective": "search.objectives",  # one each time it is given
    "--direction": "search.directions",  # one each time it is given
    "--validation": "validation.method",  # the section is what people think of
    "--splits": "validation.n_splits",  # `n_` is for counts in files and in Python
    "--winner": "winner.rule",  # the section is what people think of
    "--final-epochs": "final.epochs",  # `--epochs` is that of the search
    "--worker-time": "search.worker_seconds",  # takes 90m and 40h, not only seconds
    "--memory-limit": "run.memory_limit_mb",  # units stand in the help of an option
}
"""Options that are called otherwise than the setting, and why."""

OF_THE_COMMAND = {
    "--config": "the study file itself",
    "--preset": "merged in before the specification is read, so it is no part of it",
    "--workers-per-gpu": "`Machines.per_gpu`, where the GPU is all that is spoken of",
    "--outage": "of the database, for this process and its workers: an environment variable",
    "--json": "how the result is printed",
    "--version": "no study",
}
"""Options that say nothing of a study and are no argument in Python."""

VALUES: tuple[list[str], ...] = ([], ["3"], ["ray"])
"""One of them is right for each option: a switch, a number, text or time, a launcher."""

IN_PYTHON = {*inspect.signature(studies.tune).parameters} | {field.name for field in dataclasses.fields(Machines)}
OPTIONS = [parameter.opts[0] for parameter in typer.main.get_command(app).params]


def meant_by(option: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The dotted names of the settings that an option sets."""
    asked: dict[str, Any] = {}

    def tune(raw: dict[str, Any], **_more: Any) -> None:
        asked.update(raw)
        raise typer.Exit

    monkeypatch.setattr(studies, "tune", tune)
    assert any(CliRunner().invoke(app, [option, *value]).exit_code == 0 for value in VALUES)
    return [
        f"{section}.{name}" if isinstance(content, dict) else section
        for section, content in asked.items()
        for name in (content if isinstance(content, dict) else [section])
    ]


@pytest.mark.parametrize("option", [option for option in OPTIONS if option not in OF_THE_COMMAND])
def test_option_has_the_name_that_it_has_in_a_study_file_or_in_python(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, found = option.removeprefix("--").replace("-", "_"), meant_by(option, monkeypatch)
    if not found:
        assert name in IN_PYTHON
        return
    (setting,) = found
    assert setting == OTHER_NAMES.get(option, setting)
    assert option in OTHER_NAMES or setting.split(".")[-1] == name
    section, _, last = setting.rpartition(".")
    fields: Any = StudySpec.model_fields
    assert last in (fields[section].annotation.model_fields if section else fields)


def test_no_exception_is_left_over() -> None:
    assert {*OTHER_NAMES, *OF_THE_COMMAND} <= {*OPTIONS}


@pytest.mark.parametrize("command", ["folds", "check", "compare"])
def test_data_are_described_to_other_commands_as_to_tune(command: str) -> None:
    """So that a command line that was looked over with `tune folds` is the one that `tune` gets."""
    tune: Any = typer.main.get_command(app)
    data = {option.opts[0] for option in tune.params if option.rich_help_panel == "Data"}
    assert {"--data", "--known-ahead"} < data
    assert data <= {option.opts[0] for option in tune.commands[command].params}

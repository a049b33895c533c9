from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from greentune.storage.rdb import open_storage
from greentune.tuning import records
from greentune.tuning.presets import with_preset
from greentune.tuning.spec import parse_spec

SPEC = parse_spec(with_preset({}, {"study": "farm"}))


def test_study_keeps_specification_and_fingerprint(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "a.db")
    records.create_study(storage, SPEC, fingerprint="abc", unit="MW")
    study = records.load_study(open_storage(tmp_path / "a.db"), None)
    assert (records.read_spec(study), records.read_fingerprint(study)) == (SPEC, "abc")


def test_unknown_study_suggests_the_nearest(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "a.db")
    records.create_study(storage, SPEC, fingerprint="abc", unit="MW")
    with pytest.raises(records.StudyError, match="Did you mean 'farm'"):
        records.load_study(storage, "fram")


def test_study_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "a.db")
    other = optuna.create_study(storage=storage, study_name="farm")
    other.enqueue_trial({"x": 1})
    assert not records.exists(storage, "farm")
    with pytest.raises(records.StudyError, match="did not make it"):
        records.create_study(storage, SPEC, fingerprint="abc", unit="MW")
    assert optuna.load_study(study_name="farm", storage=storage).user_attrs == {}


def test_creation_that_was_killed_half_way_is_completed(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "a.db")
    optuna.create_study(storage=storage, study_name="farm")
    records.create_study(storage, SPEC, fingerprint="abc", unit="MW")
    assert records.exists(storage, "farm")


def test_message_that_stops_a_study_is_kept_until_it_is_cleared(tmp_path: Path) -> None:
    study = records.create_study(open_storage(tmp_path / "a.db"), SPEC, fingerprint="abc", unit="MW")
    assert records.stopped_by(study) == []
    records.stop(study, ["wrong"])
    assert records.stopped_by(study) == ["wrong"]
    records.stop(study, [])
    assert records.stopped_by(study) == []

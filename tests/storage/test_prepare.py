from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest

from greentune.storage import prepare
from greentune.storage.arrays import FILES
from greentune.storage.datasets import Dataset, fingerprint, load_dataset
from greentune.storage.dataspec import DataError, DataSpec, sample_spec
from greentune.storage.parts import PART_NAMES
from greentune.storage.prepare import prepare_arrays

from .tiny_series import replaced, tiny_csv, tiny_spec


@pytest.fixture
def series_spec(tmp_path: Path) -> DataSpec:
    path = tiny_csv(tmp_path, wind=replaced("wind", 25, None))
    return tiny_spec(path, known_ahead=("wind",), circular=("direction",), capacity=9.0, outputs="all")


def assert_same(one: Dataset, other: Dataset) -> None:
    for name in PART_NAMES:
        np.testing.assert_array_equal(one.part(name).windows.array(), other.part(name).windows.array())
        np.testing.assert_array_equal(one.part(name).y, other.part(name).y)
        np.testing.assert_array_equal(one.observed(one.part(name)), other.observed(other.part(name)))
        np.testing.assert_array_equal(one.target_times(one.part(name)), other.target_times(other.part(name)))
        np.testing.assert_array_equal(one.part(name).origins, other.part(name).origins)
    np.testing.assert_array_equal(one.target, other.target)
    np.testing.assert_array_equal(one.times, other.times)
    for field in ("unit", "capacity", "feature_names", "lookback", "n_features", "n_outputs", "steps_ahead", "counts"):
        assert getattr(one, field) == getattr(other, field), field
    assert one.step_seconds == other.step_seconds


def test_prepared_folder_is_the_series_again(tmp_path: Path, series_spec: DataSpec) -> None:
    returned = prepare_arrays(series_spec, tmp_path / "arrays")
    assert_same(load_dataset(series_spec), returned)
    assert_same(returned, load_dataset(DataSpec(path=str(tmp_path / "arrays"))))
    assert returned.kind == "arrays"
    assert returned.spec == series_spec.model_copy(update={"path": str(tmp_path / "arrays")})


def test_prepared_folder_has_the_documented_files(tmp_path: Path, series_spec: DataSpec) -> None:
    dataset = prepare_arrays(series_spec, tmp_path / "arrays")
    assert all((tmp_path / "arrays" / name).is_file() for name in FILES)
    x_train = np.load(tmp_path / "arrays" / "X_train.npy")
    assert x_train.dtype == np.float32
    assert x_train.shape == dataset.train.windows.shape
    scaler = joblib.load(tmp_path / "arrays" / "scalers" / "y_train_scaler.pkl")
    y = np.load(tmp_path / "arrays" / "y_test.npy")
    np.testing.assert_allclose(
        scaler.inverse_transform(y.reshape(-1, 1)).reshape(y.shape), dataset.observed(dataset.test), atol=1e-5
    )


def test_prepared_folders_of_one_series_have_one_fingerprint(tmp_path: Path, series_spec: DataSpec) -> None:
    one, other = (prepare_arrays(series_spec, tmp_path / name) for name in ("one", "other"))
    assert one.fingerprint == other.fingerprint == fingerprint(one.spec) == load_dataset(one.spec).fingerprint
    assert str(tmp_path) not in (tmp_path / "one" / "dataset.json").read_text(encoding="utf-8")


def test_preparing_again_replaces_the_folder(tmp_path: Path, series_spec: DataSpec) -> None:
    prepare_arrays(series_spec, tmp_path / "arrays")
    again = prepare_arrays(series_spec.model_copy(update={"lookback": 4}), tmp_path / "arrays")
    assert again.lookback == 4
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["arrays", "series.csv"]


@pytest.mark.parametrize("there", ["file", "folder"])
def test_what_others_made_is_not_replaced(tmp_path: Path, series_spec: DataSpec, there: str) -> None:
    place = tmp_path / "arrays"
    if there == "file":
        place.write_text("mine", encoding="utf-8")
    else:
        place.mkdir()
        (place / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="was not made by `tune prepare`"):
        prepare_arrays(series_spec, place)
    assert (place if there == "file" else place / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_failure_in_the_middle_leaves_nothing_new(
    tmp_path: Path, series_spec: DataSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prepare_arrays(series_spec, tmp_path / "arrays").fingerprint

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepare, "write_prepared", full_disk)
    with pytest.raises(DataError, match="No space left on device"):
        prepare_arrays(series_spec, tmp_path / "arrays")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["arrays", "series.csv"]
    assert fingerprint(DataSpec(path=str(tmp_path / "arrays"))) == before


def test_too_little_space_is_seen_before_writing(
    tmp_path: Path, series_spec: DataSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = prepare.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(prepare.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(DataError, match="The arrays need"):
        prepare_arrays(series_spec, tmp_path / "arrays")
    assert [entry.name for entry in tmp_path.iterdir()] == ["series.csv"]


def test_folder_that_cannot_be_made_is_a_mistake(tmp_path: Path, series_spec: DataSpec) -> None:
    (tmp_path / "blocked").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        prepare_arrays(series_spec, tmp_path / "blocked" / "arrays")


def test_arrays_are_not_prepared_again(tmp_path: Path, series_spec: DataSpec) -> None:
    prepare_arrays(series_spec, tmp_path / "arrays")
    with pytest.raises(DataError, match="holds arrays already"):
        prepare_arrays(DataSpec(path=str(tmp_path / "arrays")), tmp_path / "more")


def test_specification_that_differs_from_the_prepared_one_is_refused(tmp_path: Path, series_spec: DataSpec) -> None:
    prepare_arrays(series_spec, tmp_path / "arrays")
    with pytest.raises(DataError) as caught:
        load_dataset(DataSpec(path=str(tmp_path / "arrays"), horizon=5, target="wind", capacity=10.0))
    assert [mistake.split(";")[0] for mistake in caught.value.mistakes] == [
        "The arrays were prepared with `target` = 'power'",
        "The arrays were prepared with `horizon` = 2",
    ]


def test_capacity_may_be_given_later(tmp_path: Path, series_spec: DataSpec) -> None:
    prepare_arrays(series_spec.model_copy(update={"capacity": None}), tmp_path / "arrays")
    assert load_dataset(DataSpec(path=str(tmp_path / "arrays"), capacity=10.0)).capacity == 10.0


def test_sample_carries_its_attribution_into_the_folder(tmp_path: Path) -> None:
    spec = sample_spec().model_copy(update={"lookback": 2, "features": (), "known_ahead": (), "circular": ()})
    assert "Etalab Open Licence 2.0" in prepare_arrays(spec, tmp_path / "arrays").notes[-1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "dataset.json").write_text("{"), "dataset.json in arrays cannot be read"),
        (lambda folder: (folder / "dataset.json").write_text('{"format": 7}'), "must be of format 1"),
        (lambda folder: (folder / "dataset.json").write_text('{"format": 1}'), "not as `tune prepare` wrote it"),
        (lambda folder: (folder / "series" / "times.npy").unlink(), "lacks series/times.npy"),
        (lambda folder: (folder / "series" / "target.npy").write_bytes(b"no"), "target.npy must be a .npy file"),
        (lambda folder: np.save(folder / "series" / "target.npy", np.zeros(3)), "fit each other"),
        (lambda folder: np.save(folder / "series" / "origins_val.npy", np.arange(3)), "X_val.npy and y_val.npy are"),
        (lambda folder: _shift(folder, "series/origins_val.npy", 1000), "points outside of the series"),
        (lambda folder: _shift(folder, "y_test.npy", 0.1), "y_test.npy is not the target"),
    ],
)
def test_damaged_folder_is_refused(
    tmp_path: Path, series_spec: DataSpec, damage: Callable[[Path], object], message: str
) -> None:
    prepare_arrays(series_spec, tmp_path / "arrays")
    damage(tmp_path / "arrays")
    with pytest.raises(DataError) as caught:
        load_dataset(DataSpec(path=str(tmp_path / "arrays")))
    assert message in str(caught.value)


def _shift(folder: Path, name: str, by: float) -> None:
    array = np.load(folder / name)
    np.save(folder / name, (array + by).astype(array.dtype))


def test_scalers_in_the_description_are_plain_json(tmp_path: Path, series_spec: DataSpec) -> None:
    prepare_arrays(series_spec, tmp_path / "arrays")
    content = json.loads((tmp_path / "arrays" / "dataset.json").read_text(encoding="utf-8"))
    assert content["y_scaler"]["names"] == ["power"]

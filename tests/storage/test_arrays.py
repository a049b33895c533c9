from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from greentune.storage.arrays import FILES
from greentune.storage.datasets import fingerprint, load_dataset
from greentune.storage.dataspec import DataError, DataSpec
from greentune.storage.npy import first_not_finite, open_npy
from greentune.storage.parts import PART_NAMES

SIZES = {"train": 20, "val": 8, "test": 6}


def write_arrays(folder: Path, *, n_outputs: int | None = None, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    arrays = {}
    for part, size in SIZES.items():
        arrays[f"X_{part}.npy"] = random.random((size, 4, 3)).astype(dtype)
        arrays[f"y_{part}.npy"] = random.random((size,) if n_outputs is None else (size, n_outputs)).astype(dtype)
    for name, array in arrays.items():
        np.save(folder / name, array)
    return arrays


def write_scaler(folder: Path, n_columns: int = 1) -> MinMaxScaler:
    folder.mkdir(parents=True)
    scaler = MinMaxScaler().fit(np.array([[10.0] * n_columns, [110.0] * n_columns]))
    joblib.dump(scaler, folder / "y_train_scaler.pkl")
    return scaler


def spec_of(folder: Path, **fields: Any) -> DataSpec:
    return DataSpec(path=str(folder), **fields)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ">f8", np.int32])
@pytest.mark.parametrize("n_outputs", [None, 1, 3])
def test_six_arrays_become_a_data_set(tmp_path: Path, n_outputs: int | None, dtype: Any) -> None:
    arrays = write_arrays(tmp_path, n_outputs=n_outputs, dtype=dtype)
    dataset = load_dataset(spec_of(tmp_path))
    assert (dataset.kind, dataset.lookback, dataset.n_features) == ("arrays", 4, 3)
    assert dataset.n_outputs == (n_outputs or 1)
    for part in PART_NAMES:
        np.testing.assert_array_equal(dataset.part(part).windows.array(), arrays[f"X_{part}.npy"].astype(np.float32))
        y = arrays[f"y_{part}.npy"].reshape(SIZES[part], -1)
        np.testing.assert_array_equal(dataset.part(part).y, y.astype(np.float32))
        assert dataset.part(part).windows.array().dtype == np.float32


def test_arrays_in_fortran_order_are_read_alike(tmp_path: Path) -> None:
    arrays = write_arrays(tmp_path)
    np.save(tmp_path / "X_val.npy", np.asfortranarray(arrays["X_val.npy"]))
    np.testing.assert_array_equal(load_dataset(spec_of(tmp_path)).val.windows.array(), arrays["X_val.npy"])


def test_without_a_scaler_everything_is_in_scaled_units(tmp_path: Path) -> None:
    write_arrays(tmp_path)
    dataset = load_dataset(spec_of(tmp_path, capacity=8.0))
    assert (dataset.unit, dataset.capacity, dataset.y_scaler) == ("scaled units", None, None)
    assert (dataset.target, dataset.times, dataset.steps_ahead) == (None, None, ())
    np.testing.assert_array_equal(dataset.observed(dataset.test), dataset.test.y)
    assert dataset.target_times(dataset.test) is None
    assert "scaled units" in dataset.notes[0]


@pytest.mark.parametrize("place", ["arrays/scalers", "scalers"])
def test_trusted_scaler_gives_the_unit_back(tmp_path: Path, place: str) -> None:
    write_arrays(tmp_path / "arrays", n_outputs=2)
    write_scaler(tmp_path / place)
    dataset = load_dataset(spec_of(tmp_path / "arrays", trust_scaler=True))
    assert dataset.unit == "MW"
    np.testing.assert_allclose(dataset.observed(dataset.test), dataset.test.y.astype(np.float64) * 100 + 10)


def test_untrusted_pickle_is_not_read(tmp_path: Path) -> None:
    write_arrays(tmp_path)
    (tmp_path / "scalers").mkdir()

    class Trap:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    joblib.dump(Trap(), tmp_path / "scalers" / "y_train_scaler.pkl")
    dataset = load_dataset(spec_of(tmp_path))
    assert not (tmp_path / "sprung").exists()
    assert "found but not read" in dataset.notes[0]
    with pytest.raises(DataError):
        load_dataset(spec_of(tmp_path, trust_scaler=True))
    assert (tmp_path / "sprung").exists(), "the trap does not work, so this test shows nothing"


def test_fields_of_a_series_are_named_as_unused(tmp_path: Path) -> None:
    write_arrays(tmp_path)
    assert "horizon, scaling were not used" in load_dataset(spec_of(tmp_path, scaling="standard", horizon=3)).notes[0]


def test_fingerprint_follows_the_bytes_of_all_six(tmp_path: Path) -> None:
    arrays = write_arrays(tmp_path)
    seen = {load_dataset(spec_of(tmp_path)).fingerprint}
    assert seen == {fingerprint(spec_of(tmp_path))}
    for name in FILES:
        np.save(tmp_path / name, arrays[name] + 1)
        seen.add(fingerprint(spec_of(tmp_path)))
    assert len(seen) == 7


Spoil = Callable[[Path, dict[str, np.ndarray]], object]


def _save(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    return lambda folder, arrays: np.save(folder / name, change(arrays[name]), allow_pickle=True)


def _with(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float64)
        array[3] = value
        return array

    return change


def _truncate(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    content = (folder / "X_test.npy").read_bytes()
    (folder / "X_test.npy").write_bytes(content[:-8])


def _terabytes(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 100, 100)}
    with (folder / "X_train.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"\0" * 1000)


def _pickled(value: object) -> Spoil:
    def write(folder: Path, arrays: dict[str, np.ndarray]) -> None:
        (folder / "scalers").mkdir()
        joblib.dump(value, folder / "scalers" / "y_train_scaler.pkl")

    return write


BAD: dict[str, tuple[Spoil, str]] = {
    "NaN": (_save("X_val.npy", _with(float("nan"))), "X_val.npy must be finite in float32; at [3, 0, 0] it holds nan"),
    "infinite": (
        _save("y_train.npy", _with(float("-inf"))),
        "y_train.npy must be finite in float32; at [3] it holds -inf",
    ),
    "too large for float32": (_save("y_test.npy", _with(1e300)), "at [3] it holds 1e+300"),
    "X and y of different length": (_save("y_val.npy", lambda y: y[:-1]), "one row a window; they have 8 and 7"),
    "X of two axes": (_save("X_train.npy", lambda x: x[:, 0]), "X_train.npy must have three axes"),
    "y of three axes": (_save("y_train.npy", lambda y: y[:, None, None]), "y_train.npy must be (n_windows,)"),
    "y of no axes": (_save("y_train.npy", lambda y: y[0]), "y_train.npy must be (n_windows,)"),
    "features differ": (_save("X_test.npy", lambda x: x[:, :, :2]), "number of features must be the same in all parts"),
    "lookback differs": (_save("X_val.npy", lambda x: x[:, :2]), "lookback must be the same in all parts"),
    "outputs differ": (_save("y_test.npy", lambda y: np.stack([y, y], 1)), "number of outputs must be the same"),
    "objects": (_save("y_val.npy", lambda y: y.astype(object)), "holds Python objects, which are never loaded"),
    "texts": (_save("y_val.npy", lambda y: y.astype(str)), "must hold real numbers; it holds <U"),
    "complex": (_save("y_val.npy", lambda y: y.astype(complex)), "must hold real numbers; it holds complex"),
    "records": (_save("y_val.npy", lambda y: np.zeros(8, [("a", "f4")])), "must hold real numbers; it holds [('a'"),
    "no window": (_save("X_val.npy", lambda x: x[:0]), "must hold at least one number; its shape is (0, 4, 3)"),
    "truncated": (_truncate, "X_test.npy is damaged: its header asks for an array of (6, 4, 3) float32, 288 bytes"),
    "terabytes": (_terabytes, "40000000000000 bytes, but 1000 follow"),
    "not npy": (lambda folder, _: (folder / "X_val.npy").write_text("1,2,3"), "X_val.npy must be a .npy file"),
    "empty file": (lambda folder, _: (folder / "X_val.npy").write_bytes(b""), "X_val.npy must be a .npy file"),
    "file missing": (
        lambda folder, _: (folder / "y_val.npy").rename(folder / "y_vall.npy"),
        "Did you mean 'y_vall.npy'",
    ),
    "scaler of something else": (_pickled({"no": "scaler"}), "it holds dict"),
    "robust scaler": (_pickled(RobustScaler().fit([[1.0], [2.0]])), "it holds RobustScaler"),
    "scaler of X": (_pickled(StandardScaler().fit(np.eye(3))), "it scales 3. Is it the scaler of X?"),
    "scaler not a pickle": (
        lambda folder, _: ((folder / "scalers").mkdir(), (folder / "scalers" / "y_train_scaler.pkl").write_text("x")),
        "y_train_scaler.pkl cannot be read",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused(tmp_path: Path, case: str) -> None:
    spoil, message = BAD[case]
    spoil(tmp_path, write_arrays(tmp_path))
    with pytest.raises(DataError) as caught:
        load_dataset(spec_of(tmp_path, trust_scaler="scaler" in case))
    assert message in str(caught.value)


def test_all_six_are_named_when_files_are_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(spec_of(tmp_path))
    assert all(str(caught.value).count(name) == 2 for name in FILES)


def test_all_bad_arrays_come_at_once(tmp_path: Path) -> None:
    arrays = write_arrays(tmp_path)
    for name in FILES:
        np.save(tmp_path / name, _with(float("nan"))(arrays[name]))
    with pytest.raises(DataError) as caught:
        load_dataset(spec_of(tmp_path))
    assert len(caught.value.mistakes) == 6


def test_trust_without_a_scaler_is_refused(tmp_path: Path) -> None:
    write_arrays(tmp_path)
    with pytest.raises(DataError, match=r"there is no scalers/y_train_scaler\.pkl"):
        load_dataset(spec_of(tmp_path, trust_scaler=True))


def test_lookback_that_is_not_the_arrays_is_refused(tmp_path: Path) -> None:
    write_arrays(tmp_path)
    with pytest.raises(DataError, match="`lookback` must be that of the arrays, 4; got 48"):
        load_dataset(spec_of(tmp_path, lookback=48))


@given(content=st.binary(max_size=120), version=st.sampled_from([b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"]))
def test_noise_behind_the_magic_bytes_is_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, version: bytes
) -> None:
    path = tmp_path_factory.mktemp("noise") / "X_train.npy"
    path.write_bytes(b"\x93NUMPY" + version + content)
    with pytest.raises(DataError):
        open_npy(path)


@given(header=st.text(st.sampled_from("{}()'\"<f4:,descrshapeL10 \n-"), max_size=80))
def test_noise_in_the_header_is_refused(tmp_path_factory: pytest.TempPathFactory, header: str) -> None:
    path = tmp_path_factory.mktemp("noise") / "X_train.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(DataError):
        open_npy(path)


def test_not_finite_is_found_beyond_the_first_block() -> None:
    array = np.zeros((3000, 50, 40), dtype=np.float32)  # 24 MB: two blocks
    array[2900, 7, 5] = np.inf
    assert first_not_finite(array) == ((2900, 7, 5), np.inf)

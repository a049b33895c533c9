from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from greentune.reports import forecast_file
from greentune.reports.forecast_file import ForecastFileError, read_forecast, write_forecast

HOURS = np.array(["2024-01-01T00", "2024-01-01T01", "2024-01-01T03"], dtype="datetime64[ns]")
OBSERVED = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, np.nan]])
PREDICTED = np.array([[1.5, 2.5], [3.5, 4.5], [5.5, 6.5]])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "forecasts" / "trial-3.npz"
    write_forecast(path, times=HOURS, observed=OBSERVED, predicted=PREDICTED, unit="MWh/h")
    kept = read_forecast(path)
    assert kept.times.tolist() == [1704067200, 1704070800, 1704078000]
    np.testing.assert_array_equal(kept.observed, OBSERVED)
    np.testing.assert_array_equal(kept.predicted, PREDICTED)
    assert (kept.times.dtype, kept.observed.dtype, kept.predicted.dtype) == (np.int64, np.float32, np.float32)
    assert kept.unit == "MWh/h"
    assert [file.name for file in path.parent.iterdir()] == ["trial-3.npz"]


def test_unix_seconds_stay_as_they_are_and_none_is_no_times(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    write_forecast(path, times=np.array([5, 6, 9]), observed=OBSERVED, predicted=PREDICTED, unit="MW")
    assert read_forecast(path).times.tolist() == [5, 6, 9]
    write_forecast(path, times=None, observed=OBSERVED, predicted=PREDICTED, unit="MW")
    assert read_forecast(path).times.shape == (0,)


def test_writing_that_fails_leaves_the_older_file_and_no_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(handle: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    path = write_forecast(tmp_path / "f.npz", times=None, observed=OBSERVED, predicted=PREDICTED, unit="MW")
    monkeypatch.setattr(forecast_file.np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_forecast(path, times=HOURS, observed=OBSERVED, predicted=PREDICTED, unit="kW")
    assert read_forecast(path).unit == "MW"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("times", "predicted"),
    [(HOURS[:2], PREDICTED), (HOURS, PREDICTED[:, :1]), (None, PREDICTED[:2])],
)
def test_arrays_that_do_not_belong_together_are_refused(
    tmp_path: Path, times: np.ndarray | None, predicted: np.ndarray
) -> None:
    with pytest.raises(ForecastFileError, match="must"):
        write_forecast(tmp_path / "f.npz", times=times, observed=OBSERVED, predicted=predicted, unit="MW")
    assert list(tmp_path.iterdir()) == []


def test_pickled_object_is_not_loaded(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (tmp_path.joinpath("ran").write_text, ("x",))

    objects = np.array([Evil()], dtype=object)
    path = tmp_path / "f.npz"
    np.savez(path, times=objects, observed=objects, predicted=objects, unit=objects, allow_pickle=True)
    with pytest.raises(ForecastFileError, match="allow_pickle"):
        read_forecast(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04broken", b"\x93NUMPY"])
def test_damaged_file_is_said_to_be_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f.npz").write_bytes(content)
    with pytest.raises(ForecastFileError, match=r"f\.npz"):
        read_forecast(tmp_path / "f.npz")


def test_file_cut_short_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = write_forecast(tmp_path / "f.npz", times=HOURS, observed=OBSERVED, predicted=PREDICTED, unit="MW")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ForecastFileError):
        read_forecast(path)


def test_foreign_archive_and_single_array_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", other=OBSERVED)
    np.save(tmp_path / "g.npy", OBSERVED)
    for name in ("f.npz", "g.npy"):
        with pytest.raises(ForecastFileError):
            read_forecast(tmp_path / name)

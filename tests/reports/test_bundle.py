from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from greentune.reports import bundle as bundle_module
from greentune.reports import layout
from greentune.reports.bundle import BundleError, check_folder, unit_suffix, write_bundle
from greentune.reports.wording import interval
from greentune.storage.dataset import Dataset
from greentune.storage.scaling import LinearScaler

from .conftest import Trained, train


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_bundle_holds_every_file_and_nothing_else(written_bundle: Path) -> None:
    assert {path.name for path in written_bundle.iterdir()} == set(layout.FILES)
    assert [path.name for path in written_bundle.parent.iterdir()] == [written_bundle.name]


def test_readme_explains_every_file(written_bundle: Path) -> None:
    text = (written_bundle / layout.README).read_text()
    assert all(f"`{name}`" in text for name in layout.FILES)


def test_readme_says_how_good_the_model_is(written_bundle: Path, trained: Trained) -> None:
    text = (written_bundle / layout.README).read_text()
    assert trained.evaluation.best_baseline is not None
    assert f"(95 % interval {interval(trained.evaluation.intervals['rmse'])})" in text
    assert trained.evaluation.best_baseline.sentence in text


def test_json_files_hold_no_nan(written_bundle: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    for name in (layout.MODEL_INFO, layout.METRICS, layout.SCALERS, layout.ARCHITECTURE):
        json.loads((written_bundle / name).read_text(), parse_constant=refuse)


def test_metrics_are_those_of_the_evaluation(written_bundle: Path, trained: Trained) -> None:
    assert json.loads((written_bundle / layout.METRICS).read_text()) == trained.evaluation.to_json()


def test_predictions_give_the_rmse(written_bundle: Path, trained: Trained) -> None:
    table = pd.read_csv(written_bundle / layout.PREDICTIONS, parse_dates=["target_time"])
    assert list(table) == ["target_time", "step_ahead", "observed_mw", "forecast_mw", "persistence_mw"]
    rmse = np.sqrt(np.mean((table.forecast_mw - table.observed_mw) ** 2))
    assert rmse == pytest.approx(trained.evaluation.metrics["rmse"], rel=1e-5)
    assert np.sqrt(np.mean((table.persistence_mw - table.observed_mw) ** 2)) == pytest.approx(
        trained.evaluation.baselines["persistence"]["rmse"], rel=1e-5
    )


def test_scalers_come_back_to_the_last_bit(written_bundle: Path, trained: Trained) -> None:
    content = json.loads((written_bundle / layout.SCALERS).read_text())
    assert LinearScaler.from_json(content["x"]).to_json() == trained.dataset.x_scaler.to_json()  # type: ignore[union-attr]
    assert LinearScaler.from_json(content["y"]).to_json() == trained.dataset.y_scaler.to_json()  # type: ignore[union-attr]


def test_joblib_copy_scales_alike(written_bundle: Path, trained: Trained) -> None:
    import joblib

    scalers = joblib.load(written_bundle / layout.SCALERS_JOBLIB)
    assert scalers["y"].inverse_transform([[0.25]]) == pytest.approx(trained.dataset.to_units(np.array([[0.25]])))


def test_weights_and_architecture_make_the_model(written_bundle: Path, trained: Trained) -> None:
    import keras

    model = keras.models.model_from_json((written_bundle / layout.ARCHITECTURE).read_text())
    model.load_weights(written_bundle / layout.WEIGHTS)
    windows = trained.dataset.test.windows.take([0, 1, 2])
    assert model.predict_on_batch(windows) == pytest.approx(trained.model.predict_on_batch(windows), abs=1e-6)


def test_saved_model_was_compared(written_bundle: Path) -> None:
    compared = json.loads((written_bundle / layout.MODEL_INFO).read_text())["saved_model"]
    assert compared["windows_compared"] == 8
    assert compared["largest_difference_scaled"] < 1e-5


def test_arrays_without_series_make_a_bundle(tiny_dataset: Dataset, tmp_path: Path) -> None:
    trained = train(tiny_dataset)
    folder = write_bundle(tmp_path / "b", **trained.arguments())
    table = pd.read_csv(folder / layout.PREDICTIONS)
    assert list(table) == ["window", "step_ahead", "observed_mw", "forecast_mw", "persistence_mw"]
    assert table.persistence_mw.isna().all()
    assert json.loads((folder / layout.SCALERS).read_text())["x"] is None


def test_older_bundle_is_replaced_and_foreign_files_are_kept(bundle: Path, trained: Trained) -> None:
    (bundle / "notes").mkdir()
    (bundle / "notes" / "mine.txt").write_text("keep me")
    (bundle / "report.html").write_text("<p>")
    (bundle / layout.METRICS).write_text("{}")
    write_bundle(bundle, **trained.arguments())
    assert (bundle / "notes" / "mine.txt").read_text() == "keep me"
    assert (bundle / "report.html").exists()
    assert json.loads((bundle / layout.METRICS).read_text())["units"] == "MW"


@pytest.mark.parametrize("failing", ["_residuals", "_joblib", "_saved_model"])
def test_failure_in_the_middle_keeps_the_old_bundle(
    bundle: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = snapshot(bundle)
    monkeypatch.setattr(bundle_module, failing, fail)
    with pytest.raises(BundleError, match=r"No space left on device.*--out"):
        write_bundle(bundle, **trained.arguments())
    assert snapshot(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_a_mistake_of_ours_is_not_taken_for_a_full_disk(
    tmp_path: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bundle_module, "_residuals", fail)
    with pytest.raises(ZeroDivisionError):
        write_bundle(tmp_path / "b", **trained.arguments())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=["40k", "90k", "300k"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A real file system that fills up while the model, the SavedModel or the pictures are written."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_is_one_sentence_and_leaves_nothing(small_disk: Path, trained: Trained) -> None:
    with pytest.raises(BundleError, match="could not be: No space left on device") as caught:
        write_bundle(small_disk / "winner", **trained.arguments())
    assert len(caught.value.mistakes) == 1
    assert list(small_disk.iterdir()) == []


def test_full_disk_keeps_the_old_bundle(small_disk: Path, trained: Trained) -> None:
    old = small_disk / "winner"
    old.mkdir()
    (old / layout.MODEL_INFO).write_text("{}")
    with pytest.raises(BundleError, match="as it was"):
        write_bundle(old, **trained.arguments())
    assert snapshot(small_disk) == {f"winner/{layout.MODEL_INFO}": b"{}"}


def test_folder_that_cannot_be_written() -> None:
    with pytest.raises(BundleError, match=r"could not be: .*--out"):
        check_folder(Path("/proc/greentune/winner"))


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nobody may write, not even root."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.geteuid() != 0:
        yield folder
        return
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True).returncode != 0:
        pytest.skip("root may write everywhere, and nothing can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_read_only_folder(read_only: Path) -> None:
    with pytest.raises(BundleError, match=r"Permission denied|Read-only file system"):
        check_folder(read_only / "winner")


def test_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("my work")
    with pytest.raises(BundleError, match=r"thesis\.tex"):
        check_folder(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "my work"


def test_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "winner").write_text("")
    with pytest.raises(BundleError, match="is a file"):
        check_folder(tmp_path / "winner")


def test_checking_leaves_no_trace(tmp_path: Path, written_bundle: Path) -> None:
    before = snapshot(written_bundle)
    check_folder(tmp_path / "deep" / "winner")
    check_folder(written_bundle)
    assert list(tmp_path.iterdir()) == []
    assert snapshot(written_bundle) == before


@pytest.mark.parametrize(
    ("unit", "suffix"),
    [("MW", "mw"), ("scaled units", "scaled_units"), ("%", "percent"), ("kWh/m²", "kwh_m"), ("°", "value")],
)
def test_unit_suffix(unit: str, suffix: str) -> None:
    assert unit_suffix(unit) == suffix

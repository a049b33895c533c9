from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greentune.reports import baselines, layout, verify
from greentune.reports.bundle import write_bundle
from greentune.reports.layout import BundleError
from greentune.reports.verify import verify_bundle
from greentune.storage.dataset import Dataset
from greentune.storage.datasets import load_dataset

from .conftest import frame, small_spec, train
from .test_loading import edit


def run(*arguments: str | Path, backend: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    if backend is not None:
        environment["KERAS_BACKEND"] = backend
    command = [sys.executable, "-m", "greentune.reports.verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_fresh_process_reproduces_the_bundle(written_bundle: Path) -> None:
    done = run(written_bundle)
    assert done.returncode == 0, done.stderr
    assert "reproduced on jax" in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.slow
def test_bundle_of_one_backend_is_reproduced_on_the_other(written_bundle: Path) -> None:
    done = run(written_bundle, "--json", backend="tensorflow")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["backend"] == "tensorflow"
    assert result["largest_relative_difference"] < 1e-5
    assert result["saved_model"] < 1e-5


def test_a_broken_bundle_is_one_line_and_exit_2(bundle: Path) -> None:
    (bundle / layout.MODEL).unlink()
    done = run(bundle)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "model.keras" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_bundle_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main([str(tmp_path), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["reproduced"] is False
    assert "model_info.json" in answer["mistakes"][0]


def test_saved_model_is_checked_on_request(written_bundle: Path) -> None:
    result = verify_bundle(written_bundle, saved_model=True)
    assert result["reproduced"] is True
    assert result["saved_model"] < 1e-5
    assert result["n_compared"] > 30


def change_weights(bundle: Path) -> None:
    import keras

    model = keras.saving.load_model(bundle / layout.MODEL, compile=False)
    model.set_weights([weight * 1.01 for weight in model.get_weights()])
    model.save(bundle / layout.MODEL)


def change_metric(name: str, factor: float) -> Callable[[Path], None]:
    def change(content: dict[str, Any]) -> None:
        content["test"][name] = content["test"][name] * factor

    return lambda bundle: edit(bundle, layout.METRICS, change)


def change(*place: Any) -> Callable[[Path], None]:
    """Multiplies the figure of ``metrics.json`` at a place (keys and numbers, the factor last)."""
    *keys, last, factor = place

    def edited(content: dict[str, Any]) -> None:
        inner = content
        for key in keys:
            inner = inner[key]
        inner[last] = inner[last] * factor

    return lambda bundle: edit(bundle, layout.METRICS, edited)


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "other weights": (change_weights, "must reproduce its figures"),
    "better rmse": (change_metric("rmse", 0.999), r"test\.rmse"),
    "better skill": (change_metric("skill", 1.01), r"test\.skill"),
    "another count": (change_metric("n", 2), r"test\.n"),
    "a narrower interval": (change("test", "rmse_ci", 1, 0.99), r"test\.rmse_ci\.1"),
    "a better p value": (change("baselines", "persistence", "dm", "p_value", 1e-3), r"persistence\.dm\.p_value"),
    "weaker boosting": (change("baselines", "gradient_boosting", "rmse", 1.02), r"gradient_boosting\.skill"),
    "another share of boosting": (
        change("baselines", "gradient_boosting", "model_rmse", 1.02),
        r"boosting\.model_rmse",
    ),
    "a baseline missing": (
        lambda b: edit(b, layout.METRICS, lambda c: c["baselines"].pop("climatology")),
        "climatology",
    ),
    "a figure missing": (lambda b: edit(b, layout.METRICS, lambda c: c["test"].pop("mae")), r"test\.mae"),
    "no figures": (lambda b: (b / layout.METRICS).unlink(), r"metrics\.json; it is missing"),
    "another scaler": (lambda b: edit(b, layout.SCALERS, lambda c: c["y"].update(scale=[9.0])), "scaler y"),
    "no saved model": (lambda b: shutil.rmtree(b / layout.SAVED_MODEL), "saved_model; it is missing"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_bundle_is_seen(bundle: Path, name: str) -> None:
    damage, says = WRONG[name]
    damage(bundle)
    with pytest.raises(BundleError, match=says):
        verify_bundle(bundle)


def test_gradient_boosting_is_not_trained_again(written_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(baselines, "gradient_boosting", refuse)
    result = verify_bundle(written_bundle)
    assert result["reproduced"] is True
    assert result["not_computed_again"] == ["gradient_boosting"]
    assert "gradient boosting was not trained again" in verify._sentence(result)


def as_of_old(content: dict[str, Any]) -> None:
    """``metrics.json`` as it was before there were intervals, tests and more than two baselines."""
    for name in ("best_baseline", "bootstrap"):
        del content[name]
    for name in ("rmse_ci", "mae_ci", "skill_ci"):
        del content["test"][name]
    for name in ("seasonal_naive", "climatology", "gradient_boosting"):
        del content["baselines"][name]
    for values in content["baselines"].values():
        del values["skill_ci"], values["dm"]
    for row in content["per_output"]:
        del row["gradient_boosting_rmse"]


def test_an_older_bundle_is_verified(bundle: Path) -> None:
    edit(bundle, layout.METRICS, as_of_old)
    result = verify_bundle(bundle)
    assert result["reproduced"] is True
    assert result["not_computed_again"] == []
    assert result["n_compared"] > 30


def test_an_older_bundle_with_a_wrong_figure_is_seen(bundle: Path) -> None:
    edit(bundle, layout.METRICS, as_of_old)
    edit(bundle, layout.METRICS, lambda content: content["baselines"]["persistence"].pop("rmse"))
    with pytest.raises(BundleError, match=r"persistence\.rmse"):
        verify_bundle(bundle)


@pytest.fixture
def moved(tmp_path: Path) -> tuple[Path, Path]:
    """A bundle and its series, which may be moved or changed."""
    series = tmp_path / "data" / "farm.csv"
    series.parent.mkdir()
    frame().to_csv(series, index=False)
    trained = train(load_dataset(small_spec(series)))
    return write_bundle(tmp_path / "bundle", **trained.arguments()), series


def test_data_that_are_gone_moved_or_changed(moved: tuple[Path, Path], tmp_path: Path) -> None:
    bundle, series = moved
    elsewhere = series.rename(tmp_path / "elsewhere.csv")
    with pytest.raises(BundleError, match=r"not at .* any more\. The stored test predictions are no substitute"):
        verify_bundle(bundle)
    assert verify_bundle(bundle, data=str(elsewhere))["reproduced"] is True
    changed = frame()
    changed.loc[3, "power"] += 0.5
    changed.to_csv(elsewhere, index=False)
    with pytest.raises(BundleError, match="fingerprint"):
        verify_bundle(bundle, data=str(elsewhere))


def test_a_pickled_scaler_is_read_only_on_request(bundle: Path) -> None:
    edit(bundle, layout.MODEL_INFO, lambda c: c["data"]["spec"].update(trust_scaler=True))
    with pytest.raises(BundleError, match="--trust-scaler"):
        verify_bundle(bundle)


def test_foreign_arrays_are_verified_too(tmp_path: Path, dataset: Dataset) -> None:
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    for name in ("train", "val", "test"):
        np.save(arrays / f"X_{name}.npy", dataset.part(name).windows.array())
        np.save(arrays / f"y_{name}.npy", dataset.part(name).y[:, 0])
    foreign = load_dataset(small_spec(arrays, target=None, known_ahead=(), horizon=1))
    bundle = write_bundle(tmp_path / "bundle", **train(foreign).arguments())
    result = verify_bundle(bundle)
    assert result["units"] == "scaled units"
    assert result["metrics"]["skill"] is None


@pytest.mark.parametrize(
    ("left", "right", "slack", "same"),
    [
        (1.0, 1.00005, 0.0, True),
        (1.0, 1.001, 0.0, False),
        (0.0, 1e-6, 1e-4, True),
        (None, None, 0.0, True),
        (None, 0.0, 1.0, False),
        (3, 3, 0.0, True),
        (100_000, 100_001, 1.0, False),
    ],
)
def test_what_counts_as_the_same(left: Any, right: Any, slack: float, *, same: bool) -> None:
    assert verify._close(left, right, slack) is same

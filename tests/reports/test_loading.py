from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greentune.reports import layout
from greentune.reports.forecaster import Forecaster
from greentune.reports.layout import BundleError


def edit(bundle: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((bundle / name).read_text())
    change(content)
    (bundle / name).write_text(json.dumps(content))


def info(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return lambda bundle: edit(bundle, layout.MODEL_INFO, change)


def cut(name: str) -> Callable[[Path], None]:
    def damage(bundle: Path) -> None:
        content = (bundle / name).read_bytes()
        (bundle / name).write_bytes(content[: len(content) // 2])

    return damage


def remove(name: str) -> Callable[[Path], None]:
    return lambda bundle: (bundle / name).unlink()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no info": (remove(layout.MODEL_INFO), layout.MODEL_INFO),
    "cut info": (cut(layout.MODEL_INFO), r"model_info\.json must be readable JSON"),
    "info is a list": (lambda b: (b / layout.MODEL_INFO).write_text("[]"), "JSON object"),
    "info is not text": (lambda b: (b / layout.MODEL_INFO).write_bytes(b"\xff\xfe\x00"), "readable JSON"),
    "another kind": (info(lambda c: c.update(kind="cake")), "cake"),
    "no version": (info(lambda c: c.pop("format_version")), "format_version"),
    "newer version": (info(lambda c: c.update(format_version=99)), "format 99.*pip install --upgrade"),
    "no spec": (info(lambda c: c["data"].pop("spec")), "data specification"),
    "wrong spec": (info(lambda c: c["data"]["spec"].update(lookback=-1)), "lookback"),
    "unknown field in spec": (info(lambda c: c["data"]["spec"].update(colour="red")), "colour"),
    "no model": (remove(layout.MODEL), r"model\.keras; it is missing"),
    "cut model": (cut(layout.MODEL), r"model\.keras must be a model"),
    "model is text": (lambda b: (b / layout.MODEL).write_text("hello"), "must be a model"),
    "another model": (info(lambda c: c["data"].update(lookback=7)), "different bundles"),
    "no scalers": (remove(layout.SCALERS), r"scalers\.json; it is missing"),
    "cut scalers": (cut(layout.SCALERS), r"scalers\.json must be readable JSON"),
    "zero scale": (lambda b: edit(b, layout.SCALERS, lambda c: c["y"].update(scale=[0.0])), "scalers x and y"),
    "no y": (lambda b: edit(b, layout.SCALERS, lambda c: c.pop("y")), "scalers x and y"),
    "other features": (info(lambda c: c["data"]["feature_names"].reverse()), "same order"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_bundle_is_named_with_a_way_out(bundle: Path, name: str) -> None:
    damage, says = BROKEN[name]
    damage(bundle)
    with pytest.raises(BundleError, match=says) as caught:
        Forecaster.load(bundle)
    (sentence,) = caught.value.mistakes
    assert str(bundle) in sentence or layout.MODEL_INFO in sentence


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is none"):
        Forecaster.load(tmp_path / "nothing")


def test_pickled_scalers_are_never_read(bundle: Path) -> None:
    (bundle / layout.SCALERS_JOBLIB).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert Forecaster.load(bundle).y_scaler is not None


def test_a_model_with_code_in_it_is_refused(bundle: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((6, 7)), keras.layers.Lambda(lambda x: x[:, -1, :1])])
    model.save(bundle / layout.MODEL)
    with pytest.raises(BundleError, match="must be a model that Keras"):
        Forecaster.load(bundle)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "jax"), ({"KERAS_BACKEND": "numpy"}, "numpy")],
    ids=["the bundle's own", "the chosen one"],
)
def test_backend_in_a_fresh_process(written_bundle: Path, environment: dict[str, str], expected: str) -> None:
    code = (
        "import os, sys; os.environ.pop('KERAS_BACKEND', None)\n"
        f"os.environ.update({environment!r})\n"
        "from greentune.reports.loading import choose_backend, read_info\n"
        "from pathlib import Path\n"
        "choose_backend(read_info(Path(sys.argv[1]))); print(os.environ['KERAS_BACKEND'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(written_bundle)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected

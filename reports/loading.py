"""A bundle read back: every file that is missing, broken or too new is named, with a way out."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from ..storage.dataspec import DataError, DataSpec, parse_spec
from ..storage.scaling import LinearScaler
from . import layout
from .layout import BundleError

_AGAIN = "Write the bundle again with `tune export`, or take another copy."


def read_info(folder: Path) -> dict[str, Any]:
    """The content of ``model_info.json``.

    Raises:
        BundleError: no such folder, not a bundle, broken JSON, or a newer format than this greentune reads.
    """
    if not folder.is_dir():
        raise BundleError(f"A bundle is a folder that `tune` wrote; there is none at {folder}. Check the path.")
    if not (folder / layout.MODEL_INFO).is_file():
        raise BundleError(
            f"A bundle holds {layout.MODEL_INFO}; {folder} does not. Name the folder in which {layout.MODEL} stands, "
            "or write "
            "a bundle with `tune export`."
        )
    information = read_json(folder, layout.MODEL_INFO)
    if information.get("kind") != layout.KIND:
        raise BundleError(
            f"{folder / layout.MODEL_INFO} must say that it is a '{layout.KIND}'; it says {information.get('kind')!r}. "
            f"{_AGAIN}"
        )
    version = information.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise BundleError(
            f"`format_version` in {folder / layout.MODEL_INFO} must be a whole number from 1; got {version!r}. {_AGAIN}"
        )
    if version > layout.FORMAT_VERSION:
        made_by = (information.get("versions") or {}).get("greentune", "a newer one")
        raise BundleError(
            f"This greentune reads bundles up to format {layout.FORMAT_VERSION}; {folder} has format {version}, made "
            "by greentune "
            f"{made_by}. Upgrade with `pip install --upgrade greentune`."
        )
    return information


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """One JSON file of a bundle.

    Raises:
        BundleError: it is missing, cannot be read, or is not a JSON object.
    """
    path = folder / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"A bundle holds {name}; it is missing in {folder}. {_AGAIN}") from error
    except (OSError, ValueError) as error:  # ValueError: broken JSON or UTF-8
        raise BundleError(f"{path} must be readable JSON: {error}. {_AGAIN}") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path} must hold a JSON object; it holds a {type(content).__name__}. {_AGAIN}")
    return content


def read_spec(folder: Path, information: dict[str, Any], *, whole: bool = False) -> DataSpec:
    """The data specification that stands in ``model_info.json``.

    Args:
        whole: that of the data set of which the model sees a part; where it sees all, they are the same.

    Raises:
        BundleError: it is missing or not valid.
    """
    about = information.get("data") or {}
    recorded = (about.get("whole_spec") if whole else None) or about.get("spec")
    try:
        if not isinstance(recorded, dict):
            raise TypeError("it is missing")
        return parse_spec(recorded)
    except (DataError, TypeError) as error:
        raise BundleError(
            f"{folder / layout.MODEL_INFO} must hold the data specification (data.spec): {error}. {_AGAIN}"
        ) from error


def read_scalers(folder: Path) -> tuple[LinearScaler | None, LinearScaler | None]:
    """The scalers of features and target from ``scalers.json``; never a pickle.

    Raises:
        BundleError: the file is missing or does not describe scalers.
    """
    content = read_json(folder, layout.SCALERS)
    try:
        x, y = (None if content[name] is None else LinearScaler.from_json(content[name]) for name in ("x", "y"))
    except (DataError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{folder / layout.SCALERS} must hold the scalers x and y: {error}. {_AGAIN}") from error
    return x, y


def load_model(folder: Path, information: dict[str, Any]) -> Any:
    """The Keras model, not compiled, with safe mode on: nothing in the file is executed.

    A model with layers of the user's own is loaded by Keras where their code was imported before. Otherwise the same
    model comes from its SavedModel, which forecasts through TensorFlow and needs no code.

    Raises:
        BundleError: the file is missing or broken, or the model does not fit what ``model_info.json`` says.
    """
    path = folder / layout.MODEL
    if not path.is_file():
        raise BundleError(f"A bundle holds {layout.MODEL}; it is missing in {folder}. {_AGAIN}")
    choose_backend(information)
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises ValueError, TypeError, KeyError, OSError, BadZipFile … for a broken file
        if (information.get("model") or {}).get("own_layers") and (folder / layout.SAVED_MODEL).is_dir():
            from .saved_model import ServedModel

            return ServedModel(folder / layout.SAVED_MODEL)
        reason = str(error).strip().splitlines()
        raise BundleError(
            f"{path} must be a model that Keras {keras.__version__} loads: "
            f"{reason[0][:200] if reason else type(error).__name__} "
            f"If it has layers of your own, import them first. {_AGAIN}"
        ) from error
    data = information.get("data") or {}
    expected = (data.get("lookback"), data.get("n_features"), data.get("n_outputs"))
    found = _shape_of(model)
    if found is not None and found != expected:
        raise BundleError(
            f"{layout.MODEL} must fit {layout.MODEL_INFO} (lookback, features, outputs = {expected}); it has {found}. "
            f"The files come from different bundles. {_AGAIN}"
        )
    return model


def _shape_of(model: Any) -> tuple[Any, ...] | None:
    """Lookback, features, outputs; None for a user's class of model, which does not say."""
    try:
        return (*tuple(model.input_shape)[1:], tuple(model.output_shape)[-1])
    except AttributeError:
        return None


def choose_backend(information: dict[str, Any]) -> None:
    """Sets ``KERAS_BACKEND`` to the bundle's, where nobody chose one, Keras is not imported yet and it is installed.

    A bundle made on one backend loads on the other; this only spares the import of TensorFlow for a bundle made on JAX.
    """
    backend = information.get("backend")
    if "keras" in sys.modules or "KERAS_BACKEND" in os.environ or backend not in ("jax", "tensorflow"):
        return
    if importlib.util.find_spec(backend) is not None:
        os.environ["KERAS_BACKEND"] = backend

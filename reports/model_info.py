"""What is known of a trained model, read off the model itself (R12): nothing here is typed in by hand."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .layout import FORMAT_VERSION, KIND
from .plain_json import plain

if TYPE_CHECKING:
    from ..storage.datasets import Dataset
    from ..storage.dataspec import DataSpec

LIBRARIES = ("greentune", "keras", "tensorflow", "jax", "optuna", "numpy", "pandas", "scikit-learn", "scipy")
_SAMPLE = "sample:"


def model_info(
    *,
    model: Any,
    dataset: Dataset,
    history: Mapping[str, Sequence[float]],
    parameters: Mapping[str, object],
    builder: str,
    study: Mapping[str, object],
    backend: str,
    fit: Mapping[str, object],
) -> dict[str, Any]:
    """The content of ``model_info.json``: plain JSON without NaN.

    Args:
        model: the trained and compiled Keras model.
        history: one value an epoch by name.
        fit: settings and outcome of the training; ``best_epoch`` is 0-based.
    """
    information: dict[str, Any] = plain(
        {
            "kind": KIND,
            "format_version": FORMAT_VERSION,
            "created": datetime.now(UTC).replace(microsecond=0),
            "builder": builder,
            "hyperparameters": parameters,
            "model": describe_model(model, (dataset.lookback, dataset.n_features, dataset.n_outputs)),
            "training": describe_training(model, history, fit),
            "study": study,
            "data": describe_data(dataset),
            "backend": backend,
            "versions": versions(),
        }
    )
    return information


def describe_model(model: Any, trained_on: tuple[int, int, int] | None = None) -> dict[str, Any]:
    """Shape, outputs, layers and parameters of a Keras model, counted on the model.

    Args:
        trained_on: lookback, features, outputs: for a user's class of model, which does not say its shapes.
    """
    trainable = _count(model.trainable_weights)
    try:
        inputs, outputs = list(model.input_shape), list(model.output_shape)
    except AttributeError:
        if trained_on is None:
            raise
        inputs, outputs = [None, *trained_on[:2]], [None, trained_on[2]]
    return {
        "name": model.name,
        "input_shape": inputs,
        "output_shape": outputs,
        "n_outputs": int(outputs[-1]),
        "own_layers": own_layers(model),
        "n_parameters": int(model.count_params()),
        "n_parameters_trainable": trainable,
        "layers": [
            {
                "name": layer.name,
                "type": type(layer).__name__,
                "output_shape": _output_shape(layer),
                "n_parameters": int(layer.count_params()),
            }
            for layer in model.layers
        ],
    }


def own_layers(model: Any) -> list[str]:
    """Classes of a user in the model, whose code Keras needs to load it: by their names, sorted."""
    each = [model, *model._flatten_layers(include_self=False, recursive=True)]
    known = ("keras", "greentune")
    return sorted({type(one).__name__ for one in each if type(one).__module__.split(".")[0] not in known})


def describe_training(model: Any, history: Mapping[str, Sequence[float]], fit: Mapping[str, object]) -> dict[str, Any]:
    """Optimiser and loss as the model holds them, epochs and errors as the history holds them.

    An ensemble has none of its own: they stand with its members in ``fit``, and the history is that of the first.
    """
    n_epochs = max((len(values) for values in history.values()), default=0)
    best = fit.get("best_epoch")
    at_best = (
        {name: values[best] for name, values in history.items() if len(values) > best}
        if isinstance(best, int) and best >= 0
        else {}
    )
    members: Any = fit.get("members")
    compiled = describe_compiled(model)
    if members:  # what averages them was never trained
        compiled = dict.fromkeys(compiled) | {"history_of_trial": members[0]["trial"]}
    return {
        **compiled,
        "epochs_trained": n_epochs,
        "best_epoch": best,
        "best_epoch_counts_from": 0,
        "at_best_epoch": at_best,
        "final_val_loss": history["val_loss"][-1] if history.get("val_loss") else None,
        "fit": dict(fit),
        "history": {name: list(values) for name, values in history.items()},
    }


def describe_compiled(model: Any) -> dict[str, Any]:
    """Optimiser, loss and metrics as the model holds them."""
    compiled = model.get_compile_config() or {}
    optimizer = getattr(model, "optimizer", None)
    return {
        "optimizer": None if optimizer is None else {"type": type(optimizer).__name__, **optimizer.get_config()},
        "loss": compiled.get("loss"),
        "metrics": compiled.get("metrics"),
    }


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """The data set's own description, and what is needed to forecast and to verify again."""
    return {
        **dataset.describe(),
        "spec": _recorded(dataset.spec),
        "whole_spec": None if dataset.whole is None else _recorded(dataset.whole),
        "everything": dataset.everything,
        "fingerprint": dataset.fingerprint,
        "kind": dataset.kind,
        "step_seconds": dataset.step_seconds,
        "unit": dataset.unit,
        "capacity": dataset.capacity,
        "feature_names": list(dataset.feature_names),
        "lookback": dataset.lookback,
        "n_features": dataset.n_features,
        "n_outputs": dataset.n_outputs,
        "steps_ahead": list(dataset.steps_ahead),
    }


def _recorded(spec: DataSpec) -> dict[str, Any]:
    return {**spec.model_dump(mode="json"), "path": recorded_path(spec.path)}


def recorded_path(path: str) -> str:
    """The path as it can be found again from any working directory; packaged data keep their name."""
    return path if path.startswith(_SAMPLE) else str(Path(path).expanduser().resolve())


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that are installed here."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _output_shape(layer: Any) -> Any:
    output = getattr(layer, "output", None)
    shape = getattr(output, "shape", None)
    return None if shape is None else list(shape)


def _count(weights: Sequence[Any]) -> int:
    total = 0
    for weight in weights:
        size = 1
        for length in weight.shape:
            size *= int(length)
        total += size
    return total

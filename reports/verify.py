"""Does a bundle still give its figures? Loaded in a fresh process, it forecasts its test part again.

    python -m greentune.reports.verify FOLDER [--data PATH] [--trust-scaler] [--saved-model] [--json]

Exit code 0: the figures are reproduced; 2: they are not, or cannot be, and one line says why. The backend is the one in
``KERAS_BACKEND``, or else the bundle's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..storage.dataspec import SAMPLE_PREFIX
from ..storage.mistakes import Mistake
from .baselines import BOOSTING
from .layout import METRICS, SAVED_MODEL, BundleError
from .loading import choose_backend, load_model, read_info, read_json, read_scalers, read_spec
from .metrics import skill
from .plain_json import plain

if TYPE_CHECKING:
    from ..storage.datasets import Dataset
    from ..storage.dataspec import DataSpec

RTOL = 1e-4
"""Another backend, batch size or number of threads adds float32 numbers in another order: 1e-7 a step, 1e-6 over a
window.
A wrong model, scaler or series is off by far more."""

_IN_UNIT = ("rmse", "mae", "bias", "model_rmse", "persistence_rmse")
_DIFFERENCES = {"bias": 1.0, "r2": 1.0, "skill": 1.0, "skill_ci": 1.0, "statistic": 10.0, "p_value": 10.0}
"""Figures that may be close to 0, and how many times `RTOL` they may differ by. A p value answers for its statistic."""

_SINCE_INTERVALS = frozenset(
    ("rmse_ci", "mae_ci", "skill_ci", "dm", "bootstrap", "seasonal_naive", "climatology", BOOSTING, f"{BOOSTING}_rmse")
)
"""What bundles did not record before there were intervals; ``best_baseline`` in ``metrics.json`` tells them apart."""


def verify_bundle(
    folder: Path, *, data: str | None = None, trust_scaler: bool = False, saved_model: bool = False
) -> dict[str, Any]:
    """Loads the bundle, forecasts its recorded test part again and compares every figure with ``metrics.json``.

    Gradient boosting is the exception: it is not trained again, its own errors are believed. What the model's error
    makes of them (``model_rmse``, ``skill``) is computed and compared.

    To prove anything it must run in a process that did not write the bundle.

    Args:
        data: where the data are now, if they moved; the fingerprint must be the recorded one.
        trust_scaler: arrays only: allow reading their pickled scaler again, as the bundle's data specification asks.
        saved_model: check the SavedModel even if TensorFlow must be imported for it.

    Returns:
        ``folder``, ``backend``, ``n_windows``, ``n_compared`` (figures), ``largest_relative_difference``, ``metrics``
        (of the test part, now), ``units``, ``not_computed_again`` (names of baselines) and ``saved_model`` (largest
        difference in scaled units, or ``null`` if not checked).

    Raises:
        BundleError: the bundle is broken, its data are gone or changed, or a figure differs.
        DataError: the data cannot be read.
    """
    information = read_info(folder)
    recorded = read_json(folder, METRICS)
    spec = read_spec(folder, information, whole=True)
    read_scalers(folder)
    dataset = _recorded_data(spec, information, data, trust_scaler)
    _same_scaling(folder, dataset)
    model = load_model(folder, information)

    import keras

    from .evaluation import evaluate, predict_part

    part = str(recorded.get("part", "test"))
    evaluation = evaluate(dataset, part, predict_part(model, dataset, part), boosting=False)
    now = evaluation.to_json()
    believed = (recorded.get("baselines") or {}).get(BOOSTING)
    if believed is not None:
        model_rmse = evaluation.metrics["rmse"]
        now["baselines"][BOOSTING] = {"model_rmse": model_rmse, "skill": skill(model_rmse, believed.get("rmse"))}
    differences = list(_differences(recorded, now))
    wrong = [f"{name}: recorded {_shown(was)}, now {_shown(is_)}" for name, was, is_, ok in differences if not ok]
    if wrong:
        raise BundleError(
            f"A bundle must reproduce its figures to {RTOL:g}; {folder} does not ({len(wrong)} of {len(differences)}): "
            f"{'; '.join(wrong[:4])}{' …' if len(wrong) > 4 else ''}. Do not use it; write it again with `tune export`."
        )
    return {
        "folder": str(folder),
        "reproduced": True,
        "backend": keras.backend.backend(),
        "units": evaluation.unit,
        "n_windows": evaluation.n,
        "n_compared": len(differences),
        "largest_relative_difference": max((_relative(was, is_) for _, was, is_, _ in differences), default=0.0),
        "metrics": plain(evaluation.metrics),
        "not_computed_again": [] if believed is None else [BOOSTING],
        "saved_model": _saved_model(folder, model, dataset, forced=saved_model),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m greentune.reports.verify", description="Does a bundle still give its figures?"
    )
    parser.add_argument("folder", type=Path, help="the bundle")
    parser.add_argument("--data", help="where its data are now, if they moved")
    parser.add_argument("--trust-scaler", action="store_true", help="arrays: allow reading their pickled scaler")
    parser.add_argument(
        "--saved-model", action="store_true", help="check the SavedModel too, if it costs importing TensorFlow"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        choose_backend(read_info(options.folder))
        result = verify_bundle(
            options.folder, data=options.data, trust_scaler=options.trust_scaler, saved_model=options.saved_model
        )
    except Mistake as mistake:
        if options.json:
            answer = {"folder": str(options.folder), "reproduced": False, "mistakes": mistake.mistakes}
            sys.stdout.write(json.dumps(answer) + "\n")
        else:
            sys.stderr.write("\n".join(mistake.mistakes) + "\n")
        return 2
    sys.stdout.write((json.dumps(result) if options.json else _sentence(result)) + "\n")
    return 0


def _recorded_data(spec: DataSpec, information: Mapping[str, Any], data: str | None, trust_scaler: bool) -> Dataset:
    from ..storage.datasets import load_cut

    if spec.trust_scaler and not trust_scaler:
        raise BundleError(
            "The data of this bundle include a pickled scaler, and reading a pickle runs what is in it. "
            "If you trust their folder, add --trust-scaler."
        )
    where = spec if data is None else spec.model_copy(update={"path": data})
    if not where.path.startswith(SAMPLE_PREFIX) and not Path(where.path).exists():
        raise BundleError(
            f"Verifying means forecasting the recorded test part again, and its data are not at {where.path} any more. "
            "The stored test predictions are no substitute: they were written by the model that is to be verified. "
            "Put the data back or say where they are with --data PATH."
        )
    about = information.get("data") or {}
    dataset = load_cut(
        where,
        everything=bool(about.get("everything", False)),
        lookback=int(about["lookback"]),
        feature_names=about["feature_names"],
    )
    recorded = about.get("fingerprint")
    if dataset.fingerprint != recorded:
        raise BundleError(
            f"The data at {where.path} must be those of the bundle (fingerprint {str(recorded)[:12]}…); they have "
            f"{dataset.fingerprint[:12]}…: changed since, or another file. Bring back the original, or say where it is "
            "with --data PATH."
        )
    return dataset


def _same_scaling(folder: Path, dataset: Dataset) -> None:
    stored = dict(zip(("x", "y"), read_scalers(folder), strict=True))
    for name, fitted in (("x", dataset.x_scaler), ("y", dataset.y_scaler)):
        held = stored[name]
        if fitted is None and held is None:
            continue
        if fitted is None or held is None or fitted.to_json() != held.to_json():
            raise BundleError(
                f"The scaler {name} in {folder / 'scalers.json'} must be the one that the recorded data give; it is "
                "another. "
                "The files come from different bundles. Write the bundle again with `tune export`."
            )


def _differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any, bool]]:
    """Every figure of two ``metrics.json``: its name, then, now, and whether both are the same for our purposes."""
    was, is_ = dict(_figures(recorded)), dict(_figures(now))
    part = str(recorded.get("part", "test"))
    rmse = (recorded.get(part) or {}).get("rmse") or 0.0
    later = _SINCE_INTERVALS if "best_baseline" not in recorded else frozenset()
    for name in sorted(was.keys() | is_.keys()):
        words = name.split(".")
        if not later.isdisjoint(words) or _is_believed(words):
            continue
        left, right = was.get(name), is_.get(name)
        key = words[-2] if words[-1].isdigit() else words[-1]
        # Differences of large numbers (bias, 1 − ratio) may be close to 0: they are held against what they are made of.
        slack = RTOL * _DIFFERENCES.get(key, 0.0) * (rmse if key in _IN_UNIT else 1.0)
        yield name, left, right, _close(left, right, slack)


def _is_believed(words: Sequence[str]) -> bool:
    """Whether a figure would need gradient boosting to be trained again."""
    return f"{BOOSTING}_rmse" in words or (BOOSTING in words and words[-1] not in ("model_rmse", "skill"))


def _figures(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _figures(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield from _figures(
                {str(i): item for i, item in enumerate(value) if not isinstance(item, str)}, f"{prefix}{key}."
            )
        elif value is None or isinstance(value, int | float):
            yield f"{prefix}{key}", value


def _close(left: Any, right: Any, slack: float) -> bool:
    if left is None or right is None:
        return left is right
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    return bool(abs(left - right) <= RTOL * max(abs(left), abs(right)) + slack)


def _relative(left: Any, right: Any) -> float:
    if left is None or right is None or left == right:
        return 0.0
    return float(abs(left - right) / max(abs(left), abs(right)))


def _saved_model(folder: Path, model: Any, dataset: Dataset, *, forced: bool) -> float | None:
    from .saved_model import saved_model_difference, tensorflow_is_loaded

    if not (folder / SAVED_MODEL).is_dir():
        raise BundleError(
            f"A bundle holds {SAVED_MODEL}; it is missing in {folder}. Write the bundle again with `tune export`."
        )
    if not forced and not tensorflow_is_loaded():
        return None
    windows = dataset.test.windows
    return saved_model_difference(folder / SAVED_MODEL, model, windows.take(np.arange(min(8, len(windows)))))


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def _sentence(result: Mapping[str, Any]) -> str:
    rmse = result["metrics"].get("rmse")
    figure = "" if rmse is None else f" (RMSE {rmse:.4f} {result['units']} on {result['n_windows']} windows)"
    served = "" if result["saved_model"] is None else "; the SavedModel agrees"
    believed = "; gradient boosting was not trained again" if result["not_computed_again"] else ""
    compared = f"reproduced on {result['backend']}, {result['n_compared']} figures"
    return f"{result['folder']}: {compared}{figure}{served}{believed}."


if __name__ == "__main__":
    sys.exit(main())

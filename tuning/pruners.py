"""Who ends hopeless trials early."""

from __future__ import annotations

import warnings

import optuna

from .fold_pruner import FoldPruner


def make_pruner(name: str, epochs: int | None, *, n_folds: int = 1, n_seeds: int = 1) -> optuna.pruners.BasePruner:
    """Make the named pruner for trials whose fits report ``epochs`` values each; None: nobody knows how many.

    Args:
        name: ``none``, ``median`` (worse than the median of the others at the same epoch, after a fifth of the epochs),
            ``hyperband``, ``asha`` (asynchronous successive halving) or ``patient`` (median, after three epochs
            without a gain).
        n_folds, n_seeds: fits of a trial. With several, ``median`` is that of each fold: see :mod:`.fold_pruner`.
    """
    if epochs is not None and name == "median" and n_folds * n_seeds > 1:
        return FoldPruner(epochs, n_folds)
    warm_up = max(1, (epochs or 0) // 5)
    match name:
        case "none":
            return optuna.pruners.NopPruner()
        case "median":
            return _median(warm_up)
        case "hyperband":
            return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs or "auto", reduction_factor=3)
        case "asha":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=warm_up, reduction_factor=3)
        case "patient":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return optuna.pruners.PatientPruner(_median(warm_up), patience=3)
    raise ValueError(f"unknown pruner {name!r}")


def _median(warm_up: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=warm_up)

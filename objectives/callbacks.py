"""Listeners: what is told the values of every epoch, and may end the training by raising. No Keras."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from ..storage.mistakes import Mistake, nearest

Listener = Callable[[int, dict[str, float]], None]
"""Called after each epoch with its number (from 0) and its values, the same that `FitResult.history` will hold."""


class UnknownMetric(Mistake):
    """A metric that the model does not report: the set-up is wrong, and every trial would fail alike."""


class Pruned(Exception):
    """A pruner gave this trial up.

    Args:
        epoch: the last epoch trained, from 0, or the last step of a trial with several fits.
        value: the monitored value of that epoch, or what is known of the trial's number.
    """

    def __init__(self, epoch: int, value: float) -> None:
        super().__init__(f"pruned after epoch {epoch} with {value:g}")
        self.epoch = epoch
        self.value = value


class NonFinite(ArithmeticError):
    """The loss or a metric became NaN or infinite.

    Args:
        epoch: in which epoch, from 0.
        metric: which value.
        value: NaN or an infinity.
    """

    reason = "nonfinite"

    def __init__(self, epoch: int, metric: str, value: float) -> None:
        super().__init__(f"{metric} became {value} in epoch {epoch}")
        self.epoch = epoch
        self.metric = metric
        self.value = value


class ReportsEpochs(Protocol):
    """As much of an Optuna trial as pruning needs."""

    def report(self, value: float, step: int) -> None:
        """Takes the value of one step; steps count from 0."""

    def should_prune(self) -> bool:
        """Whether the trial is to be given up after the last report."""


class PruningListener:
    """Reports every epoch's value to a trial and gives up when the trial says so.

    The number reported is the very float that `FitResult.history` holds for the epoch, so its smallest is
    `FitResult.best_value`.

    Args:
        trial: what is reported to.
        monitor: name of the metric, for instance ``val_mse``; smaller is better.
        first_step: step of epoch 0, for several fits in one trial (a trial takes each step once only).
    """

    def __init__(self, trial: ReportsEpochs, monitor: str, *, first_step: int = 0) -> None:
        self._trial = trial
        self._monitor = monitor
        self._first_step = first_step

    def __call__(self, epoch: int, values: Mapping[str, float]) -> None:
        """Reports one epoch.

        Raises:
            UnknownMetric: if the epoch has no such value.
            Pruned: if the trial is to be given up.
        """
        value = metric_value(values, self._monitor)
        self._trial.report(value, self._first_step + epoch)
        if self._trial.should_prune():
            raise Pruned(epoch, value)


def metric_value(values: Mapping[str, float], monitor: str) -> float:
    """The monitored value of one epoch.

    Raises:
        UnknownMetric: if there is none of that name, with the names there are.
    """
    if monitor not in values:
        raise unknown_metric(monitor, values)
    return values[monitor]


def unknown_metric(monitor: str, available: Collection[str]) -> UnknownMetric:
    """The mistake of naming a metric that does not exist."""
    return UnknownMetric(f"The training reports no metric '{monitor}'. {nearest(monitor, tuple(available))}")

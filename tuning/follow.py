"""What a worker does beside the training of a trial: reports, checkpoints, pruning, from fit to fit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from ..objectives.callbacks import Listener, Pruned, PruningListener, ReportsEpochs, metric_value
from ..objectives.checkpoint import Checkpointer
from ..objectives.cross_validation import Hooks, Score, median_epoch
from ..storage.resilient import ResilientStorage
from ..storage.tickets import Claim
from .bench import Bench
from .fold_pruner import FoldPruner
from .pareto import error_of
from .point import training_identity
from .space import Point

PROMISING = 0.25
"""Share of the complete trials that are worth another seed."""

_log = logging.getLogger("greentune.worker")


class Follow:
    """Follows the fits of a claimed trial."""

    def __init__(self, bench: Bench, claim: Claim, trial: optuna.Trial, point: Point) -> None:
        self._bench, self._claim, self._trial, self._point = bench, claim, trial, point
        self._metric, self._epochs = bench.spec.search.metric, bench.spec.training.epochs
        several = len(bench.spec.search.objectives) > 1
        self._curve: ReportsEpochs = _Curve(bench.storage, claim.trial_id) if several else trial
        self._planned = len(bench.cuts) * bench.spec.validation.seeds
        self._pruner = bench.study.pruner if isinstance(bench.study.pruner, FoldPruner) else None
        self._checkpointer: Checkpointer | None = None
        self._scores: list[Score] = []

    def hooks(self) -> Hooks:
        """For `cross_validate`. Whatever talks to the database is not interrupted."""
        return Hooks(self._listeners, self._checkpoint, self._judged, self._another)

    def save(self) -> None:
        """Write the state of the current fit."""
        if self._checkpointer is not None:
            self._checkpointer.save()

    def facts(self) -> dict[str, Any]:
        """What is kept with a trial that ended in the middle: the folds that it has done."""
        if not self._scores:
            return {}
        epochs = sum(score.epochs for score in self._scores)
        best = median_epoch([score.best_epoch for score in self._scores if score.epochs])
        return {"folds": [score.to_json() for score in self._scores], "epochs": epochs, "best_epoch": best}

    def _listeners(self, place: int) -> Sequence[Listener]:
        listener = PruningListener(self._curve, self._metric, first_step=place * self._epochs)
        stop = self._bench.stop

        def report(epoch: int, values: dict[str, float]) -> None:
            with stop.held_back():
                try:
                    listener(epoch, values)
                except Pruned as pruned:
                    raise self._given_up(pruned.epoch, pruned.value) from None

        return (report,)

    def _checkpoint(self, place: int) -> Checkpointer | None:
        """Ready to go on from what an earlier attempt at the ticket has left of this fit."""
        bench, claim = self._bench, self._claim
        every = bench.spec.run.checkpoint_every
        if bench.artifacts is None or every == 0:
            return None
        fingerprint = bench.cuts[0].dataset.fingerprint
        identity = training_identity(bench.spec, self._point, fingerprint, claim.accumulate, place, claim.ticket)
        path = bench.artifacts.checkpoint(claim.ticket, claim.number, place)
        self._checkpointer = checkpointer = Checkpointer(path, every=every, identity=identity)
        if claim.attempt > 1:
            done = checkpointer.resume_from(bench.artifacts.checkpoints(claim.ticket, place))
            if done:
                of = f" of fit {place + 1}" if self._planned > 1 else ""
                _log.info("trial %d goes on after epoch %d%s of an earlier attempt", claim.number, done, of)
            # Pruners compare the epochs of the earlier attempt with those of others.
            with self._bench.stop.held_back():
                for epoch, value in enumerate(checkpointer.history.get(self._metric, ())):
                    self._curve.report(value, place * self._epochs + epoch)
        return checkpointer

    def _judged(self, place: int, scores: Sequence[Score]) -> None:
        self._scores = list(scores)
        if self._pruner is None or place + 1 >= self._planned:
            return
        with self._bench.stop.held_back():
            study, frozen = self._bench.study, self._frozen()
            if self._pruner.worse(study, frozen, planned=self._planned):
                raise self._given_up(place, metric_value(scores[-1].values, self._metric))

    def _another(self, value: float) -> bool:
        """Whether the trial is among the best quarter of those that are complete; of less than four, the best."""
        with self._bench.stop.held_back():
            complete = self._bench.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = sorted(error for trial in complete if (error := error_of(trial)) is not None)
        return bool(values) and value <= values[max(1, int(len(values) * PROMISING)) - 1]

    def _given_up(self, step: int, value: float) -> Pruned:
        """The end of a hopeless trial, with the number that it would have come to as far as that can be known."""
        if self._pruner is not None:
            value = self._pruner.estimate(self._bench.study, self._frozen()) or value
        return Pruned(step, value)

    def _frozen(self) -> optuna.trial.FrozenTrial:
        return self._bench.storage.get_trial(self._trial._trial_id)


class _Curve:
    """The curve of a trial with several objectives, of which Optuna takes no report: to be seen, not to prune."""

    def __init__(self, storage: ResilientStorage, trial_id: int) -> None:
        self._storage, self._trial_id = storage, trial_id

    def report(self, value: float, step: int) -> None:
        self._storage.set_trial_intermediate_value(self._trial_id, step, float(value))

    def should_prune(self) -> bool:
        return False

"""The sections of a specification: who searches, how trials are judged, trained and run, how the winner is made.

What each setting means stands in the docstrings; the reference, the schema and the files of `tune init` take it from
there (see :mod:`.explanations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .checks import USUAL_SPLITS
from .objective_names import Objective, settled, value_names

Sampler = Literal["tpe", "random", "qmc", "grid", "points"]
Pruner = Literal["none", "median", "hyperband", "asha", "patient"]
Metric = Literal["val_mse", "val_loss", "val_mae", "value"]
Backend = Literal["auto", "jax", "tensorflow"]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
OutOfMemory = Literal["fail", "retry"]
Method = Literal["holdout", "expanding", "sliding", "documented"]
Rule = Literal["one-se", "best", "ensemble"]


class Section(BaseModel):
    """Frozen, and unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SearchSpec(Section):
    """Who searches, what is minimised, and until when.

    Attributes:
        sampler: who proposes points: ``tpe`` learns from results, ``random`` and ``qmc`` do not, ``grid`` takes all.
        pruner: who ends hopeless trials early; ``median`` is the one for folds.
        metric: which error chooses the epoch and judges a trial; ``val_mse`` and ``val_mae`` are free of penalties,
            ``value`` is what an objective function returns.
        objectives: what is minimised (see :mod:`.objective_names`): an error, which settles the metric, and what else
            shall be small; none: the metric alone.
        directions: of the values of an objective function; none: its one value is minimised.
        points: of the sampler ``points``, which works off a list: parameters by name. `tune` itself makes such lists.
        first: points that are tried before the sampler proposes any, among the `trials`; it fills in what they lack.
        start_from: a study of this database whose `start_best` best points come first as well (see :mod:`.warm_start`).
        start_best: how many points are taken from there.
        trials: how many; not given: all points of a grid or a list, otherwise 40.
        timeout: seconds of wall time after which no new trial begins; running ones are finished. Not given: no limit,
            for the packaged farm 5 minutes where no number of trials is given either.
        worker_seconds: seconds of all workers together after which no new trial begins; not given: no limit.
        until_no_gain: trials without a gain larger than the noise after which no new one begins; not given: no limit.
    """

    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    directions: tuple[Literal["minimize", "maximize"], ...] = ()
    metric: Metric = "val_mse"
    objectives: tuple[Objective, ...] = ()
    points: tuple[dict[str, Any], ...] = ()
    first: tuple[dict[str, Any], ...] = ()
    start_from: Annotated[str, Field(min_length=1)] | None = None
    start_best: Annotated[int, Field(ge=1)] = 5
    trials: Annotated[int, Field(ge=1)] | None = None
    timeout: Annotated[float, Field(gt=0)] | None = None
    worker_seconds: Annotated[float, Field(gt=0)] | None = None
    until_no_gain: Annotated[int, Field(ge=1)] | None = None

    @property
    def value_names(self) -> tuple[str, ...]:
        """What the values of a trial are, in their order."""
        return value_names(self.metric, self.objectives, self.directions)

    @model_validator(mode="before")
    @classmethod
    def _settle(cls, given: Any) -> Any:
        return {**settled(given), **given} if isinstance(given, Mapping) else given


class ValidationSpec(Section):
    """On what a trial is judged. Only windows before the test part are used.

    Attributes:
        method: ``holdout``, the validation part of the data section; ``expanding`` or ``sliding`` windows;
            ``documented`` (R6): expanding, fifths of the samples, validated on the half fifth that follows.
        n_splits: folds; this and `borders`, `validation_size`, `step`, `train_size`, `refit_every` are settings of
            ``expanding`` and ``sliding`` alone.
        borders: whether `validation_size` counts windows, or whole calendar months, weeks or days.
        validation_size: of a fold; not given: an equal share of the samples (by calendar: one period).
        step: windows from one validation to the next; not given: `validation_size`.
        train_size: windows in training: the most of ``expanding``, the number of ``sliding``.
        gap: windows between training and validation; not given: lookback + horizon - 1, and never less.
        refit_every: a model is trained anew every so many folds, and judged on those between.
        aggregate: from the folds to the number of a trial: ``mean``, ``median``, or ``recent`` (the newest count most).
        seeds: most repeats of a trial with other seeds; the first few only get one, later ones more when promising.
    """

    method: Method = "holdout"
    n_splits: Annotated[int, Field(ge=1, le=1000)] = USUAL_SPLITS
    borders: Literal["count", "month", "week", "day"] = "count"
    validation_size: Annotated[int, Field(ge=1)] | None = None
    step: Annotated[int, Field(ge=1)] | None = None
    train_size: Annotated[int, Field(ge=1)] | None = None
    gap: Annotated[int, Field(ge=0)] | None = None
    refit_every: Annotated[int, Field(ge=1)] = 1
    aggregate: Literal["mean", "median", "recent"] = "mean"
    seeds: Annotated[int, Field(ge=1)] = 1


class WinnerSpec(Section):
    """How the winner is chosen, once the search is over. It changes no trial, so it may be changed afterwards.

    Attributes:
        rule: ``one-se``: of the candidates whose error is within one standard error of the best, the one with the
            fewest parameters; ``best``: the smallest error; ``ensemble``: the mean of the forecasts of all candidates.
        top: candidates: the best complete trials of the search; where pruning left fewer and there are fresh seeds to
            judge them, the pruned ones with the best estimates, too (not for an ensemble).
        fresh_seeds: with how many new seeds each is trained and judged again; 0: the search's own numbers decide.
    """

    rule: Rule = "one-se"
    top: Annotated[int, Field(ge=1)] = 3
    fresh_seeds: Annotated[int, Field(ge=0)] = 3


class TrainingSpec(Section):
    """How each trial is trained.

    Attributes:
        epochs: at most; a trial's number is that of its best one.
        batch_size: windows in a step, where the space does not search it.
        shuffle: whether the windows of the training part come in a new order each epoch.
        patience: epochs without a better validation after which a training stops; not given: it never does.
        reduce_lr_patience: epochs without a better validation after which the learning rate is lowered; not given: it
            stays. Not together with `decay`.
        decay: share of the epochs at the end over which the learning rate falls to a twentieth; 0: it stays (searches
            other than the documented grid begin with 0.4).
        precision: ``float32``, or Keras' mixed precision of the layers (for GPUs).
    """

    epochs: Annotated[int, Field(ge=1)] = 20
    batch_size: Annotated[int, Field(ge=1)] = 32
    shuffle: bool = True
    patience: Annotated[int, Field(ge=1)] | None = None
    reduce_lr_patience: Annotated[int, Field(ge=1)] | None = None
    decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    precision: Precision = "float32"


class RunSpec(Section):
    """How workers run, on all machines. None of it changes a result, so all of it may be changed when a study goes on.

    Attributes:
        retries: how often a ticket whose trial raised an error is tried again; that of a dead worker always is.
        oom: what becomes of a trial that runs out of memory: it fails, or it is tried once more with half the batch and
            the gradients of two batches added up.
        trial_timeout: seconds of wall time after which a trial fails; not given: no limit.
        recycle_after: trials after which a worker is replaced: processes grow with every model they compile.
        memory_limit_mb: resident memory at which a worker is replaced; not given: no limit.
        checkpoint_every: epochs between two checkpoints of a running trial; 0: none.
        keep_best: how many of the best trials keep their trained model.
        beat_seconds: how often a worker says that it lives.
        expiry_seconds: without a beat for so long a worker counts as dead; three beats at least.
        crash_loop: the study stops when every worker has failed so many times in a row.
    """

    retries: Annotated[int, Field(ge=0)] = 1
    oom: OutOfMemory = "fail"
    trial_timeout: Annotated[float, Field(gt=0)] | None = None
    recycle_after: Annotated[int, Field(ge=1)] = 50
    memory_limit_mb: Annotated[int, Field(ge=100)] | None = None
    checkpoint_every: Annotated[int, Field(ge=0)] = 5
    keep_best: Annotated[int, Field(ge=0)] = 5
    beat_seconds: Annotated[float, Field(gt=0)] = 5.0
    expiry_seconds: Annotated[float, Field(gt=0)] = 60.0
    crash_loop: Annotated[int, Field(ge=1)] = 4

    @model_validator(mode="after")
    def _several_beats(self) -> Self:
        if self.expiry_seconds < 3 * self.beat_seconds:
            raise ValueError("must allow for three beats at least: raise run.expiry_seconds or lower run.beat_seconds")
        return self


class FinalSpec(Section):
    """How the winner is retrained. The batch size is the winner's own.

    Attributes:
        refit: ``all``: on training and validation part, for as many epochs as were best in the folds; ``train``: on the
            training part, with early stopping on the validation part (R5), for which the patiences are.
        epochs: at most.
        shuffle: whether windows come in a new order each epoch; false is the documented order of time, much worse.
        patience: epochs without a better validation after which the training stops.
        reduce_lr_patience: epochs without a better validation after which the learning rate is lowered.
        gradient_norms: whether the norm of the gradients is measured each epoch, for the report.
    """

    refit: Literal["all", "train"] = "all"
    epochs: Annotated[int, Field(ge=1)] = 100
    shuffle: bool = True
    patience: Annotated[int, Field(ge=1)] | None = 15
    reduce_lr_patience: Annotated[int, Field(ge=1)] | None = 8
    gradient_norms: bool = True


class CodeSpec(Section):
    """The user's code of a study, as it was when the study was created.

    Attributes:
        folder: in which the command was given: from there modules are found.
        files: the user's source files by their whole paths, each with a digest.
        accepted: edits with which the study went on all the same, ``build.py (edited)``.
    """

    folder: str
    files: dict[str, str] = Field(default_factory=dict)
    accepted: tuple[str, ...] = ()

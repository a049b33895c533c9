"""From a search that has ended to a delivered winner: the best points again with fresh seeds, then the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from ..storage.locks import file_lock
from . import delivery, fresh
from .choosing import to_judge_again
from .launch import launcher
from .machine import Machines
from .opening import Opened
from .progress import Progress
from .snapshot import take_snapshot
from .supervisor import Outcome
from .wording import counted


def finish(
    opened: Opened,
    machines: Machines,
    *,
    trial: int | None = None,
    bundle: Path | None = None,
    again: bool = True,
    quiet: bool = False,
    say: Callable[[str], None],
) -> dict[str, Any] | None:
    """Choose the winner, retrain it, evaluate and export it.

    Args:
        opened: the search, with at least one COMPLETE trial.
        machines: where the fresh seeds are trained.
        trial: number of another trial than the winner.
        bundle: another place for the bundle.
        again: whether it is done even where an earlier run has delivered the same.
        quiet: no live view.
        say: where sentences on the progress go.

    Returns:
        figures and places, as they stand in ``result.json``; None when somebody interrupted it.
    """
    spec, folder = opened.spec, opened.folder
    try:
        with file_lock(folder / delivery.LOCK):  # of two commands at one study the second finds what the first made
            found = None if again else delivery.earlier(spec, folder, take_snapshot(opened.study))
            if found is not None:
                return found
            if trial is None and fresh.wanted(spec) and not _judged_again(opened, machines, quiet=quiet, say=say):
                return None
            return delivery.deliver_in_child(spec, opened.url, folder, trial=trial, bundle=bundle, say=say)
    except KeyboardInterrupt:
        return None


def _judged_again(opened: Opened, machines: Machines, *, quiet: bool, say: Callable[[str], None]) -> bool:
    """Train the candidates with fresh seeds; whether it was not interrupted. One alone has nothing to win against."""
    candidates = to_judge_again(opened.study.get_trials(deepcopy=False), opened.spec.winner)
    if len(candidates) < 2:
        return True
    ours = fresh.open_fresh(opened)
    waiting = take_snapshot(ours.study).waiting
    if not waiting:
        return True
    winner = ours.spec.winner
    pruned = sum(trial.state is TrialState.PRUNED for trial in candidates)
    best = f"the best {len(candidates)}{f' ({pruned} of them pruned)' if pruned else ''}"
    say(f"{best} again with {counted(winner.fresh_seeds, 'fresh seed')}: {counted(waiting, 'training')}")
    launch = launcher(ours, machines, waiting)
    with Progress(epochs=ours.spec.training.epochs, until=None, workers=launch.workers, quiet=quiet) as progress:
        return launch.run(progress) is Outcome.FINISHED

from __future__ import annotations

import optuna
import pytest

from greentune.tuning.pruners import make_pruner

EPOCHS = 20


def epochs_of_a_hopeless_trial(name: str) -> int:
    """How many epochs a trial lives that is ten times worse than twelve others and slowly gets worse."""
    # Hyperband draws a bracket from the name: with a name of its own the trial would now and then live to the end.
    study = optuna.create_study(
        study_name="e", pruner=make_pruner(name, EPOCHS), sampler=optuna.samplers.RandomSampler(seed=0)
    )

    def train(trial: optuna.Trial, level: float) -> int:
        for epoch in range(EPOCHS):
            trial.report(level + epoch / 100, epoch)
            if trial.should_prune():
                return epoch + 1
        return EPOCHS

    for number in range(12):
        trial = study.ask()
        train(trial, 1.0 + number / 100)
        study.tell(trial, 1.0 + number / 100)
    return train(study.ask(), 10.0)


@pytest.mark.parametrize("name", ["median", "hyperband", "asha", "patient"])
def test_hopeless_trial_is_ended_early(name: str) -> None:
    assert epochs_of_a_hopeless_trial(name) < EPOCHS


def test_none_lets_every_trial_run() -> None:
    assert epochs_of_a_hopeless_trial("none") == EPOCHS


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="medain"):
        make_pruner("medain", EPOCHS)

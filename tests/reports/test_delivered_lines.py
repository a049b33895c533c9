"""What the terminal says of the figures of `metrics.json`: the words of `tuning.summary` on an evaluation."""

from __future__ import annotations

from typing import Any

from greentune.tuning.summary import delivered_lines

from .conftest import Trained


def said(figures: dict[str, Any]) -> str:
    return "\n".join(
        delivered_lines({"trial": 3, "parameters": {"units": [4]}, "bundle": "b", "report": "r", **figures})
    )


def test_every_baseline_the_interval_and_the_verdict_are_said(trained: Trained) -> None:
    text = said(trained.evaluation.to_json())
    for words in ("persistence", "same hour yesterday", "same hour last week", "climatology", "gradient boosting"):
        assert f"\n  {words} " in text
    low, high = trained.evaluation.to_json()["test"]["rmse_ci"]
    assert f"95 % interval {low:.3f} to {high:.3f}" in text
    assert trained.evaluation.best_baseline is not None
    assert trained.evaluation.best_baseline.sentence in text


def test_what_an_earlier_run_delivered_is_said_too() -> None:
    figures = {"rmse": 1.0, "mae": 0.8, "r2": 0.5, "bias": 0.0, "nrmse": None}
    text = said({"units": "MW", "test": {**figures, "skill": -0.1}, "baselines": {"persistence": figures}})
    assert "NOT better than persistence" in text
    assert "interval" not in text


def test_baselines_that_are_better_stand_beside_the_skill() -> None:
    baselines = {"persistence": {"skill": 0.1}, "climatology": {"skill": -0.2}, "gradient_boosting": {"skill": -0.5}}
    text = said({**PLAIN, "baselines": {name: {**FIGURES, **values} for name, values in baselines.items()}})
    assert "skill 0.100: better than persistence, but not climatology or gradient boosting; errors in MW" in text


FIGURES = {"rmse": 1.0, "mae": 0.8, "r2": 0.5, "bias": 0.0, "nrmse": None, "skill": 0.1}
PLAIN = {"units": "MW", "test": FIGURES, "baselines": {}}


def test_ensemble_is_named_with_all_its_members() -> None:
    each = [{"trial": n, "parameters": {"units": [n]}} for n in (4, 0)]
    ensemble = {"choice": {"rule": "ensemble", "winners": [4, 0]}, "winners": each, "parameters": {}, "trial": None}
    lines = said({**PLAIN, **ensemble}).splitlines()
    assert lines[:3] == ["winner   mean of 2 trials (4, 0)", "  trial 4: units=[4]", "  trial 0: units=[0]"]


def test_trial_that_was_asked_for_is_exported() -> None:
    assert said({**PLAIN, "choice": {"rule": "asked", "winners": [3]}}).startswith("exported trial 3: units=[4]")
    assert said(PLAIN).startswith("winner   trial 3: units=[4]")

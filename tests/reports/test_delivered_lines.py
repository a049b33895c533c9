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

"""The part of the page that holds the model against the baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from .content import ReportContent
from .markup import note, table
from .wording import EXPLAINED, NAMES, UNKNOWN, interval, number, percent, probability, steps


def cards(evaluation: Mapping[str, Any]) -> str:
    """The four figures at the top, with their intervals."""
    found, unit = evaluation[evaluation["part"]], evaluation["units"]
    share = found.get("nrmse")
    rated = f", {percent(share, 1)} of the capacity" if share is not None else ""
    shown = (
        (number(found.get("rmse")), unit, f"RMSE: root of the mean squared error{rated}", _ci(found.get("rmse_ci"))),
        (number(found.get("mae")), unit, "MAE: mean absolute error", _ci(found.get("mae_ci"))),
        (
            percent(found.get("skill"), 1),
            "",
            "skill: error saved against persistence",
            _ci(found.get("skill_ci"), _tenths),
        ),
        (number(found.get("r2")), "", "R²: share of the variance explained", ""),
    )
    items = (
        f"<li><b>{escape(value)} <small>{escape(of)}</small></b><span>{escape(words + ci)}</span></li>"
        for value, of, words, ci in shown
    )
    return f'<ul class="cards">{"".join(items)}</ul>'


def _ci(ends: Sequence[float] | None, shown: Callable[[float], str] = number) -> str:
    return "" if ends is None else f"; 95\u00a0% interval {interval(ends, shown)}"


def _tenths(share: float) -> str:
    return percent(share, 1)


def metrics(content: ReportContent) -> str:
    """The model beside the baselines, output by output where there are several, and what the columns mean."""
    evaluation, unit = content.evaluation, content.evaluation["units"]
    head = (
        "",
        f"RMSE ({unit})",
        f"MAE ({unit})",
        f"bias ({unit})",
        "R²",
        "MAPE (%)",
        "skill",
        "95\u00a0% interval",
        "p",
    )
    rows = [("this model", *_metric_cells(evaluation[evaluation["part"]]), "", "", "")]
    for name, values in evaluation["baselines"].items():
        rows.append((NAMES.get(name, name), *_metric_cells(values), *_skill_cells(values)))
    parts = [table(head, rows, winner=0)]
    if len(evaluation["per_output"]) > 1:
        parts += ["<h3>Step by step</h3>", _per_output(content)]
    notes = [
        (
            f"{evaluation['n_windows']:,} windows. Bias is forecast − observed. Skill is 1 − RMSE / RMSE of the "
            "baseline, on the same windows."
        ),
        " ".join(EXPLAINED[name] for name in evaluation["baselines"] if name in EXPLAINED),
        _how_sure(evaluation),
        _mape(evaluation[evaluation["part"]].get("mape_n")),
        *evaluation["notes"],
    ]
    return "".join([*parts, *(note(text) for text in notes if text)])


def _how_sure(evaluation: Mapping[str, Any]) -> str:
    """How intervals and p values came about; nothing for figures that have none."""
    bootstrap = evaluation.get("bootstrap")
    if bootstrap is None:
        return ""
    return (
        f"Intervals ({percent(bootstrap['level'])}): circular block bootstrap, {bootstrap['resamples']:,} resamples of "
        f"blocks of {bootstrap['block_windows']:,} windows, because neighbouring errors resemble each other. p is that "
        "of the Diebold-Mariano test: how often two equally good forecasts would differ as much as model and baseline."
    )


def _mape(n_left_out: int | None) -> str:
    if not n_left_out:
        return ""
    return (
        f"MAPE leaves out {n_left_out:,} values of almost no production (below 1 % of the capacity or of the largest "
        "value)."
    )


def _skill_cells(values: Mapping[str, Any]) -> tuple[str, ...]:
    p_value = (values.get("dm") or {}).get("p_value")
    return (
        percent(values.get("skill"), 1),
        interval(values.get("skill_ci"), _tenths).replace("\u00a0% to", " to") or UNKNOWN,
        probability(p_value).removeprefix("p ").removeprefix("= "),
    )


def _metric_cells(values: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        number(values.get("rmse")),
        number(values.get("mae")),
        number(values.get("bias")),
        number(values.get("r2")),
        number(values.get("mape"), 1),
    )


def _per_output(content: ReportContent) -> str:
    unit = content.evaluation["units"]
    boosted = any(row.get("gradient_boosting_rmse") is not None for row in content.evaluation["per_output"])
    compared = ("persistence_rmse", *(("gradient_boosting_rmse",) if boosted else ()))
    head = (
        "",
        *(f"{title} ({unit})" for title in ("RMSE", "MAE", "bias")),
        "R²",
        *(f"{NAMES[name.removesuffix('_rmse')]} ({unit})" for name in compared),
        "skill",
    )
    rows = [
        (
            f"output {row['output'] + 1}"
            if row["step_ahead"] is None
            else steps(row["step_ahead"], content.data.step_seconds),
            *(number(row.get(name)) for name in ("rmse", "mae", "bias", "r2", *compared)),
            percent(row.get("skill"), 1),
        )
        for row in content.evaluation["per_output"]
    ]
    return table(head, rows)

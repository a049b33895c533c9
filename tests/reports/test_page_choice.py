"""How the winner was chosen, as the page shows it."""

from __future__ import annotations

from greentune.reports.content import Search
from greentune.reports.page_choice import choice, folds


def candidate(trial: int, fresh: list[float]) -> dict[str, object]:
    return {
        "trial": trial,
        "search_value": 0.01,
        "fresh": fresh,
        "behind": 1.25,
        "behind_se": None if len(fresh) < 2 else 0.5,
        "n_parameters": 12345,
        "epochs": 7,
    }


def search(**more: object) -> Search:
    return Search("s", "tpe", "none", 0, "val_mse", {}, **more)  # type: ignore[arg-type]


def test_candidates_are_shown_with_what_fresh_seeds_made_of_them() -> None:
    shown = choice(search(candidates=(candidate(3, [0.011, 0.013]), candidate(8, []))))
    for part in ("0.012000", "0.001414", "12,345", "1.25", "0.50"):
        assert part in shown
    assert choice(search(candidates=(candidate(3, []),))) == ""


def test_folds_are_drawn_and_escaped() -> None:
    assert "fold 0  ▇▇▲ &lt;" in folds(search(folds=("fold 0  ▇▇▲ <",)))
    assert folds(search()) == ""

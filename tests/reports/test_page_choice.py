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
    assert "trained again" in shown
    assert "trained again" not in choice(search(candidates=(candidate(3, []), candidate(8, []))))
    assert choice(search(candidates=(candidate(3, []),))) == ""


def test_folds_are_drawn_and_escaped() -> None:
    assert "fold 0  ▇▇▲ &lt;" in folds(search(folds=("fold 0  ▇▇▲ <",)), "MW")
    assert folds(search(), "MW") == ""


def test_what_the_winner_came_to_on_each_fold_is_a_table() -> None:
    scores = tuple(
        {
            "trial": 3,
            "fold": n,
            "seed": 0,
            "val_mse": n + 0.5,
            "val_rmse": 9.0,
            "best_epoch": 4,
            "epochs": 6,
            "seconds": 2,
        }
        for n in range(2)
    )
    shown = folds(search(folds=("fold 0  ▇▇▲",), winner_folds=scores), "MW")
    assert '<th scope="row">1</th><td>3</td><td>0</td><td>1.50000</td><td>9.000</td><td>5</td><td>6</td>' in shown
    assert "<table" not in folds(search(folds=("fold 0  ▇▇▲",), winner_folds=scores[:1]), "MW")

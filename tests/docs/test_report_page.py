"""The page on the report names all that the report has: every section, sub-heading and card."""

from __future__ import annotations

import ast
import re

from ..project.house import ROOT
from .pages import DOCS

SOURCES = ("page.py", "page_choice.py", "page_metrics.py", "page_pareto.py")


def headings() -> set[str]:
    """The titles of `section("…")`, and what stands between <h3> and </h3>, as the code of the page has them."""
    found = set()
    for name in SOURCES:
        text = (ROOT / "reports" / name).read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "section":
                assert isinstance(node.args[0], ast.Constant)
                found.add(str(node.args[0].value))
        found |= set(re.findall(r"<h3>([^<{]+)</h3>", text))
    return found


def test_every_section_of_the_report_is_explained() -> None:
    text = (DOCS / "how-to" / "read-the-report.md").read_text(encoding="utf-8")
    assert {"Forecast", "Errors", "The search", "Folds", "Limits"} <= headings()
    assert {
        heading for heading in headings() if not re.search(rf"^## {re.escape(heading)}$|\*{heading}\*", text, re.M)
    } == set()

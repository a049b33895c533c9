"""Links between pages lead somewhere: to a file that is there, and to a heading in it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from ..project.house import ROOT
from .pages import DOCS, Page, anchors, pages, read


def dead_links(page: Page) -> list[str]:
    known = {other.path.resolve(): other.anchors for other in pages()}
    dead = []
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path.resolve()
        headings = page.anchors if target == page.path.resolve() else known.get(target, frozenset())
        if not target.exists() or (parts.fragment and parts.fragment not in headings):
            dead.append(f"{page.name} → {link}")
    return dead


def test_no_link_is_dead() -> None:
    assert [link for page in pages() for link in dead_links(page)] == []


def test_dead_links_are_seen() -> None:
    page = read("docs/README.md", "# Here\n\n[a](nowhere.md) [b](README.md#there) [c](#here) [d](../README.md)\n")
    assert dead_links(page) == ["docs/README.md → nowhere.md", "docs/README.md → README.md#there"]


def test_anchors_are_those_of_github() -> None:
    assert anchors(["The *queue*, `tune status`", "What’s next?", "Twice", "Twice"]) == [
        "the-queue-tune-status",
        "whats-next",
        "twice",
        "twice-1",
    ]


def test_every_page_is_reached_from_the_index() -> None:
    known = {page.path.resolve(): page for page in pages()}
    reached, left = set(), [(DOCS / "README.md").resolve()]
    while left:
        path = left.pop()
        if path in reached or path not in known:
            continue
        reached.add(path)
        left += [(path.parent / urlsplit(link).path).resolve() for link in known[path].links if "://" not in link]
    missing = [page.name for path, page in known.items() if page.name.startswith("docs/") and path not in reached]
    assert [name for name in missing if not name.startswith("docs/adr/")] == []
    assert (ROOT / "README.md").resolve() in reached

"""The pages of the documentation as the tests see them: fenced blocks, headings, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

from ..project.house import ROOT

DOCS = ROOT / "docs"

RUN = ("sh", "python")
"""Languages of blocks that are run; with a file name the block is written instead."""
WRITTEN = ("toml", "python")
SHOWN = ("console", "text")
"""Not run: what needs other machines, and drawings."""
PRINTED = "printed"
"""```text printed: lines that the block before prints, in this order; `…` stands for anything."""

_FILE = re.compile(r"^# file: (\S+)$")
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path from the repository's root; line: of the opening fence, from 1.
        language: the first word behind the fence.
        file: the name under which it is to be written; None: it is run, or only shown.
    """

    page: str
    line: int
    language: str
    file: str | None
    content: str

    @property
    def is_run(self) -> bool:
        return self.file is None and self.language in RUN

    @property
    def is_printed(self) -> bool:
        return self.language == "text" and self.file == PRINTED

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """A page: its name from the root, its blocks in order, the anchors of its headings, the targets of its links."""

    name: str
    path: Path
    blocks: tuple[Block, ...]
    anchors: frozenset[str]
    links: tuple[str, ...]

    @property
    def is_run(self) -> bool:
        return any(block.is_run for block in self.blocks)


def markdown_files() -> list[Path]:
    """Every page of the documentation, and the README files that belong to it."""
    return [ROOT / "README.md", *sorted((ROOT / "examples").rglob("*.md")), *sorted(DOCS.rglob("*.md"))]


@cache
def pages() -> tuple[Page, ...]:
    return tuple(read(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in markdown_files())


def documentation() -> tuple[Page, ...]:
    """The pages whose blocks are run: those below docs/."""
    return tuple(page for page in pages() if page.name.startswith("docs/"))


def read(name: str, text: str) -> Page:
    tokens = _MARKDOWN.parse(text)
    headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    links = [
        str(child.attrs.get("href") or child.attrs.get("src"))
        for token in tokens
        for child in token.children or ()
        if child.type in ("link_open", "image")
    ]
    blocks = tuple(
        _block(name, token.map[0] + 1 if token.map else 0, token.info, token.content)
        for token in tokens
        if token.type == "fence"
    )
    return Page(name, ROOT / name, blocks, frozenset(anchors(headings)), tuple(links))


def anchors(headings: list[str]) -> list[str]:
    """The anchors that GitHub gives to headings; the second of one name gets a number."""
    found: list[str] = []
    for heading in headings:
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        same = sum(1 for other in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other))
        found.append(f"{slug}-{same}" if same else slug)
    return found


def _block(page: str, line: int, info: str, content: str) -> Block:
    language, _, named = info.strip().partition(" ")
    marked = _FILE.match(content.partition("\n")[0])
    return Block(page, line, language, marked.group(1) if marked else named.strip() or None, content)

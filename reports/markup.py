"""The pieces of HTML that the page is made of; every text is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape


def section(title: str, *parts: str) -> str:
    """A part of the page with its heading; `parts` are HTML already."""
    return f"\n<section>\n<h2>{escape(title)}</h2>\n{''.join(parts)}\n</section>"


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """A paragraph in small print."""
    return f'<p class="note">{escape(text)}</p>'


def bullets(texts: Iterable[str]) -> str:
    """A list; nothing at all without items."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def command(what: str, line: str) -> str:
    """A command line below what it does."""
    return f"<p>{escape(what)}</p><pre><code>{escape(line)}</code></pre>"


def figure(image: bytes | None, alternative: str, caption: str, *, narrow: bool = False) -> str:
    """A PNG, held in the page itself; a note where there is none."""
    if image is None:
        return note(f"{alternative}: no picture.")
    data = base64.b64encode(image).decode("ascii")
    look = ' class="narrow"' if narrow else ""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    picture = f'<img alt="{escape(alternative)}" src="data:image/png;base64,{data}">'
    return f'<figure{look}><div class="wide">{picture}</div>{words}</figure>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False, winner: int | None = None) -> str:
    """A table whose cells are escaped.

    Args:
        head: column titles; none where all are empty.
        rows: the first cell of each is its title.
        words: all cells to the left; otherwise all but the first column to the right, as numbers.
        winner: place of the row in bold.
    """
    top = f"<thead><tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr></thead>" if any(head) else ""
    lines = []
    for place, (first, *others) in enumerate(rows):
        look = ' class="winner"' if place == winner else ""
        cells = "".join(f"<td>{escape(str(cell))}</td>" for cell in others)
        lines.append(f'<tr{look}><th scope="row">{escape(str(first))}</th>{cells}</tr>')
    look = ' class="words"' if words else ""
    return f'<div class="wide"><table{look}>{top}<tbody>{"".join(lines)}</tbody></table></div>'

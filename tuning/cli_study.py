"""Commands on study files and on the user's code."""

from __future__ import annotations

import sys


def probe() -> None:
    """Look at the user's code that a specification on standard input names; started by the other commands."""
    from .probing import answer

    answer(sys.stdin.read())

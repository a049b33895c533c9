"""What one check of the leak audit came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["passed", "unknown", "suspicion", "leak"]
"""From good to bad. A leak is proven and stops a study, a suspicion warns, the unknown could not be checked."""


@dataclass(frozen=True)
class Finding:
    """What one check came to.

    Attributes:
        check: its key, a word of the list above.
        verdict: how it ended.
        sentence: what was checked or found, for people: the rule, the value, and the way out where there is one.
    """

    check: str
    verdict: Verdict
    sentence: str

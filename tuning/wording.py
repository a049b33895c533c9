"""Figures as people read them: the best so far, durations."""

from __future__ import annotations

from .snapshot import Snapshot


def best_text(snapshot: Snapshot) -> str:
    """The best so far, in the unit of the data where it is known."""
    assert snapshot.best is not None
    best = snapshot.best
    error = f"{best.rmse:.4f} {snapshot.unit} RMSE, " if best.rmse is not None else ""
    return f"{error}{snapshot.metric} {best.value:.6f} (trial {best.number})"


def counted(n: int, what: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def duration(seconds: float) -> str:
    """Seconds as ``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"

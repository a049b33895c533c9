"""Workers and supervisors are killed; every point of the grid ends with one right result."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..simulation.chaos import chaos_round
from .size import CHAOS_KILLS, CHAOS_ROUNDS, FULL

pytestmark = pytest.mark.slow


@pytest.mark.long
@pytest.mark.parametrize("round_", range(CHAOS_ROUNDS))
def test_killed_workers_and_supervisors_leave_one_right_result_a_point(
    database_url: str, tmp_path: Path, round_: int
) -> None:
    workers, seconds = (8, "0.2-0.4") if FULL else (4, "0.05-0.15")
    report = chaos_round(
        database_url,
        tmp_path / "chaos",
        name=f"chaos-{os.getpid()}-{round_}",
        workers=workers,
        kills=CHAOS_KILLS,
        trial_seconds=seconds,
    )
    assert report.wrong == [], report
    assert report.kills == CHAOS_KILLS
    assert report.supervisors_killed == 2

"""Eight processes claim 108 tickets at the same moment."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from ..databases import Postgres
from ..simulation.study import WORKER, new_study, spec_of, wrong_with
from .size import RACE_ROUNDS

pytestmark = pytest.mark.slow

STARTING_SECONDS = 10.0


def race(url: str, folder: Path, **variables: str) -> Counter[str]:
    """How often each trial was claimed."""
    folder.mkdir()
    spec = spec_of("race")
    _, study = new_study(url, spec, folder)
    environment = os.environ | {
        "GREENTUNE_STORAGE": url,
        "SIMULATED_CLAIMS": str(folder),
        "SIMULATED_SECONDS": "0.001-0.01",
        "SIMULATED_START": str(time.time() + STARTING_SECONDS),
        **variables,
    }
    command = [*WORKER, "--study", "race", "--worker"]
    workers = [
        subprocess.Popen([*command, str(number)], env=environment, stderr=subprocess.PIPE, text=True)
        for number in range(8)
    ]
    said = [worker.communicate(timeout=120)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 8 or "SIMULATED_CARELESS" in variables, said
    claims = Counter(line for path in folder.glob("claims-*.txt") for line in path.read_text().split())
    if "SIMULATED_CARELESS" not in variables:
        assert wrong_with(study, spec) == []
        assert len(list(folder.glob("claims-*.txt"))) >= 6, "hardly a race"
    return claims


@pytest.mark.parametrize("round_", range(RACE_ROUNDS))
def test_each_ticket_is_claimed_once(database_url: str, tmp_path: Path, round_: int) -> None:
    claims = race(database_url, tmp_path / "race")
    assert len(claims) == sum(claims.values()) == 108


@pytest.mark.long
def test_careless_claims_are_seen_by_the_race(postgres_server: Postgres, tmp_path: Path) -> None:
    """The mutation check: without lock and condition tickets are claimed twice, and this test would say so."""
    claims = race(postgres_server.new_database(), tmp_path / "race", SIMULATED_CARELESS="yes")
    assert sum(claims.values()) > len(claims)

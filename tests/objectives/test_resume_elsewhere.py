"""A training that was killed goes on in another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greentune.objectives.compile_cache import default_cache
from greentune.objectives.runtime import worker_environment

from .conftest import ROOT
from .resumed import CASES, KILL_AFTER


def in_two_processes(backend: str, folder: Path) -> Iterator[tuple[Any, Any]]:
    """Each case's result in one go, and what the second process made of the state that the first one left."""
    environment = {**os.environ, **worker_environment(backend, cache=default_cache())}
    printed = []
    for act, status in (("first", -signal.SIGKILL), ("second", 0)):
        finished = subprocess.run(
            [sys.executable, "-m", "tests.objectives.resumed", act, str(folder)],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == status, finished.stderr
        printed.append(json.loads(finished.stdout))
    assert len(printed[0]) == len(CASES)
    return zip(*printed, strict=True)


@pytest.mark.long
@pytest.mark.slow
def test_a_killed_trial_goes_on_in_another_process_with_the_same_bits(tmp_path: Path) -> None:
    for whole, after in in_two_processes("jax", tmp_path):
        assert whole.pop("heard") == list(range(len(whole["history"]["loss"])))
        assert after.pop("heard") == list(range(KILL_AFTER, len(whole["history"]["loss"])))
        assert after == whole


@pytest.mark.long
@pytest.mark.slow
def test_on_tensorflow_it_goes_on_as_well(tmp_path: Path) -> None:
    for whole, after in in_two_processes("tensorflow", tmp_path):
        assert after["heard"] == list(range(KILL_AFTER, len(whole["history"]["loss"])))
        for name, values in whole["history"].items():
            assert after["history"][name] == pytest.approx(values, abs=1e-6)
        assert (after["best_epoch"], after["stopped"]) == (whole["best_epoch"], whole["stopped"])

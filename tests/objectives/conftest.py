"""Numbers of fresh processes, one a backend, computed once."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greentune.objectives.compile_cache import default_cache
from greentune.objectives.runtime import worker_environment

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def _numbers(backend: str) -> dict[str, Any]:
    environment = {**os.environ, **worker_environment(backend, cache=default_cache())}
    finished = subprocess.run(
        [sys.executable, "-m", "tests.objectives.fresh_process"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return dict(json.loads(finished.stdout))


@pytest.fixture(scope="session")
def fresh_process() -> Callable[[str], dict[str, Any]]:
    """The numbers of `fresh_process.main` on a backend."""
    return _numbers

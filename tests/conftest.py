"""The environment of the tests, settled before any of them imports Keras, and data that fit in a hand."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from greentune.objectives.compile_cache import default_cache
from greentune.objectives.runtime import worker_environment

# Behind `nohup … &` a shell has Ctrl-C ignored, and every child inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

for _name, _value in worker_environment("jax", cache=default_cache()).items():
    os.environ.setdefault(_name, _value)

import pytest  # noqa: E402 (the environment comes first)

from greentune.storage.dataset import Dataset  # noqa: E402

from .databases import Postgres, postgres  # noqa: E402
from .tiny import tiny_dataset as make_tiny_dataset  # noqa: E402


@pytest.fixture
def tiny_dataset() -> Dataset:
    """48 training, 16 validation and 16 test windows of 4 steps and 3 features, one output, in MW; a linear target."""
    return make_tiny_dataset()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One PostgreSQL server for all tests of this process.

    Not in pytest's folder: its account could no longer enter there when another pytest starts.
    """
    with tempfile.TemporaryDirectory(prefix="greentune-") as folder, postgres(Path(folder) / "data") as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'a.db'}"
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.new_database()

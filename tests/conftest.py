"""The environment of the tests, settled before any of them imports Keras, and data that fit in a hand."""

from __future__ import annotations

import os

from greentune.objectives.compile_cache import default_cache
from greentune.objectives.runtime import worker_environment

for _name, _value in worker_environment("jax", cache=default_cache()).items():
    os.environ.setdefault(_name, _value)

import pytest  # noqa: E402 (the environment comes first)

from greentune.storage.dataset import Dataset  # noqa: E402

from .tiny import tiny_dataset as make_tiny_dataset  # noqa: E402


@pytest.fixture
def tiny_dataset() -> Dataset:
    """48 training, 16 validation and 16 test windows of 4 steps and 3 features, one output, in MW; a linear target."""
    return make_tiny_dataset()

"""Optuna's own contract for storages, on the one storage that everything uses."""

from __future__ import annotations

import pytest
from optuna.testing.pytest_storages import StorageTestCase

from greentune.storage.rdb import open_storage
from greentune.storage.resilient import ResilientStorage


class TestContract(StorageTestCase):
    """Every test of Optuna's, on SQLite and on PostgreSQL."""

    @pytest.fixture
    def storage(self, database_url: str) -> ResilientStorage:
        storage = open_storage(database_url)
        assert storage.get_all_studies() == []
        return storage

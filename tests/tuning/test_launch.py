"""How many workers this machine starts, and where each computes."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

from greentune.storage.rdb import open_storage
from greentune.tuning import launch
from greentune.tuning.launch import check_connections, local_places, most_workers
from greentune.tuning.machine import Machines
from greentune.tuning.spec import SpecError

from ..databases import Postgres


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "usable_gpus", lambda _backend: ("0", "1"))
    monkeypatch.setattr(launch, "gpu_memory_mb", lambda: [80_000, 40_000])


def test_without_gpus_there_is_one_worker_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "usable_gpus", lambda _backend: ())
    monkeypatch.setattr(launch, "available_cores", lambda: 3)
    places = local_places("jax", Machines())
    assert [(place.worker, place.device) for place in places] == [(0, None), (1, None), (2, None)]


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("machines", "devices"),
    [
        (Machines(), ["0", "1"]),
        (Machines(gpus=("1",)), ["1"]),
        (Machines(workers=1), ["0"]),
        (Machines(per_gpu=2), ["0", "1", "0", "1"]),
        (Machines(workers=3), ["0", "1", "0"]),
    ],
)
def test_workers_are_spread_over_the_gpus(machines: Machines, devices: list[str]) -> None:
    assert [place.device for place in local_places("tensorflow", machines)] == devices


@pytest.mark.usefixtures("two_gpus")
def test_workers_that_share_a_gpu_get_a_part_of_its_memory_each() -> None:
    limits = [place.memory_mb for place in local_places("tensorflow", Machines(per_gpu=2))]
    assert limits == [36_000, 18_000, 36_000, 18_000]
    assert [place.memory_mb for place in local_places("tensorflow", Machines())] == [None, None]


@pytest.mark.usefixtures("two_gpus")
def test_gpu_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(SpecError, match="got '7', and this machine has 0, 1"):
        local_places("tensorflow", Machines(gpus=("0", "7")))


def test_worker_limit_of_postgresql_counts_what_others_hold(postgres_server: Postgres) -> None:
    url = postgres_server.new_database()
    storage = open_storage(url)
    before = most_workers(storage)
    assert before is not None
    with contextlib.ExitStack() as others:
        for _ in range(8):
            others.enter_context(psycopg.connect(url))
        after = most_workers(storage)
    assert after is not None
    assert after <= before - 2
    with pytest.raises(SpecError, match="raise max_connections in PostgreSQL"):
        check_connections(storage, before + 100)


def test_sqlite_has_no_limit(tmp_path: object) -> None:
    storage = open_storage(f"{tmp_path}/a.db")
    assert most_workers(storage) is None
    check_connections(storage, 10_000)

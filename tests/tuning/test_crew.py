"""Places, processes and their ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from greentune.tuning import crew
from greentune.tuning.crew import Crew, Place, Slot, places
from greentune.tuning.presets import with_preset
from greentune.tuning.spec import parse_spec

SPEC = parse_spec(with_preset({}, {"study": "s", "backend": "jax"}))
EXITS = "import os, sys; sys.exit(int(os.environ['EXIT_CODE']))"
SHOWS = "import os, sys; print(os.environ['GREENTUNE_STORAGE'], sys.argv[1:])"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def crew_of(folder: Path, program: str, n: int = 1) -> Crew:
    return Crew(
        [Place(number) for number in range(n)], "sqlite:///a.db", folder, command=(sys.executable, "-c", program)
    )


def wait(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
    assert condition()


def run_once(workers: Crew, *, results: int = 0, now: int = 0) -> Slot:
    """Start the first slot's process, wait for its end, collect it."""
    slot = workers.slots[0]
    slot.not_before = 0.0
    workers.start(slot, SPEC, results=results)
    wait(workers.any_ended)
    workers.collect(lambda _study: now)
    return slot


def test_database_goes_into_the_environment_and_never_into_the_arguments(tmp_path: Path) -> None:
    run_once(crew_of(tmp_path, SHOWS))
    url, arguments = (tmp_path / "worker-0.log").read_text().split(" ", 1)
    assert url == "sqlite:///a.db"
    assert "sqlite" not in arguments
    assert "'--study', 's', '--worker', '0', '--parent'" in arguments


def test_crashes_without_a_result_between_count_and_wait_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXIT_CODE", "1")
    workers = crew_of(tmp_path, EXITS)
    waits = []
    for crashes in (1, 2, 3):
        slot = run_once(workers)
        assert slot.crashes == crashes
        assert workers.free() == []
        waits.append(slot.not_before - time.monotonic())
    assert waits[0] < waits[1] < waits[2]
    assert run_once(workers, results=5, now=6).crashes == 1


@pytest.mark.parametrize("code", [0, 5, 6])
def test_ends_that_concern_one_trial_are_no_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setenv("EXIT_CODE", str(code))
    workers = crew_of(tmp_path, EXITS)
    workers.slots[0].crashes = 3
    assert run_once(workers).crashes == 0
    assert workers.free() == workers.slots


def test_worker_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "PATIENCE_SECONDS", 0.3)
    workers = crew_of(tmp_path, STUBBORN, n=2)
    for slot in workers.slots:
        workers.start(slot, SPEC, results=0)
    wait(lambda: all("up" in workers.log_of(slot).read_text() for slot in workers.slots))
    began = time.monotonic()
    workers.end(at_once=lambda: False)
    assert time.monotonic() - began < 5
    assert [slot.process.returncode for slot in workers.slots if slot.process] == [-9, -9]


def test_one_worker_a_core_or_a_gpu() -> None:
    assert places(2, (), 1, []) == [Place(0), Place(1)]
    assert places(2, ("0", "3"), 1, []) == [Place(0, "0"), Place(1, "3")]


def test_workers_that_share_a_gpu_share_nine_tenths_of_its_memory() -> None:
    found = places(4, ("0", "2"), 2, [80_000, 1, 40_000])
    assert [place.device for place in found] == ["0", "2", "0", "2"]
    assert [place.memory_fraction for place in found] == [0.45] * 4
    assert [place.memory_mb for place in found] == [36_000, 18_000, 36_000, 18_000]
    assert places(2, ("GPU-uuid",), 2, [80_000])[0].memory_mb == 36_000

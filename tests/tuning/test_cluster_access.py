"""What is asked before a Ray cluster is used, what a worker finds on a machine, and a Ray of our own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from greentune.storage.mistakes import Mistake
from greentune.tuning import cluster_access, cluster_machine
from greentune.tuning.cluster import RayLauncher
from greentune.tuning.cluster_access import LOCAL, address_mistakes, connected, room, token_mistakes, usable_machines
from greentune.tuning.cluster_machine import child_environment


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user who has no token anywhere."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("HOME", str(tmp_path))


def test_ray_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x")
    with pytest.raises(Mistake, match=r"needs the extra greentune\[ray\]"), connected("auto"):
        pass


def test_no_token_is_told_before_ray_is_asked() -> None:
    with pytest.raises(Mistake, match="ray get-auth-token --generate"), connected("auto"):
        pass


def test_authentication_that_is_switched_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(Mistake, match="RAY_AUTH_MODE is disabled"), connected(LOCAL):
        pass


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_token_file_must_hold_a_token(content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    assert len(token_mistakes(local=False)) == len(token_mistakes(local=True)) == 1
    path.write_text("something")
    assert token_mistakes(local=False) == []


def test_a_ray_of_our_own_gets_a_token_without_a_file(tmp_path: Path) -> None:
    assert token_mistakes(local=True) == []
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    del os.environ["RAY_AUTH_TOKEN"]
    assert not (tmp_path / ".ray").exists()


@pytest.mark.parametrize("address", ["ray://host:10001", "host", "host:port", ":6379", ""])
def test_address_of_another_form_is_refused(address: str) -> None:
    assert "auto, local or host:port" in address_mistakes(address)[0]


def test_address_where_nothing_listens_is_told_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "nothing answers" in address_mistakes(f"127.0.0.1:{free.getsockname()[1]}")[0]
        free.listen()
        assert address_mistakes(f"127.0.0.1:{free.getsockname()[1]}") == []


@pytest.mark.parametrize(
    ("resources", "gpus_per_worker", "workers"),
    [
        ({"CPU": 4.0}, 0, 4),
        ({"CPU": 4.0}, 0.5, 0),
        ({"CPU": 8.0, "GPU": 2.0}, 0.5, 4),
        ({"CPU": 8.0, "GPU": 2.0}, 0.1, 8),
        ({"CPU": 99.0, "GPU": 2.0}, 0.1, 20),
        ({"CPU": 8.0, "GPU": 2.0}, 1, 2),
        ({"CPU": 8.0, "GPU": 3.0}, 2, 1),
        ({"GPU": 8.0}, 1, 0),
    ],
)
def test_room_on_a_machine(resources: dict[str, float], gpus_per_worker: float, workers: int) -> None:
    assert room(resources, gpus_per_worker) == workers


class Gone(KeyError):
    """Ray's answer for a machine that has died."""


class RayOfOneMachine:
    """What `usable_machines` asks of the module ray; the machine answers what a test wants."""

    exceptions = SimpleNamespace(RayError=KeyError, TaskUnschedulableError=Gone, NodeDiedError=Gone)
    util = SimpleNamespace(
        scheduling_strategies=SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: node)
    )

    def __init__(self, answer: dict[str, str] | KeyError) -> None:
        self.answer = answer

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "NodeID": "1", "NodeManagerHostname": "first", "Resources": {"CPU": 4.0}}]

    def remote(self, **_options: Any) -> Any:
        return lambda _function: self

    def options(self, **_options: Any) -> Any:
        return SimpleNamespace(remote=lambda: self.answer)

    def get(self, answer: dict[str, str] | KeyError, timeout: float) -> dict[str, str]:
        if isinstance(answer, KeyError):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"auth": "disabled", "greentune": "1"}, "must demand a token"),
        ({"auth": "token", "greentune": "2"}, "needs greentune 1; first has 2"),
        (KeyError("no module greentune"), "on first it does not start: 'no module greentune'"),
        (Gone(), "all of them have just died"),
    ],
    ids=["open", "version", "missing", "gone"],
)
def test_machines_that_are_not_fit_are_told(
    answer: dict[str, str] | KeyError, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_access, "version", lambda _name: "1")
    with pytest.raises(Mistake, match=message):
        usable_machines(RayOfOneMachine(answer), url="postgresql://host/d", workers=1, gpus_per_worker=0)
    good = RayOfOneMachine({"auth": "token", "greentune": "1"})
    assert usable_machines(good, url="postgresql://host/d", workers=1, gpus_per_worker=0) == 4


@pytest.mark.parametrize("gpus", [-1, 1.5])
def test_gpus_per_worker_is_a_share_or_a_whole_number(gpus: float, tmp_path: Path) -> None:
    study: Any = SimpleNamespace(study_name="s")
    given: dict[str, Any] = dict.fromkeys(("until", "progress", "look", "reconcile"))
    with pytest.raises(Mistake, match="must be between 0 and 1, or a whole number"):
        RayLauncher(
            study, address=LOCAL, url="", backend="jax", workers=1, gpus_per_worker=gpus, logs=tmp_path, **given
        )


def test_a_worker_without_gpus_sees_none() -> None:
    assert child_environment("jax", 0, {"CUDA_VISIBLE_DEVICES": "0"})["CUDA_VISIBLE_DEVICES"] == "-1"


def test_a_share_of_a_gpu_limits_its_memory() -> None:
    found = child_environment("jax", 0.5, {"CUDA_VISIBLE_DEVICES": "3"})
    assert (found["CUDA_VISIBLE_DEVICES"], found["XLA_PYTHON_CLIENT_MEM_FRACTION"]) == ("3", "0.45")
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in child_environment("jax", 1, {"CUDA_VISIBLE_DEVICES": "3"})


SAYS_STORAGE = ("-c", "import os, sys; sys.exit(os.environ['GREENTUNE_STORAGE'])")


def run_on_this_machine(monkeypatch: pytest.MonkeyPatch, *, own_storage: bool) -> dict[str, str | int]:
    """Run a worker that only says which database it was given; Ray's object store holds `sent`."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get={"reference": "sent"}.__getitem__))
    monkeypatch.setattr(cluster_machine, "take_core", lambda: None)
    order = {"command": SAYS_STORAGE, "study": "s", "worker": 0, "backend": "jax", "gpus": 0}
    return cluster_machine.run_worker({**order, "own_storage": own_storage}, ["reference"])


@pytest.mark.parametrize(
    ("variables", "own_storage", "database"),
    [
        ({}, True, "sent"),
        ({"GREENTUNE_STORAGE": "own"}, True, "own"),
        ({"GREENTUNE_STORAGE_FILE": "storage"}, True, "from a file"),
        ({"GREENTUNE_STORAGE": "own"}, False, "sent"),
    ],
    ids=["sent", "variable", "file", "local"],
)
def test_the_machine_itself_says_where_the_database_is(
    variables: dict[str, str], own_storage: bool, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "storage").write_text("from a file\n")
    monkeypatch.chdir(tmp_path)
    for name in ("GREENTUNE_STORAGE", "GREENTUNE_STORAGE_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    answer = run_on_this_machine(monkeypatch, own_storage=own_storage)
    assert (answer["code"], answer["said"], answer["node"]) == (1, database, socket.gethostname())


def test_each_task_takes_a_core_of_its_own() -> None:
    code = (
        "import os; from greentune.tuning.cluster_machine import take_core\n"
        "holder = take_core(); print(holder is not None, *sorted(os.sched_getaffinity(0)), flush=True); input()"
    )
    allowed = sorted(os.sched_getaffinity(0))
    tasks, seen = [], []
    for _ in range(len(allowed) + 1):
        command = [sys.executable, "-P", "-c", code]
        tasks.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert tasks[-1].stdout is not None
        seen.append(tasks[-1].stdout.readline().split())
    for task in tasks:
        task.communicate("\n")
    assert seen == [*(["True", str(core)] for core in allowed), ["False", *map(str, allowed)]]


WRONG_SETUP = """
from pathlib import Path
from types import SimpleNamespace
import optuna
from optuna.storages import RDBStorage
from greentune.tuning import records
from greentune.tuning.cluster import RayLauncher
from greentune.tuning.spec import SpecError

url = f"sqlite:///{Path('file.db').resolve()}"
study = optuna.create_study(storage=RDBStorage(url), study_name="setup")
records.stop(study, ["The data have changed."])
code = f"import os, sys; sys.exit({records.EXIT_SETUP} if os.environ['GREENTUNE_STORAGE'] == {url!r} else 1)"
launcher = RayLauncher(
    study, address="local", url=url, backend="jax", workers=1, logs=Path("logs"), until=None, command=("-c", code),
    progress=SimpleNamespace(say=lambda sentence: print(sentence), show=lambda snapshot: None),
    look=lambda: SimpleNamespace(finished=0, running=0, waiting=1), reconcile=lambda: None,
)
try:
    launcher.run()
except SpecError as error:
    print("mistakes:", error.mistakes)
"""


@pytest.mark.slow
def test_a_wrong_setup_ends_the_run_with_its_message(tmp_path: Path) -> None:
    """On a Ray of our own, in a process of its own: a process keeps the first token it has seen."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'greentune[ray]'")
    script = tmp_path / "run.py"
    script.write_text(WRONG_SETUP)
    environment = os.environ | {"GREENTUNE_STORAGE": "another database"}  # the launcher's own: it must not win
    ran = subprocess.run(
        [sys.executable, "-P", str(script)], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (ran.stdout, ran.returncode) == ("mistakes: ['The data have changed.']\n", 0), ran.stderr
    assert not (tmp_path / ".ray").exists()

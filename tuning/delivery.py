"""Has the winner retrained and exported in a child process, because this one never imports Keras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..objectives.compile_cache import default_cache
from ..objectives.runtime import usable_gpus, worker_environment
from ..storage.mistakes import Mistake
from .crew import exit_reason
from .snapshot import Snapshot
from .spec import StudySpec

RESULT = "result.json"
LOCK = ".delivery.lock"
"""Of several commands at one study one delivers at a time."""


class DeliveryError(Mistake):
    """The winner could not be retrained, evaluated or exported."""


def earlier(spec: StudySpec, folder: Path, snapshot: Snapshot) -> dict[str, Any] | None:
    """What an earlier run delivered, if it is still there and nothing has changed on which it rests."""
    found = last(folder)
    return found if found is not None and found.get("basis") == basis(spec, snapshot) else None


def last(folder: Path) -> dict[str, Any] | None:
    """What was delivered last, if it is still there; whatever has changed since."""
    try:
        found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if all(Path(found.get(name, "")).exists() for name in ("bundle", "report")) else None


def basis(spec: StudySpec, snapshot: Snapshot) -> dict[str, Any]:
    """What a delivered winner rests on: another one, and it must be chosen again."""
    return {
        "best": None if snapshot.best is None else snapshot.best.number,
        "finished": snapshot.finished,
        "winner": spec.winner.model_dump(mode="json"),
        "final": spec.final.model_dump(mode="json"),
    }


def deliver_in_child(
    spec: StudySpec,
    url: str,
    folder: Path,
    *,
    trial: int | None = None,
    bundle: Path | None = None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Retrain, evaluate, export and verify the winner.

    Args:
        url: the database; the child receives it in its environment.
        folder: of the study; receives ``bundle/``, ``report.html`` and ``result.json``.
        trial: number of another trial than the winner.
        bundle: another place for the bundle; the report then lies beside it, under its name and ``.html``.
        say: where sentences on the progress go.

    Returns:
        the figures and places, as they stand in ``result.json``.

    Raises:
        DeliveryError: with what the child said.
    """
    more = [] if trial is None else ["--trial", str(trial)]
    more += [] if bundle is None else ["--bundle", str(bundle)]
    code, mistakes, log = in_child("deliver", spec, url, folder, more, say=say)
    if code == 0:
        delivered: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return delivered
    if mistakes:
        raise DeliveryError(mistakes)
    raise DeliveryError(
        f"Retraining and export of study '{spec.study}' ended by {exit_reason(code)}; the last words "
        f"are in {log}. All trials are kept: `tune export --study {spec.study}` tries again."
    )


def in_child(
    command: str, spec: StudySpec, url: str, folder: Path, more: Sequence[str] = (), *, say: Callable[[str], None]
) -> tuple[int, list[str], Path]:
    """Run one of our hidden commands in a process that may import Keras.

    Args:
        command: it is told the study and its folder; what it prints goes to ``logs/COMMAND.log`` there.
        more: further arguments.

    Returns:
        the exit code, the mistakes that the child told, the log.
    """
    # One thread, as in the search: the last bits of a training depend on how many there are.
    device = next(iter(usable_gpus(spec.backend)), None)
    settings = worker_environment(spec.backend, device=device, threads=1, cache=default_cache())
    environment = os.environ | settings | {"GREENTUNE_STORAGE": url}
    line = [sys.executable, "-P", "-m", "greentune.tuning", command, "--study", spec.study, "--folder", str(folder)]
    (folder / "logs").mkdir(exist_ok=True)
    log = folder / "logs" / f"{command}.log"
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            [*line, *more], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as child,
    ):
        mistakes = _listen(child, say)
    return child.returncode, mistakes, log


def message(**content: Any) -> None:
    """Tell the parent something: ``say="a sentence"`` or ``mistakes=[…]``, one JSON object a line."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def _listen(child: subprocess.Popen[str], say: Callable[[str], None]) -> list[str]:
    """Pass on what the child says until it ends; whatever else it prints is not for people."""
    assert child.stdout is not None
    mistakes: list[str] = []
    try:
        for line in child.stdout:
            try:
                content = json.loads(line)
            except ValueError:
                continue
            if isinstance(content, dict):
                mistakes += content.get("mistakes", [])
                if "say" in content:
                    say(content["say"])
        child.wait()
    except KeyboardInterrupt:
        child.terminate()
        raise
    return mistakes

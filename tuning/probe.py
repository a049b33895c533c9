"""Has the user's code looked at before a study is created, in a child process, because this one never imports Keras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..objectives.compile_cache import default_cache
from ..objectives.runtime import resolve_backend, usable_gpus, worker_environment
from ..storage.dataset import Dataset
from .crew import exit_reason
from .looked import Looked
from .references import runs_user_code
from .sections import CodeSpec
from .spec import SpecError, StudySpec


def look(spec: StudySpec, dataset: Dataset | None, *, timed: bool = False) -> Looked:
    """Load the code, build one model, and time a few epochs if asked.

    Args:
        dataset: of the study; None: an objective function needs none.

    Raises:
        SpecError: the child ended without an answer, with its last words.
    """
    shape = [1, 1, 1] if dataset is None else [dataset.lookback, dataset.n_features, dataset.n_outputs]
    request = json.dumps({"spec": spec.model_dump(mode="json"), "shape": shape, "timed": timed})
    backend = resolve_backend(spec.backend)
    device = next(iter(usable_gpus(backend)), None)
    environment = os.environ | worker_environment(backend, device=device, threads=1, cache=default_cache())
    with tempfile.TemporaryFile() as errors:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "greentune.tuning", "probe"],
            input=request,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
        )
        errors.seek(0)
        last_words = errors.read().decode(errors="replace").strip().splitlines()[-12:]
    answer = _answer(child.stdout)
    if answer is None:
        raise SpecError(
            f"The user's code could not be looked at: the process ended by {exit_reason(child.returncode)}. Its last "
            "words:\n" + "\n".join(last_words)
        )
    return Looked(**answer)


def with_code(spec: StudySpec, looked: Looked) -> StudySpec:
    """The specification with what was found: files, a default space, the point of the defaults, how it is retrained.

    A HyperModel that trains itself may need validation data, which a training on everything has not.
    """
    update: dict[str, Any] = {"code": CodeSpec(folder=str(Path.cwd()), files=looked.files)}
    if looked.space is not None:
        update["space"] = looked.space
    if looked.first and not spec.search.first:
        update["search"] = spec.search.model_copy(update={"first": (looked.first,)})
    if looked.trains_itself and spec.final.refit != "train":
        update["final"] = spec.final.model_copy(update={"refit": "train"})
    return spec.model_copy(update=update)


def needed(spec: StudySpec) -> bool:
    """Whether a study runs code of the user."""
    return runs_user_code(spec.model_dump(mode="json"))


def _answer(output: str) -> dict[str, Any] | None:
    for line in reversed(output.splitlines()):
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict) and isinstance(content.get("probe"), dict):
            return dict(content["probe"])
    return None

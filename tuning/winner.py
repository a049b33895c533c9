"""The winner: chosen, retrained, judged on the test part, exported, loaded back, reported.

Runs in a process of its own (see :mod:`.delivery`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna

from ..reports.bundle import BundleError, write_bundle
from ..reports.evaluation import evaluate, predict_part
from ..storage.rdb import open_storage
from ..storage.source import Source
from . import choosing, facts, fresh, records, reporting
from .choosing import Choice
from .delivery import RESULT, basis, message
from .pareto import front_rows
from .retraining import Retrained, retrain, together
from .snapshot import take_snapshot
from .spec import StudySpec
from .study_data import load_study_data
from .wording import counted


def deliver(study_name: str, folder: Path, *, trial: int | None, bundle: Path | None) -> dict[str, Any]:
    """Do all of it and write ``result.json``.

    Args:
        study_name: the study, in the database named by ``GREENTUNE_STORAGE``.
        folder: of the study.
        trial: number of the trial to export; None: the winner by the rule of the study.
        bundle: where the bundle goes, with the report beside it; None: ``folder/bundle`` and ``folder/report.html``.

    Raises:
        Mistake: there is nothing to deliver, or it cannot be written, or the bundle does not load back as it was.
    """
    storage = open_storage(os.environ["GREENTUNE_STORAGE"], create=False)
    study = records.load_study(storage, study_name)
    spec = records.read_spec(study)
    source = load_study_data(study, spec)
    again = fresh.find(storage, spec)
    choice = choosing.choose(study, spec, again) if trial is None else choosing.one(study, spec, again, trial)
    members = _retrained(study, spec, source, choice, folder)
    model, dataset = together(spec, members, source)
    predicted = predict_part(model, dataset, "test")
    evaluation = evaluate(dataset, "test", predicted)
    looks = records.look_at_test(study, choice.winners, rmse=evaluation.metrics["rmse"])
    alone = members[0] if len(members) == 1 else None
    each = {f"trial {member.trial}": member.parameters for member in members}
    target = write_bundle(
        bundle or folder / "bundle",
        model=model,
        dataset=dataset,
        evaluation=evaluation,
        predicted=predicted,
        history=members[0].result.fit.history,
        parameters=each if alone is None else alone.parameters,
        builder="ensemble" if alone is None else alone.builder,
        study=facts.study_facts(study, spec, choice),
        backend=spec.backend,
        fit=facts.fit_facts(spec, members),
    )
    verified = verify(target, trust_scaler=spec.data.trust_scaler)
    report = reporting.write(
        folder / "report.html" if bundle is None else target.with_name(f"{target.name}.html"),
        study=study,
        spec=spec,
        source=source,
        dataset=dataset,
        choice=choice,
        members=members,
        evaluation=evaluation,
        predicted=predicted,
        looks=looks,
        bundle=target,
    )
    delivered = {
        "trial": None if alone is None else alone.trial,
        "basis": basis(spec, take_snapshot(study)),
        "parameters": {} if alone is None else alone.parameters,
        "winners": facts.winner_facts(study, members),
        "choice": choice.to_json(),
        **({"pareto": front_rows(study.get_trials(deepcopy=False), spec)} if len(spec.search.objectives) > 1 else {}),
        "test_looks": looks,
        **evaluation.to_json(),
        "bundle": str(target),
        "report": str(report),
        "verified": verified,
    }
    (folder / RESULT).write_text(json.dumps(delivered, indent=2) + "\n", encoding="utf-8")
    return delivered


def _retrained(study: optuna.Study, spec: StudySpec, source: Source, choice: Choice, folder: Path) -> list[Retrained]:
    trials = study.get_trials(deepcopy=False)
    message(say=choice.reason)
    members = []
    for place, number in enumerate(choice.winners):
        epochs = choice.candidate(number).epochs
        if spec.final.refit == "all":
            how = f"{counted(min(epochs, spec.final.epochs), 'epoch')} on the training and validation part"
        else:
            how = f"up to {counted(spec.final.epochs, 'epoch')} on the training part, with early stopping"
        message(say=f"retraining trial {number} for {how}")
        checkpoint = folder / "checkpoint.keras"
        members.append(retrain(spec, source, trials[number], epochs=epochs, checkpoint=checkpoint, place=place))
    return members


def verify(bundle: Path, *, trust_scaler: bool) -> dict[str, Any]:
    """Load the bundle in a fresh process and have it reproduce its metrics.

    Raises:
        BundleError: it does not.
    """
    command = [sys.executable, "-P", "-m", "greentune.reports.verify", str(bundle), "--json"]
    command += ["--trust-scaler"] if trust_scaler else []
    child = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    try:
        answer: dict[str, Any] = json.loads(child.stdout)
    except ValueError:
        raise BundleError(f"The bundle {bundle} did not load back: exit code {child.returncode}.") from None
    if child.returncode != 0:
        raise BundleError(f"The bundle {bundle} does not reproduce its metrics: {json.dumps(answer)}.")
    return answer

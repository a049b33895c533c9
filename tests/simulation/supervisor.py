"""The real supervisor over simulated workers: ``supervisor.py URL STUDY WORKERS LOGS``."""

from __future__ import annotations

import faulthandler
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import optuna

from greentune.storage.rdb import open_storage
from greentune.tuning import queue, records
from greentune.tuning.crew import Crew, Place
from greentune.tuning.progress import Progress
from greentune.tuning.supervisor import Supervisor
from tests.simulation.study import WORKER


def main() -> None:
    """Reconcile, then work off the queue."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url, name, workers, logs = sys.argv[1:]
    storage = open_storage(url, create=False, patient=True)
    study = records.load_study(storage, name)
    spec = records.read_spec(study)
    queue.reconcile(study, storage, queue.plan(spec), spec.run)
    crew = Crew([Place(number) for number in range(int(workers))], url, Path(logs), command=WORKER)
    with Progress(epochs=1, until=None, workers=int(workers)) as progress:
        outcome = Supervisor(study, storage, spec, crew=crew, progress=progress).run()
        progress.say(outcome.value)


if __name__ == "__main__":
    main()

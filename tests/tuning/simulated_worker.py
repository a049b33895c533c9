"""A worker whose trials take a fifth of a second and no Keras. A program: tests of the launchers start it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # as the real worker: when the task's process is killed
given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
storage = RDBStorage(os.environ["GREENTUNE_STORAGE"], skip_compatibility_check=True, skip_table_creation=True)
study = optuna.load_study(study_name=given["--study"], storage=storage)
assert os.getppid() == int(given["--parent"])
names = ("CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_MEM_FRACTION", "KERAS_BACKEND", "OMP_NUM_THREADS", "RAY_RAYLET_PID")
owner = {name: os.environ.get(name) for name in names}
owner |= {"pid": os.getpid(), "worker": int(given["--worker"]), "cores": sorted(os.sched_getaffinity(0))}
sys.stderr.write("the worker begins\n")
while not asked:
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    if not waiting:
        sys.exit(0)
    trial = waiting[0]
    if not storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
        continue
    storage.set_trial_user_attr(trial._trial_id, "owner", owner)
    for _ in range(10):
        time.sleep(0.02)
        if asked:
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial({}, user_attrs={"ticket": trial.user_attrs["ticket"]})
            sys.exit(0)
    study.tell(trial.number, 1.0)

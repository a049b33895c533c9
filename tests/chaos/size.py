"""How hard the tests of survival try: a little in every run, everything with ``make chaos``."""

from __future__ import annotations

import os

FULL = os.environ.get("GREENTUNE_CHAOS") == "full"

RACE_ROUNDS = 20 if FULL else 1
CHAOS_ROUNDS = 20 if FULL else 1
CHAOS_KILLS = 20 if FULL else 6
OUTAGE_SECONDS = float(os.environ.get("GREENTUNE_OUTAGE_TEST_SECONDS", "1.5"))
LOAD_PROCESSES = 64 if FULL else 8
EFFICIENCY_WORKERS = 64 if FULL else 6
EFFICIENCY_TRIALS = 40 if FULL else 10
"""Trials of each worker: the first one of a process costs it a tenth of a second more."""
EFFICIENCY = 0.9 if FULL else 0.75
"""On 2 cores, which 64 workers and the server share, it is reached when nothing else runs (0.896 beside other work)."""
STARTING_SECONDS = 100.0 if FULL else 12.0
"""How long all workers of a crowd may take to import what they need."""
ZOMBIE_ROUNDS = 5 if FULL else 1
MEMORY_TRIALS = 60 if FULL else 6
"""Each is a new shape, which is compiled anew."""
TOO_MANY_UNITS = 4_000_000 if FULL else 300_000
"""The latter asks for more than a terabyte, too, and is done in half the time."""

"""How hard the tests of survival try: a little in every run, everything with ``make chaos``."""

from __future__ import annotations

import os

FULL = os.environ.get("GREENTUNE_CHAOS") == "full"

RACE_ROUNDS = 20 if FULL else 1
CHAOS_ROUNDS = 20 if FULL else 1
CHAOS_KILLS = 20 if FULL else 8
LOAD_PROCESSES = 64 if FULL else 12
OUTAGE_SECONDS = 1.5
EFFICIENCY_WORKERS = 64 if FULL else 8
EFFICIENCY_TICKETS = 640 if FULL else 64
EFFICIENCY = 0.9 if FULL else 0.75
"""CI shares its cores with other tests; the full size is measured alone."""

"""``python -m greentune.tuning`` is the command `tune`, whatever else an environment calls by that name."""

from .cli import main

main()

"""Runs the blocks of a page in a folder of their own, in order, as a reader with an installed package would.

`tune` and `greentune` are small scripts that start the code under test, `python` is the one that runs the tests.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..tuning.wind_farm import environment
from .pages import Block

BLOCK_SECONDS = 240.0
_SHOWN = 6000

_SHIMS = {
    "tune": [sys.executable, "-P", "-m", "greentune.tuning"],
    "greentune": [sys.executable, "-P", "-m", "greentune.tuning"],
    "python": [sys.executable],
}


class BlockFailed(AssertionError):
    """A block did not run to its end; the text says which one, what stands in it, and what it printed."""

    def __init__(self, block: Block, why: str, output: str) -> None:
        shown = output if len(output) <= _SHOWN else f"…{output[-_SHOWN:]}"
        super().__init__(f"{block} ({block.language}) {why}\n--- block\n{block.content}--- output\n{shown}")


def missing_line(expected: str, printed: str) -> str | None:
    """The first line that does not come in `printed` after those before it; None where all do."""
    place = 0
    for line in expected.splitlines():
        pattern = "[^\n]*".join(re.escape(piece) for piece in line.strip().split("…"))
        found = re.compile(rf"^\s*{pattern}\s*$", re.MULTILINE).search(printed, place)
        if found is None:
            return line
        place = found.end()
    return None


@dataclass(frozen=True)
class Sandbox:
    """A folder in which a page is run.

    Args:
        folder: of the page; new and empty.
        tools: for the scripts `tune`, `greentune` and `python`; outside of `folder`.
    """

    folder: Path
    tools: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.tools.mkdir(parents=True)
        for name, command in _SHIMS.items():
            script = self.tools / name
            script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
            script.chmod(0o755)

    def run_page(self, blocks: Sequence[Block]) -> dict[str, float]:
        """Write and run every block.

        Returns:
            the seconds of each block that was run, by its place.

        Raises:
            BlockFailed: the first that fails.
        """
        __tracebackhide__ = True  # what failed stands in the page, not here
        took: dict[str, float] = {}
        printed = ""
        for block in blocks:
            if block.is_printed:
                if (line := missing_line(block.content, printed)) is not None:
                    raise BlockFailed(block, f"is not what was printed: {line!r} is missing", printed)
            elif block.file is not None:
                path = self.folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.content, encoding="utf-8")
            elif block.is_run:
                began = time.monotonic()
                printed = self.run(block)
                took[str(block)] = round(time.monotonic() - began, 1)
        return took

    def run(self, block: Block) -> str:
        """Run one block to its end; what it leaves in the background is ended.

        Returns:
            what it printed, both streams in order.
        """
        __tracebackhide__ = True
        # -x: the output says which of several lines failed. Python reads from an argument, with the folder on its path.
        command = ["sh", "-eux", "-c"] if block.language == "sh" else [sys.executable, "-c"]
        log = self.tools / "output"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, block.content],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                code: int | None = process.wait(timeout=BLOCK_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        printed = log.read_text(encoding="utf-8", errors="replace")
        if code is None:
            raise BlockFailed(block, f"did not end within {BLOCK_SECONDS:.0f} s", printed)
        if code != 0:
            raise BlockFailed(block, f"ended with {code}", printed)
        return printed

    def _environment(self) -> dict[str, str]:
        """Of a user who has installed the package: nothing of ours but the way to the code, a state folder apart."""
        path = os.pathsep.join([str(self.tools), os.environ.get("PATH", os.defpath)])
        return environment() | {"PATH": path, "XDG_STATE_HOME": str(self.tools / "state"), "COLUMNS": "120"}

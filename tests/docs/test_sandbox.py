"""The harness itself: what it runs, where, with which commands, and what it says of a block that fails."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from .pages import read
from .sandbox import BlockFailed, Sandbox, missing_line


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path / "reader", tmp_path / "tools")


def run(sandbox: Sandbox, text: str) -> dict[str, float]:
    return sandbox.run_page(read("docs/made-up.md", text).blocks)


def test_blocks_run_in_order_in_one_folder(sandbox: Sandbox) -> None:
    page = "```sh\necho 1 >a\n```\n\n```python\nopen('b', 'w').write(open('a').read() + '2')\n```\n"
    assert len(run(sandbox, page)) == 2
    assert (sandbox.folder / "b").read_text() == "1\n2"


def test_named_blocks_are_written_and_not_run(sandbox: Sandbox) -> None:
    page = "```python\n# file: model.py\nX = 5\n```\n\n```toml a/study.toml\nseed = 1\n```\n\n```text\nexit 1\n```\n"
    assert run(sandbox, page) == {}
    assert (sandbox.folder / "model.py").read_text() == "# file: model.py\nX = 5\n"
    assert (sandbox.folder / "a" / "study.toml").read_text() == "seed = 1\n"


def test_python_finds_what_the_page_has_written(sandbox: Sandbox) -> None:
    assert len(run(sandbox, "```python\n# file: mine.py\nX = 5\n```\n\n```python\nfrom mine import X\n```\n")) == 1


def test_the_commands_are_those_under_test(sandbox: Sandbox) -> None:
    page = (
        "```sh\ntune --version >a\ngreentune --version >b\npython -c 'import greentune.tuning as t; print(t)' >c\n```\n"
    )
    assert len(run(sandbox, page)) == 1
    assert (sandbox.folder / "a").read_text() == (sandbox.folder / "b").read_text()
    assert "tuning" in (sandbox.folder / "c").read_text()


def test_nothing_of_the_tests_reaches_a_page(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENTUNE_STORAGE", "postgresql://somebody")
    assert len(run(sandbox, '```sh\n[ -z "${GREENTUNE_STORAGE:-}" ]\n[ -z "${KERAS_BACKEND:-}" ]\n```\n')) == 1


@pytest.mark.parametrize(
    "block",
    ["sh\necho first\nls nowhere\necho last", "python\nprint('first')\nraise SystemExit('nowhere')"],
    ids=["sh", "python"],
)
def test_a_failure_shows_page_block_and_output(sandbox: Sandbox, block: str) -> None:
    with pytest.raises(BlockFailed) as failed:
        run(sandbox, f"# Title\n\n```{block}\n```\n")
    said = str(failed.value)
    assert "docs/made-up.md:3" in said
    assert "ended with" in said
    assert block.partition("\n")[2] in said
    assert "nowhere" in said.partition("--- output")[2]
    assert "last\n" not in said.partition("--- output")[2].replace("echo last\n", "")


def test_what_was_printed_is_compared_in_order() -> None:
    printed = "+ tune\nstudy a: 4 tickets added, 4 waiting\n  best 0.25\n"
    assert missing_line("study a: 4 tickets …\nbest …\n", printed) is None
    assert missing_line("best …\nstudy a: 4 tickets …\n", printed) == "study a: 4 tickets …"
    assert missing_line("4 tickets added", printed) == "4 tickets added"


def test_a_page_that_claims_another_output_fails(sandbox: Sandbox) -> None:
    with pytest.raises(BlockFailed, match="'three' is missing"):
        run(sandbox, "```sh\necho two\n```\n\n```text printed\nthree\n```\n")


def test_a_block_that_hangs_is_ended(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{Sandbox.__module__}.BLOCK_SECONDS", 0.5)
    with pytest.raises(BlockFailed, match="did not end within"):
        run(sandbox, "```sh\nsleep 100\n```\n")


def test_what_a_block_leaves_in_the_background_is_ended(sandbox: Sandbox) -> None:
    run(sandbox, "```sh\nsleep 100 &\necho $! >pid\n```\n")
    pid = int((sandbox.folder / "pid").read_text())
    limit = time.monotonic() + 10
    while time.monotonic() < limit and _runs(pid):
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (ProcessLookupError, FileNotFoundError):
        return False

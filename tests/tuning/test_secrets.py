"""A canary for a password: it may stand nowhere but in the environment of our own processes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import psycopg
import pytest

from greentune.storage.address import StorageError, passwords_of, redact, storage_url, without_passwords
from greentune.storage.rdb import open_storage

from ..databases import Postgres
from .test_bad_input import complaint
from .wind_farm import tune, write_study

CANARY = "canary-Zk7"


@contextmanager
def argument_lists_watched() -> Iterator[set[str]]:
    """Every argument list with the canary in it that any process of this machine has meanwhile."""
    found: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if CANARY in text:
                    found.add(text)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def rows_with_the_canary(url: str) -> list[str]:
    """Every row of every table that has the canary in any column."""
    found: list[str] = []
    n_tables = 0
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            rows = connection.execute(f'SELECT t::text FROM "{name}" t'.encode()).fetchall()
            n_tables += bool(rows)
            found += [row[0] for row in rows if CANARY in row[0]]
    assert n_tables >= 3
    return found


def files_with_the_canary(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    return [path for path in files if CANARY.encode() in path.read_bytes()]


def test_canary_would_be_seen(postgres_server: Postgres, tmp_path: Path) -> None:
    url = postgres_server.new_database()
    storage = open_storage(url)
    for number in range(9):
        optuna.create_study(storage=storage, study_name=f"{CANARY}{number}")
    for name in (f"{number}.log" for number in range(21)):
        (tmp_path / name).write_text(f"password {CANARY}")
    with argument_lists_watched() as seen:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)", CANARY], check=True)
    assert len(seen) == 1
    assert len(files_with_the_canary(tmp_path)) == 21
    assert len(rows_with_the_canary(url)) == 9


@pytest.mark.long
@pytest.mark.slow
def test_password_stands_nowhere_after_a_whole_run(
    postgres_server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submit, standing worker, status, stop, and `tune`, which goes on and delivers: with the URL from a file."""
    url = postgres_server.new_database(user="postgres", password=CANARY)
    with psycopg.connect(url):
        pass
    secret, folder = tmp_path / "secret" / "url", tmp_path / "work"
    secret.parent.mkdir()
    folder.mkdir()
    secret.write_text(f"{url}\n")
    write_study(folder)
    said: list[str] = []

    def command(*arguments: str) -> str:
        done = tune(folder, *arguments)
        said.extend((done.stdout, done.stderr))
        assert done.returncode == 0, done.stderr
        return done.stdout

    monkeypatch.setenv("GREENTUNE_STORAGE_FILE", str(secret))
    with argument_lists_watched() as seen:
        command("submit", "study.toml", "--trials", "1")
        command("worker", "--workers", "1", "--idle-exit", "2s")
        assert "small: done 1" in command("status")
        command("stop")
        result = json.loads(command("--config", "study.toml", "--trials", "2", "--json"))
        command("status", "--json", "--storage", f"@{secret}")
    assert (result["trials"]["done"], result["added"]) == (2, 1)
    assert result["storage"].startswith("postgresql+psycopg://postgres:***@")
    assert seen == set()
    assert files_with_the_canary(folder) == []
    assert CANARY not in "".join(said)
    assert rows_with_the_canary(url) == []


@pytest.fixture(scope="module")
def scram(postgres_server: Postgres) -> str:
    """The URL of a database and an account for which the password matters; the canary is a wrong one."""
    url = postgres_server.new_database(user="scrammed", password=CANARY)
    rules = Path(postgres_server.server.pgdata) / "pg_hba.conf"
    ours = "local all scrammed scram-sha-256\nhost all scrammed all scram-sha-256\n"
    rules.write_text(ours + rules.read_text())
    with psycopg.connect(postgres_server.uri, autocommit=True) as connection:
        connection.execute("CREATE ROLE scrammed LOGIN PASSWORD 'right'")
        connection.execute("SELECT pg_reload_conf()")
    return url


UNREACHABLE = {
    "wrong database": (f"postgresql://postgres:{CANARY}@/nowhere?host=SOCKET", 'database "nowhere" does not exist'),
    "no server": (f"postgresql://somebody:{CANARY}@127.0.0.1:1/runs", "Connection refused"),
    "no such socket": (f"postgresql://somebody:{CANARY}@/runs?host=/nowhere", "cannot be opened"),
    "no such host": (f"postgresql://somebody:{CANARY}@nowhere.invalid/runs", "cannot be opened"),
    "password as a parameter": (f"postgresql://127.0.0.1:1/runs?user=x&password={CANARY}", "Connection refused"),
    "wrong password": ("SCRAM", "password authentication failed"),
    "unknown option": (f"postgresql://u:{CANARY}@127.0.0.1:1/runs?sslmood=off", "sslmood"),
    "port is a word": (f"postgresql://u:{CANARY}@host:port/runs", "must be a database URL"),
    "@ in the password": (f"postgresql://u:one@{CANARY}@127.0.0.1:1/runs", "Write an @ in the password as %40"),
    "one slash": (f"postgresql:/u:{CANARY}@127.0.0.1:1/runs", "the slashes are missing"),
    "other database": (f"mysql://u:{CANARY}@127.0.0.1:1/runs", "must be sqlite:/// or postgresql://"),
    "no driver of that name": (f"postgresql+nodriver://u:{CANARY}@127.0.0.1:1/runs", "nodriver"),
}


WAYS = ("GREENTUNE_STORAGE", "GREENTUNE_STORAGE_FILE", "@file")


@pytest.mark.parametrize(
    ("case", "way"), [*((case, "option") for case in UNREACHABLE), *(("wrong password", way) for way in WAYS)]
)
def test_database_that_cannot_be_opened_is_told_without_its_password(
    case: str,
    way: str,
    postgres_server: Postgres,
    scram: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    text, sentence = UNREACHABLE[case]
    url = text.replace("SOCKET", postgres_server.uri.partition("host=")[2]).replace("SCRAM", scram)
    (tmp_path / "url").write_text(url)
    arguments = ["status"]
    if way in ("option", "@file"):
        arguments += ["--storage", url if way == "option" else f"@{tmp_path / 'url'}"]
    else:
        monkeypatch.setenv(way, url if way == "GREENTUNE_STORAGE" else str(tmp_path / "url"))
    said = complaint(arguments, monkeypatch, capsys)
    assert sentence in said
    with pytest.raises(StorageError) as caught:
        open_storage(url)
    whole = "".join(traceback.format_exception(caught.value))
    assert CANARY not in said + capsys.readouterr().out + caplog.text + whole


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{CANARY}@h/d",
        f"postgresql://h/d?user=u&password={CANARY}",
        f"postgresql://u:{CANARY}@h:port/d",
        f"postgresql://u:%40{CANARY}%2F@h/d",
        f"postgresql://u:one@{CANARY}@h/d",
        CANARY + "://",
    ],
)
def test_url_is_shown_without_its_password(url: str) -> None:
    assert CANARY not in redact(url)


def test_password_is_taken_out_of_a_text_however_it_is_written() -> None:
    url = "postgresql://u:p%40ss%20word@h/d?passfile=/x"
    assert passwords_of(url) == ["p@ss word", "/x"]
    assert without_passwords("p@ss word, p%40ss%20word, p%40ss+word", url) == "***, ***, ***"


def test_path_is_no_url(tmp_path: Path) -> None:
    assert storage_url(tmp_path / "postgres.db") == f"sqlite:///{tmp_path / 'postgres.db'}"
    assert storage_url("postgres.db") == f"sqlite:///{Path.cwd() / 'postgres.db'}"
    with pytest.raises(StorageError, match="slashes are missing"):
        storage_url(f"postgresql:u:{CANARY}@h/d")


def test_right_password_opens(scram: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENTUNE_OUTAGE_SECONDS", "0")
    with pytest.raises(StorageError, match="holds no studies"):
        open_storage(scram.replace(CANARY, "right"), create=False)
    assert "right" not in os.environ.get("GREENTUNE_STORAGE", "")

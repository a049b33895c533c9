"""Where the database is: from an option, the environment or a file; and how it is shown without its password."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from .mistakes import Mistake

STORAGE_VARIABLE = "GREENTUNE_STORAGE"
FILE_VARIABLE = "GREENTUNE_STORAGE_FILE"


class StorageError(Mistake):
    """The database cannot be opened, cannot be written, or holds something that is not ours."""


def find_storage(option: str | os.PathLike[str] | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """What names the database: the option, else ``GREENTUNE_STORAGE``, else the file in ``GREENTUNE_STORAGE_FILE``.

    An option or a variable ``@FILE`` names a file whose first line is the URL, so that a password stands in no
    argument list and in no environment.

    Returns:
        a URL or a path; None when nobody named one.

    Raises:
        StorageError: the file cannot be read or is empty.
    """
    named = os.fspath(option) if option is not None else environment.get(STORAGE_VARIABLE)
    if not named:
        file = environment.get(FILE_VARIABLE)
        named = f"@{file}" if file else None
    if named is None or not named.startswith("@"):
        return named
    path = Path(named[1:]).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise StorageError(f"The file with the database URL cannot be read: {path}: {reason}.") from None
    if not lines[0].strip():
        raise StorageError(f"The first line of {path} must be a database URL; it is empty.")
    return lines[0].strip()


def storage_url(storage: str | os.PathLike[str]) -> str:
    """Return the database URL of what a user wrote: a URL as it is, a path as ``sqlite:///path``.

    ``postgresql://`` is opened through psycopg 3.
    """
    text = os.fspath(storage)
    if "://" not in text:
        if text.startswith(("postgres", "sqlite:", "mysql")) and ":" in text:  # not shown: it may hold a password
            raise StorageError("A database URL must begin with postgresql:// or sqlite:///; the slashes are missing.")
        return f"sqlite:///{Path(text).expanduser().resolve()}"
    for plain in ("postgresql://", "postgres://"):
        if text.startswith(plain):
            return "postgresql+psycopg://" + text.removeprefix(plain)
    return text


def parse_url(url: str) -> URL:
    """Take a database URL apart.

    Raises:
        StorageError: it is none; the text is not shown, because it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise StorageError(
            "`storage` must be a database URL or the path of an SQLite file; got something that is neither. "
            "Use sqlite:///path/to/file.db or postgresql://user@host/database."
        ) from None
    if "@" in (parsed.host or ""):
        raise StorageError("A database URL has one @, before the host. Write an @ in the password as %40, a / as %2F.")
    return parsed


def redact(url: str) -> str:
    """Return the URL with its password replaced by ``***``, in the authority and in ``?password=``."""
    try:
        parsed = parse_url(url)
    except StorageError:
        return "(not a database URL)"
    hidden = {name: "***" if "pass" in name.lower() else value for name, value in parsed.query.items()}
    return parsed.set(query=hidden).render_as_string(hide_password=True)


def without_passwords(text: str, url: str) -> str:
    """The text, say of a database's error, with the URL's passwords replaced however they are written in it."""
    for secret in passwords_of(url):
        for written in {secret, quote(secret, safe=""), quote_plus(secret), unquote(secret)}:
            text = text.replace(written, "***")
    return text


def passwords_of(url: str) -> list[str]:
    """Every password in a database URL."""
    try:
        parsed = parse_url(url)
    except StorageError:
        return []
    found = [] if parsed.password is None else [str(parsed.password)]
    for name, value in parsed.query.items():
        if "pass" in name.lower():
            found += [value] if isinstance(value, str) else list(value)
    return [secret for secret in found if secret]

from __future__ import annotations

from pathlib import Path

import pytest

from greentune.storage.address import StorageError, find_storage, redact, without_passwords

URL = "postgresql://somebody:can%2Fary@host/db?password=se%20cret&sslmode=require"


def test_option_wins_over_variable_and_variable_over_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://from-file/db\n\nmore\n")
    environment = {"GREENTUNE_STORAGE": "from-variable.db", "GREENTUNE_STORAGE_FILE": str(tmp_path / "url")}
    assert find_storage("option.db", environment) == "option.db"
    assert find_storage(None, environment) == "from-variable.db"
    del environment["GREENTUNE_STORAGE"]
    assert find_storage(None, environment) == "postgresql://from-file/db"
    assert find_storage(None, {}) is None


def test_at_sign_names_a_file_in_option_and_variable(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("  postgresql://h/db  ")
    named = f"@{tmp_path / 'url'}"
    assert find_storage(named, {}) == find_storage(None, {"GREENTUNE_STORAGE": named}) == "postgresql://h/db"


def test_file_that_cannot_be_read_or_is_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        find_storage(f"@{tmp_path / 'none'}", {})
    (tmp_path / "empty").touch()
    with pytest.raises(StorageError, match="it is empty"):
        find_storage(f"@{tmp_path / 'empty'}", {})
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StorageError, match="not text"):
        find_storage(f"@{tmp_path / 'bytes'}", {})


def test_passwords_are_hidden_however_they_are_written() -> None:
    text = "tried can/ary and can%2Fary and se cret and se%20cret and se+cret"
    assert without_passwords(text, URL) == "tried *** and *** and *** and *** and ***"
    assert "can" not in redact(URL)
    assert "cret" not in redact(URL)
    assert "sslmode=require" in redact(URL)

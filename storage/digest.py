"""The fingerprint of a data set: the same bytes read in the same way have the same one, on any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .dataspec import DataError, DataSpec


def digest(files: Iterable[Path], fields: Mapping[str, Any]) -> str:
    """SHA-256 over the bytes of the files, in this order, and over the fields as canonical JSON.

    Returns:
        64 hexadecimal digits.

    Raises:
        DataError: a file cannot be read.
    """
    whole = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                # The digest of each file, not its bytes: where one file ends and the next begins counts too.
                whole.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise DataError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    whole.update(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())
    return whole.hexdigest()


def fields_that_matter(spec: DataSpec) -> dict[str, Any]:
    """What of the specification of a series changes the data set: not where it lies, whom one trusts, how to group."""
    exclude = {"path", "trust_scaler", "feature_groups"}
    if not spec.known_ahead_beyond:
        exclude.add("known_ahead_beyond")  # a setting that came later: data sets without it keep their fingerprint
    return spec.model_dump(mode="json", exclude=exclude)

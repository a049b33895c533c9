"""What a user got wrong, said all at once: rule, value, way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class Mistake(ValueError):
    """Something that the user can put right; the command line prints it and exits with 2.

    Every exception of greentune that speaks to a user derives from this one:

        Mistake
        ├── DataError        a series, arrays or a data specification
        ├── SplitError       folds that cannot be made of the data
        ├── StorageError     a database that cannot be opened or is not ours
        │   └── StorageUnavailable   one that did not answer for as long as an outage may last
        ├── ModelError       an unknown builder, a wrong parameter, a model that does not fit
        ├── SpecError        a study specification, or a study that differs from it
        ├── StudyError       a study that does not exist, or is somebody else's
        ├── OtherData        this host has other data than the study
        ├── TrainingError    settings of a training that break a rule
        ├── UnknownMetric    a metric that the training does not report
        ├── DeliveryError    a winner that could not be retrained or exported
        ├── ComparisonError  studies that cannot be compared
        └── BundleError      a bundle that cannot be written, or does not load back

    Args:
        mistakes: one sentence a mistake, each with its rule, the value found and the way out.
    """

    def __init__(self, mistakes: str | Iterable[str]) -> None:
        self.mistakes: list[str] = [mistakes] if isinstance(mistakes, str) else list(mistakes)
        super().__init__("\n".join(self.mistakes))


def nearest(name: str, valid: Sequence[str]) -> str:
    """The way out of a misspelt name: the nearest valid one, and the whole list when it is short.

    Returns:
        a sentence such as ``Did you mean 'median'? Valid: asha, median, none.``
    """
    close = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
    guess = f"Did you mean '{close[0]}'? " if close else ""
    if not valid:
        return "There are none."
    if len(valid) > 20:
        return guess.strip() or "Check the spelling."
    return f"{guess}Valid: {', '.join(sorted(valid))}."

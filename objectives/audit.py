"""The leak audit: what is proven of the data of a study before its first trial.

Nothing is taken from the code that cut the data: windows, borders and scalings are computed again from the arrays.

windows     inputs and targets are the rows of the series that they claim to be
rows        no target of validation or test stands in a training window
order       training, then validation, then test
gap         lookback + horizon − 1 steps between the targets of two parts
scaling     the scalers were fitted on training rows only
features    no feature knows the target better than a forecast could
lead        no ordinary feature runs ahead of the time at which it stands
duplicates  no stretch of rows stands in a part and in an earlier one, and none twice in one part

Ready arrays of others say neither times nor rows: there, as much is checked as their contents give away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from .audit_duplicates import duplicates
from .audit_features import features
from .audit_folds import summary
from .audit_rows import Evidence
from .audit_scaling import scaling, scaling_of_fold
from .audit_windows import cutting
from .finding import Finding, Verdict

if TYPE_CHECKING:
    from ..storage.dataset import Dataset


@dataclass(frozen=True)
class Audit:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The proven ones."""
        return self._with("leak")

    @property
    def suspicions(self) -> tuple[Finding, ...]:
        """Those that warn."""
        return self._with("suspicion")

    def lines(self) -> list[str]:
        """A head and a line for each check, for a terminal."""
        counts = [(len(self._with(verdict)), verdict) for verdict in reversed(get_args(Verdict))]
        spoken = {"leak": "proven leak", "passed": "passed", "unknown": "not checkable"}
        said = [f"{number} {_plural(spoken.get(verdict, verdict), number)}" for number, verdict in counts if number]
        head = f"Leak audit, {len(self.findings)} checks: {', '.join(said)}."
        return [head, *(f"  {found.verdict:<9}  {found.check:<10}  {found.sentence}" for found in self.findings)]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they are kept with the study."""
        return {"findings": [vars(found).copy() for found in self.findings]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Audit:
        """The way back from `to_json`."""
        return cls(tuple(Finding(**found) for found in content["findings"]))

    def _with(self, verdict: Verdict) -> tuple[Finding, ...]:
        return tuple(found for found in self.findings if found.verdict == verdict)


def audit(dataset: Dataset, folds: Sequence[Dataset] = ()) -> Audit:
    """Look for leaks; a second or two for 100,000 rows.

    Args:
        dataset: with its training, validation and test part.
        folds: of a cross-validation, each a data set of its own whose training and validation part are the fold's;
            the one of a holdout is the data set itself, and adds nothing.

    Returns:
        a finding a check. Features are a matter of the series and are checked once; all else is checked for the data
        set and for every fold, and the worst is told.
    """
    evidence = Evidence(dataset)
    cuts = [Evidence(fold) for fold in folds if fold is not dataset]
    whole = [*cutting(evidence), scaling(evidence)]
    by_fold = [[*cutting(cut), scaling_of_fold(cut, whole[-1])] for cut in cuts]
    judged = [summary(found, [fold[place] for fold in by_fold], cuts) for place, found in enumerate(whole)]
    copied, copied_in_folds = duplicates(evidence, cuts)
    return Audit((*judged, *features(evidence), summary(copied, copied_in_folds, cuts)))


def _plural(noun: str, number: int) -> str:
    return noun if number == 1 or noun in ("passed", "not checkable") else f"{noun}s"

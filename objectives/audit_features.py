"""Features that know too much: of the target time, or of any other time that is still to come.

Two questions are put to every feature, on training rows. Is it made of the target's future? The feature is fitted
on the target around the origin; if the past leaves an error and the future leaves none, that proves it, whatever it is:
a copy, a shifted column, a mean that reaches ahead. And does it tell more than could be known? It is added to the
target's own past and to the clock, and the share of their error that it takes away is measured at each lead.

A column may know the future for a time only. So each eighth of all windows is searched for one that runs along with a
later target, and there the first question is asked once more; not where each day or week is like the one before.

What repeats itself by the clock (hour, weekday, the height of the sun) was known before and is not judged.

Measured at the target time, 1, 3 and 24 hours ahead, for a farm (La Haute Borne) and the solar power of a country:

                                    share            linear or rank relation
    nacelle wind of the farm     0.90 0.96 0.97      0.99   0.99   0.99         a leak
    ERA5 wind of the farm        0.14 0.42 0.72      0.87   0.86   0.86         as good as a forecast
    radiation of the country     0.06  –   0.37      0.90    –     0.90         as good as a forecast
    ordinary columns, the best   0.07 0.10 0.09      at any lead
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .audit_relations import REACH, Relations, correlation, days_of, relations_of, standard
from .audit_rows import Evidence, counted
from .finding import Finding, Verdict

TOO_CLOSE = 0.98
"""Linear or rank relation with the target; suspicious in a feature known ahead that also takes away `TOO_MUCH`."""
TOO_MUCH = 0.5
"""Share of the error of the target's own past; suspicious by itself in an ordinary feature."""
COPY = 0.9999
"""Linear or rank relation that nothing but a copy has."""
_LEFT = 1 - COPY  # share of a variance
_DETERMINED = 1e-6  # share of a variance; where the past leaves less, nothing can be told from the future
_FOR_PROOF = 0.01  # of what the past leaves, the future may leave no more
_BLOCKS = 8  # of time
_NARROW = (50,)  # in a block rows are fewer, and a shorter past would be blamed for what it does not hold
_LIKE_BEFORE = 0.97  # relation with the day before; real solar power has 0.9
_SAMPLED = 4000
_RULE = "A feature must be known when the forecast is made"
_WAY_OUT = "A weather forecast is known, a measurement of that time is not: take it out, or correct its times."


@dataclass(frozen=True)
class _Accused:
    verdict: Verdict
    what: str


def features(evidence: Evidence) -> list[Finding]:
    """The findings features and lead. Arrays of others name no feature, so all are judged as if known ahead."""
    held = None if evidence.origins else _held(evidence)
    relations = relations_of(evidence) if held is None else None
    if held is not None:
        return [Finding("features", "leak", held), _unknown("lead", evidence)]
    if relations is None:
        return [_unknown("features", evidence), _unknown("lead", evidence)]
    judged = relations.judged
    copies = _copies(relations) & judged
    ahead = evidence.ahead | (not evidence.origins)
    accused = {int(place): _judge(evidence, relations, int(place), copies[place]) for place in np.flatnonzero(judged)}
    for_a_time = _for_a_time(evidence) if evidence.origins else {}
    accused |= {place: one for place, one in for_a_time.items() if accused.get(place) is None}
    together = None if copies.any() else _together(evidence, relations)
    found = _finding("features", [one for place, one in accused.items() if ahead[place]], together)
    if found is None:
        found = Finding("features", "passed", _praise(evidence, relations, np.flatnonzero(judged & ahead)))
    if not evidence.origins:
        return [found, _unknown("lead", evidence)]
    return [
        found,
        _finding("lead", [one for place, one in accused.items() if not ahead[place]], None)
        or Finding("lead", "passed", _all_in_time(int((judged & ~ahead).sum()))),
    ]


def _copies(relations: Relations) -> np.ndarray:
    """(n_features,) bool: made of the target's future, which is proven where it leaves no error and the past does."""
    past, around = relations.left
    return np.asarray((around <= _LEFT) & (past > _DETERMINED) & (around <= _FOR_PROOF * past))


def _judge(evidence: Evidence, relations: Relations, place: int, copy: bool) -> _Accused | None:
    name, leads = f"'{evidence.dataset.feature_names[place]}'", relations.leads
    if copy:
        return _Accused("leak", _made(evidence, relations, place))
    shares = relations.shares[place]
    lead = int(leads[shares.argmax()])
    if shares.max() < TOO_MUCH:
        return None
    relation = relations.closest(place, lead)
    known_ahead = bool(evidence.ahead[place]) or not evidence.origins
    if known_ahead and relation < TOO_CLOSE:
        return None  # a good weather forecast takes away much of the error where the own past says little
    what = (
        f"{name} takes away {shares.max():.0%} of the error that the target's own past leaves {counted(lead, 'step')} "
        f"ahead (relation {relation:.3f}, where 1 is a copy)"
    )
    return _Accused("leak" if relation >= COPY else "suspicion", what)


def _made(evidence: Evidence, relations: Relations, place: int) -> str:
    """What a feature is that is made of the target's future."""
    name = f"'{evidence.dataset.feature_names[place]}'"
    closest = max(relations.leads, key=lambda lead: relations.linear(place, lead))
    if relations.linear(place, closest) >= COPY:
        return f"{name} is the target {counted(closest, 'step')} after the origin"
    return f"{name} is computed from the target after the origin, without any error"


def _for_a_time(evidence: Evidence) -> dict[int, _Accused]:
    """Features that are the target of a later time in one block of all windows, or in more, but not in all."""
    found: dict[int, _Accused] = {}
    times, n = evidence.dataset.times, len(evidence.matrix)
    every = np.sort(np.concatenate(list(evidence.origins.values())))
    for origins in np.array_split(every[(every >= 0) & (every < n)], _BLOCKS):
        relations = relations_of(evidence, origins, _NARROW) if _follows(evidence, origins) else None
        if relations is None:
            continue
        since, until = (f"row {row:,}" if times is None else _time(times[row]) for row in origins[[0, -1]])
        for place in np.flatnonzero(_copies(relations) & relations.judged):
            what = f"{_made(evidence, relations, int(place))}, from {since} to {until} at least"
            found.setdefault(int(place), _Accused("leak", what))
    return found


def _follows(evidence: Evidence, origins: np.ndarray) -> bool:
    """Whether a feature is a straight line of a later target in these windows; a look that costs little."""
    target, leads = evidence.dataset.target, np.arange(1, evidence.reach + REACH + 1)
    assert target is not None
    inside = origins[origins < len(target) - leads[-1]]
    later = target[inside[:, None] + leads]
    known = ~np.isnan(later).any(axis=1)
    if known.sum() < len(leads) or _repeats_itself(target, inside, days_of(evidence)):
        return False
    later, now = standard(later[known]), standard(evidence.matrix[inside[known]].astype(np.float64))
    # Not a product of matrices: for that, a library asks for all cores, and waits for them.
    return bool((np.abs(np.einsum("nf,nk->fk", now, later)) >= COPY * known.sum()).any())


def _repeats_itself(target: np.ndarray, origins: np.ndarray, days: Sequence[int]) -> bool:
    """Whether the day or the week before nearly is the target: there, what was known then is like a look ahead."""
    for lag in days:
        now, before = target[origins[origins >= lag]], target[origins[origins >= lag] - lag]
        known = ~(np.isnan(now) | np.isnan(before))
        if lag and known.any() and correlation(now[known], before[known]) >= _LIKE_BEFORE:
            return True
    return False


def _together(evidence: Evidence, relations: Relations) -> _Accused | None:
    """Features that give the target only when they are added up: a total, and all the rest of it."""
    if not relations.ample:
        return None
    left, (shares, weights) = relations.surprise, relations.together
    after = left * (1 - shares)
    proven = (after <= _LEFT) & (left > _DETERMINED) & (after <= _FOR_PROOF * left)
    proven &= relations.leads <= evidence.reach
    if not proven.any():
        return None
    last = np.flatnonzero(proven)[-1]
    lead, weight = int(relations.leads[last]), np.abs(weights[:, last])
    heaviest = [int(place) for place in np.argsort(-weight)[:3] if weight[place] > 0.01]
    names = [f"'{evidence.dataset.feature_names[place]}'" for place in heaviest]
    return _Accused(
        "leak", f"{', '.join(names)} together give the target {counted(lead, 'step')} after the origin exactly"
    )


def _held(evidence: Evidence) -> str | None:
    """Where a window holds its own y: every feature and step against every output."""
    windows, y = evidence.dataset.train.windows, evidence.dataset.train.y
    picked = np.unique(np.linspace(0, len(windows) - 1, min(_SAMPLED, len(windows))).astype(np.int64))
    if len(picked) < 20:
        return None
    held, told = windows.take(picked).astype(np.float64), y[picked].astype(np.float64)
    held, told = held - held.mean(axis=0), told - told.mean(axis=0)
    sizes = np.sqrt(np.einsum("nsf,nsf->sf", held, held)[:, :, None] * (told**2).sum(axis=0))
    relation = np.abs(np.einsum("nsf,no->sfo", held, told, optimize=True)) / np.where(sizes > 0, sizes, np.inf)
    step, place, output = np.unravel_index(relation.argmax(), relation.shape)
    left = (1 - relation[step, place, output] ** 2) * (told[:, output] ** 2).mean()
    moves = np.diff(y[:, output].astype(np.float64)).var()
    # The second condition is for smooth series, whose last value nearly is the next one.
    if relation[step, place, output] < 1 - 1e-8 or left > _FOR_PROOF**2 * moves:
        return None
    return (
        f"A window must not hold what is to be forecast; y is '{evidence.dataset.feature_names[place]}' in step "
        f"{step + 1} of the {held.shape[1]} of its own window. Cut the windows again; `tune prepare` does it."
    )


def _finding(check: str, accused: Sequence[_Accused | None], together: _Accused | None) -> Finding | None:
    """The worst of what was found; None for nothing."""
    found = [one for one in (*accused, together) if one is not None]
    for verdict in ("leak", "suspicion"):
        said = [one.what for one in found if one.verdict == verdict]
        if said:
            return Finding(
                check,
                verdict,
                f"{_RULE}; {'; '.join(said[:3])}{f'; and {len(said) - 3} more' if len(said) > 3 else ''}. {_WAY_OUT}",
            )
    return None


def _time(time: np.datetime64) -> str:
    return f"{np.datetime_as_string(time, unit='m')} UTC"


def _all_in_time(n_ordinary: int) -> str:
    if not n_ordinary:
        return "There is no ordinary feature to judge."
    return f"None of {counted(n_ordinary, 'ordinary feature')} runs ahead of its own time."


def _praise(evidence: Evidence, relations: Relations, ahead: np.ndarray) -> str:
    if not len(ahead):
        return "No column enters with its value at the target time."
    lead = evidence.horizon
    relation = {int(place): relations.closest(int(place), lead) for place in ahead}
    closest = max(relation, key=lambda place: relation[place])
    kind = "known ahead" if evidence.origins else "in the newest step"
    return (
        f"No copy of the target, and none too close to it, among {counted(len(ahead), 'feature')} {kind}; the closest "
        f"is '{evidence.dataset.feature_names[closest]}', relation {relation[closest]:.2f}, where 1 is a copy."
    )


def _unknown(check: str, evidence: Evidence) -> Finding:
    if check == "lead" and not evidence.origins:
        return Finding(check, "unknown", "Arrays do not say which features are of their own time: see features.")
    return Finding(check, "unknown", "Too few training windows stand in a row to tell what the features know.")

"""How the features of a window's last step relate to the target around it, on training rows.

            own past         |  leads
      p−3  p−2  p−1  p       |  p+1  p+2  …  p+h  …          p is the origin; "the past" is the own past and the clock
target ▲    ▲    ▲   ▲       |   ▲    ▲       ▲
feature              x       |

All of it follows from the covariances of clock, own past, leads and features: a few products of matrices over a sample
of rows, and no fit of its own for a feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .audit_rows import Evidence

Values = NDArray[np.float64]

_WIDTHS = (200, 50, 12, 3)  # steps of the own past, and of the leads beyond the target; fewer where rows are few
REACH = 24
"""Leads beyond the target's at which a feature may be accused."""
_ROWS = 4000
_ROWS_PER_COLUMN = 10
_BINS = 40
_FEWEST_IN_BIN = 50
_CHANCE = 0.1  # surprises at a lead resemble each other for as many steps: so much of them chance may explain
_REGULAR = 1e-3  # of a variance
_USUAL_DAYS = (24, 48, 96, 144, 288)  # steps, where the step is not known
_DETERMINED = 1e-6  # of a variance: less than this is as good as nothing
_RIDGE = 1e-10  # of a variance: neighbouring steps of a smooth series are nearly the same column
_OFTEN = 0.05


@dataclass(frozen=True, eq=False)
class Relations:
    """A sample of training windows; all columns with mean 0 and deviation 1, or 0 where they are constant.

    Attributes:
        past: (n, q) float64, the clock and the own past.
        leads: (k,) int64, steps from the origin, rising; the target's own lead among them.
        target: (n, k) float64, at these leads.
        features: (n, n_features) float64, of the last step.
        judged: (n_features,) bool: neither constant, nor the own past, nor known from the clock.
        n_near: leads, the first of all, at which a feature may be accused.
        n_bins: of a curve, so many that chance explains little.
    """

    past: Values
    leads: NDArray[np.int64]
    target: Values
    features: Values
    judged: NDArray[np.bool_]
    n_near: int
    n_bins: int

    @property
    def surprise(self) -> Values:
        """(k,) share of the target's variance at each lead that the past leaves."""
        return np.diag(self._beyond_past)[: len(self.leads)]

    @cached_property
    def left(self) -> tuple[Values, Values]:
        """Shares of each feature's variance that the past leaves, and that past and leads leave: (n_features,)."""
        n_leads = len(self.leads)
        both = _eliminated(self._beyond_past, n_leads)
        return np.diag(self._beyond_past)[n_leads:], np.diag(both)[n_leads:]

    @cached_property
    def shares(self) -> Values:
        """(n_features, n_near) share of the surprise that a free curve of a judged feature takes away."""
        n_past, n_known = self.past.shape[1], self.past.shape[1] + self.n_near
        known, shares = np.hstack([self.past, self.target[:, : self.n_near]]), np.zeros((len(self.judged), self.n_near))
        judged = np.flatnonzero(self.judged)
        linear = self._covariances[-len(self.judged) :, :n_known]
        curves = [_curve(self.features[:, place], known, linear[place], self.n_bins) for place in judged]
        rows = [self._covariances[:n_known, :n_known], *(toward for _, toward in curves)]
        eliminated, start = _eliminated(np.vstack(rows), n_past), n_known
        pivots = np.sqrt(np.diag(eliminated)[:n_past])
        for place, (among, toward) in zip(judged, curves, strict=True):
            own = eliminated[start : start + len(toward)]
            said = own[:, :n_past] / pivots
            shares[place] = self._explained(among - said @ said.T, own[:, n_past:])
            start += len(toward)
        return shares

    @property
    def ample(self) -> bool:
        """Whether there are rows enough for a fit with all features at once."""
        return bool(len(self.past) >= _ROWS_PER_COLUMN * (self.past.shape[1] + self.judged.sum()))

    @cached_property
    def together(self) -> tuple[Values, Values]:
        """All judged features, linearly: their share at each lead (k,), and the weight of each (n_features, k)."""
        n_leads, weights = len(self.leads), np.zeros((len(self.judged), len(self.leads)))
        rest = self._beyond_past[n_leads:][self.judged]
        among, news = rest[:, n_leads:][:, self.judged], rest[:, :n_leads]
        weights[self.judged] = _fitted(among, news)
        return self._explained(among, news), weights

    def linear(self, feature: int, lead: int) -> float:
        """The linear relation with the target at one of the leads, without sign."""
        return float(abs((self.features[:, feature] * self._at(lead)).mean()))

    def closest(self, feature: int, lead: int) -> float:
        """The closer of linear and rank relation with the target at one of the leads, without sign.

        Rows at the most frequent value of the target (nights, calms) do not count where they are many.
        """
        y = self._at(lead)
        values, counts = np.unique(y, return_counts=True)
        active = y != values[counts.argmax()] if counts.max() > _OFTEN * len(y) else np.ones(len(y), dtype=bool)
        x, y = self.features[active, feature], y[active]
        if not active.any():
            return 0.0
        return max(correlation(x, y), correlation(_ranks(x), _ranks(y)))

    @cached_property
    def _covariances(self) -> Values:
        """Of the past, the leads, the features, in this order."""
        columns = np.hstack([self.past, self.target, self.features])
        return np.asarray(columns.T @ columns) / len(columns)

    @cached_property
    def _beyond_past(self) -> Values:
        """Covariances of the leads and the features, of what the past does not say of them."""
        n_past = self.past.shape[1]
        return _eliminated(self._covariances, n_past)[n_past:, n_past:]

    def _explained(self, among: Values, news: Values) -> Values:
        """(k,) share of the surprise that columns with these covariances (less what the past says of them) explain."""
        news, surprise = np.where(np.diag(among)[:, None] > _DETERMINED, news, 0), self.surprise[: news.shape[1]]
        explained, whole = (news * _fitted(among, news)).sum(axis=0), surprise > _DETERMINED
        return np.where(whole, np.clip(explained / np.where(whole, surprise, 1), 0, 1), 0)

    def _at(self, lead: int) -> Values:
        return self.target[:, int(np.searchsorted(self.leads, lead))]


@dataclass(frozen=True, eq=False)
class _Stage:
    """Training windows before a sample is drawn.

    Attributes:
        table: (m, n_features) rows that the windows hold.
        run: (m,) int64, rows with the same number follow each other.
        last: (n,) int64, row of the table in which each window ends.
        target: (m or m + 1,) float64 by the same rows, NaN where it is missing or not of the training.
        days: steps after which a clock shows the same.
    """

    table: np.ndarray
    run: np.ndarray
    last: np.ndarray
    target: Values
    days: tuple[int, ...]


def relations_of(
    evidence: Evidence, origins: np.ndarray | None = None, widths: Sequence[int] = _WIDTHS
) -> Relations | None:
    """The relations of a data set; None where its windows are too few, or do not follow each other.

    Args:
        evidence: of the data set.
        origins: of the windows that are looked at, where origins are known; None: the training windows.
        widths: steps of the own past, and of the leads beyond the target: the first for which rows are enough.
    """
    if origins is None:
        origins = evidence.origins.get("train")
    stage = _chain_stage(evidence) if origins is None else _series_stage(evidence, origins)
    if stage is None:
        return None
    horizon, clock, n_features = evidence.horizon, _clock(evidence), stage.table.shape[1]
    for width in widths:
        leads = np.unique(np.r_[1 : width + 1, max(horizon - width, 0) + 1 : evidence.reach + width + 1])
        chosen = _complete(stage.target, stage.last, width, int(leads[-1]))
        needed = _ROWS_PER_COLUMN * (width + len(leads) + (0 if clock is None else clock.shape[1]))
        if len(chosen) < needed:
            continue
        n_rows = max(needed, min(_ROWS, _ROWS * 50 // n_features))
        rows = stage.last[chosen[np.unique(np.linspace(0, len(chosen) - 1, n_rows).astype(np.int64))]]
        known = [stage.target[rows[:, None] - np.arange(width)], *([] if clock is None else [clock[rows]])]
        features = standard(stage.table[rows].astype(np.float64))
        others = ~evidence.calendar & (np.arange(n_features) != (-1 if evidence.own is None else evidence.own))
        near = int((leads <= evidence.reach + REACH).sum())
        return Relations(
            past=standard(np.hstack(known)),
            leads=leads,
            target=standard(stage.target[rows[:, None] + leads]),
            features=features,
            judged=features.any(axis=0) & others & ~_regular(stage, rows),
            n_near=near,
            n_bins=max(2, min(_BINS, len(rows) // _FEWEST_IN_BIN, int(_CHANCE * len(chosen) / leads[near - 1]))),
        )
    return None


def _series_stage(evidence: Evidence, origins: np.ndarray) -> _Stage:
    """Of a series, or of arrays that know theirs."""
    dataset = evidence.dataset
    assert dataset.target is not None
    training = dataset.target.astype(np.float64)
    training[origins.max() + evidence.horizon + 1 :] = np.nan
    inside = (origins >= 0) & (origins < len(training))
    return _Stage(evidence.matrix, np.zeros(len(training), np.int64), origins[inside], training, days_of(evidence))


def days_of(evidence: Evidence) -> tuple[int, ...]:
    """Steps of a day and of a week; 0 where the step is not known."""
    step_seconds = evidence.dataset.step_seconds
    day = 0 if step_seconds is None else round(86400 / step_seconds)
    return day, 7 * day


def _chain_stage(evidence: Evidence) -> _Stage | None:
    """Of arrays of others: y as the row after the window, which is the earliest that it can be."""
    rows = evidence.chains.get("train")
    if rows is None:
        return None
    target = np.full(len(rows) + 1, np.nan)
    target[rows.last + 1] = evidence.dataset.train.y[:, 0]
    return _Stage(rows.values, rows.run, rows.last, target, _USUAL_DAYS)


def _regular(stage: _Stage, rows: np.ndarray) -> NDArray[np.bool_]:
    """(n_features,) bool: repeats itself after a day or a week, and ten times better than the target does.

    Hour, weekday, the height of the sun: what was known long before can tell much of the target and leaks nothing.
    """
    regular = np.zeros(stage.table.shape[1], dtype=bool)
    for lag in stage.days:
        later = rows[rows >= lag] if lag else rows[:0]
        later = later[stage.run[later] == stage.run[later - lag]]
        now, before = (np.column_stack([stage.table[at], stage.target[at]]) for at in (later, later - lag))
        whole = ~np.isnan(before).any(axis=1) & ~np.isnan(now).any(axis=1)
        if whole.sum() < _FEWEST_IN_BIN:
            continue
        same = (standard(now[whole].astype(np.float64)) * standard(before[whole].astype(np.float64))).mean(axis=0)
        new = 1 - same**2
        regular |= (new[:-1] <= _REGULAR) & (10 * new[:-1] <= new[-1])
    return regular


def _complete(target: Values, positions: np.ndarray, n_past: int, n_future: int) -> np.ndarray:
    """Which positions have the target at all steps of past and future."""
    missing = np.concatenate([[0], np.cumsum(np.isnan(target))])
    start, stop = positions - n_past + 1, positions + n_future + 1
    inside = np.flatnonzero((start >= 0) & (stop <= len(target)))
    return np.asarray(inside[missing[stop[inside]] == missing[start[inside]]])


def _clock(evidence: Evidence) -> Values | None:
    """(n_rows, 6): hour of the day with its double, and day of the year; what needs no feature to be known."""
    times = evidence.dataset.times
    if times is None or not evidence.origins:
        return None
    day = (times - times.astype("datetime64[D]")) / np.timedelta64(86400, "s")
    year = (times - times[0]) / np.timedelta64(86400, "s") / 365.2425
    angles = 2 * np.pi * np.column_stack([day, 2 * day, year])
    return np.hstack([np.sin(angles), np.cos(angles)])


def standard(columns: Values) -> Values:
    """(n, k) with mean 0 and deviation 1; 0 where a column is constant but for rounding."""
    deviation = columns.std(axis=0)
    varying = deviation > _DETERMINED * np.abs(columns).max(axis=0)
    return np.asarray(np.where(varying, (columns - columns.mean(axis=0)) / np.where(varying, deviation, 1), 0))


def _curve(x: Values, known: Values, linear: Values, n_bins: int) -> tuple[Values, Values]:
    """A feature as a number and as membership of its bins, so that any curve can be fitted.

    Args:
        x: (n,) with mean 0.
        known: (n, m) with mean 0.
        linear: (m,) covariances of the two.
        n_bins: at most.

    Returns:
        covariances among these columns (b, b), and with the known ones (b, m).
    """
    number = np.searchsorted(np.unique(np.quantile(x, np.arange(1, n_bins) / n_bins)), x)
    sizes = np.bincount(number)
    filled = np.flatnonzero(sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])[filled]
    sums = np.add.reduceat(known[np.argsort(number, kind="stable")], starts, axis=0)[1:] / len(x)
    share = sizes[filled][1:] / len(x)
    own = np.bincount(number, x)[filled][1:, None] / len(x)
    among = np.block([[np.array([[(x**2).mean()]]), own.T], [own, np.diag(share) - np.outer(share, share)]])
    return among, np.vstack([linear, sums])


def _eliminated(covariances: Values, n: int) -> Values:
    """Gauss's elimination of the first n columns; what is right of and below them is what they do not say of the rest.

    Written out, because a library's solver asks for all cores, and waits for them where they are busy with something
    else: tens of times longer than this takes.

    Args:
        covariances: (m, k), m ≥ k ≥ n; the first k rows those of the k columns among each other.
    """
    rest = covariances.copy()
    rest[np.arange(n), np.arange(n)] += _RIDGE
    for pivot in range(n):
        below = rest[pivot + 1 :]
        below[:, pivot + 1 :] -= below[:, pivot, None] * (rest[pivot, pivot + 1 :] / rest[pivot, pivot])
    return rest


def _fitted(among: Values, toward: Values) -> Values:
    """Weights of columns with these covariances in the forecast of others: (b, k)."""
    return np.asarray(np.linalg.solve(among + _RIDGE * np.eye(len(among)), toward), dtype=np.float64)


def correlation(x: Values, y: Values) -> float:
    """Linear, without sign; 0 where one of the two is constant."""
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x**2).sum() * (y**2).sum())
    return float(abs((x * y).sum()) / norm) if norm > 0 else 0.0


def _ranks(x: Values) -> Values:
    """Average ranks, from 0."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[inverse])

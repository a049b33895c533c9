from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from greentune.storage.dataspec import DataError
from greentune.storage.scaling import Kind, LinearScaler

ROWS = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 4)),
    elements=st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))),
)
KINDS = st.sampled_from(["minmax", "standard"])


def fitted(kind: Kind, rows: np.ndarray) -> LinearScaler:
    return LinearScaler.fit(kind, [f"x{column}" for column in range(rows.shape[1])], rows)


@given(kind=KINDS, rows=ROWS)
def test_inverse_undoes_transform(kind: Kind, rows: np.ndarray) -> None:
    scaler = fitted(kind, rows)
    np.testing.assert_allclose(scaler.inverse(scaler.transform(rows)), rows, rtol=1e-9, atol=1e-6)


@given(kind=KINDS, rows=ROWS)
def test_json_round_trip_is_exact(kind: Kind, rows: np.ndarray) -> None:
    scaler = fitted(kind, rows)
    back = LinearScaler.from_json(json.loads(json.dumps(scaler.to_json())))
    assert (back.kind, back.names) == (scaler.kind, scaler.names)
    np.testing.assert_array_equal(back.offset, scaler.offset)
    np.testing.assert_array_equal(back.scale, scaler.scale)


@pytest.mark.parametrize(("kind", "theirs"), [("minmax", MinMaxScaler()), ("standard", StandardScaler())])
def test_agrees_with_scikit_learn_both_ways(kind: Kind, theirs: MinMaxScaler | StandardScaler) -> None:
    rows = np.random.default_rng(3).normal(size=(40, 3)) * [1, 10, 100] + [0, 5, -300]
    expected = theirs.fit_transform(rows)
    ours = fitted(kind, rows)
    np.testing.assert_allclose(ours.transform(rows), expected, atol=1e-12)
    np.testing.assert_allclose(ours.to_sklearn().transform(rows), expected, atol=1e-12)
    np.testing.assert_allclose(ours.to_sklearn().inverse_transform(expected), rows, atol=1e-9)
    np.testing.assert_allclose(LinearScaler.from_sklearn(theirs, "file").transform(rows), expected, atol=1e-12)


def test_scikit_learn_range_other_than_one_is_kept() -> None:
    rows = np.array([[2.0], [6.0]])
    scaler = LinearScaler.from_sklearn(MinMaxScaler((-1, 1)).fit(rows), "file")
    np.testing.assert_allclose(scaler.transform(rows), [[-1], [1]])


@pytest.mark.parametrize("kind", ["minmax", "standard"])
def test_constant_column_is_only_shifted(kind: Kind) -> None:
    scaler = fitted(kind, np.full((7, 1), 0.1))
    np.testing.assert_allclose(scaler.transform(np.array([[0.1], [0.6]])), [[0], [0.5]], atol=1e-12)


def test_fixed_columns_stay_as_they_are() -> None:
    rows = np.array([[1.0, 5.0], [3.0, 9.0]])
    scaled = LinearScaler.fit("minmax", ["a", "b"], rows, fixed=["b"]).transform(rows)
    np.testing.assert_array_equal(scaled, [[0, 5], [1, 9]])


def test_one_column_serves_many_outputs() -> None:
    scaler = LinearScaler.fit("minmax", ["y"], np.array([[0.0], [10.0]]))
    np.testing.assert_allclose(scaler.inverse(np.array([[0.1, 0.5, 1.0]])), [[1, 5, 10]])


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "robust"},
        {"scale": [0.0]},
        {"scale": [float("nan")]},
        {"offset": [1.0, 2.0]},
        {"offset": ["much"]},
        {"names": None},
    ],
)
def test_damaged_json_is_refused(change: dict[str, object]) -> None:
    content = {"kind": "minmax", "names": ["y"], "offset": [0.0], "scale": [1.0]}
    with pytest.raises(DataError):
        LinearScaler.from_json({**content, **change})


@pytest.mark.parametrize("other", [StandardScaler(), StandardScaler(with_std=False).fit([[1.0], [2.0]]), "text"])
def test_what_is_no_fitted_linear_scaler_is_refused(other: object) -> None:
    with pytest.raises(DataError, match="MinMaxScaler or StandardScaler"):
        LinearScaler.from_sklearn(other, "file")


def test_robust_scaler_is_refused() -> None:
    with pytest.raises(DataError, match="RobustScaler"):
        LinearScaler.from_sklearn(RobustScaler().fit([[1.0], [2.0]]), "file")

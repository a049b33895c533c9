from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greentune.storage.datasets import Dataset, fingerprint, load_dataset
from greentune.storage.dataspec import DataSpec, sample_spec
from greentune.storage.digest import digest
from greentune.storage.parts import PART_NAMES
from greentune.storage.variants import variant

from .tiny_series import tiny_csv, tiny_frame, tiny_spec, write_csv


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset(sample_spec())


def test_sample_is_the_documented_series(sample: Dataset) -> None:
    assert (sample.counts["rows"], sample.counts["target_missing"]) == (17519, 236)
    assert [len(sample.part(name).windows) for name in PART_NAMES] == [11516, 2541, 2577]
    assert sample.train.windows.shape[1:] == (24, 13)
    assert (sample.unit, sample.capacity, sample.steps_ahead, sample.step_seconds) == ("MW", 8.2, (3,), 3600.0)


def test_persistence_on_the_sample_is_the_documented_one(sample: Dataset) -> None:
    assert sample.target is not None
    last = sample.target[sample.test.origins][:, None]
    rmse = float(np.sqrt(np.mean((sample.observed(sample.test) - last) ** 2)))
    # The data's README says 1.034 for the last 15 % of the rows; here the first day of the part only serves as input.
    assert rmse == pytest.approx(1.034, abs=0.006)


def test_sample_carries_its_attribution(sample: Dataset) -> None:
    assert "Etalab Open Licence 2.0" in str(sample.describe()["attribution"])


def test_description_goes_into_json(sample: Dataset) -> None:
    assert json.loads(json.dumps(sample.describe()))["parts"]["test"]["last_target"].startswith("2015-12-31T23")


def test_windows_hold_the_scaled_past_and_the_known_future(tmp_path: Path) -> None:
    frame = tiny_frame()
    dataset = load_dataset(tiny_spec(tiny_csv(tmp_path), known_ahead=("wind",), circular=("direction",), calendar=()))
    assert dataset.feature_names == ("power", "wind@+2", "direction_sin", "direction_cos")
    assert dataset.x_scaler is not None
    part = dataset.val
    assert part.origins is not None
    window, origin = part.windows.take([1])[0], int(part.origins[1])
    past = slice(origin - 5, origin + 1)
    expected = np.column_stack(
        [
            frame["power"][past],
            frame["wind"][origin - 3 : origin + 3],
            np.sin(np.deg2rad(frame["direction"][past])),
            np.cos(np.deg2rad(frame["direction"][past])),
        ]
    )
    np.testing.assert_allclose(window, dataset.x_scaler.transform(expected), atol=1e-6)


def test_known_ahead_columns_may_reach_beyond_the_target(tmp_path: Path) -> None:
    frame, fields = tiny_frame(), {"known_ahead": ("wind", "direction"), "circular": ("direction",)}
    near = load_dataset(tiny_spec(tiny_csv(tmp_path), **fields))
    far = load_dataset(tiny_spec(tmp_path / "series.csv", known_ahead_beyond=1, **fields))
    clock = ("hour_sin@+2", "hour_cos@+2", "day_of_year_sin@+2", "day_of_year_cos@+2")
    assert near.feature_names == ("power", "wind@+2", "direction_sin@+2", "direction_cos@+2", *clock)
    assert far.feature_names == (
        *("power", "wind@+2", "wind@+3", "direction_sin@+2", "direction_cos@+2", "direction_sin@+3"),
        *("direction_cos@+3", *clock),
    )
    for name in ("train", "val", "test"):
        part, same = far.part(name), near.part(name)
        assert part.origins is not None
        assert same.origins is not None
        # After the last target of the series no weather is known: one window less, and not because of a gap.
        np.testing.assert_array_equal(part.origins, same.origins[: len(part.origins)])
        assert len(same.origins) - len(part.origins) == (1 if name == "test" else 0)
        windows, origin = part.windows.array(), int(part.origins[0])
        known = [far.feature_names.index(feature) for feature in near.feature_names]
        np.testing.assert_array_equal(windows[..., known], same.windows.array()[: len(windows)])
        assert far.x_scaler is not None
        expected = far.x_scaler.transform(np.tile(frame["wind"].to_numpy()[:, None], far.n_features))[:, 2]
        np.testing.assert_allclose(windows[0, :, 2], expected[origin - 2 : origin + 4], atol=1e-6)
    assert far.counts["windows_left_out"] == near.counts["windows_left_out"] == 0


def test_groups_leave_out_all_steps_of_a_column(tmp_path: Path) -> None:
    groups = {"weather": ("wind",), "clock": ("hour", "day_of_year")}
    spec = tiny_spec(tiny_csv(tmp_path), known_ahead=("wind",), known_ahead_beyond=1, feature_groups=groups)
    seen = variant(load_dataset(spec), groups=["clock"])
    assert seen.feature_names[:2] == ("power", "direction")
    assert seen.spec.mistakes() == []
    alone = load_dataset(seen.spec)
    assert alone.feature_names == seen.feature_names
    np.testing.assert_array_equal(
        variant(load_dataset(spec), groups=["weather"]).train.windows.array()[0, -1, :4],
        load_dataset(spec).train.windows.array()[0, -1, :4],
    )


def test_setting_that_came_later_changes_no_older_fingerprint(tmp_path: Path) -> None:
    spec = tiny_spec(tiny_csv(tmp_path), known_ahead=("wind",))
    fields = spec.model_dump(mode="json", exclude={"path", "trust_scaler", "feature_groups", "known_ahead_beyond"})
    assert fingerprint(spec) == digest([tmp_path / "series.csv"], fields)
    assert fingerprint(spec.model_copy(update={"known_ahead_beyond": 1})) != fingerprint(spec)


def test_targets_lie_horizon_steps_after_the_origin(tmp_path: Path) -> None:
    frame, dataset = tiny_frame(), load_dataset(tiny_spec(tiny_csv(tmp_path), horizon=3, outputs="all"))
    part = dataset.test
    assert part.origins is not None
    rows = part.origins[:, None] + [1, 2, 3]
    np.testing.assert_allclose(dataset.observed(part), frame["power"].to_numpy()[rows], rtol=1e-12)
    np.testing.assert_allclose(dataset.to_units(part.y), frame["power"].to_numpy()[rows], atol=1e-5)
    times = pd.to_datetime(frame["time"]).dt.tz_localize(None).to_numpy().astype("datetime64[ns]")
    np.testing.assert_array_equal(dataset.target_times(part), times[rows])


@pytest.mark.parametrize("scaling", ["minmax", "standard"])
def test_scalers_see_training_rows_only(tmp_path: Path, scaling: str) -> None:
    frame = tiny_frame()
    later = frame.copy()
    later.loc[42:, ["power", "wind", "direction"]] *= 7  # 42 = 0.7 × 60: validation and test
    fields = {"scaling": scaling, "known_ahead": ("wind",)}
    one = load_dataset(tiny_spec(write_csv(tmp_path, frame), **fields))
    other = load_dataset(tiny_spec(write_csv(tmp_path, later, "later.csv"), **fields))
    for ours, theirs in ((one.x_scaler, other.x_scaler), (one.y_scaler, other.y_scaler)):
        assert ours is not None
        assert theirs is not None
        assert ours.to_json() == theirs.to_json()
    np.testing.assert_array_equal(one.train.windows.array(), other.train.windows.array())


def test_scaled_training_part_of_minmax_lies_between_zero_and_one(tmp_path: Path) -> None:
    windows = load_dataset(tiny_spec(tiny_csv(tmp_path), calendar=())).train.windows.array()
    assert windows.min() >= 0
    assert windows.max() <= 1


def test_sines_and_cosines_are_not_scaled(sample: Dataset) -> None:
    assert sample.x_scaler is not None
    turned = [number for number, name in enumerate(sample.feature_names) if "_sin" in name or "_cos" in name]
    assert len(turned) == 6
    np.testing.assert_array_equal(sample.x_scaler.offset[turned], 0)
    np.testing.assert_array_equal(sample.x_scaler.scale[turned], 1)


def test_calendar_is_that_of_the_target_time(tmp_path: Path) -> None:
    dataset = load_dataset(tiny_spec(tiny_csv(tmp_path), features=(), calendar=("hour",)))
    assert dataset.feature_names == ("power", "hour_sin@+2", "hour_cos@+2")
    times = dataset.target_times(dataset.train)
    assert times is not None
    hours = (times[:, 0] - times[:, 0].astype("datetime64[D]")) / np.timedelta64(1, "h")
    np.testing.assert_allclose(dataset.train.windows.array()[:, -1, 1], np.sin(2 * np.pi * hours / 24), atol=1e-6)


def test_missing_rows_are_gaps(tmp_path: Path) -> None:
    frame = tiny_frame().drop(index=[20, 21])
    dataset = load_dataset(tiny_spec(write_csv(tmp_path, frame)))
    assert (dataset.counts["rows"], dataset.counts["rows_missing"]) == (60, 2)
    assert dataset.target is not None
    assert np.flatnonzero(np.isnan(dataset.target)).tolist() == [20, 21]
    # A window of 6 steps touches row 20 or 21 with its inputs from 7 origins, with its target from 2.
    assert dataset.counts["windows_left_out"] == dataset.counts["windows_left_out_train"] == 7 + 2
    assert np.isfinite(dataset.train.windows.array()).all()


def test_split_by_dates_starts_the_parts_there(tmp_path: Path) -> None:
    spec = tiny_spec(tiny_csv(tmp_path), val_start="2015-01-02T12:00:00Z", test_start="2015-01-03")
    dataset = load_dataset(spec)
    firsts = [str(dataset.target_times(dataset.part(name))[0, 0])[:13] for name in ("val", "test")]  # type: ignore[index]
    assert firsts == ["2015-01-02T19", "2015-01-03T07"]  # 5 further inputs, 2 steps ahead


def test_only_used_columns_must_be_numbers(tmp_path: Path) -> None:
    path = tiny_csv(tmp_path, note=["fine"] * 60)
    dataset = load_dataset(tiny_spec(path))
    assert "note" not in dataset.feature_names
    assert dataset.notes == ("Columns that are not numbers were left out: note.",)


def test_target_among_the_features_is_taken_once(tmp_path: Path) -> None:
    dataset = load_dataset(tiny_spec(tiny_csv(tmp_path), features=("wind", "power"), calendar=()))
    assert dataset.feature_names == ("power", "wind")


def test_same_bytes_elsewhere_have_the_same_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = tiny_spec(tiny_csv(tmp_path)), tiny_spec(tiny_csv(tmp_path / "other"), trust_scaler=True)
    assert fingerprint(one) == fingerprint(other) == load_dataset(one).fingerprint


@pytest.mark.parametrize(
    "fields", [{"horizon": 3}, {"features": ("wind",)}, {"capacity": 9.0}, {"split": (0.6, 0.2, 0.2)}]
)
def test_another_specification_has_another_fingerprint(tmp_path: Path, fields: dict[str, object]) -> None:
    path = tiny_csv(tmp_path)
    assert fingerprint(tiny_spec(path)) != fingerprint(tiny_spec(path, **fields))


def test_one_other_byte_has_another_fingerprint(tmp_path: Path) -> None:
    path = tiny_csv(tmp_path)
    before = fingerprint(tiny_spec(path))
    path.write_bytes(path.read_bytes().replace(b"4.0", b"4.1", 1))
    assert fingerprint(tiny_spec(path)) != before


def test_specification_of_a_data_set_loads_it_again(tmp_path: Path) -> None:
    dataset = load_dataset(tiny_spec(tiny_csv(tmp_path)))
    again = load_dataset(DataSpec.model_validate_json(dataset.spec.model_dump_json()))
    assert again.fingerprint == dataset.fingerprint


MEMORY = """
import resource, sys
import numpy as np, pandas as pd, pyarrow.parquet
from pathlib import Path
from greentune.storage.datasets import load_dataset
from greentune.storage.dataspec import DataSpec

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

load_dataset(DataSpec(path=sys.argv[1], target="c0", lookback=8))  # what reading itself loads is not the windows
before = resident()
data = load_dataset(DataSpec(path=sys.argv[2], target="c0", lookback=168, calendar=()))
windows = data.train.windows
for start in range(0, len(windows), 4096):
    batch = windows.take(slice(start, start + 32))
print(resident() - before, sum(data.part(name).windows.nbytes for name in ("train", "val", "test")), data.n_features)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process from /proc")
def test_windows_of_ten_years_add_less_than_100_megabytes(tmp_path: Path) -> None:
    paths = []
    for n_rows in (400, 87_600):
        values = np.random.default_rng(0).normal(size=(n_rows, 20)).astype(np.float32)
        frame = pd.DataFrame(values, columns=[f"c{number}" for number in range(20)])
        frame.insert(0, "time", pd.date_range("2010", periods=n_rows, freq="h", tz="UTC"))
        paths.append(str(tmp_path / f"{n_rows}.parquet"))
        frame.to_parquet(paths[-1])
    # Arrow's own pool keeps what it has freed, which says nothing about the windows.
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    command = [sys.executable, "-c", MEMORY, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    grown, materialised, n_features = (int(word) for word in done.stdout.split())
    assert n_features == 20
    assert materialised > 1_000_000_000
    assert grown < 100_000_000


LIGHT = "import sys; from greentune import storage; storage.DataSpec(); print(*sys.modules)"


def test_importing_the_package_loads_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert not {"pandas", "sklearn", "pyarrow", "keras", "tensorflow", "jax", "numpy"} & set(done.stdout.split())

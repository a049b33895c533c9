"""Planted leaks are found, each by the check that is meant to find it; clean sets are left in peace."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greentune.objectives.audit import Audit, audit
from greentune.objectives.finding import Verdict

from ..tiny import tiny_dataset
from . import planted
from .planted import Made, Set, country_frame, farm, foreign, price_frame, series, wind_frame, wind_series
from .planted_copies import (
    copied,
    copied_rows,
    farm_folds,
    farm_series,
    folds_of_arrays,
    knowing_from,
    polar_frame,
    smooth_frame,
    weekly_frame,
)

ERA5 = ("era5_wind_speed_100m_ms", "era5_wind_direction_100m_deg", "era5_temperature_2m_c", "era5_surface_pressure_hpa")


def _later(column: str, rows: int) -> Made:
    """The wind farm with a column more, which is another one, so many rows later."""
    return wind_series(lambda frame: frame.assign(extra=frame[column].shift(-rows)))


def _mean_ahead(column: str, rows: int, *, centred: bool = False) -> Made:
    def changed(frame: pd.DataFrame) -> pd.DataFrame:
        mean = frame[column].rolling(rows, center=centred).mean()
        return frame.assign(extra=mean if centred else mean.shift(-rows))

    return wind_series(changed)


def _rescaled(make: Made) -> Made:
    return lambda folder: Set(planted.rescaled(make(folder).dataset))


def _overlapping(folder: Path) -> Set:
    """Validation begins one step after training ends, as if windows had been cut before the split."""
    dataset = wind_series()(folder).dataset
    assert dataset.train.origins is not None
    assert dataset.val.origins is not None
    last = int(dataset.train.origins[-1])
    return Set(planted.moved(dataset, "val", np.arange(last + 1, int(dataset.val.origins[-1]) + 1)))


def _shuffled(folder: Path) -> Set:
    dataset = wind_series()(folder).dataset
    parts = [dataset.part(name).origins for name in ("train", "val", "test")]
    heaps = planted.shuffled([part for part in parts if part is not None])
    for name, origins in zip(("train", "val", "test"), heaps, strict=True):
        dataset = planted.moved(dataset, name, origins)
    return Set(dataset)


def _fold_in_the_past(folder: Path) -> Set:
    """The second fold is judged on what lies before its training."""
    source = planted.source_of(folder, wind_frame())
    n = source.n_samples
    return Set(
        source.dataset, [source.fold(range(n // 2), range(n // 2 + 20, n)), source.fold(range(900, n), range(800))]
    )


def _folds_scaled_once(folder: Path) -> Set:
    """Folds of prepared arrays: one scaler for all."""
    source = planted.prepared_source(folder, planted.warmer(wind_frame()))
    return planted.folded(source)


WARM = wind_series(planted.warmer)

PLANTED: dict[str, tuple[Made, str, Verdict]] = {
    # the series
    "scaler fitted on all rows, minmax": (_rescaled(WARM), "scaling", "leak"),
    "scaler fitted on all rows, standard": (_rescaled(wind_series(scaling="standard")), "scaling", "leak"),
    "scaler of prepared arrays fitted on all rows": (_rescaled(planted.prepared(WARM)), "scaling", "leak"),
    "scaler of all folds fitted once": (_folds_scaled_once, "scaling", "suspicion"),
    "y is the value at the origin": (
        lambda folder: Set(planted.shifted_targets(wind_series(horizon=1)(folder).dataset, 1)),
        "windows",
        "leak",
    ),
    "windows end at the target": (
        lambda folder: Set(planted.shifted_windows(wind_series(horizon=1)(folder).dataset, 1)),
        "windows",
        "leak",
    ),
    "target shifted by one, a column": (_later("power", 1), "lead", "leak"),
    "target of the day after, a column": (_later("power", 24), "lead", "leak"),
    "future rolling mean of the target": (_mean_ahead("power", 6), "lead", "leak"),
    "centred rolling mean of the target": (_mean_ahead("power", 5, centred=True), "lead", "leak"),
    "nacelle wind of the next hour, a column": (_later("nacelle", 1), "lead", "suspicion"),
    "future rolling mean of the nacelle wind": (_mean_ahead("nacelle", 3), "lead", "suspicion"),
    "nacelle wind at the target hour": (wind_series(known_ahead=("forecast", "nacelle")), "features", "suspicion"),
    "nacelle wind of the packaged farm": (
        lambda _folder: Set(farm(known_ahead=(*ERA5, "wind_speed_ms"))),
        "features",
        "suspicion",
    ),
    "nacelle wind of the packaged farm, beyond the target": (
        lambda _folder: Set(farm(known_ahead=(*ERA5, "wind_speed_ms"), known_ahead_beyond=2)),
        "features",
        "suspicion",
    ),
    "target beyond the target hour, in other units": (
        wind_series(planted.in_kw, known_ahead=("kw",), known_ahead_beyond=3),
        "features",
        "leak",
    ),
    "scaler fitted on all rows, weather beyond the target": (
        _rescaled(wind_series(planted.warmer, known_ahead_beyond=2)),
        "scaling",
        "leak",
    ),
    "target at the target hour, in other units": (
        wind_series(planted.in_kw, known_ahead=("kw",)),
        "features",
        "leak",
    ),
    "a curve of the target at the target hour": (
        wind_series(lambda frame: frame.assign(root=np.sqrt(frame["power"] + 1)), known_ahead=("root",)),
        "features",
        "leak",
    ),
    "a total and its rest at the target hour": (
        series(planted.rest_of_the_total(country_frame()), known_ahead=("total", "rest")),
        "features",
        "leak",
    ),
    "overlapping windows": (_overlapping, "gap", "leak"),
    "shuffled split": (_shuffled, "order", "leak"),
    "shuffled split, its rows": (_shuffled, "rows", "leak"),
    "a fold that is judged on its past": (_fold_in_the_past, "order", "leak"),
    "duplicated block": (wind_series(copied((2300, 700, 48))), "duplicates", "leak"),
    "duplicated block of coarse numbers": (series(copied((2300, 700, 48))(price_frame())), "duplicates", "leak"),
    "duplicated block, and one within training": (
        wind_series(copied((2300, 700, 48), (1500, 300, 48))),
        "duplicates",
        "leak",
    ),
    "duplicated block with missing values": (
        wind_series(lambda frame: copied((2300, 1180, 90))(planted.with_gaps(frame))),
        "duplicates",
        "leak",
    ),
    "block of the validation in the test": (wind_series(copied((2800, 2300, 48))), "duplicates", "leak"),
    "block within training": (wind_series(copied((1500, 300, 48))), "duplicates", "suspicion"),
    "block that stands again and again": (
        farm_series(copied(*((start, 300, 48) for start in (1000, 3000, 5000, 7000, 16000)))),
        "duplicates",
        "suspicion",
    ),
    "block on both sides of a fold's border": (farm_folds(copied((9000, 2000, 400))), "duplicates", "leak"),
    "the target of the next hour, from a row on": (farm_series(knowing_from(12000, 1)), "lead", "leak"),
    # arrays of others
    "arrays scaled on all rows, minmax": (foreign(fitted=1.0), "scaling", "leak"),
    "arrays scaled on all rows, standard": (foreign("standard", fitted=1.0), "scaling", "leak"),
    "arrays, shuffled split": (foreign(arranged=planted.shuffled), "order", "leak"),
    "arrays, overlapping at the border": (foreign(gap=0), "gap", "suspicion"),
    "arrays, validation before training": (
        foreign(gap=0, arranged=lambda parts: [parts[1], parts[0], parts[2]]),
        "order",
        "leak",
    ),
    "arrays, validation drawn from training": (
        foreign(arranged=lambda parts: [parts[0], parts[0][500:900], parts[2]]),
        "rows",
        "leak",
    ),
    "arrays, duplicated block": (foreign(changed=copied_rows((2700, 900))), "duplicates", "leak"),
    "arrays, duplicated block, and one within training": (
        foreign(changed=copied_rows((2700, 900), (1500, 300))),
        "duplicates",
        "leak",
    ),
    "arrays, block within training": (foreign(changed=copied_rows((1500, 300))), "duplicates", "suspicion"),
    "arrays, block on both sides of a fold's border": (
        folds_of_arrays(foreign(changed=copied_rows((1500, 300)))),
        "duplicates",
        "leak",
    ),
    "arrays, y in its own window": (foreign(changed=lambda v: np.c_[v, np.roll(v[:, 0], -3)]), "features", "leak"),
    "arrays, nacelle wind at the target hour": (
        foreign(changed=lambda v: np.c_[v, np.roll(v[:, 1], -3)]),
        "features",
        "suspicion",
    ),
}

CLEAN: dict[str, Made] = {
    "packaged farm, 1 h": lambda _folder: Set(farm(horizon=1)),
    "packaged farm, 3 h": lambda _folder: Set(farm()),
    "packaged farm, weather beyond the target": lambda _folder: Set(farm(known_ahead_beyond=3)),
    "wind farm, weather far beyond the target": wind_series(known_ahead_beyond=5, horizon=6),
    "packaged farm, 24 h": lambda _folder: Set(farm(horizon=24)),
    "packaged farm, all steps, standard": lambda _folder: Set(farm(horizon=6, outputs="all", scaling="standard")),
    "packaged farm by dates, past only": lambda _folder: Set(
        farm(known_ahead=(), val_start="2015-06-01", test_start="2015-09-01")
    ),
    "wind farm with folds": lambda folder: planted.folded(planted.source_of(folder, planted.warmer(wind_frame()))),
    "wind farm, sliding folds, standard": lambda folder: planted.folded(
        planted.source_of(folder, planted.warmer(wind_frame()), scaling="standard"), train_size=700
    ),
    "wind farm with gaps and a stuck sensor": wind_series(planted.with_gaps),
    "wind farm, backward rolling mean": wind_series(lambda f: f.assign(mean=f["power"].rolling(24).mean())),
    "wind farm, second meter": wind_series(lambda f: f.assign(meter=f["power"] * 1.01 + 0.01 * f["temperature"])),
    "solar power with nights": series(
        country_frame()[["time", "solar", "radiation", "cloud"]], known_ahead=("radiation",)
    ),
    "solar power alone": series(country_frame()[["time", "solar"]], horizon=24, lookback=48),
    "country, wind, a day ahead": series(
        country_frame().drop(columns="solar")[["time", "wind", "total", "cloud"]], horizon=24
    ),
    "country, solar, standard, a day ahead": series(
        country_frame(), known_ahead=("radiation", "cloud"), scaling="standard", horizon=24
    ),
    "solar power of a desert, clear sky ahead": series(planted.desert_frame(), known_ahead=("clear",), horizon=1),
    "columns that wander slowly": series(planted.slow_frame(), horizon=48),
    "power that stands still": series(planted.calm_frame()),
    "power of the polar night": series(polar_frame()),
    "load of a week, and of the week before": series(weekly_frame()),
    "power that hardly moves": series(smooth_frame(), horizon=1),
    "packaged farm in coarse steps": farm_series(lambda frame: frame.round(0)),
    "packaged farm, a column that changes": farm_series(knowing_from(12000, -1)),
    "packaged farm with folds and a longer gap": farm_folds(gap=500),
    "training on everything": lambda folder: Set(planted.source_of(folder, wind_frame()).everything()),
    "price": series(price_frame()),
    "price alone": series(price_frame()[["time", "price"]], horizon=1),
    "ten minutes": series(wind_frame(freq="10min", memory=0.999), horizon=1, known_ahead=("forecast",)),
    "prepared arrays": planted.prepared(WARM),
    "prepared arrays, standard, all steps": planted.prepared(wind_series(scaling="standard", outputs="all")),
    "prepared arrays with gaps": planted.prepared(wind_series(planted.with_gaps)),
    "arrays with a gap": foreign(),
    "arrays with a gap, standard": foreign("standard"),
    "arrays with a longer gap": foreign(gap=50),
    "arrays with windows left out": foreign(
        arranged=lambda parts: [np.delete(parts[0], np.arange(50, 1500, 100)), *parts[1:]]
    ),
    "arrays by hand": lambda _folder: Set(tiny_dataset(n_train=600, n_val=200)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_leak_is_caught(name: str, tmp_path: Path) -> None:
    make, check, verdict = PLANTED[name]
    made = make(tmp_path)
    found = {finding.check: finding for finding in audit(made.dataset, made.folds).findings}
    assert found[check].verdict == verdict, found


@pytest.mark.parametrize("name", CLEAN)
def test_clean_set_passes(name: str, tmp_path: Path) -> None:
    made = CLEAN[name](tmp_path)
    result = audit(made.dataset, made.folds)
    assert not (*result.leaks, *result.suspicions), result.lines()


def test_counts_that_are_stated() -> None:
    assert (len(PLANTED), len(CLEAN)) == (45, 37)


def test_all_checks_are_told_in_their_order() -> None:
    result = audit(farm())
    checks = ["windows", "rows", "order", "gap", "scaling", "features", "lead", "duplicates"]
    assert [finding.check for finding in result.findings] == checks
    assert result.lines()[0] == "Leak audit, 8 checks: 8 passed."
    assert len(result.lines()) == 9


def test_audit_comes_back_from_json(tmp_path: Path) -> None:
    made = PLANTED["overlapping windows"][0](tmp_path)
    result = audit(made.dataset)
    again = Audit.from_json(json.loads(json.dumps(result.to_json())))
    assert again == result
    assert [finding.check for finding in again.leaks] == ["gap"]
    assert not again.suspicions


def test_sentence_of_a_fold_names_it(tmp_path: Path) -> None:
    made = PLANTED["a fold that is judged on its past"][0](tmp_path)
    (leak,) = audit(made.dataset, made.folds).leaks
    assert leak.sentence.startswith("Fold 1: The validation part must lie after the training part; 800 of its 800")


def test_sound_folds_are_told_with_their_own_numbers(tmp_path: Path) -> None:
    made = CLEAN["packaged farm with folds and a longer gap"](tmp_path)
    trained = [len(fold.train.windows) for fold in made.folds]
    told = {finding.check: finding.sentence for finding in audit(made.dataset, made.folds).findings}
    windows = f"{trained[0]:,} to {trained[-1]:,} training windows"
    assert told["windows"].endswith("claim to be. So it is in all 3 folds.")
    assert told["rows"].endswith(f"In all 3 folds: none of 3,520 validation targets in {windows}.")
    assert told["order"].endswith(f"In all 3 folds: {windows}, then 3,520 validation windows.")
    assert told["gap"].startswith("Steps between the targets of two parts: 26 between training and validation and 26")
    assert told["gap"].endswith("26 are needed. In all 3 folds: 500 to 537 between training and validation.")
    assert told["scaling"].endswith("In all 3 folds: on rows of the fold's own training.")
    assert told["duplicates"].endswith("In all 3 folds: no stretch of the validation in the training.")


def test_only_fold_is_called_so(tmp_path: Path) -> None:
    made = planted.folded(planted.source_of(tmp_path, wind_frame()), n_splits=1)
    sentences = [finding.sentence for finding in audit(made.dataset, made.folds).findings]
    assert sum("the only fold" in sentence for sentence in sentences) == 6
    assert not any("all 1" in sentence for sentence in sentences)


def test_fold_of_a_holdout_is_the_data_set_and_adds_nothing() -> None:
    assert audit(farm(), [farm()]) == audit(farm())


def test_folds_of_arrays_that_were_scaled_once_are_named(tmp_path: Path) -> None:
    made = folds_of_arrays(foreign("standard"))(tmp_path)
    (suspicion,) = audit(made.dataset, made.folds).suspicions
    assert suspicion.check == "scaling"
    assert suspicion.sentence.startswith("Fold 0: ")
    assert suspicion.sentence.endswith("So it is in folds 1 and 2.")


def test_planted_leak_is_the_only_one(tmp_path: Path) -> None:
    made = PLANTED["future rolling mean of the target"][0](tmp_path)
    assert [finding.check for finding in audit(made.dataset).findings if finding.verdict != "passed"] == ["lead"]


def test_calms_are_no_copies(tmp_path: Path) -> None:
    made = CLEAN["power that stands still"](tmp_path)
    assert audit(made.dataset).findings[-1].verdict == "passed"


def test_too_few_windows_are_no_proof(tmp_path: Path) -> None:
    made = series(wind_frame(150), lookback=4)(tmp_path)
    verdicts = {finding.check: finding.verdict for finding in audit(made.dataset).findings}
    assert verdicts["features"] == verdicts["lead"] == "unknown"
    assert verdicts["gap"] == "passed"

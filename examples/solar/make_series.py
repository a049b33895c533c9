"""Make a solar series up, because no real one may be shipped here. Nothing in it was measured.

    python make_series.py [OUT]        # default: solar.csv beside this file

Two years, hourly, of a plant of 10 MW at 45° north. The sun stands where it stands (declination and hour angle, the
clear-sky irradiance of Haurwitz 1945); clouds are an autoregressive factor; the plant follows both, a little less when
it is warm. The cloud forecast is the factor of that hour with an error of its own, so it can be used and is not
perfect. Good for trying a study out, of no use for saying how well solar power can be forecast.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 20240101
CAPACITY_MW = 10.0
LATITUDE_DEG = 45.0
HOURS = 2 * 365 * 24


def clear_sky(times: pd.DatetimeIndex) -> np.ndarray:
    """(n,) global irradiance in W/m² under a clear sky, at the middle of each hour; 0 at night."""
    day, hour = times.day_of_year.to_numpy(), times.hour.to_numpy() + 0.5
    declination = np.deg2rad(23.45) * np.sin(2 * np.pi * (day - 81) / 365.25)
    latitude, angle = np.deg2rad(LATITUDE_DEG), np.deg2rad(15 * (hour - 12))
    height = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(angle)
    up = np.clip(height, 1e-6, None)
    return np.where(height > 0, 1098 * up * np.exp(-0.057 / up), 0.0)


def cover(random: np.random.Generator, n: int) -> np.ndarray:
    """(n,) cloud cover from 0 to 1, an autoregressive process pressed between the two: what was cloudy stays cloudy."""
    state = np.empty(n)
    state[0] = 0.0
    for hour in range(1, n):
        state[hour] = 0.96 * state[hour - 1] + 0.28 * random.standard_normal()
    return 1 / (1 + np.exp(-2 * state))


def series() -> pd.DataFrame:
    """The made-up series; the same for every call."""
    random = np.random.default_rng(SEED)
    times = pd.date_range("2023-01-01", periods=HOURS, freq="h", tz="UTC")
    sun, clouds = clear_sky(times), cover(random, HOURS)
    year = 2 * np.pi * (times.day_of_year.to_numpy() - 110) / 365.25
    daily = 2 * np.pi * (times.hour.to_numpy() - 9) / 24
    temperature = 12 + 9 * np.sin(year) + 4 * np.sin(daily) * (1 - 0.6 * clouds) + random.normal(0, 1, HOURS)
    irradiance = sun * (1 - 0.75 * clouds**1.5)
    power = CAPACITY_MW * irradiance / 1000 * (1 - 0.004 * (temperature - 25))
    power = np.clip(power * (1 + 0.03 * random.standard_normal(HOURS)), 0, CAPACITY_MW)
    forecast = np.clip(clouds + random.normal(0, 0.12, HOURS), 0, 1)
    return pd.DataFrame(
        {
            "time": times.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "solar_mw": power.round(4),
            "cloud_forecast": forecast.round(3),
            "temperature_c": temperature.round(1),
            "clearsky_wm2": sun.round(1),
        }
    )


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("solar.csv")
    series().to_csv(out, index=False)
    print(f"{HOURS} made-up hours written to {out}")  # noqa: T201 (a script for people)

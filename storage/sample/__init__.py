"""Real series that come with the package; licence and attribution stand in README.md beside them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

SAMPLES = {"la_haute_borne": "la_haute_borne_hourly.csv.gz"}

ATTRIBUTION = {
    "la_haute_borne": (
        "ENGIE, La Haute Borne wind farm open data, updated 9 October 2019, Etalab Open Licence 2.0; packaged by NREL "
        "OpenOA 3.2 (BSD-3). "
        "Modified: aggregated to hours, timestamps corrected to UTC. Contains modified Copernicus Climate Change "
        "Service information (ERA5)."
    )
}


def sample_file(name: str) -> AbstractContextManager[Path]:
    """The packaged file of the series `name`, on the disk for as long as the context lasts.

    Raises:
        KeyError: there is no series of this name.
    """
    return resources.as_file(resources.files(__name__) / SAMPLES[name])

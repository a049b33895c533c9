from __future__ import annotations

import subprocess
import sys

import pytest

from greentune import reports


@pytest.mark.parametrize("name", reports.__all__)
def test_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(reports, name).__doc__


def test_names_and_places_agree() -> None:
    assert sorted(reports._WHERE) == sorted(reports.__all__)
    assert set(reports.__all__) <= set(dir(reports))


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        reports.nothing  # noqa: B018 (the access is the test)


def test_package_is_light() -> None:
    code = (
        "import sys, greentune.reports, greentune.reports.evaluation, greentune.reports.bundle\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'matplotlib', 'scipy', 'pandas', 'sklearn', 'joblib'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

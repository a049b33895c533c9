"""Code of users is found by its reference, imported beside ours, watched, and blamed in its own words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greentune.models import user_code
from greentune.models.contract import ModelError
from greentune.models.user_code import changed, entry_points, load, reference_mistakes, root_of, sources, user_traceback

OURS = Path(user_code.__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _untouched_imports() -> Iterator[None]:
    """Whatever a test imports and puts on the path is gone after it."""
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder, on the path of nobody yet; deeper than what tests put beside it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def write(folder: Path, **files: str) -> Path:
    """Modules in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def package(folder: Path, name: str, files: dict[str, str]) -> None:
    """A package, with an ``__init__`` in each of its folders."""
    for path, text in files.items():
        file = folder / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        for parent in file.parents:
            if parent == folder:
                break
            (parent / "__init__.py").touch()


def found(folder: Path, reference: str) -> Any:
    """What a reference names, relative to a folder, as after `with_whole_paths`."""
    whole = f"{folder}/{reference}" if ".py:" in reference else reference
    return load(whole, root_of(whole, folder))


def refused(folder: Path, reference: str) -> str:
    with pytest.raises(ModelError) as caught:
        found(folder, reference)
    (sentence,) = caught.value.mistakes
    return sentence


def test_file_is_loaded_by_its_path(home: Path) -> None:
    write(home, build="def build():\n    return 'mine'\n")
    assert found(home, "build.py:build")() == "mine"


def test_module_is_found_in_the_folder_of_the_command(home: Path) -> None:
    package(home, "farm", {"nets/small.py": "def build():\n    return __name__\n"})
    assert found(home, "farm.nets.small:build")() == "farm.nets.small"


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that offers the builder `wind_models`."""
    site = tmp_path / "site"
    write(site, windy="def build():\n    return 'offered'\n")
    information = site / "windy-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: windy\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[greentune.builders]\nwind_models = windy:build\n")
    monkeypatch.syspath_prepend(str(site))


@pytest.mark.usefixtures("offered")
def test_entry_point_of_an_installed_package_is_known_by_its_name(home: Path) -> None:
    assert entry_points() == ("wind_models",)
    assert found(home, "wind_models")() == "offered"


@pytest.mark.usefixtures("offered")
def test_unknown_entry_point_is_refused_with_the_nearest(home: Path) -> None:
    assert "Did you mean 'wind_models'?" in refused(home, "wind_model")


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("build.py", "`builder` must name what is to be called; got the file build.py. Write build.py:NAME."),
        (":build", "must be FILE.py:NAME or MODULE:NAME; got ':build'"),
        ("build.py:", "must be FILE.py:NAME or MODULE:NAME; got 'build.py:'"),
        ("build.py:1st", "NAME is that of the function"),
        ("folder/build:build", "A file ends in .py"),
        ("farm..nets:build", "got 'farm..nets:build'"),
    ],
)
def test_malformed_reference_is_refused_without_an_import(reference: str, sentence: str) -> None:
    (mistake,) = reference_mistakes(reference, "builder")
    assert sentence in mistake


def test_missing_file_is_refused_with_the_nearest(home: Path) -> None:
    write(home, build="raise RuntimeError('imported')")
    (mistake,) = reference_mistakes(f"{home}/biuld.py:build", "hypermodel")
    assert mistake == (
        f"`hypermodel` must name a file that exists; there is none at {home}/biuld.py. "
        "Did you mean 'build.py'? Valid: build.py."
    )


def test_good_references_have_no_mistakes_and_are_not_imported(home: Path) -> None:
    write(home, build="raise RuntimeError('imported')")
    good = (f"{home}/build.py:build", "package.module:build", "stacked_lstm")
    assert [reference_mistakes(reference, "builder") for reference in good] == [[], [], []]


def test_file_gets_a_private_name_so_that_it_hides_nothing(home: Path) -> None:
    write(home, json="def build():\n    return __name__\n", other="from json import build\n")
    assert found(home, "json.py:build")().startswith("greentune_user_")
    assert hasattr(sys.modules["json"], "dumps")


def test_files_of_one_name_in_two_folders_are_two_modules(home: Path) -> None:
    write(home / "a", build="NAME = 'a'\n")
    write(home / "b", build="NAME = 'b'\n")
    assert (found(home, "a/build.py:NAME"), found(home, "b/build.py:NAME")) == ("a", "b")


def test_same_reference_is_the_same_object(home: Path) -> None:
    write(home, build="def build(): ...\n")
    assert found(home, "build.py:build") is found(home, "build.py:build")


def test_dataclasses_of_a_file_find_their_module(home: Path) -> None:
    text = (
        "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass Mine:\n    n: int = 3\n"
    )
    write(home, build=text)
    assert found(home, "build.py:Mine")().n == 3


def test_users_own_package_models_is_imported_beside_ours(home: Path) -> None:
    package(home, "models", {"blocks/dense.py": "OWNER = 'the user'\n"})
    text = "from models.blocks.dense import OWNER\ndef late():\n    import models.blocks as b\n    return b.__file__\n"
    write(home, build=text)
    assert found(home, "build.py:OWNER") == "the user"
    assert found(home, "build.py:late")() == str(home / "models" / "blocks" / "__init__.py")
    assert sys.modules["greentune.models.user_code"] is user_code


def test_folder_of_the_file_comes_first_on_the_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home.parent / "elsewhere", blocks="OWNER = 'somebody'\n")
    monkeypatch.syspath_prepend(str(home.parent / "elsewhere"))
    write(home, blocks="OWNER = 'the user'\n", build="from blocks import OWNER\n")
    assert found(home, "build.py:OWNER") == "the user"


def test_syntax_error_is_told_with_its_line_and_none_of_our_frames(home: Path) -> None:
    write(home, build="x = 1\ndef f(:\n")
    sentence = refused(home, "build.py:f")
    assert sentence.startswith("build.py:f cannot be imported:\n")
    assert f'File "{home}/build.py", line 2' in sentence
    assert sentence.endswith("SyntaxError: invalid syntax")
    assert "importlib" not in sentence
    assert str(OURS) not in sentence


def test_error_at_import_is_told_with_the_users_frames_only(home: Path) -> None:
    write(home, inner="import json\njson.loads('{')\n", build="import inner\n")
    sentence = refused(home, "build.py:build")
    files = [line.split('"')[1] for line in sentence.splitlines() if line.startswith("  File")]
    assert files == [f"{home}/build.py", f"{home}/inner.py"]
    assert "JSONDecodeError: Expecting property name" in sentence


def test_failed_import_is_tried_anew_once_the_file_is_repaired(home: Path) -> None:
    write(home, build="raise RuntimeError('not yet')\n")
    assert "RuntimeError: not yet" in refused(home, "build.py:build")
    write(home, build="def build():\n    return 'repaired'\n")
    assert found(home, "build.py:build")() == "repaired"


def test_module_that_the_users_code_lacks_is_told_where_it_is_imported(home: Path) -> None:
    write(home, build="import numpy\nimport nowhere_to_be_found\n")
    sentence = refused(home, "build.py:build")
    assert f'File "{home}/build.py", line 2' in sentence
    assert sentence.endswith("ModuleNotFoundError: No module named 'nowhere_to_be_found'")


@pytest.mark.parametrize("reference", ["famr:build", "famr.nets:build"])
def test_missing_module_is_refused_with_the_nearest(home: Path, reference: str) -> None:
    package(home, "farm", {"nets.py": ""})
    sentence = refused(home, reference)
    assert sentence.startswith(f"There is no module 'famr' in {home} or among the installed packages.")
    assert "Did you mean 'farm'?" in sentence


def test_missing_name_is_refused_with_the_nearest_that_can_be_called(home: Path) -> None:
    write(home, build="def build_model(): ...\ndef _hidden(): ...\nbuild_modle_count = 3\n")
    sentence = refused(home, "build.py:build_modle")
    assert "there is no 'build_modle' in" in sentence
    assert sentence.endswith("Did you mean 'build_model'? Valid: build_model.")


def test_sources_are_the_imported_files_below_the_users_folder(home: Path) -> None:
    package(home, "blocks", {"dense.py": ""})
    write(home, build="import blocks.dense, numpy\ndef build(): ...\n", unused="")
    found(home, "build.py:build")
    names = [str(Path(file).relative_to(home)) for file in sources([f"{home}/build.py:build"], home)]
    assert names == ["blocks/__init__.py", "blocks/dense.py", "build.py"]


def test_sources_leave_out_installed_packages_and_our_own_files(home: Path) -> None:
    write(home / ".venv" / "lib" / "site-packages", installed_there="")
    write(
        home, build="import sys\nsys.path.append(f'{__file__[:-8]}.venv/lib/site-packages')\nimport installed_there\n"
    )
    found(home, "build.py:sys")
    assert "installed_there" in sys.modules
    assert [Path(file).name for file in sources([f"{home}/build.py:sys"], home)] == ["build.py"]
    here = {Path(file).relative_to(OURS).parts[0] for file in sources(["tests:anything"], OURS)}
    assert here == {"tests"}


def test_sources_are_seen_in_a_folder_below_the_prefix_of_python(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_code, "_NOT_USERS", (home.parent,))
    write(home, build="def build():\n    raise RuntimeError\n")
    build = found(home, "build.py:build")
    assert [Path(file).name for file in sources([f"{home}/build.py:build"], home)] == ["build.py"]
    with pytest.raises(RuntimeError) as caught:
        build()
    assert "test_user_code" not in user_traceback(caught.value, [home])


def test_sources_do_without_modules_that_are_no_files_any_more(home: Path) -> None:
    write(home, build="import gone\n", gone="")
    found(home, "build.py:gone")
    (home / "gone.py").unlink()
    assert [Path(file).name for file in sources([f"{home}/build.py:gone"], home)] == ["build.py"]


def test_nothing_has_changed_right_after(home: Path) -> None:
    write(home, build="x = 1\n")
    found(home, "build.py:x")
    assert changed(sources([f"{home}/build.py:x"], home), home) == []


def test_edited_and_missing_files_are_named(home: Path) -> None:
    write(home, blocks="y = 1\n", build="import blocks\nx = 1\n", same="")
    found(home, "build.py:x")
    files = sources([f"{home}/build.py:x"], home)
    write(home, build="import blocks\nx = 2\n")
    (home / "blocks.py").unlink()
    assert changed(files, home) == ["blocks.py (gone)", "build.py (edited)"]


def test_file_outside_the_folder_of_the_command_is_named_by_its_whole_path(home: Path) -> None:
    write(home, build="x = 1\n")
    found(home, "build.py:x")
    files = sources([f"{home}/build.py:x"], home)
    write(home, build="x = 2\n")
    assert changed(files, home / "elsewhere") == [f"{home}/build.py (edited)"]


def test_traceback_has_no_frames_of_libraries(home: Path) -> None:
    write(home, build="import numpy as np\ndef build():\n    return np.concatenate([np.zeros(2), np.zeros((2, 2))])\n")
    with pytest.raises(ValueError, match="same number of dimensions") as caught:
        found(home, "build.py:build")()
    told = user_traceback(caught.value, [home])
    files = [line.split('"')[1] for line in told.splitlines() if line.startswith("  File")]
    assert files == [f"{home}/build.py"]
    assert told.splitlines()[-1].startswith("ValueError: all the input arrays must have same number of dimensions")


def test_traceback_keeps_causes_with_the_users_frames(home: Path) -> None:
    text = "def inner():\n    raise KeyError('a')\ndef build():\n    try:\n        inner()\n"
    write(home, build=text + "    except KeyError as error:\n        raise RuntimeError('b') from error\n")
    with pytest.raises(RuntimeError) as caught:
        found(home, "build.py:build")()
    told = user_traceback(caught.value, [home])
    assert "KeyError: 'a'" in told
    assert "direct cause" in told
    assert told.endswith("RuntimeError: b")
    assert told.count(f'File "{home}/build.py"') == 3


def test_traceback_without_a_frame_of_the_user_keeps_the_last_ones(home: Path) -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("three")
    told = user_traceback(caught.value, [home])
    assert "test_user_code.py" in told

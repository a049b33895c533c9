"""The state on disk: whole or not used, written in time, and never what ends a training. No Keras."""

from __future__ import annotations

import logging
import random
import resource
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greentune.objectives import checkpoint, state
from greentune.objectives.checkpoint import Checkpointer
from greentune.objectives.state import RandomState, TrainingState, read_state, write_state


def make_state(epochs_done: int = 3, **changes: Any) -> TrainingState:
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    values: dict[str, Any] = {
        "epochs_done": epochs_done,
        "ended": False,
        "history": {"loss": [0.1 + epoch for epoch in range(epochs_done)]},
        "best_value": 0.1,
        "best_epoch": 0,
        "best_weights": [kernel],
        "variables": [kernel + 1, np.array([7, 9], dtype=np.uint32)],
        "optimizer": [np.array(12, dtype=np.int32), np.array(0.001, dtype=np.float32), kernel * 0.1],
        "callbacks": {"EarlyStopping": {"best": 0.1, "wait": 2}, "ReduceLROnPlateau": {"best": None}},
        "generators": RandomState.now(),
    }
    return TrainingState(**{**values, **changes})


def checkpointer(path: Path, *, every: int = 1, identity: str = "it") -> Checkpointer:
    return Checkpointer(path, every=every, identity=identity)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def bits(arrays: Sequence[np.ndarray]) -> list[object]:
    return [(array.dtype, array.shape, array.tobytes()) for array in arrays]


def assert_same(found: TrainingState, kept: TrainingState) -> None:
    for name in ("epochs_done", "ended", "history", "best_value", "best_epoch", "callbacks"):
        assert getattr(found, name) == getattr(kept, name)
    for name in ("best_weights", "variables", "optimizer"):
        assert bits(getattr(found, name)) == bits(getattr(kept, name))


def test_a_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    kept = make_state(history={"loss": [0.1, 1 / 3, 5e-324]}, best_value=1 / 3)

    write_state(tmp_path / "state.npz", kept, "it")

    assert_same(read_state(tmp_path / "state.npz", "it"), kept)


def test_nothing_in_the_file_is_a_pickle(tmp_path: Path) -> None:
    write_state(tmp_path / "state.npz", make_state(), "it")

    with np.load(tmp_path / "state.npz", allow_pickle=False) as archive:
        assert {archive[name].dtype.kind for name in archive.files} == {"f", "i", "u"}


def test_numbers_that_numpy_cannot_name_come_back_as_float32(tmp_path: Path) -> None:
    import ml_dtypes

    exact = np.array([1.0, -0.0078125, 3.0e38], dtype=ml_dtypes.bfloat16)

    write_state(tmp_path / "state.npz", make_state(variables=[exact]), "it")

    found = read_state(tmp_path / "state.npz", "it").variables[0]
    assert found.dtype == np.float32
    assert found.astype(ml_dtypes.bfloat16).tobytes() == exact.tobytes()


def test_both_generators_go_on_where_they_stood(tmp_path: Path) -> None:
    def draw() -> list[float]:
        numbers = [random.random(), random.gauss(0, 1)]
        return numbers + np.random.permutation(7).tolist() + [float(np.random.standard_normal())]  # noqa: NPY002

    np.random.standard_normal()  # noqa: NPY002 (one more number is now in stock)
    random.gauss(0, 1)
    write_state(tmp_path / "state.npz", make_state(), "it")
    expected = draw()

    read_state(tmp_path / "state.npz", "it").generators.put_back()

    assert draw() == expected


def test_the_state_with_the_most_epochs_is_taken(tmp_path: Path) -> None:
    for epochs in (2, 5, 4):
        write_state(tmp_path / f"{epochs}.npz", make_state(epochs), "it")
    one = checkpointer(tmp_path / "own.npz")

    assert one.resume_from([tmp_path / f"{name}.npz" for name in ("2", "5", "none", "4")]) == 5
    assert one.history == {"loss": tuple(0.1 + epoch for epoch in range(5))}


def test_without_a_state_a_training_is_fresh(tmp_path: Path) -> None:
    one = checkpointer(tmp_path / "own.npz")

    assert one.resume_from([tmp_path / "none.npz"]) == 0
    assert (one.history, one.state) == ({}, None)
    assert one.save() is False


def test_a_foreign_state_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_state(tmp_path / "state.npz", make_state(), "another")
    one = checkpointer(tmp_path / "state.npz")

    assert one.resume_from([tmp_path / "state.npz"]) == 0
    assert warnings(caplog) == [
        f"The state in {tmp_path / 'state.npz'} is passed over: it belongs to other parameters, data or settings"
    ]


def test_a_state_of_another_format_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(state, "_FORMAT", 99)
        write_state(tmp_path / "state.npz", make_state(), "it")

    assert checkpointer(tmp_path / "state.npz").resume_from([tmp_path / "state.npz"]) == 0
    assert "its format is 99" in warnings(caplog)[0]


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04", b"\x80\x04\x95N."])
def test_a_file_that_is_no_state_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "bad.npz").write_bytes(content)
    write_state(tmp_path / "good.npz", make_state(2), "it")

    assert checkpointer(tmp_path / "own.npz").resume_from([tmp_path / "bad.npz", tmp_path / "good.npz"]) == 2
    assert len(warnings(caplog)) == 1


def test_no_damage_is_taken_for_a_state(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    kept = make_state()
    write_state(path, kept, "it")
    whole = path.read_bytes()
    numbers = random.Random(5)
    damaged = [whole[: numbers.randrange(len(whole))] for _ in range(60)]
    for _ in range(300):
        position = numbers.randrange(len(whole))
        damaged.append(whole[:position] + bytes([whole[position] ^ 1 << numbers.randrange(8)]) + whole[position + 1 :])

    passed_over = 0
    for content in damaged:
        path.write_bytes(content)
        one = checkpointer(path)
        if one.resume_from([path]) == 0:
            passed_over += 1
        else:
            # Some bytes of an archive (times, attributes) mean nothing.
            assert one.state is not None
            assert_same(one.state, kept)
    assert passed_over > 250


def test_a_folder_in_place_of_a_file_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert checkpointer(tmp_path / "own.npz").resume_from([tmp_path]) == 0
    assert len(warnings(caplog)) == 1


def test_a_state_is_written_every_few_epochs_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.npz"
    one = checkpointer(path, every=3)
    on_disk = []

    for epochs in range(1, 9):
        one.keep(make_state(epochs, ended=epochs == 8))
        on_disk.append(read_state(path, "it").epochs_done if path.exists() else 0)

    assert on_disk == [0, 0, 3, 3, 3, 6, 6, 8]


def test_an_interruption_writes_the_newest_state_at_once(tmp_path: Path) -> None:
    one = checkpointer(tmp_path / "state.npz", every=100)
    one.keep(make_state(4))

    assert not (tmp_path / "state.npz").exists()
    assert one.save() is True
    assert read_state(tmp_path / "state.npz", "it").epochs_done == 4


def test_a_state_that_came_from_elsewhere_is_written_to_its_own_path(tmp_path: Path) -> None:
    write_state(tmp_path / "other.npz", make_state(4), "it")
    one = checkpointer(tmp_path / "own.npz", every=100)
    one.resume_from([tmp_path / "other.npz"])

    assert one.save() is True
    assert read_state(tmp_path / "own.npz", "it").epochs_done == 4


def test_a_state_that_is_on_disk_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = checkpointer(tmp_path / "state.npz")
    one.keep(make_state())
    monkeypatch.setattr(checkpoint, "write_state", None)

    assert one.save() is True


def test_a_killed_writer_leaves_the_old_state_and_its_draft_goes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.npz"
    checkpointer(path).keep(make_state(1))
    (tmp_path / ".state.npz.123-0.draft").write_bytes(b"half")
    (tmp_path / ".other.npz.123-0.draft").write_bytes(b"of another trial")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpointer(path).keep(make_state(2))

    assert read_state(path, "it").epochs_done == 1
    assert {entry.name for entry in tmp_path.iterdir()} == {"state.npz", ".other.npz.123-0.draft"}


def test_a_signal_may_interrupt_one_writing_with_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = checkpointer(tmp_path / "state.npz")
    savez = np.savez
    nested: list[bool] = []

    def interrupted(file: Any, **arrays: Any) -> None:
        if not nested:
            nested.append(False)
            file.write(b"begun")
            nested[0] = one.save()
            file.seek(0)
        savez(file, **arrays)

    monkeypatch.setattr(np, "savez", interrupted)
    one.keep(make_state(2))

    assert nested == [True]
    assert read_state(tmp_path / "state.npz", "it").epochs_done == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.npz"]


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 1000 bytes: the same failing write that a full disk gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = checkpointer(tmp_path / "state.npz")

    for epochs in (1, 2, 3):
        one.keep(make_state(epochs))

    assert one.save() is False
    assert len(warnings(caplog)) == 1
    assert str(tmp_path / "state.npz") in warnings(caplog)[0]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    one = checkpointer(tmp_path / "file" / "state.npz")

    for epochs in (1, 2):
        one.keep(make_state(epochs))

    assert len(warnings(caplog)) == 1


def test_writing_succeeds_again_when_there_is_room(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    one = checkpointer(tmp_path / "folder" / "state.npz")
    one.keep(make_state(1))
    (tmp_path / "folder").unlink()
    one.keep(make_state(2))

    assert read_state(tmp_path / "folder" / "state.npz", "it").epochs_done == 2


def test_a_history_that_does_not_match_its_epochs_is_no_state(tmp_path: Path) -> None:
    write_state(tmp_path / "state.npz", replace(make_state(3), epochs_done=2), "it")

    with pytest.raises(ValueError, match="a value for each epoch"):
        read_state(tmp_path / "state.npz", "it")

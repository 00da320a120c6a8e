"""What is kept is there whole or not at all; what is gone is told; what was left half made is swept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.faults import NodeError
from dicomnode.learn.drawn.kept import (
    Shelf,
    read_arrays,
    read_formed,
    sweep,
    taken,
    write_arrays,
    write_formed,
)

ARRAYS = {"one": np.arange(6.0).reshape(2, 3), "name": np.array("me")}


def test_arrays_come_back_to_the_last_bit_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "some.npz"
    write_arrays(path, ARRAYS)
    found = read_arrays(path)
    assert found is not None
    assert np.array_equal(found["one"], ARRAYS["one"])
    assert str(found["name"]) == "me"
    assert [one.name for one in path.parent.iterdir()] == ["some.npz"]


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.95])
def test_half_a_file_is_none(tmp_path: Path, part: float) -> None:
    path = tmp_path / "some.npz"
    write_arrays(path, ARRAYS)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    assert read_arrays(path) is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0.0, 0.999), flipped=st.integers(1, 255))
def test_a_byte_that_is_wrong_is_never_an_error_and_never_another_number(
    tmp_path: Path, at: float, flipped: int
) -> None:
    path = tmp_path / "some.npz"
    write_formed(path, "form", ARRAYS)
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= flipped
    path.write_bytes(bytes(content))
    found = read_formed(path, "form", lambda kept: (kept["one"], str(kept["name"])))
    assert found is None or (np.array_equal(found[0], ARRAYS["one"]) and found[1] == "me")


def test_what_has_another_form_or_lacks_something_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    write_formed(path, "form", ARRAYS)
    assert read_formed(path, "form", lambda kept: str(kept["name"])) == "me"
    assert read_formed(path, "another", lambda kept: str(kept["name"])) is None
    assert read_formed(path, "form", lambda kept: kept["more"]) is None
    write_arrays(path, ARRAYS)
    assert read_formed(path, "form", lambda kept: str(kept["name"])) is None


def test_a_disk_that_is_full_is_told_and_no_part_is_left(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dicomnode.learn.drawn.kept.os.fsync", full)
    with pytest.raises(NodeError, match="No space left"):
        write_arrays(tmp_path / "some.npz", ARRAYS)
    assert not list(tmp_path.iterdir())


def test_what_is_gone_is_named_and_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"DN-7104.*some\.npz is gone"):
        taken(read_arrays, tmp_path / "some.npz")


def test_a_shelf_makes_each_thing_once_and_again_where_it_is_damaged(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return dict(ARRAYS)

    def write(arrays, path: Path) -> None:
        write_arrays(path, arrays)

    shelf = Shelf(folder=tmp_path, ending="-2.npz", read=read_arrays, write=write)
    assert shelf.keep(7, make) == shelf.keep(7, make) == tmp_path / "7-2.npz"
    assert len(made) == 1
    shelf.place(7).write_bytes(b"")
    shelf.keep(7, make)
    assert len(made) == 2
    assert not Shelf(folder=tmp_path, ending="-3.npz", read=read_arrays, write=write).has(7)


def test_what_a_killed_training_left_half_made_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".7.x1").mkdir()
    (tmp_path / ".7.x1" / "hu.npy").touch()
    (tmp_path / ".8.npz.y").touch()
    (tmp_path / "9.npz").touch()
    sweep(tmp_path)
    sweep(tmp_path / "nowhere")
    assert [one.name for one in tmp_path.iterdir()] == ["9.npz"]

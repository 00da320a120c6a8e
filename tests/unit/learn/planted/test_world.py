"""Worlds: kept whole, cut down to the lungs, read where they lie."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicomnode.learn.planted.world import AROUND, open_world, world_from, write_world

from .small_worlds import SHAPE, small_world, two_lungs


def test_a_world_is_read_as_it_was_kept(tmp_path: Path) -> None:
    world = replace(small_world(1, sigma=(0.5, 0.4, 0.4), balls=[(20, 30, 22, 5)]), noise_hu=12.5)
    write_world(world, tmp_path / "one")
    again = open_world(tmp_path / "one")
    assert again is not None
    assert again.is_real
    assert again.noise_hu == 12.5
    assert not small_world(1).is_real
    for name in ("hu", "lungs", "balls"):
        assert np.array_equal(getattr(again, name), getattr(world, name))
    assert {kind: len(some) for kind, some in again.places.items()} == {
        kind: len(some) for kind, some in world.places.items()
    }
    assert [one.name for one in tmp_path.iterdir()] == ["one"]  # nothing that was staged is left


@pytest.mark.parametrize("damage", ["gone", "another form", "no array", "power cut", "no facts"])
def test_what_is_not_whole_or_of_another_form_is_no_world(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "one"
    if damage != "gone":
        write_world(small_world(1), folder)
    if damage == "another form":
        facts = json.loads((folder / "facts.json").read_text())
        (folder / "facts.json").write_text(json.dumps(facts | {"form": 0}))
    if damage == "no array":
        (folder / "hu.npy").unlink()
    if damage == "power cut":
        (folder / "hu.npy").write_bytes(b"")
    if damage == "no facts":
        (folder / "facts.json").write_text("{")
    assert open_world(folder) is None


def test_the_lungs_of_a_box_are_those_of_the_whole() -> None:
    world, lungs = small_world(1), two_lungs()
    corner = [
        max(int(np.flatnonzero(lungs.any(axis=axes)).min()) - AROUND, 0) for axes in ((1, 2), (0, 2), (0, 1))
    ]
    for first, last in ((0, 20), (7, 9), (8, 16), (3, 61)):
        box = (slice(2, 40), slice(5, 50), slice(first, last))
        whole = tuple(slice(a.start + c, a.stop + c) for a, c in zip(box, corner, strict=True))
        assert np.array_equal(world.lungs_in(box), lungs[whole])


def test_balls_move_with_what_is_cut_away() -> None:
    lungs = np.zeros((60, 60, 60), dtype=bool)
    lungs[30:40, 30:40, 30:40] = True
    world = world_from(
        "one", np.full(lungs.shape, -850.0), lungs, np.array([[35, 36, 37, 4]], dtype=np.float32)
    )
    assert world.shape == (10 + 2 * AROUND,) * 3
    assert world.balls.tolist() == [[5 + AROUND, 6 + AROUND, 7 + AROUND, 4]]


def test_places_lie_where_they_say() -> None:
    world = small_world(1)
    lungs = world.lungs_in(tuple(slice(0, side) for side in world.shape))
    for places in world.places.values():
        assert lungs[tuple(places.T)].all()
    assert (world.hu[tuple(world.places["vessel"].T)] > -300).all()
    assert 0 < len(world.places["pleura"]) < len(world.places["lung"])


def test_without_lungs_there_is_no_world() -> None:
    with pytest.raises(ValueError, match="lungs"):
        world_from("one", np.zeros(SHAPE), np.zeros(SHAPE, dtype=bool), np.zeros((0, 4), dtype=np.float32))

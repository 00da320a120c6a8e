"""Worlds: kept whole or not at all; of real scans those alone whose lungs the node is sure of."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dicomnode.learn.lungs import worlds
from dicomnode.learn.lungs.worlds import (
    LEFT,
    RIGHT,
    Coarse,
    coarse_chest,
    open_world,
    real_world,
    write_world,
)
from dicomnode.learn.planted import backgrounds
from dicomnode.values import Refusal, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.analyse import chest as drawn
from tests.unit.analyse.chest import Chest

from .coarse_worlds import coarse_world


def test_a_world_that_was_kept_is_read_as_it_was(tmp_path):
    world = coarse_world(3, is_real=True)
    write_world(world, tmp_path / "deep" / "3.npz")
    read = open_world(tmp_path / "deep" / "3.npz")
    assert read is not None
    assert (read.name, read.diseases, read.is_real) == ("3", ("collapse",), True)
    assert np.array_equal(read.hu, world.hu)
    assert np.array_equal(read.sides, world.sides)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["3.npz"]


def test_half_a_world_is_none(tmp_path):
    path = tmp_path / "3.npz"
    assert open_world(path) is None
    write_world(coarse_world(3), path)
    path.write_bytes(path.read_bytes()[:2000])
    assert open_world(path) is None


def test_a_coarse_voxel_has_the_mean_of_the_fine_ones_and_is_what_most_of_it_is(monkeypatch):
    hu = np.arange(5 * 4 * 4, dtype=np.float32).reshape(5, 4, 4)
    lungs = np.zeros((5, 4, 4), dtype=np.uint8)
    lungs[0:2, 0:2, 0:2] = RIGHT  # a whole voxel
    lungs[0, 0:2, 2:4] = LEFT  # half of one
    lungs[2, 2, 2], lungs[3, 2:4, 2:4] = LEFT, LEFT  # five of eight
    bare = SimpleNamespace(hu=hu, lungs=lungs, diseases=("collapse",))
    monkeypatch.setattr(worlds, "bare_chest", lambda seed, **how: bare)
    world = coarse_chest(1, ("collapse",))
    assert world.hu.shape == (2, 2, 2)
    assert world.hu[0, 0, 0] == round(float(hu[:2, :2, :2].mean()))
    expected = np.zeros((2, 2, 2), dtype=np.uint8)
    expected[0, 0, 0], expected[1, 1, 1] = RIGHT, LEFT
    assert np.array_equal(world.sides, expected)


@pytest.mark.long
def test_a_collapsed_lobe_of_a_phantom_is_lung_without_air():
    world = coarse_chest(310_000, ("collapse",))
    dense = (world.sides > 0) & (world.hu > -400)
    assert dense.sum() * 0.064 > 50.0  # ml
    assert set(np.unique(world.sides)) == {0, RIGHT, LEFT}


def real(monkeypatch, chest: Chest) -> Coarse | Refusal:
    hu = drawn.draw(chest).astype(np.int16)
    volume = Volume(
        voxels=hu,
        affine_lps=drawn.affine(),
        unit=HOUNSFIELD,
        frame_of_reference_uid="1.2.3.9",
        study_instance_uid="1.2.3.1",
        series_instance_uid="1.2.3",
        frames=tuple(SourceFrame(f"1.2.3.{k + 1}") for k in range(len(hu))),
        headers=SourceHeaders(()),
    )
    monkeypatch.setattr(backgrounds, "load_volume", lambda stack: volume)
    return real_world(SimpleNamespace(stack=None, uid="1.2.3"))


def test_a_real_scan_whose_lungs_are_sure_is_a_world_with_right_on_the_right(monkeypatch):
    world = real(monkeypatch, Chest(airways=True))
    assert isinstance(world, Coarse), world
    assert world.is_real
    right, left = (np.argwhere(world.sides == side) for side in (RIGHT, LEFT))
    assert right[:, 2].mean() < left[:, 2].mean()
    truth = sum(drawn.lung(side, Chest()).sum() for side in ("right", "left")) * drawn.MM**3
    assert (len(right) + len(left)) * 64.0 == pytest.approx(truth, rel=0.06)


def test_a_real_scan_whose_lungs_are_not_sure_is_refused_with_the_reason(monkeypatch):
    refusal = real(monkeypatch, replace(Chest(), lungs=("right",)))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "DN-7340"
    assert "Only the right lung was found" in refusal.text

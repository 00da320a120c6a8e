"""Real scans as worlds: only where the node is sure of the lungs, and never where something is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicomnode.faults import NodeError
from dicomnode.learn.planted.backgrounds import find_backgrounds, real_world
from dicomnode.learn.planted.world import SPACING_MM, World
from dicomnode.phantom import thorax, write_series
from dicomnode.phantom.header import SeriesForm
from dicomnode.values import Refusal

SEED = 7


@pytest.fixture(scope="module")
def phantom():
    return thorax(SEED, "small")


@pytest.fixture(scope="module")
def scans(phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest, and a block without lungs."""
    folder = tmp_path_factory.mktemp("scans")
    write_series(phantom.voxels, phantom.grid, folder / "chest", seed=SEED)
    block = np.where(phantom.voxels < -300, 40, phantom.voxels).astype(np.int16)
    block[:, :8], block[:, -8:], block[:, :, :8], block[:, :, -8:] = (-1000,) * 4
    write_series(block, phantom.grid, folder / "block", seed=SEED + 1, form=SeriesForm(series_number=3))
    return folder


def chest_of(scans: Path, ignore: Path | None = None):
    [one] = find_backgrounds(scans / "chest", ignore)
    return one


def test_a_chest_becomes_a_world_with_its_lungs(scans: Path, phantom) -> None:
    world = real_world(chest_of(scans))
    assert isinstance(world, World)
    assert world.is_real
    lungs = world.lungs_in(tuple(slice(0, side) for side in world.shape))
    true_ml = (phantom.lung_right.count + phantom.lung_left.count) * phantom.grid.voxel_mm3 / 1000.0
    assert lungs.sum() * SPACING_MM**3 / 1000.0 == pytest.approx(true_ml, rel=0.1)
    assert world.hu[lungs].mean() < -600
    # 2.5 mm slices blur along k, in voxels of 1.25 mm
    assert world.sigma_kji[0] == pytest.approx(2.5 / 2.3548 / 1.25)
    assert 2.0 < world.noise_hu < 100.0  # its scanner was noisy


def test_without_lungs_it_is_refused_with_the_reason(scans: Path) -> None:
    found = {one.stack.files[0].parent.name: real_world(one) for one in find_backgrounds(scans, None)}
    assert isinstance(found["chest"], World)
    refusal = found["block"]
    assert isinstance(refusal, Refusal)
    assert refusal.code == "DN-7340"
    assert "lungs" in refusal.text


def test_what_is_known_in_a_scan_is_ignored_where_it_lies(scans: Path, phantom, tmp_path: Path) -> None:
    x, y, z = phantom.nodules[0].centre_lps_mm
    uid = chest_of(scans).uid
    table = tmp_path / "known.csv"
    table.write_text(f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{uid},{x},{y},{z},12\n")
    background = chest_of(scans, table)
    world = real_world(background)
    assert isinstance(world, World)
    [ball] = world.balls
    assert ball[3] == pytest.approx((12.0 / 2 + 3.0) / SPACING_MM)
    at = tuple(np.rint(ball[:3]).astype(int))
    around = world.hu[tuple(slice(one - 1, one + 2) for one in at)]
    assert around.mean() > -500  # the nodule is there
    assert background.digest != chest_of(scans).digest


@pytest.mark.parametrize(
    "text",
    ["sopinstanceuid,coordX,coordY,coordZ\n1.2,0,0,0\n", "seriesuid,coordX,coordY\n1.2,3,4\n"],
    ids=["keys of images", "no place in the patient"],
)
def test_a_table_that_cannot_be_placed_is_told(scans: Path, tmp_path: Path, text: str) -> None:
    table = tmp_path / "known.csv"
    table.write_text(text)
    with pytest.raises(NodeError, match="DN-7130"):
        find_backgrounds(scans, table)

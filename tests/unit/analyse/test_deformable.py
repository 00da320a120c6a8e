"""Known smooth motions found again, field by field; what does not match is not bent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse import deformable
from dicomnode.analyse.deformable import Deformation, bend, lay_over, registered
from dicomnode.analyse.register import Registration
from dicomnode.analyse.register_images import working_image
from dicomnode.faults import NodeError
from dicomnode.values import Grid, Volume
from dicomnode.values.codes import NO_UNIT
from tests.unit.analyse import chest
from tests.unit.analyse.test_register import volume

pytest.importorskip("SimpleITK")

AIR = -1000.0
MOTION_MM = 6.0
Points = NDArray[np.float64]


def moved_from(points: Points) -> Points:
    """What lies at `points` of the moving chest lay here in the fixed one: up to 6 mm off along each axis."""
    x, y, z = np.moveaxis(points, -1, 0)
    away = [
        np.sin(z / 45 + 0.3) * np.cos(y / 60),
        np.cos(x / 50) * np.sin(z / 60),
        np.sin(x / 55 + 1) * np.cos(y / 50),
    ]
    return points + MOTION_MM * np.stack(away, axis=-1)


def drawn(step: int) -> tuple[Volume, Volume]:
    """A chest with some texture, and the same one bent; voxels of 3 mm × step, each with noise of its own."""
    rng = np.random.default_rng(1)
    hu = chest.draw(chest.Chest(noise=0.0))
    texture = ndimage.gaussian_filter(rng.standard_normal(hu.shape), 3.0)
    hu = hu + np.where(hu > -200.0, 60.0 * texture / texture.std(), 0.0)
    grid = Grid(hu.shape, chest.affine(), "1.2.3.9")
    affine = chest.affine()
    affine[:3, :3] *= step
    index = np.moveaxis(np.indices([len(range(0, n, step)) for n in hu.shape]), 0, -1)
    places = Grid(index.shape[:3], affine, "1.2.3.9").to_lps_mm(index)
    made = []
    for number, points in enumerate((places, moved_from(places))):
        at = np.moveaxis(grid.to_index_kji(points), -1, 0)
        voxels = ndimage.map_coordinates(hu, at, order=1, mode="nearest")
        made.append(volume(voxels + rng.normal(0.0, 10.0, voxels.shape), affine, f"1.2.3.{9 - number}"))
    return made[0], made[1]


def errors_mm(fixed: Volume, found: Deformation) -> tuple[Points, Points]:
    """How far points of the body are from where they should be: with what was found, and without."""
    image = working_image(fixed)
    points = image.grid.to_lps_mm(np.argwhere(image.mask)[::7])
    after = moved_from(found.to_moving(points)) - points
    return np.linalg.norm(after, axis=1), np.linalg.norm(moved_from(points) - points, axis=1)


@pytest.fixture(scope="module")
def coarse() -> tuple[Volume, Volume]:
    return drawn(2)


@pytest.fixture(scope="module")
def bent(coarse: tuple[Volume, Volume]) -> Deformation:
    found = bend(*coarse)
    assert isinstance(found, Deformation), found
    return found


def test_a_known_smooth_motion_is_found_within_a_voxel(
    coarse: tuple[Volume, Volume], bent: Deformation
) -> None:
    after, before = errors_mm(coarse[0], bent)
    assert after.mean() < 3.0  # half a voxel of 6 mm
    assert after.mean() < 0.6 * before.mean()
    assert bent.jacobians[0] > 0.5
    assert bent.jacobians[1] < 1.6
    assert bent.error_mm < 2.0


@pytest.mark.long
def test_a_known_smooth_motion_is_found_within_a_finer_voxel() -> None:
    fixed, moving = drawn(1)
    found = bend(fixed, moving)
    assert isinstance(found, Deformation), found
    after, before = errors_mm(fixed, found)
    assert after.mean() < 2.0  # of a voxel of 3 mm
    assert after.mean() < 0.4 * before.mean()


def test_the_same_two_volumes_give_the_same_deformation(
    coarse: tuple[Volume, Volume], bent: Deformation
) -> None:
    again = bend(*coarse)
    assert isinstance(again, Deformation)
    assert np.array_equal(again.field_lps_mm, bent.field_lps_mm)
    assert again.words == bent.words


def test_the_bent_volume_lies_on_the_fixed_one(coarse: tuple[Volume, Volume], bent: Deformation) -> None:
    fixed, moving = coarse
    laid, inside = lay_over(moving, bent, fixed.grid, AIR)
    straight, _ = lay_over(moving, bent.linear, fixed.grid, AIR)
    body = working_image(fixed)
    at = np.rint(fixed.grid.to_index_kji(body.grid.to_lps_mm(np.argwhere(body.mask)))).astype(int)
    at = at[((at >= 0) & (at < fixed.grid.shape_kji)).all(axis=1)]
    index = tuple(at.T)
    assert inside[index].mean() > 0.9
    apart = [float(np.abs(one - fixed.voxels)[index].mean()) for one in (laid, straight)]
    assert apart[0] < 0.8 * apart[1]


@pytest.mark.slow
def test_another_modality_is_bent_by_mutual_information(coarse: tuple[Volume, Volume]) -> None:
    fixed, moving = coarse
    other = np.where(moving.voxels < -600.0, 20.0, np.where(moving.voxels > 200.0, 120.0, 400.0))
    other += 0.5 * np.where(moving.voxels > -200.0, moving.voxels, 0.0)
    found = bend(fixed, volume(other, moving.affine_lps, "1.2.3.8", NO_UNIT))
    assert isinstance(found, Deformation), found
    after, before = errors_mm(fixed, found)
    assert after.mean() < 6.0  # a voxel
    assert after.mean() < before.mean()


def test_what_is_not_the_same_body_is_not_bent(coarse: tuple[Volume, Volume]) -> None:
    fixed, _ = coarse
    values = np.random.default_rng(5).normal(40.0, 60.0, fixed.voxels.shape)
    z, y, x = (axis[::2, ::2, ::2] for axis in np.broadcast_arrays(*chest.axes_mm()))
    ball = np.where(x**2 + y**2 + z**2 < 90.0**2, values, AIR)
    found = bend(fixed, volume(ball, fixed.affine_lps, "1.2.3.8"))
    assert isinstance(found, str)
    assert "mutual information" in found or "overlap" in found


def test_a_field_that_folds_or_contradicts_the_way_back_is_refused(bent: Deformation) -> None:
    folded = replace(bent, jacobians=(-0.2, 1.5))
    assert "folds" in str(deformable._problem(folded))
    apart = replace(bent, error_mm=4.0)
    assert "4.0 mm from where it was" in str(deformable._problem(apart))
    assert "mm from where it was" in str(deformable._problem(replace(bent, error_mm=float("nan"))))
    assert deformable._problem(bent) is None


def test_a_field_of_another_shape_is_none(bent: Deformation) -> None:
    with pytest.raises(ValueError, match="field_lps_mm"):
        replace(bent, field_lps_mm=bent.field_lps_mm[1:])
    with pytest.raises(ValueError, match="float32"):
        replace(bent, field_lps_mm=bent.field_lps_mm.astype(np.float64))


def test_each_kind_is_asked_for_by_its_name(
    coarse: tuple[Volume, Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = registered(*coarse, "rigid")
    assert isinstance(found, Registration)
    assert found.kind == "rigid"
    monkeypatch.setattr(deformable, "find_spec", lambda _: None)
    with pytest.raises(NodeError, match="DN-7193"):
        registered(*coarse, "deformable")

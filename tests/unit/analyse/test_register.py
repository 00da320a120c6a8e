"""Known motions found again: of a drawn chest, and of a real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomnode.analyse.onto import onto
from dicomnode.analyse.register import Registration, register
from dicomnode.analyse.register_images import corners_lps_mm, working_image
from dicomnode.analyse.resample import Prepared
from dicomnode.assemble import load_volume, read_studies
from dicomnode.values import Code, Grid, SourceFrame, SourceHeaders, Volume, no_progress
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT
from tests.unit.analyse import chest

pytest.importorskip("SimpleITK")

AIR = -1000.0
OTHER_SPACE = "1.2.3.77"
MOTIONS = [
    ((8.0, -5.0, 6.0), (30.0, -20.0, 25.0)),
    ((0.0, 0.0, 0.0), (-30.0, 30.0, -30.0)),
    ((-8.0, 8.0, -8.0), (10.0, 12.0, -30.0)),
]


def volume(
    voxels: NDArray[np.floating], affine_lps: NDArray[np.float64], space: str, unit: Code = HOUNSFIELD
) -> Volume:
    return Volume(
        voxels=voxels.astype(np.float32),
        affine_lps=affine_lps,
        unit=unit,
        frame_of_reference_uid=space,
        study_instance_uid="1.2.3.1",
        series_instance_uid="1.2.3.2",
        frames=tuple(SourceFrame(f"1.2.3.4.{n}") for n in range(len(voxels))),
        headers=SourceHeaders(()),
    )


def motion(
    degrees: tuple[float, float, float], shift_mm: tuple[float, float, float], grid: Grid
) -> NDArray[np.float64]:
    """Turn about x, then y, then z through the middle of the grid, then shift."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix[:3, :3] = turn @ matrix[:3, :3]
    middle = grid.to_lps_mm((np.array(grid.shape_kji) - 1) / 2)
    matrix[:3, 3] = middle + shift_mm - matrix[:3, :3] @ middle
    return matrix


def taken_again(
    first: Volume, moved: NDArray[np.float64], spacing_kji_mm: tuple[float, float, float] | None = None
) -> Volume:
    """As if the patient had lain elsewhere: what was at p is at `moved` p, in slices of their own."""
    spacing = np.array(spacing_kji_mm or first.grid.spacing_kji_mm)
    extent = np.array(first.grid.shape_kji) * first.grid.spacing_kji_mm
    k, j, i = (int(n) for n in np.ceil(extent / spacing))
    middle = first.grid.to_lps_mm((np.array(first.grid.shape_kji) - 1) / 2)
    affine = np.diag([*spacing[::-1], 1.0])
    affine[:3, 3] = moved[:3, :3] @ middle + moved[:3, 3] - (np.array([i, j, k]) - 1) / 2 * spacing[::-1]
    turned = Grid(first.grid.shape_kji, moved @ first.affine_lps, OTHER_SPACE)
    grid = Grid((k, j, i), affine, OTHER_SPACE)
    voxels, _ = onto(Prepared(first.voxels, turned), grid, AIR, no_progress)
    noise = np.random.default_rng(7).normal(0.0, 20.0, voxels.shape)
    return volume(voxels + noise, affine, OTHER_SPACE, first.unit)


def error_mm(fixed: Volume, found: Registration, moved: NDArray[np.float64]) -> float:
    """How far the corners of the box around the body end from where they were."""
    corners = corners_lps_mm(working_image(fixed))
    both = found.moved_lps @ moved
    return float(np.linalg.norm(corners @ both[:3, :3].T + both[:3, 3] - corners, axis=1).max())


@pytest.fixture(scope="module")
def drawn() -> Volume:
    return volume(chest.draw(), chest.affine(), "1.2.3.9")


@pytest.fixture(scope="module")
def coarse(drawn: Volume) -> Volume:
    """The same with voxels of 6 mm: eight times as fast."""
    affine = drawn.affine_lps.copy()
    affine[:3, :3] *= 2.0
    return volume(drawn.voxels[::2, ::2, ::2], affine, "1.2.3.9")


@pytest.mark.parametrize(
    ("degrees", "shift_mm"),
    [MOTIONS[0], *(pytest.param(*one, marks=pytest.mark.long) for one in MOTIONS[1:])],
)
def test_a_known_motion_is_found_within_a_voxel(
    drawn: Volume, degrees: tuple[float, float, float], shift_mm: tuple[float, float, float]
) -> None:
    moved = motion(degrees, shift_mm, drawn.grid)
    found = register(drawn, taken_again(drawn, moved, (5.0, 2.0, 2.5)))
    assert isinstance(found, Registration), found
    assert error_mm(drawn, found, moved) < 2.0
    assert found.error_mm < 2.0
    assert found.overlap > 0.6


def test_the_same_two_volumes_give_the_same_map_and_put_a_place_where_it_was(coarse: Volume) -> None:
    moved = motion((4.0, 0.0, -3.0), (12.0, -8.0, 15.0), coarse.grid)
    prior = taken_again(coarse, moved)
    first, second = register(coarse, prior), register(coarse, prior)
    assert isinstance(first, Registration), first
    assert isinstance(second, Registration)
    assert np.array_equal(first.moved_lps, second.moved_lps)
    assert first.words == second.words
    grid = first.grid_of(prior.grid, coarse.grid)
    assert grid.frame_of_reference_uid == coarse.frame_of_reference_uid
    place_lps_mm = np.array([40.0, -20.0, 60.0])
    index = prior.grid.to_index_kji(moved[:3, :3] @ place_lps_mm + moved[:3, 3])
    assert np.linalg.norm(grid.to_lps_mm(index) - place_lps_mm) < 3.0


def test_an_affine_map_finds_a_scale(coarse: Volume) -> None:
    moved = motion((3.0, -2.0, 1.0), (10.0, 5.0, -8.0), coarse.grid) @ np.diag([1.05, 0.96, 1.04, 1.0])
    prior = taken_again(coarse, moved)
    found = register(coarse, prior, "affine")
    assert isinstance(found, Registration), found
    assert error_mm(coarse, found, moved) < 6.0
    assert np.linalg.svd(found.moved_lps[:3, :3], compute_uv=False).max() > 1.02


def test_another_modality_is_laid_over_as_well(coarse: Volume) -> None:
    moved = motion((5.0, -4.0, 3.0), (15.0, -10.0, 12.0), coarse.grid)
    prior = taken_again(coarse, moved)
    # Bright where there is no air, dark in bone: no line through the values of the CT
    other = np.where(prior.voxels < -600.0, 20.0, np.where(prior.voxels > 200.0, 120.0, 400.0))
    other += np.random.default_rng(3).normal(0.0, 10.0, other.shape)
    found = register(coarse, volume(other, prior.affine_lps, OTHER_SPACE, NO_UNIT))
    assert isinstance(found, Registration), found
    assert error_mm(coarse, found, moved) < 6.0


def test_what_does_not_match_is_refused_with_the_reason(coarse: Volume) -> None:
    values = np.random.default_rng(5).normal(40.0, 60.0, coarse.voxels.shape)
    z, y, x = (axis[::2, ::2, ::2] for axis in np.broadcast_arrays(*chest.axes_mm()))
    ball = np.where(x**2 + y**2 + z**2 < 90.0**2, values, AIR)
    found = register(coarse, volume(ball, coarse.affine_lps, OTHER_SPACE))
    assert isinstance(found, str)
    assert "mutual information" in found or "overlap" in found


def test_an_image_without_a_body_is_refused(coarse: Volume) -> None:
    air = volume(np.full(coarse.voxels.shape, AIR), coarse.affine_lps, OTHER_SPACE)
    assert register(coarse, air) == "one of them shows no body"


def test_a_registration_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="invertible"):
        Registration(kind="rigid", moved_lps=np.zeros((4, 4)), error_mm=0.0, overlap=1.0, information=1.0)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("degrees", "shift_mm"), MOTIONS[:1])
def test_a_known_motion_of_a_real_chest_is_found_within_a_voxel(
    real_data: Callable[[str], Path],
    degrees: tuple[float, float, float],
    shift_mm: tuple[float, float, float],
) -> None:
    reading = read_studies([real_data("chest-ct-nlst-101287")])
    stacks = [stack for study in reading.studies for series in study.series for stack in series.stacks]
    whole = load_volume(max(stacks, key=lambda stack: len(stack.headers)))
    voxel_mm = min(whole.grid.spacing_kji_mm)
    moved = motion(degrees, shift_mm, whole.grid)
    found = register(whole, taken_again(whole, moved))
    assert isinstance(found, Registration), found
    assert error_mm(whole, found, moved) < voxel_mm

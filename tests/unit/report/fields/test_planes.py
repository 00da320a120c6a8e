"""Where the planes of a field lie, and which images of the source they come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.report.fields.planes import SourceImages, are_planes, numbers, planes_of
from dicomnode.values import Grid
from tests.unit.report.fields.fields import GRIDS, coarser, finer, grid_of, imprint_of
from tests.unit.report.sources import PLANES, Series, findings
from tests.unit.report.test_multi_frame import on_frames


def _of(series: Series, onto: str):
    found = findings(series, segments=())
    return planes_of(imprint_of(found), GRIDS[onto](grid_of(series))), found


@pytest.mark.parametrize("plane", sorted(PLANES))
def test_planes_of_the_source_are_in_its_own_words_and_on_its_own_images(plane: str) -> None:
    series = Series(plane=plane)
    planes, _ = _of(series, "its own")
    own = series.datasets()
    assert planes.positions == tuple([str(v) for v in ds["ImagePositionPatient"].value] for ds in own)
    assert planes.on == tuple(range(12))
    assert all(planes.in_place)
    assert [list(one) for one in planes.slices] == [[k] for k in range(12)]


@pytest.mark.parametrize("plane", sorted(PLANES))
@pytest.mark.parametrize("onto", ["coarser", "finer", "across"])
def test_every_voxel_of_a_grid_follows_from_the_words(plane: str, onto: str) -> None:
    grid = GRIDS[onto](grid_of(Series(plane=plane)))
    planes, _ = _of(Series(plane=plane), onto)
    cosines = np.array(planes.orientation, dtype=float).reshape(2, 3)
    row_mm, column_mm = (float(one) for one in planes.spacing)
    for k, position in enumerate(planes.positions):
        # PS3.3 C.7.6.2.1.1
        placed = np.array(position, dtype=float) + 2 * column_mm * cosines[0] + 3 * row_mm * cosines[1]
        assert placed == pytest.approx(grid.to_lps_mm((k, 3, 2)), abs=1e-5)


@pytest.mark.parametrize("plane", sorted(PLANES))
def test_slices_with_other_pixels_lie_on_the_images_and_not_in_place(plane: str) -> None:
    planes, _ = _of(Series(plane=plane), "coarser")
    assert planes.on == tuple(range(12))
    assert not any(planes.in_place)


@pytest.mark.parametrize("plane", sorted(PLANES))
def test_every_other_slice_of_a_finer_grid_lies_between_two_images(plane: str) -> None:
    planes, _ = _of(Series(plane=plane), "finer")
    assert planes.on == tuple(k // 2 if k % 2 == 0 else None for k in range(23))
    assert [list(one) for one in planes.slices[:3]] == [[0], [0, 1], [1]]
    assert planes.in_place == tuple(k % 2 == 0 for k in range(23))


def test_planes_across_come_from_all_images() -> None:
    planes, _ = _of(Series(), "across")
    assert set(planes.on) == {None}
    assert {tuple(one) for one in planes.slices} == {tuple(range(12))}


def test_planes_beside_the_source_come_from_its_nearest_image() -> None:
    series = Series()
    grid = grid_of(series)
    affine = grid.affine_lps.copy()
    affine[:3, 3] = grid.to_lps_mm((-3, 0, 0))
    planes = planes_of(imprint_of(findings(series, segments=())), replace(grid, affine_lps=affine))
    assert planes.on[:4] == (None, None, None, 0)
    assert [list(one) for one in planes.slices[:4]] == [[0]] * 4


def test_upright_planes_of_a_tilted_gantry_lie_on_its_images_and_not_in_place() -> None:
    series = Series(plane="tilted")
    grid = grid_of(series)
    affine = grid.affine_lps.copy()
    affine[:3, 2] = grid.normal_lps * grid.slice_distance_mm  # the same planes, not shifted
    planes = planes_of(imprint_of(findings(series, segments=())), replace(grid, affine_lps=affine))
    assert planes.on == tuple(range(12))
    assert planes.in_place == (True, *[False] * 11)


@pytest.mark.parametrize("plane", ["axial", "oblique", "tilted"])
def test_the_distance_is_that_along_the_normal(plane: str) -> None:
    assert float(_of(Series(plane=plane), "its own")[0].distance) == pytest.approx(2.5, abs=1e-6)


def test_frames_of_one_object_are_named_by_their_numbers_in_one_item() -> None:
    found = on_frames((5, 2, 9, 12, 1, 7, 3, 11, 4, 10, 6, 8))
    images = SourceImages(imprint_of(found))
    (one,) = images.of(range(2, 5), in_place=True)
    assert list(one.ReferencedFrameNumber) == [1, 9, 12]
    assert one.SpatialLocationsPreserved == "YES"
    assert one.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert len(images.series().ReferencedInstanceSequence) == 1


def test_single_images_are_named_without_frames() -> None:
    found = findings(segments=())
    images = SourceImages(imprint_of(found))
    two = images.of(range(2), in_place=False)
    uids = [frame.sop_instance_uid for frame in found.sources[0].frames]
    assert [one.ReferencedSOPInstanceUID for one in two] == uids[:2]
    assert not any("ReferencedFrameNumber" in one for one in two)
    named = images.series()
    assert named.SeriesInstanceUID == found.sources[0].series_instance_uid
    assert [one.ReferencedSOPInstanceUID for one in named.ReferencedInstanceSequence] == uids


def test_a_grid_whose_rows_lean_against_its_columns_has_no_planes() -> None:
    grid = grid_of(Series())
    assert are_planes(grid)
    assert are_planes(finer(coarser(grid)))
    affine = grid.affine_lps.copy()
    affine[:3, 1] += 0.1 * affine[:3, 0]
    assert not are_planes(Grid(grid.shape_kji, affine, "1.2.3"))


def test_numbers_have_sixteen_characters_and_no_minus_before_nothing() -> None:
    assert numbers(-0.0, 1 / 3, -1e-17 / 3) == ["0.0", "0.33333333333333", "-3.333333333e-18"]
    assert all(len(one) <= 16 for one in numbers(-1e-17 / 3, 1e30 / 7, -123456.7890123456))

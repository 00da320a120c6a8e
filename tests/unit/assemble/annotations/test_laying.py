"""Segmentations on any grid: exact where pixels are voxels, the nearest pixel where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import Dataset

from dicomnode.assemble.annotations.frame_planes import SegmentFrame, Sheet
from dicomnode.assemble.annotations.laying import lay
from dicomnode.assemble.annotations.painting import Painting
from dicomnode.assemble.annotations.targets import Target
from dicomnode.values import Grid
from tests.fixtures.pictures import cine, photograph, written
from tests.unit.assemble.annotations.objects import (
    blob,
    by_highdicom,
    change,
    hd_file,
    refused,
    the_annotation,
    write_images,
)
from tests.unit.report.sources import Series

degrees = st.floats(-180, 180)
spacings = st.floats(0.5, 3)


def turned(angles: Sequence[float]) -> np.ndarray:
    """A rotation by three angles in degrees."""
    a, b, c = np.radians(angles)
    about_z = np.array(((np.cos(a), -np.sin(a), 0), (np.sin(a), np.cos(a), 0), (0, 0, 1)))
    about_y = np.array(((np.cos(b), 0, np.sin(b)), (0, 1, 0), (-np.sin(b), 0, np.cos(b))))
    about_x = np.array(((1, 0, 0), (0, np.cos(c), -np.sin(c)), (0, np.sin(c), np.cos(c))))
    return about_z @ about_y @ about_x


def grid_of(
    shape_kji: tuple[int, int, int], spacing_ijk: Sequence[float], angles: Sequence[float] = (0, 0, 0)
) -> Grid:
    """A grid whose middle is the middle of space."""
    affine = np.eye(4)
    affine[:3, :3] = turned(angles) * np.array(spacing_ijk)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape_kji[::-1]) - 1) / 2)
    return Grid(shape_kji, affine, "1.2.3")


def frames_on(grid: Grid, wanted: Sequence[int], segment: int = 1, said: float | None = None):
    """Frames of a segmentation on slices of a grid."""
    i, j, _ = grid.affine_lps[:3, :3].T
    directions = np.array([one / np.linalg.norm(one) for one in (i, j, np.cross(i, j))])
    sheet = Sheet(directions, (float(np.linalg.norm(j)), float(np.linalg.norm(i))), said, None)
    places = [grid.to_lps_mm((n, 0, 0)) for n in wanted]
    return [
        SegmentFrame(index=n, segment=segment, sheet=sheet, origin_lps_mm=tuple(map(float, place)), images=())
        for n, place in zip(wanted, places, strict=True)
    ]


def laid(mask: np.ndarray, own: Grid, onto: Grid, wanted: Sequence[int] | None = None, **more):
    """Lay slices of a mask on `own` onto another grid; what it became, how much was lost, what was told."""
    target = Target(stack=SimpleNamespace(placement=object()), grid=onto)
    opened = SimpleNamespace(header=SimpleNamespace(rows=own.shape_kji[1], columns=own.shape_kji[2]))
    paintings = {1: Painting(onto.shape_kji)}
    frames = frames_on(own, range(own.shape_kji[0]) if wanted is None else wanted, **more)
    told = lay(frames, lambda frame: mask[frame.index].astype(np.uint8), target, paintings, opened)
    return paintings[1].mask().to_array(), paintings[1].outside, told


@settings(max_examples=60, deadline=None)
@given(
    mask=arrays(bool, (5, 7, 6)),
    own_mm=st.tuples(spacings, spacings, spacings),
    onto_mm=st.tuples(spacings, spacings, spacings),
    angles=st.tuples(degrees, degrees, degrees),
)
def test_each_voxel_takes_the_nearest_pixel(mask, own_mm, onto_mm, angles) -> None:
    own, onto = grid_of((5, 7, 6), own_mm, angles), grid_of((6, 5, 8), onto_mm)
    found, _, told = laid(mask, own, onto)
    index = own.to_index_kji(onto.to_lps_mm(np.moveaxis(np.indices(onto.shape_kji), 0, -1)))
    nearest = np.floor(index + 0.5).astype(int)
    inside = np.all((nearest >= 0) & (nearest < own.shape_kji), axis=-1)
    wanted = np.zeros(onto.shape_kji, dtype=bool)
    wanted[inside] = mask[tuple(nearest[inside].T)]
    beside = np.abs(index - np.floor(index) - 0.5).min(axis=-1) < 0.01  # on the border of two pixels
    assert np.array_equal(found[~beside], wanted[~beside])
    if told is None:  # the two grids happened to lie so that every pixel was a voxel
        assert np.allclose(own_mm, onto_mm, rtol=0.5)


@settings(max_examples=60, deadline=None)
@given(
    mask=arrays(bool, (4, 5, 6)),
    order=st.permutations((0, 1, 2)),
    signs=st.tuples(*[st.sampled_from((-1, 1))] * 3),
    shift=st.tuples(*[st.integers(-2, 6)] * 3),
)
def test_turned_mirrored_and_cut_out_pixels_are_the_same_voxels(mask, order, signs, shift) -> None:
    onto = grid_of((9, 10, 11), (0.7, 0.8, 0.9), (10, 20, 30))
    steps = np.zeros((3, 3))
    steps[list(order), [0, 1, 2]] = signs  # columns: i, j, k of the segmentation in those of the images
    index = np.eye(4)
    index[:3, :3], index[:3, 3] = steps, shift
    own = Grid((4, 5, 6), onto.affine_lps @ index, "1.2.3")
    k, j, i = np.nonzero(mask)
    there = (steps @ np.stack((i, j, k)) + np.array(shift)[:, None]).astype(int)[::-1]
    inside = np.all((there >= 0) & (there < np.array(onto.shape_kji)[:, None]), axis=0)
    wanted = np.zeros(onto.shape_kji, dtype=bool)
    wanted[tuple(there[:, inside])] = True
    found, outside, told = laid(mask, own, onto)
    assert np.array_equal(found, wanted)
    assert outside == np.count_nonzero(~inside)
    assert told is None


def test_slices_that_are_twice_as_far_apart_stand_for_those_between() -> None:
    onto, own = grid_of((12, 6, 6), (1, 1, 1)), grid_of((6, 6, 6), (1, 1, 2))
    mask = np.zeros((6, 6, 6), dtype=bool)
    mask[1:4, 2:4, 2:5] = True
    found, outside, told = laid(mask, own, onto)
    assert [int(plane.sum()) for plane in found] == [0, 0, *[6] * 6, 0, 0, 0, 0]
    assert (outside, told is None) == (0, False)


@pytest.mark.parametrize("said", [None, 1.0])
def test_slices_that_were_left_out_stay_empty(said: float | None) -> None:
    grid = grid_of((12, 6, 6), (1, 1, 1))
    mask = np.zeros(grid.shape_kji, dtype=bool)
    mask[[2, 3, 7], 2:4, 2:5] = True
    found, _, told = laid(mask, grid, grid, [7, 2, 3] if said is None else [7, 2], said=said)
    assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == ([2, 3, 7] if said is None else [2, 7])
    assert told is None


def test_what_lies_beside_the_images_is_counted() -> None:
    own, onto = grid_of((4, 6, 6), (1, 1, 1)), grid_of((4, 6, 6), (1.3, 1.1, 1.2), (10, 0, 0))
    moved = Grid(own.shape_kji, own.affine_lps + np.eye(4, k=3) * 3, "1.2.3")
    found, outside, _ = laid(np.ones(own.shape_kji, dtype=bool), moved, onto)
    assert found.any()
    assert 0 < outside < 144


def test_a_ball_keeps_its_volume_on_any_grid() -> None:
    own, onto = grid_of((40, 40, 40), (0.5, 0.5, 0.5)), grid_of((30, 30, 30), (0.9, 0.8, 1.1), (33, -20, 50))
    index = np.moveaxis(np.indices(own.shape_kji), 0, -1)
    found, _, _ = laid(np.linalg.norm(own.to_lps_mm(index), axis=-1) < 8, own, onto)
    assert found.sum() * onto.voxel_mm3 == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.02)


# ── Whole objects ──


def test_a_segmentation_on_another_series_of_the_patient_space_is_laid_onto_these_images(
    tmp_path: Path,
) -> None:
    space = "1.2.826.0.1.3680043.10.5"
    drawn_on = Series(
        plane="sagittal",
        shape_kji=(9, 12, 14),
        spacing_kji_mm=(1.3, 1.4, 0.9),
        origin_lps_mm=(1.0, -102.0, -295.0),
        extra={"FrameOfReferenceUID": space},
    )
    images = Series(study="another", shape_kji=(8, 12, 14), extra={"FrameOfReferenceUID": space})
    write_images(images, tmp_path)
    mask = blob(drawn_on.shape_kji)
    hd_file(by_highdicom(drawn_on.datasets(), mask.astype(np.uint8)), tmp_path / "seg.dcm")
    annotation = the_annotation(tmp_path)
    own = Grid(drawn_on.shape_kji, drawn_on.affine, space)
    assert annotation.grid is not None
    index = own.to_index_kji(annotation.grid.to_lps_mm(np.moveaxis(np.indices(images.shape_kji), 0, -1)))
    nearest = np.floor(index + 0.5).astype(int)
    inside = np.all((nearest >= 0) & (nearest < own.shape_kji), axis=-1)
    wanted = np.zeros(images.shape_kji, dtype=bool)
    wanted[inside] = mask[tuple(nearest[inside].T)]
    beside = np.abs(index - np.floor(index) - 0.5).min(axis=-1) < 0.02
    assert wanted.any()
    found = annotation.segments[0].mask.to_array()
    assert np.array_equal(found[~beside], wanted[~beside])
    assert any("another grid" in note for note in annotation.notes)


def test_frames_without_a_position_lie_on_the_images_that_they_name(tmp_path: Path) -> None:
    series = Series(shape_kji=(8, 12, 14))
    images = write_images(series, tmp_path)
    seg = by_highdicom(images, blob(series.shape_kji).astype(np.uint8))

    def edit(ds: Dataset) -> None:
        for group in ds.PerFrameFunctionalGroupsSequence:
            del group.PlanePositionSequence

    change(hd_file(seg, tmp_path / "seg.dcm"), edit)
    (segment,) = the_annotation(tmp_path).segments
    assert np.array_equal(segment.mask.to_array(), blob(series.shape_kji))


def of_picture(image: Dataset, masks: np.ndarray) -> Dataset:
    """A segmentation of a picture or clip, which has no patient space; masks: (t, j, i)."""
    seg = Dataset()
    seg.SOPClassUID, seg.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.826.0.1.3680043.10.6.1"
    seg.StudyInstanceUID, seg.SeriesInstanceUID = image.StudyInstanceUID, "1.2.826.0.1.3680043.10.6.2"
    seg.Modality, seg.SegmentationType = "SEG", "BINARY"
    seg.Rows, seg.Columns = masks.shape[1:]
    seg.NumberOfFrames, seg.SamplesPerPixel = len(masks), 1
    seg.PhotometricInterpretation, seg.PixelRepresentation = "MONOCHROME2", 0
    seg.BitsAllocated, seg.BitsStored, seg.HighBit = 1, 1, 0
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType = 1, "spot", "MANUAL"
    seg.SegmentSequence = [item]
    seg.SharedFunctionalGroupsSequence = [Dataset()]
    seg.PerFrameFunctionalGroupsSequence = [_group(image, n) for n in range(len(masks))]
    packed = np.packbits(masks.ravel(), bitorder="little").tobytes()
    seg.PixelData = packed + b"\0" * (len(packed) % 2)
    seg["PixelData"].VR = "OB"
    return seg


def _group(image: Dataset, n: int) -> Dataset:
    group, source, derivation, number = Dataset(), Dataset(), Dataset(), Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    if "NumberOfFrames" in image:
        source.ReferencedFrameNumber = n + 1
    derivation.SourceImageSequence = [source]
    number.ReferencedSegmentNumber = 1
    group.DerivationImageSequence, group.SegmentIdentificationSequence = [derivation], [number]
    return group


def test_segmentations_of_pictures_and_clips_lie_pixel_on_pixel(tmp_path: Path) -> None:
    for name, image in (("photograph", photograph()), ("clip", cine())):
        folder = tmp_path / name
        written(folder / "images", image)
        frames = int(image.get("NumberOfFrames", 1))
        masks = np.zeros((frames, image.Rows, image.Columns), dtype=bool)
        masks[frames // 2, 2:5, 3:9] = True
        hd_file(of_picture(image, masks), folder / "seg.dcm")
        annotation = the_annotation(folder)
        assert np.array_equal(annotation.segments[0].mask.to_array(), masks)
        hd_file(of_picture(image, masks[:, 1:]), folder / "seg.dcm")
        assert refused(folder) == "DN-7003"

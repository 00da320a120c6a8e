"""A grid that lies elsewhere than the frames of its multi-frame source is found, whatever is made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import NuclearMedicineImageStorage

from dicomnode.assemble import load_volume, read_studies
from dicomnode.faults import SOURCE_HEADER_WRONG, SOURCES_DISAGREE, NodeError
from dicomnode.phantom import write_enhanced
from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.heading.headers import read_heading
from dicomnode.values import Findings, Grid
from dicomnode.values.geometry import axes_of
from tests.unit.report.real import source_of
from tests.unit.report.sources import PLANES, SALT, Series, findings
from tests.unit.report.test_multi_frame import ORDERS, on_frames

NUMBERS = ORDERS["in no order"]
Change = Callable[[Dataset], None]


def _item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def on_grid(found: Findings, change: np.ndarray) -> Findings:
    """The findings on a grid that is moved in patient space."""
    (source,) = found.sources
    grid = source.grid
    assert grid is not None
    moved = Grid(grid.shape_kji, change @ grid.affine_lps, grid.frame_of_reference_uid)
    return replace(found, sources=(replace(source, grid=moved),))


def _shift(*by_mm: float) -> np.ndarray:
    change = np.eye(4)
    change[:3, 3] = by_mm
    return change


def disagreeing(found: Findings) -> str:
    with pytest.raises(NodeError) as caught:
        read_heading(found)
    assert caught.value.fault is SOURCES_DISAGREE
    return str(caught.value.values["keyword"])


@pytest.mark.parametrize(
    "change",
    [
        _shift(50.0, 0.0, 0.0),
        _shift(0.35, 0.0, 0.0),  # half a pixel
        _shift(0.0, 0.0, 1.25),  # half a slice
        _shift(0.0, 0.0, 2.5),
        np.diag([-1.0, -1.0, 1.0, 1.0]),
    ],
    ids=["far", "half a pixel", "half a slice", "a slice", "turned"],
)
@pytest.mark.parametrize("numbers", ORDERS.values(), ids=list(ORDERS))
def test_a_grid_that_lies_elsewhere_is_found(numbers: tuple[int, ...], change: np.ndarray) -> None:
    assert disagreeing(on_grid(on_frames(numbers), change)) == "ImagePositionPatient"


def test_no_object_is_made_on_a_grid_that_lies_elsewhere() -> None:
    found = on_grid(on_frames(NUMBERS), _shift(50.0, 0.0, 0.0))
    with pytest.raises(NodeError) as caught:
        make_objects(found, ReportProfile(kinds=("SR",)), SALT)
    assert caught.value.fault is SOURCES_DISAGREE


def test_slices_named_in_another_order_are_found() -> None:
    found = on_frames(NUMBERS)
    (source,) = found.sources
    against = replace(source, frames=source.frames[::-1])
    assert disagreeing(replace(found, sources=(against,))) == "ImagePositionPatient"


def _axes_exchanged(grid: Grid) -> Grid:
    affine = grid.affine_lps.copy()
    affine[:3, 0], affine[:3, 1] = affine[:3, 1] * 0.7 / 0.8, affine[:3, 0] * 0.8 / 0.7
    return Grid(grid.shape_kji, affine, grid.frame_of_reference_uid)


def _spacing_exchanged(grid: Grid) -> Grid:
    affine = grid.affine_lps.copy()
    affine[:3, 0], affine[:3, 1] = affine[:3, 0] * 0.8 / 0.7, affine[:3, 1] * 0.7 / 0.8
    return Grid(grid.shape_kji, affine, grid.frame_of_reference_uid)


@pytest.mark.parametrize(
    ("change", "keyword"),
    [(_axes_exchanged, "ImageOrientationPatient"), (_spacing_exchanged, "PixelSpacing")],
)
def test_a_grid_with_other_axes_is_found(change: Callable[[Grid], Grid], keyword: str) -> None:
    found = on_frames(NUMBERS)
    (source,) = found.sources
    assert source.grid is not None
    assert disagreeing(replace(found, sources=(replace(source, grid=change(source.grid)),))) == keyword


def _own(number: int, **macros: Dataset) -> Change:
    def change(ds: Dataset) -> None:
        for keyword, item in macros.items():
            setattr(ds.PerFrameFunctionalGroupsSequence[number - 1], keyword, [item])

    return change


@pytest.mark.parametrize(
    ("change", "keyword"),
    [
        (
            _own(3, PlanePositionSequence=_item(ImagePositionPatient=[1.0, 2.0, 3.0])),
            "ImagePositionPatient",
        ),
        (
            _own(3, PlaneOrientationSequence=_item(ImageOrientationPatient=[0, 1, 0, 1, 0, 0])),
            "ImageOrientationPatient",
        ),
        (_own(3, PixelMeasuresSequence=_item(PixelSpacing=[0.7, 0.8])), "PixelSpacing"),
    ],
)
def test_one_frame_that_lies_otherwise_is_found(change: Change, keyword: str) -> None:
    assert disagreeing(on_frames(NUMBERS, change=change)) == keyword


def _without_positions(ds: Dataset) -> None:
    del ds.PerFrameFunctionalGroupsSequence[4].PlanePositionSequence


def _without_groups(ds: Dataset) -> None:
    del ds.PerFrameFunctionalGroupsSequence


def _without_spacing(ds: Dataset) -> None:
    del ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence


def _too_few_numbers(ds: Dataset) -> None:
    ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0]


@pytest.mark.parametrize(
    ("change", "keyword"),
    [
        (_without_positions, "ImagePositionPatient"),
        (_without_groups, "PerFrameFunctionalGroupsSequence"),
        (_without_spacing, "PixelSpacing"),
        (_too_few_numbers, "ImageOrientationPatient"),
    ],
)
def test_frames_that_do_not_say_where_they_lie_are_refused(change: Change, keyword: str) -> None:
    with pytest.raises(NodeError) as caught:
        read_heading(on_frames(NUMBERS, change=change))
    assert caught.value.fault is SOURCE_HEADER_WRONG
    assert caught.value.values["keyword"] == keyword


# ── what is right, and what is tolerated ──


@pytest.mark.parametrize("plane", PLANES)
def test_frames_on_their_grid_pass_in_every_plane(plane: str) -> None:
    read_heading(on_frames(NUMBERS, Series(plane=plane)))


def test_frames_that_jitter_pass_as_far_as_slices_do() -> None:
    def edit(ds: Dataset, k: int) -> None:
        x, _, z = (float(one) for one in ds.ImagePositionPatient)
        ds.ImagePositionPatient[2] = f"{z + (0.1 if k == 5 else 0.0):.4f}"
        ds.ImagePositionPatient[0] = f"{x + (0.14 if k == 7 else 0.0):.4f}"

    read_heading(on_frames(NUMBERS, Series(edit=edit)))


def test_frames_whose_spacing_was_rounded_pass() -> None:
    read_heading(
        on_frames(NUMBERS, change=_own(3, PixelMeasuresSequence=_item(PixelSpacing=["0.8005", "0.7"])))
    )


def test_frames_whose_cosines_were_made_perpendicular_pass() -> None:
    written = [0.906, 0.423, 0.0, -0.397, 0.852, 0.342]  # three decimals
    directions = axes_of(written)
    assert directions is not None

    def change(ds: Dataset) -> None:
        ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient = written
        for number, frame in enumerate(ds.PerFrameFunctionalGroupsSequence, start=1):
            at = affine @ (0, 0, NUMBERS.index(number), 1)
            frame.PlanePositionSequence[0].ImagePositionPatient = [f"{one:.4f}" for one in at[:3]]

    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (
        directions[0] * 0.7,
        directions[1] * 0.8,
        directions[2] * 2.5,
    )
    found = on_frames(NUMBERS, change=change)
    (source,) = found.sources
    assert source.grid is not None
    grid = Grid(source.grid.shape_kji, affine, source.grid.frame_of_reference_uid)
    read_heading(replace(found, sources=(replace(source, grid=grid),)))


def _in_converted_groups(ds: Dataset) -> None:
    """As legacy converted objects may have it."""
    (shared,) = ds.SharedFunctionalGroupsSequence
    kept = _item(ImageOrientationPatient=shared.PlaneOrientationSequence[0].ImageOrientationPatient)
    del shared.PlaneOrientationSequence
    shared.UnassignedSharedConvertedAttributesSequence = [kept]
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.UnassignedPerFrameConvertedAttributesSequence = frame.PlanePositionSequence
        del frame.PlanePositionSequence


def _beside_the_groups(ds: Dataset) -> None:
    ds.PixelSpacing = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    del ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence


@pytest.mark.parametrize("change", [_in_converted_groups, _beside_the_groups])
def test_places_are_read_wherever_an_object_says_them(change: Change) -> None:
    found = on_frames(NUMBERS, change=change)
    read_heading(found)
    assert disagreeing(on_grid(found, _shift(50.0, 0.0, 0.0))) == "ImagePositionPatient"


@pytest.mark.parametrize("against", [False, True], ids=["along the normal", "against it"])
@pytest.mark.parametrize("vector", [False, True], ids=["in their order", "by a Slice Vector"])
def test_slices_of_an_nm_object_are_placed_from_its_first(vector: bool, against: bool) -> None:
    numbers = NUMBERS if vector else tuple(range(12, 0, -1) if against else range(1, 13))
    first = (Series().affine @ (0, 0, 11 if against else 0, 1))[:3]

    def change(ds: Dataset) -> None:
        shared = ds.SharedFunctionalGroupsSequence[0]
        cosines = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        ds.SOPClassUID = NuclearMedicineImageStorage
        ds.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
        ds.SpacingBetweenSlices = -2.5 if against else 2.5
        ds.DetectorInformationSequence = [
            _item(ImagePositionPatient=first.tolist(), ImageOrientationPatient=cosines)
        ]
        if vector:
            slices = [numbers.index(number) + 1 for number in range(1, 13)]
            ds.SliceVector = [13 - one for one in slices] if against else slices
        del ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence

    found = on_frames(numbers, change=change)
    read_heading(found)
    assert disagreeing(on_grid(found, _shift(0.0, 0.0, 2.5))) == "ImagePositionPatient"


@pytest.mark.parametrize("legacy", [False, True], ids=["enhanced", "legacy converted"])
def test_a_volume_that_was_read_lies_where_its_frames_do(legacy: bool, tmp_path: Path) -> None:
    series = Series(plane="oblique")
    grid = Grid(series.shape_kji, series.affine, "1.2.3")
    write_enhanced(series.voxels(), grid, tmp_path / "x.dcm", seed=1, legacy=legacy)
    ((read,),) = (study.series for study in read_studies([tmp_path]).studies)
    found = findings(None, sources=(source_of(load_volume(read.stacks[0])),), segments=())
    read_heading(found)
    assert disagreeing(on_grid(found, _shift(0.0, 50.0, 0.0))) == "ImagePositionPatient"

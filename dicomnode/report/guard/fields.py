"""The geometry guard of fields: planes of numbers, as they are read back, against the field that was made.

Each plane must lie on the plane of the field that has its number, corner by corner, name the image of the
source that lies there, and hold the same numbers. What is above the middle of the range must have its
centroid and extent in the patient where the grid has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmread

from dicomnode.report.guard.identity import equal, frame_of, grid_of
from dicomnode.report.guard.places import QUARTER, PlacedSum, PlacedVoxels, SliceOf, mm_text
from dicomnode.report.guard.reading import Place
from dicomnode.report.mismatch.error import differs
from dicomnode.store.foreign import quiet
from dicomnode.values import DerivedImage, Findings, Float64, Grid, ScalarMap

Field = ScalarMap | DerivedImage

_SIDES = ("Laterality", "ImageLaterality")


@dataclass(frozen=True, slots=True, eq=False)
class ReadPlane:
    """A plane as it was read: its place, its numbers (rows, columns), and the images of the source it names.

    in_place: whether it says that its pixels lie where those of the images do.
    """

    place: Place
    values: Float64
    images: Sequence[Dataset]
    in_place: bool


def check_planes(
    planes: Iterable[ReadPlane], field: Field, findings: Findings, off: Callable[[Float64, Float64], Float64]
) -> None:
    """Compare planes, k ascending, with a field.

    off: how far numbers that were read are beyond what may differ from those wanted; above 0 is a mismatch.
    """
    grid, name = field.grid, repr(field.label)
    slice_of, source = SliceOf(grid), _Slices(grid_of(findings), findings)
    level = (float(field.values.min()) + float(field.values.max())) / 2
    by_object, by_grid, count = PlacedSum(), PlacedSum(), 0
    i, j, along, origin = grid.affine_lps[:3].T
    for k, plane in enumerate(planes):
        count += 1
        equal(f"rows and columns of {name}", plane.values.shape, grid.shape_kji[1:])
        equal(f"place of plane {k} of {name}", f"slice {slice_of(plane.place)}", f"slice {k}")
        source.check(plane, k)
        _check_values(plane.values, field, k, off)
        above = plane.values > level
        if above.any():
            voxels = PlacedVoxels.of(above, 0, 0)
            by_object.add(voxels, plane.place.plane)
            by_grid.add(voxels, np.array((i, j, origin + k * along)).T)
    equal(f"number of planes of {name}", count, grid.shape_kji[0])
    if by_grid.voxels:
        _check_sums(by_object, by_grid, field)


def _check_values(values: Float64, field: Field, k: int, off: Callable[[Float64, Float64], Float64]) -> None:
    wanted = field.values[k].astype(np.float64)
    beyond = off(values, wanted)
    if not (beyond <= 0).all():  # what is no number is beyond, too
        row, column = np.unravel_index(int(np.argmax(np.nan_to_num(beyond, nan=np.inf))), beyond.shape)
        raise differs(
            f"{field.label!r} has {values[row, column]:.6g} instead of {wanted[row, column]:.6g} "
            f"in row {row}, column {column} of plane {k}"
        )


def _check_sums(found: PlacedSum, expected: PlacedSum, field: Field) -> None:
    near_mm = 2 * QUARTER * max(field.grid.spacing_kji_mm)
    for what, there, wanted in (
        ("centroid", found.centroid_lps_mm, expected.centroid_lps_mm),
        ("lower corner", found.low_lps_mm, expected.low_lps_mm),
        ("upper corner", found.high_lps_mm, expected.high_lps_mm),
    ):
        if np.linalg.norm(there - wanted) > near_mm:
            raise differs(
                f"what is bright of {field.label!r} has its {what} at {mm_text(there)}, not {mm_text(wanted)}"
            )


class _Slices:
    """The slices of the source, and which of them lies where a plane does."""

    def __init__(self, grid: Grid, findings: Findings) -> None:
        self._grid = grid
        self._frames = findings.sources[0].frames

    def check(self, plane: ReadPlane, k: int) -> None:
        """Compare the images that a plane names with the slice that it lies on, or nearest to."""
        if not plane.images:
            return
        rows, columns = plane.values.shape
        corners = [(i, j, 1.0) for j in (0, rows - 1) for i in (0, columns - 1)]
        depths = self._grid.to_index_kji((plane.place.plane @ np.array(corners, dtype=np.float64).T).T)[:, 0]
        nearest = round(float(depths.mean()))
        frame = self._frames[min(max(nearest, 0), len(self._frames) - 1)]
        named = [one for image in plane.images for one in _frames_of(image)]
        if frame not in named or not set(named) <= set(self._frames):
            raise differs(f"plane {k} names other images than that of the slice it lies on")
        if plane.in_place and (len(named) > 1 or np.abs(depths - nearest).max() > QUARTER):
            raise differs(f"plane {k} says that it lies in the place of an image, and does not")


def _frames_of(image: Dataset) -> list[object]:
    """Return the images that an item names: one, or several frames of one object."""
    numbers = image.get("ReferencedFrameNumber")
    if numbers is None or isinstance(numbers, int | str):
        return [frame_of(image)]
    frames: list[object] = []
    for number in numbers:
        one = Dataset()
        one.ReferencedSOPInstanceUID, one.ReferencedFrameNumber = image.ReferencedSOPInstanceUID, number
        frames.append(frame_of(one))
    return frames


def source_header(findings: Findings, *keywords: str) -> Dataset:
    """Read some elements of the first source, as they came."""
    with quiet():
        return dcmread(BytesIO(findings.sources[0].headers.encoded[0]), specific_tags=list(keywords))


def check_side(read: Dataset, findings: Findings) -> None:
    """Compare what an object says of its side with what the source says. Nothing said is no mismatch."""
    source = source_header(findings, *_SIDES)
    said = {str(source.get(keyword) or "") for keyword in _SIDES}
    for keyword in _SIDES:
        side = str(read.get(keyword) or "")
        if side and side not in said:
            raise differs(f"its side is {side}, and that of its source is not")

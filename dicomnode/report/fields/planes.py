"""Where the planes of a field lie, in the words of a header, and which images of the source they come from.

A field has a grid of its own in the source's patient space. Where that is the source's grid, the planes are
written in the source's own numbers; a plane that lies on an image of the source names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from dicomnode.report.concepts import SOURCE_IMAGE, code_item
from dicomnode.report.heading.identity import Imprint
from dicomnode.values import Float64, Grid
from dicomnode.values.geometry import axes_of

# Planes, and voxels within them, are those of the source where no corner lies farther off, in parts of the
# distance to the next one
_ON: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planes:
    """The planes of a grid as a header says them, k ascending; numbers are DS, in mm.

    orientation: six cosines. spacing: between rows, between columns. positions: x, y, z of the first voxel of
    each plane, LPS. distance: between neighbouring planes, along their normal.
    slices: for each plane the slices of the source that it lies on or between, ascending.
    on: for each plane the slice that it lies on; None where it lies between slices or beside them all.
    in_place: for each plane whether its voxels are those of a slice.
    """

    orientation: list[str]
    spacing: list[str]
    positions: tuple[list[str], ...]
    distance: str
    slices: tuple[range, ...]
    on: tuple[int | None, ...]
    in_place: tuple[bool, ...]


def are_planes(grid: Grid) -> bool:
    """Tell whether the rows of a grid are perpendicular to its columns: a header has no words for others."""
    return axes_of(_axes(grid).ravel()) is not None


def planes_of(imprint: Imprint, grid: Grid) -> Planes:
    """Say where the planes of `grid` lie; the first source has a grid, too."""
    source, stubs = imprint.findings.sources[0], imprint.heading.stubs[0]
    assert source.grid is not None
    slices, on, in_place = _beside(grid, source.grid)
    _, row_mm, column_mm = grid.spacing_kji_mm
    orientation, spacing = numbers(*_axes(grid).ravel()), numbers(row_mm, column_mm)
    positions = tuple(numbers(*grid.to_lps_mm((k, 0, 0))) for k in range(grid.shape_kji[0]))
    if grid.same_as(source.grid) and "ImagePositionPatient" in stubs[0]:
        # Slices of a source may lie a little beside its grid, and their numbers be rounded
        of_uid = {str(stub.SOPInstanceUID): stub for stub in stubs}
        own = [of_uid[frame.sop_instance_uid] for frame in source.frames]
        positions = tuple(_texts(stub.ImagePositionPatient) for stub in own)
        orientation, spacing = _texts(own[0].ImageOrientationPatient), _texts(own[0].PixelSpacing)
    return Planes(
        orientation=orientation,
        spacing=spacing,
        positions=positions,
        distance=numbers(grid.slice_distance_mm)[0],
        slices=slices,
        on=on,
        in_place=in_place,
    )


class SourceImages:
    """Writes what names the images of the first source."""

    def __init__(self, imprint: Imprint) -> None:
        self._frames = imprint.findings.sources[0].frames
        self._classes = {str(stub.SOPInstanceUID): stub.SOPClassUID for stub in imprint.heading.stubs[0]}
        self._series_uid = imprint.findings.sources[0].series_instance_uid

    @property
    def count(self) -> int:
        """Slices of the source."""
        return len(self._frames)

    def of(self, slices: Iterable[int], *, in_place: bool) -> list[Dataset]:
        """Return the items of a Source Image Sequence (0008,2112), one an instance.

        in_place: whether the pixels are those of the images (Spatial Locations Preserved).
        """
        together: dict[str, list[int]] = {}
        for k in slices:
            frame = self._frames[k]
            named = together.setdefault(frame.sop_instance_uid, [])
            if frame.frame_number is not None:
                named.append(frame.frame_number)
        items = []
        for uid, frame_numbers in together.items():
            item = self._item(uid)
            if frame_numbers:
                item.ReferencedFrameNumber = sorted(frame_numbers)
            item.SpatialLocationsPreserved = "YES" if in_place else "NO"
            item.PurposeOfReferenceCodeSequence = [code_item(SOURCE_IMAGE)]
            items.append(item)
        return items

    def series(self) -> Dataset:
        """Return the item of a Referenced Series Sequence (0008,1115) that names all images."""
        item = Dataset()
        item.SeriesInstanceUID = self._series_uid
        named = dict.fromkeys(frame.sop_instance_uid for frame in self._frames)
        item.ReferencedInstanceSequence = [self._item(uid) for uid in named]
        return item

    def _item(self, uid: str) -> Dataset:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = self._classes[uid], uid
        return item


def numbers(*values: float) -> list[str]:
    """Write numbers as DS: at most 16 characters."""
    return [format_number_as_ds(float(value) + 0.0) for value in values]  # + 0.0: of -0 makes 0


def _texts(values: Sequence[object]) -> list[str]:
    return [str(getattr(value, "original_string", value)) for value in values]


def _axes(grid: Grid) -> Float64:
    """Direction of the rows and of the columns: unit vectors (2, 3)."""
    columns = grid.affine_lps[:3, :2]
    unit: Float64 = (columns / np.linalg.norm(columns, axis=0)).T
    return unit


def _beside(grid: Grid, source: Grid) -> tuple[tuple[range, ...], tuple[int | None, ...], tuple[bool, ...]]:
    """For each plane of `grid`: slices of `source` that it touches, that it lies on, and whether in place."""
    count, rows, columns = grid.shape_kji
    inside = np.array([[j, i] for j in (0, rows - 1) for i in (0, columns - 1)], dtype=np.float64)
    corners = np.empty((count, len(inside), 3))
    corners[..., 0], corners[..., 1:] = np.arange(count)[:, None], inside
    index = source.to_index_kji(grid.to_lps_mm(corners))
    low, high = index[..., 0].min(axis=1), index[..., 0].max(axis=1)
    alike = (rows, columns) == source.shape_kji[1:]
    placed = np.abs(index[..., 1:] - inside).max(axis=(1, 2)) <= _ON
    last = source.shape_kji[0] - 1
    slices, on, in_place = [], [], []
    for one, other, same in zip(low, high, placed, strict=True):
        nearest = round(float(one + other) / 2)
        lies_on = max(abs(one - nearest), abs(other - nearest)) <= _ON and 0 <= nearest <= last
        ends = (nearest, nearest) if lies_on else (int(np.floor(one)), int(np.ceil(other)))
        first, final = (min(max(end, 0), last) for end in ends)
        slices.append(range(first, final + 1))
        on.append(nearest if lies_on else None)
        in_place.append(bool(lies_on and alike and same))
    return tuple(slices), tuple(on), tuple(in_place)

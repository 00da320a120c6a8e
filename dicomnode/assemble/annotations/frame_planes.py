"""Where the frames of a segmentation lie, and which segment each is of (PS3.3 C.7.6.16, C.8.20.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import Dataset

from dicomnode.assemble.annotations.opened import Opened
from dicomnode.assemble.attributes import many, numbers_of, text_of, value_of, whole_of
from dicomnode.assemble.bounded import TooMuchError
from dicomnode.assemble.dataset import read_as
from dicomnode.assemble.functional_groups import GROUPS, has_groups
from dicomnode.assemble.macros import Elements, Lifting, groups_in
from dicomnode.faults import ANNOTATION_TOO_LARGE, ANNOTATION_UNPLACED
from dicomnode.values import Float64, SourceFrame
from dicomnode.values.geometry import axes_of

_PER_FRAME: Final = GROUPS[1]


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """How frames lie that are parallel and have the same pixels.

    directions: (3, 3) unit vectors of row, column and normal, LPS. spacing_ji_mm: between rows, between
    columns. distance_mm, thickness_mm: Spacing Between Slices and Slice Thickness, None where not said.
    """

    directions: Float64
    spacing_ji_mm: tuple[float, float]
    distance_mm: float | None
    thickness_mm: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentFrame:
    """One frame. index: in the object, from 0. segment: its number, None of a label map.

    sheet, origin_lps_mm: where it lies; None where it does not say. images: that it was made of.
    """

    index: int
    segment: int | None
    sheet: Sheet | None
    origin_lps_mm: tuple[float, float, float] | None
    images: tuple[SourceFrame, ...]


def frames_of_segmentation(opened: Opened, *, labelmap: bool) -> list[SegmentFrame]:
    """Read the functional groups of all frames.

    Raises NodeError: ANNOTATION_UNPLACED, ANNOTATION_TOO_LARGE, ANNOTATION_DAMAGED.
    """
    dataset, count = opened.dataset, whole_of(opened.dataset, "NumberOfFrames") or 0
    if count < 1:
        raise opened.damaged(f"(0028,0008) NumberOfFrames is {count}")
    try:
        if not has_groups(dataset, count):
            error = f"it has {count} frame(s), and another number of items in {_PER_FRAME}"
            raise opened.refused(ANNOTATION_UNPLACED, error=error)
    except TooMuchError as error:
        raise opened.refused(ANNOTATION_TOO_LARGE, error=str(error)) from error
    reader = _Reader(opened, labelmap=labelmap)
    return [reader.frame(index, group) for index, group in enumerate(groups_in(dataset, _PER_FRAME))]


class _Reader:
    """Reads frame after frame; what frames share is read once."""

    def __init__(self, opened: Opened, *, labelmap: bool) -> None:
        self._opened = opened
        self._labelmap = labelmap
        self._lifting = Lifting()
        self._sheets: dict[tuple[object, ...], Sheet] = {}
        self._shared: Elements = {}
        self._shared_groups = list(groups_in(opened.dataset, GROUPS[0]))
        for group in self._shared_groups:
            self._shared |= self._lifting.lifted(group)

    def frame(self, index: int, group: Dataset) -> SegmentFrame:
        flat = read_as(Dataset(self._shared | self._lifting.lifted(group)), self._opened.dataset)
        position = numbers_of(flat, "ImagePositionPatient", 3)
        return SegmentFrame(
            index=index,
            segment=None if self._labelmap else self._segment(index, group),
            sheet=self._sheet(flat),
            origin_lps_mm=(position[0], position[1], position[2]) if position else None,
            images=_images(group),
        )

    def _segment(self, index: int, group: Dataset) -> int:
        for one in (group, *self._shared_groups):
            for item in groups_in(one, "SegmentIdentificationSequence"):
                number = whole_of(item, "ReferencedSegmentNumber")
                if number is not None:
                    return number
        raise self._opened.damaged(f"frame {index + 1} does not say which segment it is of")

    def _sheet(self, flat: Dataset) -> Sheet | None:
        cosines, spacing = numbers_of(flat, "ImageOrientationPatient", 6), numbers_of(flat, "PixelSpacing", 2)
        if cosines is None or spacing is None or min(spacing) <= 0:
            return None
        distance, thickness = _length(flat, "SpacingBetweenSlices"), _length(flat, "SliceThickness")
        key = (cosines, spacing, distance, thickness)
        if key not in self._sheets:
            directions = axes_of(cosines)
            if directions is None:
                return None
            self._sheets[key] = Sheet(directions, (spacing[0], spacing[1]), distance, thickness)
        return self._sheets[key]


def _length(flat: Dataset, keyword: str) -> float | None:
    found = numbers_of(flat, keyword, 1)
    return abs(found[0]) or None if found else None  # Spacing Between Slices of some is negative


def _images(group: Dataset) -> tuple[SourceFrame, ...]:
    """Return the images that a frame was made of; a reference to several frames of one object is several."""
    found: list[SourceFrame] = []
    for derivation in groups_in(group, "DerivationImageSequence"):
        for image in groups_in(derivation, "SourceImageSequence"):
            found += source_frames(image)
    return tuple(found)


def source_frames(reference: Dataset) -> Sequence[SourceFrame]:
    """Return the images that a reference names (PS3.3 Table 10-3)."""
    uid = text_of(reference, "ReferencedSOPInstanceUID")
    if not uid:
        return ()
    numbers = many(value_of(reference, "ReferencedFrameNumber"))
    if not numbers:
        return (SourceFrame(uid),)
    return tuple(SourceFrame(uid, int(number)) for number in numbers if isinstance(number, int | float))


def indices_of(frame: SegmentFrame, to_index: Float64) -> Float64 | None:
    """Return (3, 3): what maps (column, row, 1) of a frame to indices (i, j, k) of a grid.

    to_index: (4, 4), LPS mm to indices. None where the frame does not say where it lies.
    """
    if frame.sheet is None or frame.origin_lps_mm is None:
        return None
    row_mm, column_mm = frame.sheet.spacing_ji_mm
    across, down, _ = frame.sheet.directions
    plane = np.array((across * column_mm, down * row_mm, frame.origin_lps_mm)).T
    mapped: Float64 = to_index[:3, :3] @ plane
    mapped[:, 2] += to_index[:3, 3]
    return mapped

"""Where the frames of a multi-frame source lie, as its own header says it: what their grid is held against.

Each attribute is looked for in the functional groups of the frame, then in those of all frames, then where a
converted object keeps what has no group of its own, then in the object itself. An NM object says where its
first slice lies and how far the others are from it.
Source: PS3.3 C.7.6.16.2 (functional groups), C.8.4.11, C.8.4.15 (NM).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import NuclearMedicineImageStorage

from dicomnode.report.heading.cleaning import element_of, wrong
from dicomnode.store.foreign import UNREADABLE_ITEMS
from dicomnode.values import Float64, SourceFrame

_OWN, _SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
_MACROS: Final = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
}
_UNASSIGNED: Final = {
    _OWN: "UnassignedPerFrameConvertedAttributesSequence",
    _SHARED: "UnassignedSharedConvertedAttributesSequence",
}


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where images lie, one a row: the numbers of their headers.

    positions_lps_mm: (n, 3), centres of the first pixels. cosines: (n, 6), Image Orientation (Patient).
    spacings_ji_mm: (n, 2), Pixel Spacing.
    """

    positions_lps_mm: Float64
    cosines: Float64
    spacings_ji_mm: Float64


def places_of_frames(frames: Sequence[SourceFrame], headers: Sequence[Dataset]) -> Places:
    """Return where frames lie, in their order. headers: of their instances, whole; within `as_it_is`.

    Raises NodeError(SOURCE_HEADER_WRONG) where a frame does not say it.
    """
    objects = {str(one.SOPInstanceUID).strip(): _Object(one) for one in headers}
    placed = [objects[frame.sop_instance_uid].place(frame.frame_number) for frame in frames]
    positions, cosines, spacings = (np.array(rows, dtype=np.float64) for rows in zip(*placed, strict=True))
    return Places(positions, cosines, spacings)


def numbers_of(header: Dataset, keyword: str, count: int) -> Float64:
    """`count` numbers of a DS element. Raises NodeError(SOURCE_HEADER_WRONG) if there are others."""
    element = element_of(header, keyword)
    if element is None or element.is_empty:
        raise wrong(keyword, "missing")
    try:
        values = np.array(element.value, dtype=np.float64, ndmin=1)
    except UNREADABLE_ITEMS:
        raise wrong(keyword, "not valid") from None
    if values.shape != (count,) or not np.isfinite(values).all():
        raise wrong(keyword, "not valid")
    return values


class _Object:
    """An object of the source, which says of each of its frames where it lies."""

    def __init__(self, header: Dataset) -> None:
        self._header = header
        self._is_nuclear = header.SOPClassUID == NuclearMedicineImageStorage
        self._own = _items(header, _OWN)
        self._shared = _first(header, _SHARED) or Dataset()
        self._of_all: dict[str, Float64] = {}

    def place(self, number: int | None) -> tuple[Float64, Float64, Float64]:
        """Position, cosines and spacing of a frame, counted from 1; None: of an image of one frame."""
        if number is not None and self._is_nuclear:
            return self._nuclear(number)
        return (
            self._numbers("ImagePositionPatient", 3, number),
            self._numbers("ImageOrientationPatient", 6, number),
            self._numbers("PixelSpacing", 2, number),
        )

    def _numbers(self, keyword: str, count: int, number: int | None) -> Float64:
        if number is not None:
            if not 1 <= number <= len(self._own):
                raise wrong(_OWN, "not valid" if self._own else "missing")
            own = _saying(self._own[number - 1], _OWN, keyword)
            if own is not None:
                return numbers_of(own, keyword, count)
        if keyword not in self._of_all:
            shared = _saying(self._shared, _SHARED, keyword)
            self._of_all[keyword] = numbers_of(shared or self._header, keyword, count)
        return self._of_all[keyword]

    def _nuclear(self, number: int) -> tuple[Float64, Float64, Float64]:
        """Slices stand along the normal of the first, those with a negative distance against it."""
        detector = _first(self._header, "DetectorInformationSequence") or Dataset()
        cosines = numbers_of(detector, "ImageOrientationPatient", 6)
        (distance_mm,) = numbers_of(self._header, "SpacingBetweenSlices", 1)
        slices = element_of(self._header, "SliceVector")
        if slices is None or slices.is_empty:
            place = number
        elif number <= slices.VM:
            place = int(slices.value[number - 1]) if slices.VM > 1 else int(slices.value)
        else:
            raise wrong("SliceVector", "not valid")
        step = np.cross(cosines[:3], cosines[3:]) * distance_mm
        position = numbers_of(detector, "ImagePositionPatient", 3) + (place - 1) * step
        return position, cosines, numbers_of(self._header, "PixelSpacing", 2)


def _saying(group: Dataset, groups: str, keyword: str) -> Dataset | None:
    """Return the item of a functional group that has an attribute."""
    for macro in (_MACROS[keyword], _UNASSIGNED[groups]):
        item = _first(group, macro)
        if item is not None and keyword in item:
            return item
    return None


def _first(dataset: Dataset, keyword: str) -> Dataset | None:
    return next(iter(_items(dataset, keyword)), None)


def _items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """Return the items of a sequence, none where it is missing. Raises NodeError(SOURCE_HEADER_WRONG)."""
    element = element_of(dataset, keyword)
    return () if element is None else element.value

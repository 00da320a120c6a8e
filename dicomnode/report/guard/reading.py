"""Segmentations as the guard reads them: where each frame lies, what it names, and which voxels it holds.

Elements are found by the walk that the receiver finds them by (`store.elements`), heads are read by pydicom.
Frames of one slice have equal bytes in their descriptions: those are decoded once. Pixels of a BINARY object
are looked at where they lie, bit by bit; those of a label map pydicom decodes.
Source: PS3.3 C.7.6.2.1.1 (positions), C.7.6.16 (functional groups), PS3.5 8.1.1 (bits), 6.2 (values).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import iter_pixels

from dicomnode.store.elements import Element, ScanError, Scanner, Window, name_of
from dicomnode.store.foreign import UNREADABLE_ITEMS
from dicomnode.values import Float64, SourceFrame

Bool = NDArray[np.bool_]

_PREAMBLE: Final = 132
_META_END: Final = 0x00030000
_PIXEL_DATA: Final = 0x7FE00010
_SHARED_GROUPS, _FRAME_GROUPS = 0x52009229, 0x52009230
_POSITION, _IMAGE_POSITION = 0x00209113, 0x00200032
_ORIENTATION, _IMAGE_ORIENTATION = 0x00209116, 0x00200037
_MEASURES, _PIXEL_SPACING = 0x00289110, 0x00280030
_DERIVATION, _SOURCE_IMAGE = 0x00089124, 0x00082112
_INSTANCE_UID, _FRAME_NUMBER = 0x00081155, 0x00081160
_SEGMENT, _SEGMENT_NUMBER = 0x0062000A, 0x0062000B
_PLACING: Final = (_POSITION, _ORIENTATION, _MEASURES, _DERIVATION)

_Spans = Mapping[int, tuple[int, int]]
"""Where the values of elements begin and end, by tag."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a frame lies.

    plane: (3, 3), maps (column, row, 1) to LPS mm. pixel_mm2: area of a pixel. image: the one that it names,
    if it names one.
    """

    plane: Float64
    pixel_mm2: float
    image: SourceFrame | None


class Encoded:
    """A Part 10 file in an explicit little endian transfer syntax, element by element.

    Raises ScanError where it is none, or where a frame does not say where it lies.
    """

    def __init__(self, content: bytes) -> None:
        window = Window(content)
        _, start = Scanner(window, implicit=False).elements(_PREAMBLE, before=_META_END)
        self._content = content
        self._scanner = Scanner(window, implicit=False, most=len(content))
        self._top: _Spans = _spans(self._scanner.elements(start)[0])

    def pixels(self) -> memoryview:
        """The bytes of Pixel Data (7FE0,0010), none where it is missing."""
        begin, end = self._top.get(_PIXEL_DATA, (0, 0))
        return memoryview(self._content)[begin:end]

    def frames(self) -> list[tuple[int, Place]]:
        """The number of the segment (0 where none is named) and the place of each frame."""
        try:
            return self._frames()
        except (ValueError, struct.error) as error:
            raise ScanError(f"a value within its functional groups is not valid ({error})") from error

    def _frames(self) -> list[tuple[int, Place]]:
        (shared,) = self._items(self._top, _SHARED_GROUPS)
        places: dict[tuple[bytes, ...], Place] = {}
        frames = []
        for own in self._items(self._top, _FRAME_GROUPS):
            placing = tuple(self._bytes(own, tag) for tag in _PLACING)
            groups = {**shared, **own}  # a functional group is the frame's own or shared (PS3.3 C.7.6.16)
            if placing not in places:
                places[placing] = self._place(groups)
            frames.append((self._segment(groups), places[placing]))
        return frames

    def _items(self, spans: _Spans, tag: int) -> list[_Spans]:
        return [_spans(one) for one in self._scanner.items(*spans.get(tag, (0, 0)))]

    def _bytes(self, spans: _Spans, tag: int) -> bytes:
        begin, end = spans.get(tag, (0, 0))
        return self._content[begin:end]

    def _numbers(self, groups: _Spans, sequence: int, tag: int) -> Float64:
        """Numbers of a DS element in the only item of a functional group."""
        for item in self._items(groups, sequence):
            if tag in item:
                return np.array(self._bytes(item, tag).split(b"\\"), dtype=np.float64)
        raise ScanError(f"a frame has no {name_of(tag)} in {name_of(sequence)}")

    def _segment(self, groups: _Spans) -> int:
        for item in self._items(groups, _SEGMENT):
            return int(struct.unpack("<H", self._bytes(item, _SEGMENT_NUMBER))[0])
        return 0

    def _place(self, groups: _Spans) -> Place:
        """PS3.3 equation C.7.6.2.1-1."""
        position = self._numbers(groups, _POSITION, _IMAGE_POSITION)
        cosines = self._numbers(groups, _ORIENTATION, _IMAGE_ORIENTATION)
        between_rows, between_columns = self._numbers(groups, _MEASURES, _PIXEL_SPACING)
        plane = np.stack((cosines[:3] * between_columns, cosines[3:] * between_rows, position), axis=1)
        area_mm2 = float(np.linalg.norm(np.cross(plane[:, 0], plane[:, 1])))
        return Place(plane, area_mm2, self._image(groups))

    def _image(self, groups: _Spans) -> SourceFrame | None:
        images = [
            image
            for derivation in self._items(groups, _DERIVATION)
            for image in self._items(derivation, _SOURCE_IMAGE)
        ]
        if len(images) != 1:
            return None
        uid = self._bytes(images[0], _INSTANCE_UID).decode("ascii").rstrip("\0 ")
        number = self._bytes(images[0], _FRAME_NUMBER)
        return SourceFrame(uid, int(number) if number else None)


def _spans(elements: list[Element]) -> _Spans:
    return {tag: (begin, end) for tag, _, begin, end, _ in elements}


@dataclass(frozen=True, slots=True, eq=False)
class Bits:
    """Native pixels of one bit: uint8 (bytes,), the first pixel in the lowest bit of the first byte."""

    packed: NDArray[np.uint8]
    rows: int
    columns: int

    def count(self, frame: int) -> int:
        """How many pixels of a frame are set."""
        first, last = frame * self.rows * self.columns, (frame + 1) * self.rows * self.columns
        some = self.packed[first // 8 : (last + 7) // 8]
        count = int(np.bitwise_count(some).sum(dtype=np.int64))
        count -= (int(some[0]) & ((1 << first % 8) - 1)).bit_count()  # of the frame before
        return count - ((int(some[-1]) >> last % 8).bit_count() if last % 8 else 0)

    def rows_of(self, frame: int, top: int, bottom: int) -> Bool:
        """Rows of a frame: bool (bottom - top, columns)."""
        first = (frame * self.rows + top) * self.columns
        size = (bottom - top) * self.columns
        some = self.packed[first // 8 : (first + size + 7) // 8]
        bits = np.unpackbits(some, bitorder="little")[first % 8 :][:size]
        return bits.view(bool).reshape(-1, self.columns)


def read_head(content: bytes) -> Dataset:
    """Read a Part 10 file, all but its pixels."""
    return dcmread(BytesIO(content), stop_before_pixels=True)


def read_labels(content: bytes) -> Iterator[NDArray[np.integer]]:
    """Decode the labels (rows, columns) of each frame as they are asked for.

    Raises ScanError where pydicom cannot.
    """
    try:
        yield from iter_pixels(dcmread(BytesIO(content)), raw=True)
    except UNREADABLE_ITEMS as error:
        raise ScanError(f"its pixels cannot be decoded ({type(error).__name__})") from error

"""The pixels of a segmentation: for each frame, which segment each pixel is of.

Bits are unpacked here (PS3.5 8.1.1: the first pixel in the lowest bit, frames one behind the other without
gaps); whole values, also compressed ones, come from the decoders that images come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from dicomnode.assemble.annotations.frame_planes import SegmentFrame
from dicomnode.assemble.annotations.opened import Opened
from dicomnode.assemble.attributes import whole_of
from dicomnode.assemble.decode import decode_frame
from dicomnode.assemble.decoders.file import DecodingError, ImageFile, UndecodableError, open_image
from dicomnode.faults import ANNOTATION_NOT_READ, ANNOTATION_TOO_LARGE

Labels = NDArray[np.integer]

BINARY: Final = "BINARY"
FRACTIONAL: Final = "FRACTIONAL"
LABELMAP: Final = "LABELMAP"

FRACTION: Final = 0.5
"""From this part of Maximum Fractional Value on, a pixel of a fractional segmentation is of its segment."""

MOST_PIXELS: Final = 2**26
"""Of one frame: 8192 x 8192. More may be damage, and few bytes can decode to it."""


_LABEL_BITS: Final = (8, 16)  # PS3.3 C.8.20.2, Bits Allocated of LABELMAP


class SegmentPixels:
    """An open segmentation, frame by frame. Use it as a context; it closes the file.

    numbers: of each Segment Number what stands for it in the labels that it gives, from 1 on; 0 stands for
    none, and for those values of a label map that are background.
    Raises NodeError: ANNOTATION_NOT_READ, ANNOTATION_TOO_LARGE, ANNOTATION_DAMAGED, FILE_UNREADABLE.
    """

    def __init__(self, opened: Opened, kind: str, numbers: Mapping[int, int]) -> None:
        self._opened = opened
        self._numbers = numbers
        rows, columns = opened.header.rows or 0, opened.header.columns or 0
        if not 0 < rows * columns <= MOST_PIXELS:
            raise opened.refused(ANNOTATION_TOO_LARGE, error=f"its frames have {rows} x {columns} pixels")
        self._shape_ji = (rows, columns)
        bits = whole_of(opened.dataset, "BitsAllocated") or 0
        self._single_bits = bits == 1
        self._least = _least(opened, kind, bits)
        self._table = _table(numbers, bits) if kind == LABELMAP else None
        if kind == LABELMAP and bits not in _LABEL_BITS:
            raise opened.refused(ANNOTATION_NOT_READ, error=f"a label map of {bits} bits")
        if opened.header.damage is not None:
            raise opened.damaged(opened.header.damage)
        try:
            self._image: ImageFile = open_image(opened.header)
        except DecodingError as error:
            raise opened.damaged(str(error)) from error
        native = not self._image.encapsulated and self._image.syntax.is_little_endian
        if self._single_bits and not native:
            self._image.close()
            syntax = opened.header.transfer_syntax_uid
            raise opened.refused(ANNOTATION_NOT_READ, error=f"single bits in transfer syntax {syntax}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._image.close()

    def labels(self, frame: SegmentFrame) -> Labels:
        """Return what each pixel (rows, columns) of a frame is of.

        Raises NodeError(ANNOTATION_DAMAGED), NodeError(FILE_UNREADABLE).
        """
        try:
            stored = self._bits(frame.index) if self._single_bits else self._values(frame.index)
        except DecodingError as error:
            raise self._opened.damaged(f"frame {frame.index + 1}: {error}") from error
        if frame.segment is not None:
            number = self._numbers[frame.segment]
            return (stored >= self._least).astype(np.min_scalar_type(number)) * number
        if self._table is None or int(stored.min()) < 0:
            raise self._opened.damaged(f"frame {frame.index + 1} has labels below 0")
        labels: Labels = self._table[stored]
        if int(labels.min()) < 0:
            unknown = int(stored[labels < 0].min())
            raise self._opened.damaged(
                f"frame {frame.index + 1} has pixels of segment {unknown}, which it does not describe"
            )
        return labels

    def _bits(self, index: int) -> Labels:
        count = self._shape_ji[0] * self._shape_ji[1]
        first, last = index * count, (index + 1) * count
        packed = np.frombuffer(self._image.native(first // 8, (last + 7) // 8 - first // 8), dtype=np.uint8)
        bits = np.unpackbits(packed, bitorder="little")[first % 8 :][:count]
        if bits.size < count:
            raise UndecodableError(f"its Pixel Data end within frame {index + 1}")
        return bits.reshape(self._shape_ji)

    def _values(self, index: int) -> Labels:
        return decode_frame(self._image, replace(self._opened.header, frame_number=index + 1)).stored


def _least(opened: Opened, kind: str, bits: int) -> float:
    """Return the least stored value that is of the segment."""
    if kind != FRACTIONAL or bits == 1:
        return 1
    most = whole_of(opened.dataset, "MaximumFractionalValue")
    if most is None or most < 1:
        raise opened.damaged(f"(0062,000E) MaximumFractionalValue is {most}")
    return FRACTION * most


def _table(numbers: Mapping[int, int], bits: int) -> NDArray[np.int32]:
    """Return what stands for each stored value; -1 for those that are not known."""
    table = np.full(2 ** min(bits, max(_LABEL_BITS)), -1, dtype=np.int32)
    for stored, number in numbers.items():
        if 0 <= stored < table.size:
            table[stored] = number
    return table

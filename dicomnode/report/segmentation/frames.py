"""What a segmentation says of each of its frames: Per-Frame Functional Groups (PS3.3 C.7.6.16.1.2), encoded.

A description has parts that are the slice's (where it lies, which image it is made from) and parts that are
the segment's. Each is encoded once; the items of frames are put together from them. Codes are taken from the
item that highdicom wrote.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pydicom import Dataset

from dicomnode.report.segmentation.encoding import element, encoded, item, sequence
from dicomnode.report.segmentation.slices import Slices

PER_FRAME_GROUPS: Final = 0x52009230
PIXEL_DATA: Final = 0x7FE00010


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    indices: Dimension Index Values. k: the slice. segment: its number, None where all frames share it.
    """

    indices: tuple[int, ...]
    k: int
    segment: int | None = None


@dataclass(slots=True, eq=False)
class FrameWriter:
    """Writes the items of frames. sample: an item of the kind that highdicom writes."""

    slices: Slices
    sample: Dataset
    _of_slice: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    _codes: tuple[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        derivation = self.sample.DerivationImageSequence[0]
        source = derivation.SourceImageSequence[0]
        self._codes = (
            _only(derivation, "DerivationCodeSequence"),
            _only(source, "SpatialLocationsPreserved", "PurposeOfReferenceCodeSequence"),
        )

    def groups(self, frames: Iterable[Frame]) -> bytes:
        """Encode Per-Frame Functional Groups Sequence (5200,9230)."""
        return element(PER_FRAME_GROUPS, "SQ", b"".join(item(self._content(frame)) for frame in frames))

    def _content(self, frame: Frame) -> bytes:
        derived, placed = self._parts(frame.k)
        indices = element(0x00209157, "UL", struct.pack(f"<{len(frame.indices)}L", *frame.indices))
        parts = [derived, sequence(0x00209111, indices), placed]
        if frame.segment is not None:
            parts.append(sequence(0x0062000A, element(0x0062000B, "US", struct.pack("<H", frame.segment))))
        return b"".join(parts)

    def _parts(self, k: int) -> tuple[bytes, bytes]:
        """Derivation Image Sequence and Plane Position Sequence of a slice."""
        if k not in self._of_slice:
            self._of_slice[k] = (self._derived(k), self._placed(k))
        return self._of_slice[k]

    def _derived(self, k: int) -> bytes:
        frame, (derivation, purpose) = self.slices.frames[k], self._codes
        image = element(0x00081150, "UI", self.slices.classes[k].encode())
        image += element(0x00081155, "UI", frame.sop_instance_uid.encode())
        if frame.frame_number is not None:
            image += element(0x00081160, "IS", str(frame.frame_number).encode())
        return sequence(0x00089124, sequence(0x00082112, image + purpose) + derivation)

    def _placed(self, k: int) -> bytes:
        position = "\\".join(self.slices.positions[k])
        return sequence(0x00209113, element(0x00200032, "DS", position.encode()))


def _only(dataset: Dataset, *keywords: str) -> bytes:
    some = Dataset()
    some.update({dataset[keyword].tag: dataset[keyword] for keyword in keywords})
    return encoded(some)

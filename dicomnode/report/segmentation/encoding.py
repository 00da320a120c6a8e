"""Elements in Explicit VR Little Endian, for what comes by the thousand.

pydicom takes about a millisecond to write the description of a frame, which has a dozen nested elements. Of
the thousands of frames of a segmentation most elements are alike: here they are encoded once and joined.
Source: PS3.5 7.1.2 (elements), 7.5 (sequences and items, here always of a defined length).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

UNDEFINED: Final = 0xFFFFFFFF
SEQUENCE_END: Final = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)

_LONG_VRS: Final = frozenset({"OB", "OW", "SQ"})  # of those written here; PS3.5 table 7.1-1
_ITEM: Final = struct.Struct("<HHL").pack
_SHORT: Final = struct.Struct("<HH2sH").pack
_LONG: Final = struct.Struct("<HH2sHL").pack
_PADDED_WITH_ZERO: Final = frozenset({"OB", "UI"})  # PS3.5 6.2


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Encode an element. value: in the bytes of its VR; it is padded to an even length."""
    if len(value) % 2:
        value += b"\0" if vr in _PADDED_WITH_ZERO else b" "
    return element_head(tag, vr, len(value)) + value


def element_head(tag: int, vr: str, length: int) -> bytes:
    """Encode what stands in front of a value: tag, VR and length."""
    if vr in _LONG_VRS:
        return _LONG(tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
    return _SHORT(tag >> 16, tag & 0xFFFF, vr.encode(), length)


def item(content: bytes) -> bytes:
    """Encode an item of a sequence. content: its elements."""
    return _ITEM(0xFFFE, 0xE000, len(content)) + content


def sequence(tag: int, *contents: bytes) -> bytes:
    """Encode a sequence. contents: the elements of each item."""
    return element(tag, "SQ", b"".join(item(one) for one in contents))


def encoded(dataset: Dataset) -> bytes:
    """Encode the elements of a data set with pydicom's writer; texts must be ASCII."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()


class LongDataset(Dataset):
    """A data set whose last elements, which are long, are encoded already.

    They stand in `tail`, one behind the other, and are written behind all others; nowhere else are they seen.
    """

    tail: tuple[bytes | memoryview, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, without: Iterable[str]) -> LongDataset:
        """Take over the elements of a data set, but not those named `without`, and its meta information."""
        long = cls()
        long.update({one.tag: one for one in dataset if one.keyword not in without})
        long.file_meta = dataset.file_meta
        return long

    def save_as(self, filename: Any, /, *args: Any, **kwargs: Any) -> None:
        """Write the data set as pydicom does, and the tail behind it. filename: a file open for writing.

        Raises ValueError if an element would stand behind the tail.
        """
        if self.tail:
            group, number = struct.unpack_from("<HH", self.tail[0])
            if max(self.keys()) >= group << 16 | number:
                raise ValueError(f"({max(self.keys()):08X}) stands behind the elements encoded already")
        super().save_as(filename, *args, **kwargs)
        for part in self.tail:
            filename.write(part)

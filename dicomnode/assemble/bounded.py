"""A file as pydicom's reader gets it: inflated where it is deflated, and bounded in what it can ask for.

Few bytes can stand for much. A deflated data set inflates to a thousand times its size (PS3.5 A.5). An empty
item of a sequence is 8 bytes in a file, a kilobyte in memory, and takes pydicom 30 µs.
"""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO, Final

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pydicom.values import converters

from dicomnode.store.elements import ScanError, Scanner, Window

INFLATED_MAX: Final = 512 * 2**20
"""Bytes that a deflated file may inflate to."""

MOST_ITEMS: Final = 300_000
"""Items of sequences in one header: 20 000 frames of 15 functional groups, and 10 s of pydicom's time."""

ITEM_MARKS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""The tag of an item (PS3.5 7.5), little and big endian."""

_MOST_READS: Final = 2_000_000  # some two for each element
_PREAMBLE: Final = 132  # bytes, with the mark (PS3.10 7.1)
_META_END: Final = 0x00030000
_TRANSFER_SYNTAX: Final = 0x00020010
_DEFLATED: Final = DeflatedExplicitVRLittleEndian.encode()
_PIECE: Final = 2**20  # bytes
_PLAIN_VRS: Final = frozenset(vr.encode() for vr in converters if len(vr) == 2)


class TooMuchError(ValueError):
    """A file asks for more time or memory than any image; the text says for what, and names no value."""


class Bounded(io.BufferedIOBase):
    """A file that is read in at most so many pieces, and in which at most so many items are found.

    pydicom reads the head of each element, and of each item, by itself.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads = self._items = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; TooMuchError where that was too often."""
        content = self._file.read(-1 if size is None else size)
        self._reads += 1
        self._items += content[:4] in ITEM_MARKS
        if self._reads > _MOST_READS or self._items > MOST_ITEMS:
            raise TooMuchError(f"it has more than {MOST_ITEMS} items or {_MOST_READS // 2} elements")
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()


def inflated(file: BinaryIO) -> BinaryIO | None:
    """Return a deflated file as one in Explicit VR Little Endian; None if it is not deflated.

    Raises TooMuchError where it inflates to more than `INFLATED_MAX`, or may do so with nobody knowing:
    what this does not see as deflated, pydicom must not inflate. zlib.error, ValueError where it is damaged.
    """
    window = Window(file)
    try:
        meta, start = Scanner(window, implicit=False).elements(_PREAMBLE, before=_META_END)
    except ScanError:
        meta, start = [], 0
    if not meta or not {vr for _, vr, *_ in meta} <= _PLAIN_VRS:
        if _is_in(file, _DEFLATED):
            raise TooMuchError("it may be deflated, and its File Meta Information cannot be read")
        return None
    head = bytearray(window.take(0, start))
    places = [(begin, end) for tag, _, begin, end, _ in meta if tag == _TRANSFER_SYNTAX]
    if not any(_DEFLATED in head[begin:end] for begin, end in places):
        return None
    for begin, end in places:
        head[begin:end] = ExplicitVRLittleEndian.encode()[: end - begin].ljust(end - begin, b"\0")
    content = io.BytesIO(head)
    content.seek(start)
    file.seek(start)
    _inflate(file, content)
    return content


def _inflate(file: BinaryIO, content: BinaryIO) -> None:
    inflate, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflate.eof:
        rest = inflate.unconsumed_tail or file.read(_PIECE)
        if not rest:
            raise ValueError("its deflated data set is cut off")
        total += content.write(inflate.decompress(rest, _PIECE))
        if total > INFLATED_MAX:
            raise TooMuchError(f"its deflated data set has more than {INFLATED_MAX} bytes")


def _is_in(file: BinaryIO, wanted: bytes) -> bool:
    """Tell whether bytes are anywhere in a file."""
    file.seek(0)
    before = b""
    while piece := file.read(_PIECE):
        if wanted in before + piece:
            return True
        before = piece[-len(wanted) :]
    return False

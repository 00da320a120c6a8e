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

MOST_ITEMS: Final = 1_000_000
"""Items of sequences in one header, however many frames: 20 000 frames of 50 items."""

ITEM_MARKS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""The tag of an item (PS3.5 7.5), little and big endian."""

# What is more is not taken apart. Real objects have some 15 to 40 items and 100 elements a frame; with the
# marks of where items and sequences begin and end these are 300.
_ITEMS_A_FRAME: Final = 200
_ITEMS_BESIDE: Final = 5_000
_ITEMS_ELSEWHERE: Final = 300_000  # in sequences that are not of frames: 10 s of pydicom's time
_ELEMENTS_A_FRAME: Final = 500
_ELEMENTS_BESIDE: Final = 1_000_000
_MOST_ELEMENTS: Final = 5_000_000
_READS_AN_ELEMENT: Final = 3  # by pydicom, at most
_LONGEST_COUNT: Final = 16  # bytes of an integer string (PS3.5 6.2: 12)
_PREAMBLE: Final = 132  # bytes, with the mark (PS3.10 7.1)
_META_END: Final = 0x00030000
_TRANSFER_SYNTAX: Final = 0x00020010
_DEFLATED: Final = DeflatedExplicitVRLittleEndian.encode()
_PIECE: Final = 2**20  # bytes
_PLAIN_VRS: Final = frozenset(vr.encode() for vr in converters if len(vr) == 2)


class TooMuchError(ValueError):
    """A file asks for more time or memory than any image; the text says for what, and names no value."""


def most_items(frames: int) -> int:
    """Return how many items the functional groups of so many frames may have, those in items among them."""
    return min(_ITEMS_BESIDE + _ITEMS_A_FRAME * max(frames, 0), MOST_ITEMS)


def most_elements(frames: int) -> int:
    """Return how many elements, items and delimiters the header of an object of so many frames may have."""
    return min(_ELEMENTS_BESIDE + _ELEMENTS_A_FRAME * max(frames, 0), _MOST_ELEMENTS)


def frames_written(value: bytes) -> int:
    """Return the number of a Number of Frames (0028,0008) as written; 0 where it is none."""
    digits = value.strip(b"\0 ")
    return int(digits) if digits.isdigit() and len(digits) <= _LONGEST_COUNT else 0


class Bounded(io.BufferedIOBase):
    """A file that is read in at most so many pieces, and in which at most so many items are found.

    pydicom reads the head of each element, and of each item, by itself. How many there may be depends on the
    frames, once `allow` has said how many these are.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads = self._items = 0
        self.allow(0)

    def allow(self, frames: int) -> None:
        """Let there be what so many frames need."""
        self._most_items = max(min(_ITEMS_ELSEWHERE, MOST_ITEMS), most_items(frames))
        self._most_elements = most_elements(frames)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; TooMuchError where that was too often."""
        content = self._file.read(-1 if size is None else size)
        self._reads += 1
        self._items += content[:4] in ITEM_MARKS
        if self._items > self._most_items:
            raise TooMuchError(f"its sequences have more than {self._most_items} items")
        if self._reads > _READS_AN_ELEMENT * self._most_elements:
            raise TooMuchError(f"it has more than {self._most_elements} elements")
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
        # Also of no bytes: where the last ones are taken, what they stand for may still be due
        piece = inflate.decompress(rest, _PIECE)
        if not rest and not piece and not inflate.eof:
            raise ValueError("its deflated data set is cut off")
        total += content.write(piece)
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

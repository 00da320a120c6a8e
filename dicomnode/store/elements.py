"""A walk over the elements of an encoded data set: which tag lies where, and nothing decoded.

Work is bounded in elements and in depth of nesting, and values are passed over: hostile bytes cost no more
than others, and no library is needed. The receiver, the store and `assemble` all find elements by this walk.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"

UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_FIRST_PIXELS: Final = 0x7FE00008
_EVERY_TAG: Final = 1 << 32

# 50 000 elements are more than any scanner writes outside functional groups, and take half a second
MOST_ELEMENTS: Final = 50_000
DEEPEST: Final = 16
_PIECE: Final = 1 << 15  # bytes of a file that are read at a time: most headers are shorter

# PS3.5 7.1.2: these have a length of two bytes; all others, also those still to be defined, have two
# reserved bytes and a length of four
SHORT_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split(),
)
# What may have an undefined length in front of the pixels: sequences, in Implicit VR without saying so
_SEQUENCES: Final = (b"", b"SQ", b"UN")

Element = tuple[int, bytes, int, int, bool]
"""Tag, VR (empty where it is implicit), where its value begins and ends, and whether its length is undefined;
then the end is behind the delimiter."""


class ScanError(Exception):
    """These bytes are no data set; the text says why, and names no value."""


class CutError(ScanError):
    """A data set that ends before its time, or a length that promises more bytes than there are."""


class Window:
    """Bytes to be scanned: those in memory all at once, those of a file a piece at a time.

    data: the bytes that are here. begin: where they lie. size: how many bytes there are in all.
    """

    __slots__ = ("_file", "begin", "data", "size")

    def __init__(self, source: bytes | memoryview | BinaryIO) -> None:
        self.begin = 0
        if isinstance(source, bytes | memoryview):
            self._file: BinaryIO | None = None
            self.data, self.size = source, len(source)
        else:
            self._file, self.size = source, source.seek(0, 2)
            self.data = b""
            self.load(0)

    def load(self, at: int) -> int:
        """Have the bytes from `at` on; return the index of that place in `data`."""
        if self._file is None:
            return at
        self._file.seek(at)
        self.data, self.begin = self._file.read(_PIECE), at
        return 0

    def take(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to `end`."""
        here = begin - self.begin
        if self._file is None or (here >= 0 and end - self.begin <= len(self.data)):
            return bytes(self.data[here : end - self.begin])
        self._file.seek(begin)
        return self._file.read(end - begin)


class Scanner:
    """Walks over encoded elements, bounded in their number; raises ScanError where there are none."""

    def __init__(
        self, window: Window, *, implicit: bool, big_endian: bool = False, most: int = MOST_ELEMENTS
    ) -> None:
        self.window = window
        self.implicit = implicit
        self._most = most
        order = ">" if big_endian else "<"
        self._head = struct.Struct(order + "HH2sH").unpack_from
        self._short = struct.Struct(order + "H").unpack_from
        self._long = struct.Struct(order + "L").unpack_from
        self._seen = 0

    def elements(self, at: int, *, before: int = _EVERY_TAG) -> tuple[list[Element], int]:
        """Return the elements from `at` up to the first whose tag is `before` or more, and where that was.

        Without such a tag they reach to the end.
        """
        return self._elements(at, self.window.size, before, implicit=self.implicit, depth=0)

    def items(self, begin: int, end: int) -> Iterator[list[Element]]:
        """Yield the elements of each item of a sequence whose value lies there."""
        at = begin
        while at < end:
            tag, length, at = self._item(at)
            if tag == _SEQUENCE_END:
                return
            stop = end if length == UNDEFINED else at + length
            if tag != _ITEM or stop > end:
                raise ScanError(f"there is no item at byte {at - 8}")
            found, at = self._elements(at, stop, _EVERY_TAG, implicit=self.implicit, depth=0)
            if at > end or (length != UNDEFINED and at != stop):
                raise ScanError(f"an item does not end at byte {stop}")
            yield found

    def _elements(
        self, at: int, end: int, before: int, *, implicit: bool, depth: int
    ) -> tuple[list[Element], int]:
        """Walk up to a tag, to a place, or over the end of an item of undefined length."""
        window, found = self.window, list[Element]()
        while at < end:
            here = self._at(at)
            try:
                group, number, vr, length = self._head(window.data, here)
                # The tag first: behind the meta information, elements may have another form
                tag = group << 16 | number
                if tag >= before:
                    break
                if tag == _ITEM_END:
                    return found, at + 8
                begin = at + 8
                if implicit:
                    vr, length = b"", self._long(window.data, here + 4)[0]
                elif vr not in SHORT_VRS:
                    if not (vr.isalpha() and vr.isupper()):
                        raise ScanError(f"{name_of(tag)} at byte {at} has no VR")
                    length, begin = self._long(window.data, here + 8)[0], at + 12
            except struct.error as error:
                if self._group(at) > before >> 16:
                    break
                raise self._cut() from error
            at = begin + length
            if length == UNDEFINED or at > window.size:
                at = self._far_end((tag, vr, begin, length), implicit=implicit, depth=depth)
            found.append((tag, vr, begin, at, length == UNDEFINED))
        return found, at

    def _group(self, at: int) -> int:
        """Return the group that begins at a place, or 0."""
        return self._short(self.window.take(at, at + 2).ljust(2, b"\0"))[0]  # type: ignore[no-any-return]

    def _far_end(self, head: tuple[int, bytes, int, int], *, implicit: bool, depth: int) -> int:
        """Return the end of a value of undefined length; CutError for one that is not there."""
        tag, vr, begin, length = head
        if length != UNDEFINED:
            there = self.window.size - begin
            raise CutError(
                f"{name_of(tag)} has {length} bytes, {there} of them came: it reaches behind the end"
            )
        if vr not in _SEQUENCES and depth == 0 and tag < _FIRST_PIXELS:
            raise ScanError(f"{name_of(tag)} of VR {vr.decode('ascii')} has no length")
        # PS3.5 6.2.2: UN of undefined length holds a sequence in Implicit VR Little Endian
        return self._sequence_end(tag, begin, implicit=implicit or vr == b"UN", depth=depth + 1)

    def _sequence_end(self, tag: int, at: int, *, implicit: bool, depth: int) -> int:
        """Walk over items (of a sequence, or fragments of pixel data) to behind their delimiter."""
        if depth > DEEPEST:
            raise ScanError(f"its sequences are nested more than {DEEPEST} deep")
        while True:
            item, length, at = self._item(at)
            if item == _SEQUENCE_END:
                return at
            if item != _ITEM:
                raise ScanError(f"{name_of(tag)} holds {name_of(item)} at byte {at - 8}, which is no item")
            if length != UNDEFINED:
                at += length
                if at > self.window.size:
                    raise CutError(f"an item of {name_of(tag)} reaches behind the end")
                continue
            _, at = self._elements(at, self.window.size, _EVERY_TAG, implicit=implicit, depth=depth)

    def _item(self, at: int) -> tuple[int, int, int]:
        """Return tag and length of an item or delimiter (PS3.5 7.5: they have no VR), and where it ends."""
        here = self._at(at)
        try:
            group, number, _, _ = self._head(self.window.data, here)
            return group << 16 | number, self._long(self.window.data, here + 4)[0], at + 8
        except struct.error as error:
            raise self._cut() from error

    def _at(self, at: int) -> int:
        """Return the index of a place in the window, of which 12 bytes are here if there are so many."""
        self._seen += 1
        if self._seen > self._most:
            raise ScanError(f"it has more than {self._most} elements")
        here = at - self.window.begin
        return here if here >= 0 and here + 12 <= len(self.window.data) else self.window.load(at)

    def _cut(self) -> CutError:
        return CutError(f"it ends at byte {self.window.size}, where more was due")


def name_of(tag: int) -> str:
    """Write a tag as PS3.5 does."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"

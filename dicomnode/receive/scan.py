"""A look at an encoded data set that decodes nothing: the four UIDs that name it, and whether it is whole.

Groups 0008 to 0020 stand in front (PS3.5 7.1: tags ascend), so a few hundred bytes are looked at, whatever
the size of the object. Work is bounded in elements and depth: hostile input costs no more than other input.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"

_MAXIMUM_ELEMENTS: Final = 50_000
_MAXIMUM_DEPTH: Final = 16
_MAXIMUM_UID: Final = 66  # 64 and padding; what is longer is cut and no UID any more

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_BEHIND_IDS: Final = 0x0020FFFF

# PS3.5 7.1.2: these have a length of two bytes; all others, also those still to be defined, have two
# reserved bytes and a length of four
_SHORT_VRS: Final = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS"}
    | {b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)

# What may have an undefined length in front of the pixels: sequences, in Implicit VR without saying so
_SEQUENCES: Final = (b"", b"SQ", b"UN")

_IDS: Final = {
    0x00080016: "sop_class_uid",
    0x00080018: "sop_instance_uid",
    0x0020000D: "study_instance_uid",
    0x0020000E: "series_instance_uid",
}


class ScanError(Exception):
    """The data set is not one: str() says why, for the log and the sender; it names no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetIds:
    """The UIDs as they stand in the data set, without padding; empty when missing.

    end: how many bytes were looked at; what follows is behind group 0020.
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    end: int = 0


def scan_ids(data: bytes | memoryview, transfer_syntax: str) -> DataSetIds:
    """Read the UIDs of an encoded data set (not a deflated one), without copying or decoding it.

    Raises ScanError when the bytes are no data set in that transfer syntax, or exceed the bounds.
    """
    walk = _Walk(memoryview(data), big_endian=transfer_syntax == EXPLICIT_BE)
    implicit = transfer_syntax == IMPLICIT_LE
    found: dict[str, str] = {}
    position = 0
    while position < len(walk.data):
        header = walk.header(position, implicit=implicit)
        if header.tag > _BEHIND_IDS:
            break
        if header.length == _UNDEFINED and header.vr not in _SEQUENCES:
            raise ScanError(f"the value at byte {header.start} has no length")
        end = walk.value_end(header, implicit=implicit, depth=0)
        if header.tag in _IDS:
            found[_IDS[header.tag]] = _text(walk.data[header.start : end])
        position = end
    return DataSetIds(end=position, **found)


def check_whole(data: bytes | memoryview, transfer_syntax: str, start: int) -> None:
    """Raise ScanError when a value of the data set reaches beyond its last byte: part of it is missing.

    start: `DataSetIds.end`. Anything else that is odd is let pass, since the bytes are kept, not decoded.
    """
    walk = _Walk(memoryview(data), big_endian=transfer_syntax == EXPLICIT_BE)
    implicit = transfer_syntax == IMPLICIT_LE
    position = start
    try:
        while position < len(walk.data):
            header = walk.header(position, implicit=implicit)
            position = walk.value_end(header, implicit=implicit, depth=0)
    except _CutError:
        raise
    except ScanError:
        return


class _CutError(ScanError):
    """A length field that promises more bytes than there are."""


@dataclass(frozen=True, slots=True)
class _Header:
    tag: int
    vr: bytes  # empty in Implicit VR and in items
    length: int
    start: int  # of the value


@dataclass(slots=True)
class _Walk:
    """A walk over encoded elements, bounded in their number."""

    data: memoryview
    big_endian: bool
    seen: int = 0
    pair: struct.Struct = field(init=False)
    short: struct.Struct = field(init=False)
    long: struct.Struct = field(init=False)

    def __post_init__(self) -> None:
        order = ">" if self.big_endian else "<"
        self.pair = struct.Struct(f"{order}HH")
        self.short = struct.Struct(f"{order}H")
        self.long = struct.Struct(f"{order}L")

    def header(self, position: int, *, implicit: bool) -> _Header:
        """Read tag, VR and length."""
        self.seen += 1
        if self.seen > _MAXIMUM_ELEMENTS:
            raise ScanError(f"it has more than {_MAXIMUM_ELEMENTS} elements")
        try:
            group, element = self.pair.unpack_from(self.data, position)
            tag = group << 16 | element
            length = self.long.unpack_from(self.data, position + 4)[0]
            if implicit or group == 0xFFFE:
                return _Header(tag, b"", length, position + 8)
            vr = bytes(self.data[position + 4 : position + 6])
            if vr in _SHORT_VRS:
                return _Header(tag, vr, self.short.unpack_from(self.data, position + 6)[0], position + 8)
            if vr.isalpha() and vr.isupper():
                return _Header(tag, vr, self.long.unpack_from(self.data, position + 8)[0], position + 12)
        except struct.error as error:
            raise _CutError(f"it ends at byte {len(self.data)}, where more was due") from error
        raise ScanError(f"there is no VR at byte {position + 4}")

    def value_end(self, header: _Header, *, implicit: bool, depth: int) -> int:
        """Return where the value ends; that of undefined length is walked through to its delimiter."""
        if header.length != _UNDEFINED:
            end = header.start + header.length
            if end > len(self.data):
                text = f"({header.tag >> 16:04X},{header.tag & 0xFFFF:04X})"
                raise _CutError(
                    f"{text} has {header.length} bytes, {len(self.data) - header.start} of them came"
                )
            return end
        # PS3.5 6.2.2: UN of undefined length holds a sequence in Implicit VR Little Endian
        return self.sequence_end(header.start, implicit=implicit or header.vr == b"UN", depth=depth + 1)

    def sequence_end(self, position: int, *, implicit: bool, depth: int) -> int:
        """Walk over items (of a sequence, or fragments of pixel data) to the sequence delimiter."""
        if depth > _MAXIMUM_DEPTH:
            raise ScanError(f"its sequences are nested more than {_MAXIMUM_DEPTH} deep")
        while True:
            item = self.header(position, implicit=True)
            if item.tag == _SEQUENCE_END:
                return item.start
            if item.tag != _ITEM:
                raise ScanError(f"there is no item at byte {position}")
            if item.length == _UNDEFINED:
                position = self.item_end(item.start, implicit=implicit, depth=depth)
            else:
                position = self.value_end(item, implicit=implicit, depth=depth)

    def item_end(self, position: int, *, implicit: bool, depth: int) -> int:
        """Walk over the elements of an item of undefined length to the item delimiter."""
        while True:
            header = self.header(position, implicit=implicit)
            if header.tag == _ITEM_END:
                return header.start
            position = self.value_end(header, implicit=implicit, depth=depth)


def _text(value: memoryview) -> str:
    # UI is padded with NUL (PS3.5 6.2); some senders pad with spaces. Latin-1 takes any byte: what is no
    # UID is found by its syntax
    return bytes(value[:_MAXIMUM_UID]).rstrip(b"\0 ").decode("latin-1")

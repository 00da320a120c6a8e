"""A look at an encoded data set that decodes nothing: the four UIDs that name it, and whether it is whole.

Groups 0008 to 0020 stand in front (PS3.5 7.1: tags ascend), so a few hundred bytes are looked at, whatever
the size of the object.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.store.elements import (
    DEEPEST,
    EXPLICIT_BE,
    IMPLICIT_LE,
    CutError,
    Element,
    ScanError,
    Scanner,
    Window,
)

__all__ = [
    "EXPLICIT_BE",
    "IMPLICIT_LE",
    "DataSetIds",
    "ScanError",
    "check_bounds",
    "check_whole",
    "scan_ids",
]

_BEHIND_IDS: Final = 0x00210000
_MAXIMUM_UID: Final = 66  # 64 and padding; what is longer is cut and no UID any more

_IDS: Final = {
    0x00080016: "sop_class_uid",
    0x00080018: "sop_instance_uid",
    0x0020000D: "study_instance_uid",
    0x0020000E: "series_instance_uid",
}


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
    scanner = _scanner(data, transfer_syntax)
    elements, end = scanner.elements(0, before=_BEHIND_IDS)
    found = {
        _IDS[tag]: _text(scanner.window.take(begin, min(stop, begin + _MAXIMUM_UID)))
        for tag, _, begin, stop, _ in elements
        if tag in _IDS
    }
    return DataSetIds(end=end, **found)


def check_whole(data: bytes | memoryview, transfer_syntax: str, start: int) -> None:
    """Raise ScanError when a value of the data set reaches beyond its last byte: part of it is missing.

    start: `DataSetIds.end`. Anything else that is odd is let pass, since the bytes are kept, not decoded.
    """
    try:
        _scanner(data, transfer_syntax).elements(start)
    except CutError:
        raise
    except ScanError:
        return


def check_bounds(data: bytes | memoryview, transfer_syntax: str, sequences: Collection[int]) -> None:
    """Raise ScanError unless a data set is whole, and bounded in elements and depth in these sequences, too.

    sequences: tags of those that somebody is going to read; others of defined length are passed over.
    """
    scanner = _scanner(data, transfer_syntax)
    _check_items(scanner, scanner.elements(0)[0], sequences, depth=0)


def _check_items(
    scanner: Scanner, elements: Sequence[Element], sequences: Collection[int], depth: int
) -> None:
    if depth > DEEPEST:
        raise ScanError(f"its sequences are nested more than {DEEPEST} deep")
    for tag, _, begin, end, _ in elements:
        if tag in sequences:
            for item in scanner.items(begin, end):
                _check_items(scanner, item, sequences, depth + 1)


def _scanner(data: bytes | memoryview, transfer_syntax: str) -> Scanner:
    return Scanner(
        Window(memoryview(data)),
        implicit=transfer_syntax == IMPLICIT_LE,
        big_endian=transfer_syntax == EXPLICIT_BE,
    )


def _text(value: bytes) -> str:
    # UI is padded with NUL (PS3.5 6.2); some senders pad with spaces. Latin-1 takes any byte: what is no
    # UID is found by its syntax
    return value.rstrip(b"\0 ").decode("latin-1")

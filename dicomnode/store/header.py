"""A small reader of DICOM headers: file meta information, and a few elements at the top of a data set.

Values that nobody asked for are skipped, and nothing is decompressed: reading the ids of an instance costs a
tenth of a millisecond. What it cannot follow is a `ScanError`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from dicomnode.store.elements import EXPLICIT_BE, IMPLICIT_LE, ScanError, Scanner, Window

PREAMBLE: Final = 128
_PREFIX: Final = b"DICM"
_LONGEST_VALUE: Final = 1024  # bytes of those asked for: UIDs have 64 characters at most

# Data sets that are compressed as a whole: a small one can unpack to anything
_DEFLATED: Final = frozenset(
    ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"),
)

Tag = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What the file meta information says (PS3.10 7.1); empty strings where it is silent.

    end: offset of the data set in the file.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    end: int


def plain_text(value: bytes) -> str:
    """Text of an element of one value, without padding (a space, or NUL for UIDs: PS3.5 6.2)."""
    try:
        return value.decode("utf-8").strip(" \0")
    except UnicodeDecodeError:
        return value.decode("latin-1").strip(" \0")


def read_meta(file: BinaryIO) -> FileMeta:
    """Read the file meta information of a Part 10 file, from its beginning; raises ScanError."""
    file.seek(0)
    start = file.read(PREAMBLE + len(_PREFIX))
    if start[PREAMBLE:] != _PREFIX:
        raise ScanError("it is not a DICOM Part 10 file: DICM is missing at byte 128")
    # PS3.10 7.1: the meta information is Explicit VR Little Endian, whatever the data set is
    scanner = Scanner(Window(file), implicit=False)
    wanted = {(0x0002, 0x0002), (0x0002, 0x0003), (0x0002, 0x0010)}
    found, end = _scan(scanner, PREAMBLE + len(_PREFIX), wanted, last_group=0x0002)
    return FileMeta(
        sop_class_uid=plain_text(found.get((0x0002, 0x0002), b"")),
        sop_instance_uid=plain_text(found.get((0x0002, 0x0003), b"")),
        transfer_syntax_uid=plain_text(found.get((0x0002, 0x0010), b"")),
        end=end,
    )


def read_elements(
    file: BinaryIO, meta: FileMeta, wanted: Collection[Tag], last_group: int
) -> Mapping[Tag, bytes]:
    """Read the wanted elements at the top level of the data set, up to `last_group`; raises ScanError."""
    if not meta.transfer_syntax_uid:
        raise ScanError("its file meta information has no Transfer Syntax UID (0002,0010)")
    if meta.transfer_syntax_uid in _DEFLATED:
        raise ScanError(f"deflated transfer syntax {meta.transfer_syntax_uid} is not accepted")
    scanner = Scanner(
        Window(file),
        implicit=meta.transfer_syntax_uid == IMPLICIT_LE,
        big_endian=meta.transfer_syntax_uid == EXPLICIT_BE,
    )
    return _scan(scanner, meta.end, wanted, last_group)[0]


def _scan(
    scanner: Scanner, at: int, wanted: Collection[Tag], last_group: int
) -> tuple[dict[Tag, bytes], int]:
    """Collect the wanted elements up to the first one of a later group; also where that is."""
    elements, end = scanner.elements(at, before=(last_group + 1) << 16)
    found: dict[Tag, bytes] = {}
    for tag, _, begin, stop, undefined in elements:
        pair = (tag >> 16, tag & 0xFFFF)
        if pair in wanted and not undefined:
            # Cut, not refused: what was acknowledged is not put aside for an accession number
            found[pair] = scanner.window.take(begin, min(stop, begin + _LONGEST_VALUE))
    return found, end

"""The headers of source instances as `report` needs them: Part 10, Explicit VR Little Endian, no pixels.

Text is copied byte for byte with its Specific Character Set: decoding a name and encoding it again can
lose it (PS3.5 6.1). Only sequences, whose items may hold private elements, are taken apart.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import pydicom
from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRLittleEndian

from dicomnode.assemble.dataset import PLAIN_VRS, UpToPixels, read_up_to_pixels
from dicomnode.assemble.functional_groups import frames_of, has_groups
from dicomnode.assemble.kinds import FRAME_CLASSES, NM_IMAGE
from dicomnode.assemble.nuclear import nuclear_frames
from dicomnode.assemble.record import Header
from dicomnode.faults import HEADER_DAMAGED, NodeError
from dicomnode.store.elements import SHORT_VRS, Element, ScanError, Scanner
from dicomnode.store.foreign import (
    UNREADABLE,
    UNREADABLE_ITEMS,
    file_unreadable,
    is_of_the_disk,
    quiet,
    reason,
)
from dicomnode.values import Source, SourceHeaders

if TYPE_CHECKING:
    from dicomnode.assemble.studies import Stack

# PS3.3 C.7.6.1: a picture of the picture, of no use in a result
_ICON_IMAGE_SEQUENCE: Final = 0x00880200
_LAST_GROUP: Final = 0x6000  # overlays, waveforms and pixels stand from here on
_CURVES: Final = range(0x5000, 0x5100)
_LONGEST_VALUE: Final = 0xFFFE  # bytes: what a short VR can hold (PS3.5 7.1.2); tables are not needed

# PS3.5 6.2: numbers in binary, whose bytes depend on the byte order
_BINARY_VR: Final = frozenset(
    {"AT", "FD", "FL", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "US", "UV"}
)
# PS3.5 7.1.2: these have a length of four bytes in explicit VR
_LONG_VR: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_ZERO_PADDED_VR: Final = frozenset({"OB", "UI", "UN"})
_ITEM: Final = b"\xfe\xff\x00\xe0"


def encode_header(source: UpToPixels | Dataset, header: Header) -> bytes:
    """Encode the header of one instance as a Part 10 file without pixels.

    Left out are also overlays, curves, icons, private elements (in sequences, too), values longer than
    64 kB, and what pydicom cannot read. An object of one frame is written as the single image that it is.
    """
    meta = _file_meta(header)
    if isinstance(source, Dataset):
        return meta + _encode(_as_image(source, header))
    if source.scan is None or _is_one_frame(header):
        return meta + _encode(_as_image(source.everything(), header))
    return meta + _copied(source)


def _file_meta(header: Header) -> bytes:
    """Encode preamble and file meta information (PS3.10 7.1), as pydicom writes it."""
    group = b"".join(
        (
            _join(0x00020001, "OB", b"\x00\x01"),
            _join(0x00020002, "UI", header.sop_class_uid.encode("ascii")),
            _join(0x00020003, "UI", header.sop_instance_uid.encode("ascii")),
            _join(0x00020010, "UI", ExplicitVRLittleEndian.encode("ascii")),
            _join(0x00020012, "UI", PYDICOM_IMPLEMENTATION_UID.encode("ascii")),
            _join(0x00020013, "SH", f"PYDICOM {pydicom.__version__}".encode("ascii")),
        )
    )
    return b"\0" * 128 + b"DICM" + _join(0x00020000, "UL", struct.pack("<L", len(group))) + group


def _as_image(dataset: Dataset, header: Header) -> Dataset:
    """Lift what an object says of its only frame to where single images say it."""
    if not _is_one_frame(header):
        return dataset
    if header.sop_class_uid == NM_IMAGE:
        return next(nuclear_frames(dataset, 1))
    return next(frames_of(dataset)) if has_groups(dataset, 1) else dataset


def _is_one_frame(header: Header) -> bool:
    return header.sop_class_uid in FRAME_CLASSES and header.frames == 1


def source_of(stack: Stack, name: str) -> Source:
    """Return the source of a stack of which no volume was made: headers, but no grid.

    name: of the [[input]] in engine.toml. Raises NodeError(FILE_UNREADABLE) when the disk does not give
    a file, NodeError(HEADER_DAMAGED) when it is not what was read before.
    """
    first: dict[str, Header] = {}
    for header in stack.headers:
        first.setdefault(header.sop_instance_uid, header)
    return Source(
        name=name,
        study_instance_uid=stack.facts.study_instance_uid,
        series_instance_uid=stack.facts.series_instance_uid,
        grid=None,
        frames=tuple(header.source_frame for header in stack.headers),
        headers=encode_headers(first.values()),
        repairs=stack.repairs,
    )


def encode_headers(headers: Iterable[Header]) -> SourceHeaders:
    """Encode the headers of images from their files, one an instance, in order; raises as `source_of`."""
    with quiet():
        return SourceHeaders(tuple(encode_file(header) for header in headers))


def encode_file(header: Header) -> bytes:
    """Do `encode_header` with the file of an image; raises as `source_of`. Call it within `quiet()`."""
    try:
        with header.path.open("rb") as file:
            return encode_header(read_up_to_pixels(file), header)
    except OSError as error:
        if is_of_the_disk(error):
            raise file_unreadable(header.path, error) from error
        raise NodeError(HEADER_DAMAGED, file=header.path.name, error=reason(error)) from error
    except UNREADABLE as error:
        raise NodeError(HEADER_DAMAGED, file=header.path.name, error=reason(error)) from error


def _copied(source: UpToPixels) -> bytes:
    """Encode what was scanned: its bytes as they are where that is right, else what pydicom makes of them."""
    assert source.scan is not None
    scanner, elements = source.scan
    whole: Dataset | None = None
    parts = []
    for piece in _pieces(scanner, elements):
        if isinstance(piece, bytes):
            parts.append(piece)
            continue
        try:
            parts.append(_element(scanner, piece))
        except (ScanError, RecursionError):
            whole = source.everything() if whole is None else whole
            with suppress(*UNREADABLE_ITEMS):
                parts.append(_converted(whole, piece[0]))
    return b"".join(parts)


def _pieces(scanner: Scanner, elements: Iterable[Element]) -> Iterator[bytes | Element]:
    """Yield what is to be kept of elements, sorted: as bytes where these stay as they are.

    Most do, with their heads of 8 bytes; those that lie one behind the other are taken at once.
    """
    begin = end = 0
    for element in sorted(elements):
        tag, written, value_begin, value_end, _ = element
        if _is_left_out(tag):
            continue
        stays = written in SHORT_VRS and (value_end - value_begin) % 2 == 0
        if stays and value_begin - 8 == end:
            end = value_end
            continue
        if end > begin:
            yield scanner.window.take(begin, end)
        begin, end = (value_begin - 8, value_end) if stays else (0, 0)
        if not stays:
            yield element
    if end > begin:
        yield scanner.window.take(begin, end)


def _element(scanner: Scanner, element: Element) -> bytes:
    """Encode an element; ScanError where it is not plain, and pydicom is to be asked."""
    tag, written, begin, end, undefined = element
    vr = _vr(tag, written.decode("ascii") or None)
    if vr == "SQ" and written != b"UN":
        items = (_item(scanner, elements) for elements in scanner.items(begin, end))
        return _join(tag, vr, b"".join(_ITEM + struct.pack("<L", len(item)) + item for item in items))
    if undefined or len(vr) != 2:
        raise ScanError("pydicom is to convert it")
    return _join(tag, vr, scanner.window.take(begin, end))


def _item(scanner: Scanner, elements: list[Element]) -> bytes:
    tags, vrs = {element[0] for element in elements}, {element[1] for element in elements}
    if len(tags) < len(elements) or not vrs <= PLAIN_VRS:
        raise ScanError("pydicom may see other elements")
    pieces = _pieces(scanner, elements)
    return b"".join(piece if isinstance(piece, bytes) else _element(scanner, piece) for piece in pieces)


def _encode(dataset: Dataset) -> bytes:
    """Encode what is to be kept of a data set or item of pydicom, Explicit VR Little Endian."""
    parts = []
    for tag in sorted(dataset.keys()):
        if not _is_left_out(int(tag)):
            with suppress(*UNREADABLE_ITEMS):
                parts.append(_converted(dataset, int(tag)))
    return b"".join(parts)


@lru_cache(maxsize=4096)
def _is_left_out(tag: int) -> bool:
    group, element = tag >> 16, tag & 0xFFFF
    return (
        group % 2 == 1  # private
        or group < 0x0008
        or group >= _LAST_GROUP
        or group in _CURVES
        or element == 0  # group lengths, retired
        or tag == _ICON_IMAGE_SEQUENCE
    )


def _converted(dataset: Dataset, tag: int) -> bytes:
    """Encode one element: its bytes as they are where that is right, else what pydicom makes of them."""
    raw: object = dataset.get_item(tag)
    if isinstance(raw, RawDataElement):
        vr = _vr(tag, raw.VR)
        if vr != "SQ" and len(vr) == 2 and (raw.is_little_endian or vr not in _BINARY_VR):
            return _join(tag, vr, raw.value or b"")
    element = dataset[tag]
    if element.VR == "SQ":
        items = (_encode(item) for item in element.value)
        value = b"".join(_ITEM + struct.pack("<L", len(item)) + item for item in items)
        return _join(tag, "SQ", value)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_data_element(buffer, element, convert_encodings(dataset.original_character_set))
    encoded = bytes(buffer.getvalue())
    return encoded if len(encoded) <= _LONGEST_VALUE else b""


@lru_cache(maxsize=4096)
def _vr(tag: int, written: str | None) -> str:
    """Return the VR of an element, from the dictionary where the file does not say (PS3.5 6.2.2)."""
    if written is not None and written != "UN":
        return written
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def _join(tag: int, vr: str, value: bytes) -> bytes:
    if vr != "SQ" and len(value) > _LONGEST_VALUE:
        return b""
    if len(value) % 2:
        value += b"\0" if vr in _ZERO_PADDED_VR else b" "
    if vr in _LONG_VR:
        return struct.pack("<HH2s2xL", tag >> 16, tag & 0xFFFF, vr.encode("ascii"), len(value)) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode("ascii"), len(value)) + value

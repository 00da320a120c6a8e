"""The headers of source instances as `report` needs them: Part 10, Explicit VR Little Endian, no pixels.

Text is copied byte for byte with its Specific Character Set: decoding a name and encoding it again can
lose it (PS3.5 6.1). Only sequences, whose items may hold private elements, are taken apart.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from pydicom import Dataset, dcmread
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.assemble.foreign import UNREADABLE, file_unreadable, is_of_the_disk, quiet, reason
from dicomnode.assemble.record import Header
from dicomnode.faults import HEADER_DAMAGED, NodeError
from dicomnode.values import Source, SourceFrame, SourceHeaders

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


def encode_header(dataset: Dataset, header: Header) -> bytes:
    """Encode the header of one instance as a Part 10 file without pixels.

    Left out are also overlays, curves, icons, private elements (in sequences, too), values longer than
    64 kB, and what pydicom cannot read.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(header.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(header.sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    file.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(file, meta, enforce_standard=True)
    return bytes(file.getvalue()) + _encode(dataset)


def source_of(stack: Stack, name: str) -> Source:
    """Return the source of a stack of which no volume was made: headers, but no grid.

    name: of the [[input]] in engine.toml. Raises NodeError(FILE_UNREADABLE) when the disk does not give
    a file, NodeError(HEADER_DAMAGED) when it is not what was read before.
    """
    with quiet():
        encoded = tuple(_encode_file(header) for header in stack.headers)
    return Source(
        name=name,
        study_instance_uid=stack.facts.study_instance_uid,
        series_instance_uid=stack.facts.series_instance_uid,
        grid=None,
        frames=tuple(SourceFrame(header.sop_instance_uid) for header in stack.headers),
        headers=SourceHeaders(encoded),
        repairs=stack.repairs,
    )


def _encode_file(header: Header) -> bytes:
    try:
        return encode_header(dcmread(header.path, stop_before_pixels=True), header)
    except OSError as error:
        if is_of_the_disk(error):
            raise file_unreadable(header.path, error) from error
        raise NodeError(HEADER_DAMAGED, file=header.path.name, error=reason(error)) from error
    except UNREADABLE as error:
        raise NodeError(HEADER_DAMAGED, file=header.path.name, error=reason(error)) from error


def _encode(dataset: Dataset) -> bytes:
    """Encode what is to be kept of a data set or item, Explicit VR Little Endian."""
    parts = []
    for tag in sorted(dataset.keys()):
        if not _is_left_out(tag):
            try:
                parts.append(_element(dataset, tag))
            except UNREADABLE:
                continue
    return b"".join(parts)


def _is_left_out(tag: BaseTag) -> bool:
    return (
        tag.is_private
        or tag.group < 0x0008
        or tag.group >= _LAST_GROUP
        or tag.group in _CURVES
        or tag.element == 0  # group lengths, retired
        or tag == _ICON_IMAGE_SEQUENCE
    )


def _element(dataset: Dataset, tag: BaseTag) -> bytes:
    """Encode one element: its bytes as they are where that is right, else what pydicom makes of them."""
    raw: object = dataset.get_item(tag)
    if isinstance(raw, RawDataElement):
        vr = _vr(raw)
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


def _vr(raw: RawDataElement) -> str:
    """Return the VR of an element, from the dictionary where the file does not say (PS3.5 6.2.2)."""
    if raw.VR is not None and raw.VR != "UN":
        return raw.VR
    try:
        return dictionary_VR(raw.tag)
    except KeyError:
        return "UN"


def _join(tag: BaseTag, vr: str, value: bytes) -> bytes:
    if vr != "SQ" and len(value) > _LONGEST_VALUE:
        return b""
    if len(value) % 2:
        value += b"\0" if vr in _ZERO_PADDED_VR else b" "
    head = struct.pack("<HH2s", tag.group, tag.element, vr.encode("ascii"))
    length = struct.pack("<2xL", len(value)) if vr in _LONG_VR else struct.pack("<H", len(value))
    return head + length + value

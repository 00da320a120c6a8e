"""Small Part 10 files made by hand, so that each byte of them can be wrong on purpose."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

from dicomnode.store import PartFile, SealedFile, Store
from dicomnode.values import Sender

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
STUDY = "1.2.826.0.1.1"
SERIES = "1.2.826.0.1.1.1"
INSTANCE = "1.2.826.0.1.1.1.1"
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
SENDER = Sender(calling_ae="CT1", called_ae="DICOMNODE", address="10.0.0.7")

_LONG_VRS = {"OB", "OW", "SQ", "UN", "UT"}


def element(group: int, number: int, vr: str, value: bytes, *, syntax: str = EXPLICIT) -> bytes:
    """One element of defined length."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB") else b" "
    tag = struct.pack(order + "HH", group, number)
    if syntax == IMPLICIT:
        return tag + struct.pack("<L", len(value)) + value
    if vr in _LONG_VRS:
        return tag + vr.encode() + b"\0\0" + struct.pack(order + "L", len(value)) + value
    return tag + vr.encode() + struct.pack(order + "H", len(value)) + value


def meta(
    sop_instance_uid: str = INSTANCE, sop_class_uid: str = CT, syntax: str = EXPLICIT, writer: str = "TEST"
) -> bytes:
    """`DICM` and the file meta information."""
    rest = element(2, 1, "OB", b"\0\1")
    for number, uid in ((2, sop_class_uid), (3, sop_instance_uid), (0x10, syntax), (0x12, "1.2.3")):
        rest += element(2, number, "UI", uid.encode())
    rest += element(2, 0x13, "SH", writer.encode())
    return b"DICM" + element(2, 0, "UL", struct.pack("<L", len(rest))) + rest


def data_set(
    sop_instance_uid: str = INSTANCE,
    *,
    study: str = STUDY,
    series: str = SERIES,
    syntax: str = EXPLICIT,
    sop_class_uid: str = CT,
    accession: str = "A17",
    modality: str = "CT",
    pixels: bytes = b"\1\2\3\4",
) -> bytes:
    """A data set with what the store reads, and some pixels."""
    elements = (
        (0x0008, 0x0016, "UI", sop_class_uid.encode()),
        (0x0008, 0x0018, "UI", sop_instance_uid.encode()),
        (0x0008, 0x0050, "SH", accession.encode()),
        (0x0008, 0x0060, "CS", modality.encode()),
        (0x0010, 0x0010, "PN", b"Nobody"),
        (0x0020, 0x000D, "UI", study.encode()),
        (0x0020, 0x000E, "UI", series.encode()),
        (0x0028, 0x0010, "US", b"\2\0"),
        (0x7FE0, 0x0010, "OW", pixels),
    )
    return b"".join(element(*fields, syntax=syntax) for fields in elements)


def behind_preamble(
    sop_instance_uid: str = INSTANCE, *, study: str = STUDY, pixels: bytes = b"\1\2\3\4"
) -> bytes:
    """All of a file but its preamble: what a part is written with."""
    return meta(sop_instance_uid) + data_set(sop_instance_uid, study=study, pixels=pixels)


def receive(store: Store, content: bytes, at: datetime = NOON) -> SealedFile:
    """Receive an instance in two pieces."""
    with store.new_part() as part:
        return write_and_seal(part, content, at)


def write_and_seal(part: PartFile, content: bytes, at: datetime = NOON) -> SealedFile:
    """Write and seal."""
    half = len(content) // 2
    part.write(content[:half])
    part.writev([memoryview(content)[half:]])
    return part.seal(SENDER, at)

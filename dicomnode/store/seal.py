"""The seal: 128 bytes in the preamble of a received file that say what it must hold.

The preamble is free for applications (PS3.10 7.1) and readers ignore it. The seal is written when the last
byte is there, before the one flush; so a file whose content does not fit its seal was never acknowledged. It
is a checksum against torn writes, not against malice.

Layout, little endian: magic (8), version (2), length of the address (1), 1 for what was fetched, else 0 (1),
length of all behind the preamble (8), XXH3-64 of it (8), receive time in µs since 1970 UTC (8), calling AE
(16), called AE (16), address (48), zero (4), XXH3-64 of the 120 bytes before (8).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

import xxhash

from dicomnode.values import Sender

PREAMBLE: Final = 128
VERSION: Final = 1
_MAGIC: Final = b"DICOMSEA"
_FIELDS: Final = struct.Struct("<8sHBBQQq16s16s48s4x")
_CHECK: Final = struct.Struct("<Q")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK: Final = 1 << 20
_ADDRESS_MAX: Final = 48  # an IPv6 address with its zone fits


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """A received file that is whole and durable.

    path: Part 10 file. size: bytes of the whole file. digest: XXH3-64 of everything behind the preamble,
    16 hex digits. received_at: time-zone aware, UTC.
    """

    path: Path
    size: int
    digest: str
    received_at: datetime
    sender: Sender


def pack_seal(length: int, digest: int, received_at: datetime, sender: Sender) -> bytes:
    """Make the 128 bytes. length and digest are of everything behind the preamble.

    Raises ValueError when `received_at` has no time zone.
    """
    if received_at.tzinfo is None:
        raise ValueError("received_at must carry a time zone")
    address = _ascii(sender.address, _ADDRESS_MAX)
    fields = _FIELDS.pack(
        _MAGIC,
        VERSION,
        len(address),
        sender.fetched,
        length,
        digest,
        (received_at - _EPOCH) // timedelta(microseconds=1),
        _ascii(sender.calling_ae, 16),
        _ascii(sender.called_ae, 16),
        address,
    )
    return fields + _CHECK.pack(xxhash.xxh3_64_intdigest(fields))


def _ascii(text: str, longest: int) -> bytes:
    # PS3.5 6.2: AE titles are ASCII. What is not was never sent by a peer that keeps to the standard.
    return text.encode("ascii", "replace")[:longest]


def unpack_seal(preamble: bytes, path: Path) -> SealedFile | None:
    """Read a seal; None when these bytes are none, or a damaged one, or of a later version."""
    if len(preamble) != PREAMBLE or not preamble.startswith(_MAGIC):
        return None
    fields, check = preamble[: _FIELDS.size], preamble[_FIELDS.size :]
    if _CHECK.unpack(check)[0] != xxhash.xxh3_64_intdigest(fields):
        return None
    _, version, address_length, fetched, length, digest, time_us, calling, called, address = _FIELDS.unpack(
        fields
    )
    if version != VERSION:
        return None
    return SealedFile(
        path=path,
        size=PREAMBLE + length,
        digest=f"{digest:016x}",
        received_at=_EPOCH + timedelta(microseconds=time_us),
        sender=Sender(
            calling_ae=calling.rstrip(b"\0").decode("ascii"),
            called_ae=called.rstrip(b"\0").decode("ascii"),
            address=address[:address_length].decode("ascii"),
            fetched=bool(fetched),
        ),
    )


def read_seal(path: Path) -> SealedFile | None:
    """Read the seal of a file without checking its content; None when it has no good one."""
    with path.open("rb") as file:
        return unpack_seal(file.read(PREAMBLE), path)


def verify(path: Path) -> SealedFile | None:
    """Read the seal of a file and check length and content against it; None when they do not fit."""
    with path.open("rb") as file:
        sealed = unpack_seal(file.read(PREAMBLE), path)
        if sealed is None:
            return None
        digest, size = xxhash.xxh3_64(), PREAMBLE
        for chunk in _chunks(file):
            digest.update(chunk)
            size += len(chunk)
    return sealed if (size, digest.hexdigest()) == (sealed.size, sealed.digest) else None


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk

"""The seal says what a file must hold, and a damaged one says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.store.seal import PREAMBLE, pack_seal, read_seal, unpack_seal, verify
from dicomnode.values import Sender
from tests.unit.store.part10 import NOON, SENDER, behind_preamble

PATH = Path("x.dcm")
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=16)


@given(
    length=st.integers(0, 2**40),
    digest=st.integers(0, 2**64 - 1),
    at=st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    calling=printable,
    called=printable,
    address=st.ip_addresses().map(str),
    fetched=st.booleans(),
)
def test_a_seal_says_what_was_sealed(length, digest, at, calling, called, address, fetched) -> None:
    sender = Sender(calling_ae=calling, called_ae=called, address=address, fetched=fetched)
    sealed = unpack_seal(pack_seal(length, digest, at, sender), PATH)
    assert sealed is not None
    assert (sealed.size, int(sealed.digest, 16)) == (PREAMBLE + length, digest)
    assert (sealed.received_at, sealed.sender, sealed.path) == (at, sender, PATH)
    assert len(sealed.digest) == 16


def test_a_seal_has_the_length_of_a_preamble_and_gives_the_time_in_utc() -> None:
    at = NOON.astimezone(timezone(timedelta(hours=5)))
    seal = pack_seal(1, 2, at, SENDER)
    assert len(seal) == 128
    sealed = unpack_seal(seal, PATH)
    assert sealed is not None
    assert sealed.received_at.isoformat() == "2026-03-01T12:00:00.123456+00:00"


@pytest.mark.parametrize("at", range(128))
def test_a_seal_with_one_byte_changed_is_none(at: int) -> None:
    seal = bytearray(pack_seal(1000, 2, NOON, SENDER))
    seal[at] ^= 0x01
    assert unpack_seal(bytes(seal), PATH) is None


@pytest.mark.parametrize("other", [b"", bytes(128), b"DICOMSEA" + bytes(120), bytes(127), b"\xff" * 128])
def test_what_is_no_seal_is_none(other: bytes) -> None:
    assert unpack_seal(other, PATH) is None


def test_a_seal_of_a_later_version_is_none() -> None:
    seal = bytearray(pack_seal(1000, 2, NOON, SENDER))
    seal[8] = 2
    seal[120:] = xxhash.xxh3_64_intdigest(bytes(seal[:120])).to_bytes(8, "little")
    assert unpack_seal(bytes(seal), PATH) is None


def test_a_title_that_no_peer_may_have_is_kept_as_far_as_it_goes() -> None:
    sender = Sender(calling_ae="RÖNTGEN_AND_MUCH_TOO_LONG", called_ae="", address="")
    sealed = unpack_seal(pack_seal(1, 2, NOON, sender), PATH)
    assert sealed is not None
    assert sealed.sender == Sender(calling_ae="R?NTGEN_AND_MUCH", called_ae="", address="")


def test_a_time_without_a_zone_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="time zone"):
        pack_seal(1, 2, NOON.replace(tzinfo=None), SENDER)


def sealed_file(folder: Path) -> Path:
    content = behind_preamble()
    path = folder / "x.dcm"
    path.write_bytes(pack_seal(len(content), xxhash.xxh3_64_intdigest(content), NOON, SENDER) + content)
    return path


def test_a_whole_file_fits_its_seal(tmp_path: Path) -> None:
    path = sealed_file(tmp_path)
    sealed = verify(path)
    assert sealed is not None
    assert sealed == read_seal(path)
    assert sealed.size == path.stat().st_size


def test_a_file_with_any_byte_changed_or_missing_or_too_many_does_not_fit_its_seal(tmp_path: Path) -> None:
    path = sealed_file(tmp_path)
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :])
        assert verify(path) is None, f"byte {at}"
    for other in (content[:-1], content + b"\0", content[:128], content[:100], b""):
        path.write_bytes(other)
        assert verify(path) is None

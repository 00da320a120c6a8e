"""Numbers from attributes that hold something else than the dictionary says: none, and never an exception."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest

from dicomnode.analyse.tag_numbers import NoNumberError, numbers_of
from dicomnode.values import SourceHeaders


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """An element in Explicit VR Little Endian."""
    long = vr in (b"OB", b"SQ", b"UN")
    length = struct.pack("<HL", 0, len(value)) if long else struct.pack("<H", len(value))
    return struct.pack("<HH", group, number) + vr + length + value


def headers(*elements: bytes) -> SourceHeaders:
    syntax = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0")
    meta = element(2, 0, b"UL", struct.pack("<L", len(syntax))) + syntax
    return SourceHeaders((b"\0" * 128 + b"DICM" + meta + b"".join(elements),))


def wanted(keyword: str, **changes: object) -> SimpleNamespace:
    number = {"tag": keyword, "default": 1.0, "values": {}, "mean": 0.0, "sd": 1.0, **changes}
    return SimpleNamespace(tags=[SimpleNamespace(**number)])


NO_NUMBERS = {
    "IS beyond any number": element(0x18, 0x1150, b"IS", b"1e400 "),
    "IS that is text": element(0x18, 0x1150, b"IS", b"abc "),
    "DS that is not a number": element(0x18, 0x1150, b"DS", b"NaN "),
    "US of three bytes": element(0x18, 0x1150, b"US", b"\1\2\3"),
    "bytes": element(0x18, 0x1150, b"OB", b"\1\2"),
    "a sequence that ends within its item": element(0x18, 0x1150, b"SQ", b"\xfe\xff\x00\xe0"),
    "an empty item": element(0x18, 0x1150, b"SQ", b"\xfe\xff\x00\xe0\0\0\0\0"),
}


@pytest.mark.parametrize("wrong", NO_NUMBERS.values(), ids=list(NO_NUMBERS))
def test_what_is_no_number_is_told_by_its_keyword_and_the_default_is_used(wrong):
    numbers, (remark,) = numbers_of(wanted("ExposureTime"), headers(wrong))
    assert numbers.tolist() == [1.0]
    assert remark.text.startswith("ExposureTime is ")
    with pytest.raises(NoNumberError, match=r"^ExposureTime is "):
        numbers_of(wanted("ExposureTime", default=None), headers(wrong))


def test_a_number_of_another_vr_is_one():
    numbers, remarks = numbers_of(
        wanted("ExposureTime"), headers(element(0x18, 0x1150, b"US", struct.pack("<H", 3)))
    )
    assert (numbers.tolist(), remarks) == ([3.0], [])


@pytest.mark.parametrize("vr", [b"US", b"OB"])
def test_a_character_set_that_is_no_text_costs_no_analysis(vr):
    numbers, (remark,) = numbers_of(
        wanted("ExposureTime"),
        headers(element(8, 5, vr, b"\3\0"), element(0x18, 0x1150, b"IS", b"7 ")),
    )
    assert (numbers.tolist(), remark.text.split(";")[0]) == ([1.0], "ExposureTime is absent")

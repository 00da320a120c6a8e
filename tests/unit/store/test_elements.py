"""One walk over elements, of bytes in memory and of files."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.store import elements as module
from dicomnode.store.elements import CutError, Element, ScanError, Scanner, Window
from tests.unit.store.part10 import data_set, element

UNDEFINED = 0xFFFFFFFF
_DELIMITER = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def item(content: bytes, *, undefined: bool = False) -> bytes:
    head = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED if undefined else len(content))
    return head + content + (struct.pack("<HHL", 0xFFFE, 0xE00D, 0) if undefined else b"")


def sequence(*items: bytes) -> bytes:
    return struct.pack("<HH2s2xL", 8, 0x1115, b"SQ", UNDEFINED) + b"".join(items) + _DELIMITER


def walk(source: bytes | BytesIO) -> tuple[list[Element], int] | str:
    try:
        return Scanner(Window(source), implicit=False).elements(0, before=0x7FE00008)
    except ScanError as error:
        return str(error)


@given(st.data())
def test_a_file_is_walked_a_piece_at_a_time_as_bytes_in_memory_are(data: st.DataObject) -> None:
    inner = sequence(item(data_set(), undefined=True), item(data_set()))
    encoded = bytearray(sequence(item(inner, undefined=True)) + element(9, 0x1001, "UN", b"x" * 99) + inner)
    if data.draw(st.booleans()):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
        del encoded[data.draw(st.integers(0, len(encoded))) :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", data.draw(st.integers(12, 200)))
        assert walk(BytesIO(bytes(encoded))) == walk(bytes(encoded))


def test_values_of_a_file_are_given_wherever_they_lie() -> None:
    encoded = element(9, 0x1001, "UN", b"x" * 100_000) + element(0x10, 0x20, "LO", b"behind")
    window = Window(BytesIO(encoded))
    found, end = Scanner(window, implicit=False).elements(0)
    assert end == window.size
    assert [window.take(begin, stop) for _, _, begin, stop, _ in found] == [b"x" * 100_000, b"behind"]


@pytest.mark.parametrize("undefined", [False, True])
def test_items_are_given_with_their_elements(undefined: bool) -> None:
    encoded = item(element(8, 0x16, "UI", b"1.2 "), undefined=undefined) + item(b"", undefined=undefined)
    scanner = Scanner(Window(encoded), implicit=False)
    tags = [[tag for tag, *_ in found] for found in scanner.items(0, len(encoded))]
    assert tags == [[0x00080016], []]


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        (item(element(8, 0x16, "UI", b"1.2 "))[:-6], "no item"),
        (item(element(8, 0x16, "UI", b"1.2 "))[:4] + struct.pack("<L", 10) + b"x" * 12, "no VR"),
        (b"\xfe\xff\x00\xe0" + struct.pack("<L", 8) + element(8, 0x16, "UI", b"1.2 "), "does not end"),
        (element(8, 0x16, "UI", b"1.2 "), "no item"),
    ],
    ids=["cut", "no element", "shorter than its element", "no item"],
)
def test_what_are_no_items_is_refused(encoded: bytes, words: str) -> None:
    scanner = Scanner(Window(encoded), implicit=False)
    with pytest.raises(ScanError, match=words):
        list(scanner.items(0, len(encoded)))


def test_a_value_that_is_not_there_is_told_from_what_is_odd() -> None:
    whole = element(8, 0x16, "UI", b"1.2 ")
    with pytest.raises(CutError, match="4 bytes, 3 of them came"):
        Scanner(Window(whole[:-1]), implicit=False).elements(0)
    with pytest.raises(ScanError) as caught:
        Scanner(Window(whole.replace(b"UI", b"u1")), implicit=False).elements(0)
    assert not isinstance(caught.value, CutError)

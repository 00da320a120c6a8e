"""The wire form of an ONNX file (protobuf): fields one after the other, each with its number and its value.

Nothing is believed: a length beyond the end, a number without end, an unknown wire type are refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

# Wire types (protobuf encoding): numbers of 1 to 10 bytes, of 8 bytes, with a length, of 4 bytes
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT: Final = 10
# A tag has 32 bits, of which 29 are the number. Of a longer one protobuf in C++ drops what is too much, and
# sees another field than we do: one that names a file, say.
_LARGEST_FIELD: Final = 2**29 - 1
_LONGEST_RUN: Final = 4096  # fields that are passed over in one go: it bounds what a match remembers


class UnsafeNetworkError(ValueError):
    """The file is not what may be given to a runtime; the text says why."""


def fields(
    data: memoryview, passed_over: re.Pattern[bytes] | None = None
) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield (field number, wire type, value) of one message; raise UnsafeNetworkError where it is broken.

    passed_over: runs of fields that nobody asks for, see `numbers_but`.
    """
    for field, wire, value, _ in spans(data, passed_over):
        yield field, wire, value


def numbers_but(wanted: Collection[int]) -> re.Pattern[bytes]:
    """Match a run of whole fields that are numbers, but of the fields wanted: a forest has half a million.

    Without `++` and `(?>`: until 3.11.4 Python ends such a match within a field that is cut off or damaged
    (github.com/python/cpython/issues/106052), which would pass as whole.
    """

    def tags(wire: int) -> bytes:
        found = bytes(n << 3 | wire for n in range(1, 16) if n not in wanted)  # those of one byte
        return b"[%b]" % re.escape(found) if found else b"(?!)"

    varints, fixed32, fixed64 = tags(VARINT), tags(FIXED32), tags(FIXED64)
    number = b"[\x80-\xff]{0,%d}[\x00-\x7f]" % (_LONGEST_VARINT - 1)
    field = b"%b%b|%b.{4}|%b.{8}" % (varints, number, fixed32, fixed64)
    return re.compile(b"(?:%b){1,%d}" % (field, _LONGEST_RUN), re.DOTALL)


def spans(
    data: memoryview, passed_over: re.Pattern[bytes] | None = None
) -> Iterator[tuple[int, int, int | memoryview, int]]:
    """Yield the same with the place where the field ends."""
    at = 0
    while at < len(data):
        if passed_over is not None and (run := passed_over.match(data, at)):
            at = run.end()
            continue
        tag, at = varint(data, at)
        field, wire = tag >> 3, tag & 7
        value: int | memoryview
        if wire == VARINT:
            value, at = varint(data, at)
        elif wire in {FIXED64, FIXED32, LENGTH}:
            size = {FIXED64: 8, FIXED32: 4}.get(wire, -1)
            if size < 0:
                size, at = varint(data, at)
            if size > len(data) - at:
                raise UnsafeNetworkError("it is cut off or damaged")
            value = data[at : at + size]
            at += size
        else:
            raise UnsafeNetworkError("it is no ONNX network: it is not protobuf")
        if not 0 < field <= _LARGEST_FIELD:
            raise UnsafeNetworkError("it is no ONNX network: it is not protobuf")
        yield field, wire, value, at


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and the place behind it; raise UnsafeNetworkError."""
    if at < len(data) and data[at] < 0x80:  # nearly all
        return data[at], at + 1
    value = 0
    for count in range(_LONGEST_VARINT):
        if at + count >= len(data):
            raise UnsafeNetworkError("it is cut off or damaged")
        byte = data[at + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, at + count + 1
    raise UnsafeNetworkError("it is no ONNX network: it is not protobuf")


def varint_bytes(number: int) -> bytes:
    """Write a varint."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])

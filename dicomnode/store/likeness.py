"""Likeness: whether two files of one SOP Instance UID hold the same instance, in whatever encoding.

An archive sends an instance as the association allows: in another transfer syntax, with other lengths of
sequences, compressed. That is the same instance. The bytes are looked at first, and nearly always enough.
"""

from __future__ import annotations

import array
import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from dicomnode.store.header import IMPLICIT_LITTLE, Unreadable, read_elements, read_meta

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_CHUNK: Final = 1 << 20
_EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
_NATIVE: Final = frozenset((IMPLICIT_LITTLE, "1.2.840.10008.1.2.1", _EXPLICIT_BIG))
_LAST_BEFORE_PIXELS: Final = 0x7FDF
_PADDING: Final = 0xFFFCFFFC  # Data Set Trailing Padding (PS3.10 7.2)
# What pydicom says of bytes that are no data set; what cannot be compared is not the same
_UNPARSABLE: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def same_instance(one: Path, other: Path) -> bool:
    """Tell whether two Part 10 files hold the same data set, as bytes or by the values of its elements.

    File meta, group lengths, padding and how sequences are delimited may differ. With different transfer
    syntaxes of which one is compressed, everything but the pixels is compared: nothing is decompressed here.
    Raises OSError when the disk does not give them.
    """
    return _same_bytes(one, other) or _same_values(one, other)


def _same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as a, other.open("rb") as b:
        try:
            meta_a, meta_b = read_meta(a), read_meta(b)
        except Unreadable:
            return False
        if meta_a.transfer_syntax_uid != meta_b.transfer_syntax_uid:
            return False
        a.seek(meta_a.end)
        b.seek(meta_b.end)
        while True:
            chunk_a, chunk_b = a.read(_CHUNK), b.read(_CHUNK)
            if chunk_a != chunk_b:
                return False
            if not chunk_a:
                return True


def _same_values(one: Path, other: Path) -> bool:
    from pydicom.errors import InvalidDicomError  # noqa: PLC0415  the receiver loads this room

    try:
        with one.open("rb") as a, other.open("rb") as b, warnings.catch_warnings():
            # What a value lacks to be valid is not asked here, and pydicom's words quote it
            warnings.simplefilter("ignore")
            syntaxes = {read_meta(a).transfer_syntax_uid, read_meta(b).transfer_syntax_uid}
            with_pixels = len(syntaxes) == 1 or syntaxes <= _NATIVE
            return _same_elements(_read(a, pixels=with_pixels), _read(b, pixels=with_pixels))
    except (Unreadable, InvalidDicomError, *_UNPARSABLE):
        return False
    except OSError as error:
        if error.errno is not None:
            raise
        return False  # it is of pydicom, not of the disk


def _read(file: BinaryIO, *, pixels: bool) -> Dataset:
    from pydicom import dcmread  # noqa: PLC0415  the receiver loads this room

    # pydicom takes as many elements as there are: what is too much is found here, cheaply
    read_elements(file, read_meta(file), (), _LAST_BEFORE_PIXELS)
    file.seek(0)
    return dcmread(file, stop_before_pixels=not pixels)


def _same_elements(a: Dataset, b: Dataset) -> bool:
    tags = _tags(a)
    return tags == _tags(b) and all(_same_element(a, b, tag) for tag in tags)


def _tags(data_set: Dataset) -> list[int]:
    return sorted(int(tag) for tag in data_set.keys() if tag.element != 0 and tag != _PADDING)  # noqa: SIM118


def _same_element(a: Dataset, b: Dataset, tag: int) -> bool:
    raw_a, raw_b = a.get_item(tag), b.get_item(tag)
    orders = {_little_endian(a), _little_endian(b)}
    both_bytes = isinstance(raw_a.value, bytes | None) and isinstance(raw_b.value, bytes | None)
    if both_bytes and len(orders) == 1 and (raw_a.value or b"") == (raw_b.value or b""):
        return True  # also where one of them does not tell of which VR it is
    one, other = a[tag], b[tag]
    if "SQ" in (one.VR, other.VR):
        items_a, items_b = _items(one), _items(other)
        return len(items_a) == len(items_b) and all(map(_same_elements, items_a, items_b))
    value_a, value_b = one.value, other.value
    if len(orders) == 2 and "OW" in (one.VR, other.VR) and isinstance(value_a, bytes):
        words = array.array("H", value_a)
        words.byteswap()
        value_a = words.tobytes()
    return bool(_plain(value_a) == _plain(value_b))


def _little_endian(data_set: Dataset) -> bool:
    return data_set.original_encoding[1] is not False


def _plain(value: Any) -> Any:
    """Value without the difference between none, empty text and no bytes."""
    return None if value is None or (isinstance(value, str | bytes) and not value) else value


def _items(element: Any) -> list[Dataset]:
    """Items of a sequence; of an unknown element too, which has them in implicit VR (PS3.5 6.2.2)."""
    if element.VR == "SQ":
        return list(element.value)
    from pydicom.filereader import read_sequence  # noqa: PLC0415  the receiver loads this room

    content = element.value
    return list(read_sequence(BytesIO(content), True, True, len(content), "iso8859"))

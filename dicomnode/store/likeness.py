"""Likeness: whether two files of one SOP Instance UID hold the same instance, in whatever encoding.

An archive sends an instance as the association allows: in another transfer syntax, with other lengths of
sequences, compressed; and a router with its stamp. That is the same instance. The bytes are looked at first,
and nearly always enough.

The same pixels with another header are a correction: a name, a number, a description was wrong, and is put
right under the UID that it has (PS3.4 C.6 leaves that to the archive; IHE PIR and IOCM tell of it).
"""

from __future__ import annotations

import array
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from dicomnode.store.another import of_another
from dicomnode.store.elements import EXPLICIT_BE, IMPLICIT_LE, ScanError
from dicomnode.store.header import read_elements, read_meta
from dicomnode.store.renaming import BELONGING, IMAGE, OF_PIXELS, RENAMING, STAMPS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_CHUNK: Final = 1 << 20
_NATIVE: Final = frozenset((IMPLICIT_LE, "1.2.840.10008.1.2.1", EXPLICIT_BE))
_LAST_BEFORE_PIXELS: Final = 0x7FDF
_SIGNATURES: Final = 0xFFFAFFFA
_PADDING: Final = 0xFFFCFFFC  # Data Set Trailing Padding (PS3.10 7.2)
_ESCAPE: Final = b"\x1b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two files of one SOP Instance UID differ.

    is_correction: the pixels are the same, and what differs is the header around them. keywords: of the
    elements at the top that differ ("(0009,1001)" where there is none), sorted; never a value. added: those
    of which the other file says nothing. of_another: those that name another patient or order than there.
    is_renaming: they say whose the image is and under which number, and nothing of what it shows.
    """

    is_correction: bool
    keywords: tuple[str, ...] = ()
    added: frozenset[str] = frozenset()
    of_another: frozenset[str] = frozenset()
    is_renaming: bool = False


_ANOTHER: Final = Difference(is_correction=False)


def difference(one: Path, other: Path) -> Difference | None:
    """Tell how two Part 10 files differ; None if they hold the same data set, by bytes or values.

    File meta, group lengths, padding, how sequences are delimited and the stamps of who passed an instance on
    (`renaming.STAMPS`) may differ. With different transfer syntaxes of which one is compressed, all but the
    pixels is compared, as nothing is decompressed here; then only the same header is known to be the same
    instance, and any other is not a correction.
    Raises OSError when the disk does not give them.
    """
    return None if _same_bytes(one, other) else _by_values(one, other)


def _same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as a, other.open("rb") as b:
        try:
            meta_a, meta_b = read_meta(a), read_meta(b)
        except ScanError:
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


def _by_values(one: Path, other: Path) -> Difference | None:
    from dicomnode.store.foreign import UNREADABLE, is_of_the_disk, quiet  # noqa: PLC0415  the receiver loads this room

    try:
        with one.open("rb") as a, other.open("rb") as b, quiet():
            # What a value lacks to be valid is not asked here
            syntaxes = {read_meta(a).transfer_syntax_uid, read_meta(b).transfer_syntax_uid}
            with_pixels = len(syntaxes) == 1 or syntaxes <= _NATIVE
            header_a, header_b = _read(a, pixels=with_pixels), _read(b, pixels=with_pixels)
            return _judged(header_a, header_b, with_pixels=with_pixels)
    except (ScanError, *UNREADABLE):
        return _ANOTHER  # what cannot be compared is not the same
    except OSError as error:
        if is_of_the_disk(error):
            raise
        return _ANOTHER


def _judged(a: Dataset, b: Dataset, *, with_pixels: bool) -> Difference | None:
    tags_a, tags_b = set(_tags(a)), set(_tags(b))
    alike = a.get("SpecificCharacterSet") == b.get("SpecificCharacterSet")
    differing = {tag for tag in tags_a & tags_b if not _same_element(a, b, tag, alike=alike)}
    for tag in tags_a ^ tags_b:
        _ = (a if tag in tags_a else b)[tag].value  # what cannot be read at all corrects nothing
        differing.add(tag)
    if differing <= STAMPS:
        return None
    is_renaming = differing <= RENAMING
    # Of what is no image, the rest of the header is the content: it must be the same
    as_before = is_renaming
    if any(tag in OF_PIXELS for tag in tags_a):
        as_before = not differing & (IMAGE | BELONGING) and all(map(_is_of_header, differing))
    keywords = tuple(sorted(_keyword(tag) for tag in differing))
    return Difference(
        is_correction=with_pixels and as_before,
        keywords=keywords,
        added=frozenset(_keyword(tag) for tag in differing if tag not in tags_b or _is_empty(b[tag].value)),
        of_another=of_another(a, b, keywords),
        is_renaming=is_renaming,
    )


def _is_of_header(tag: int) -> bool:
    # Vendors keep pixels of their own behind the pixels (7FE1); a signature goes with any correction
    return tag >> 16 <= _LAST_BEFORE_PIXELS or tag == _SIGNATURES


def _is_empty(value: Any) -> bool:
    return value is None or not str(value).strip()


def _keyword(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag  # noqa: PLC0415  the receiver loads this room

    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _read(file: BinaryIO, *, pixels: bool) -> Dataset:
    from pydicom import dcmread  # noqa: PLC0415  the receiver loads this room

    # pydicom takes as many elements as there are: what is too much is found here, cheaply
    read_elements(file, read_meta(file), (), _LAST_BEFORE_PIXELS)
    file.seek(0)
    return dcmread(file, stop_before_pixels=not pixels)


def _same_elements(a: Dataset, b: Dataset, *, alike: bool) -> bool:
    tags = _tags(a)
    return tags == _tags(b) and all(_same_element(a, b, tag, alike=alike) for tag in tags)


def _tags(data_set: Dataset) -> list[int]:
    return sorted(int(tag) for tag in data_set.keys() if tag.element != 0 and tag != _PADDING)  # noqa: SIM118


def _same_element(a: Dataset, b: Dataset, tag: int, *, alike: bool) -> bool:
    """Compare an element. alike: the two files have the same character set, so equal bytes are equal text."""
    raw_a, raw_b = a.get_item(tag), b.get_item(tag)
    orders = {_little_endian(a), _little_endian(b)}
    both_bytes = isinstance(raw_a.value, bytes | None) and isinstance(raw_b.value, bytes | None)
    equal = both_bytes and len(orders) == 1 and (raw_a.value or b"") == (raw_b.value or b"")
    if equal and (alike or _in_any_character_set(raw_a.value or b"")):
        return True  # also where one of them does not tell of which VR it is
    one, other = a[tag], b[tag]
    if "SQ" in (one.VR, other.VR):
        items_a, items_b = _items(one), _items(other)
        pairs = zip(items_a, items_b, strict=False)
        return len(items_a) == len(items_b) and all(_same_elements(*pair, alike=alike) for pair in pairs)
    value_a, value_b = one.value, other.value
    if len(orders) == 2 and "OW" in (one.VR, other.VR) and isinstance(value_a, bytes):
        words = array.array("H", value_a)
        words.byteswap()
        value_a = words.tobytes()
    return bool(_plain(value_a) == _plain(value_b))


def _in_any_character_set(content: bytes) -> bool:
    return content.isascii() and _ESCAPE not in content  # PS3.5 6.1.2.5.3: an escape begins another set


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

"""Source headers in Unicode, whatever character set they came in; results are written in UTF-8.

A name must survive exactly: escape sequences of ISO 2022, GB18030, single-byte sets and UTF-8 are decoded
once, here. Where a header declares no character set (or one that does not exist) and holds other bytes than
ASCII, it is read as UTF-8 if that is possible without damage, else in the character set configured for it.
A result of ASCII alone names no character set: that is the same bytes, and what every archive understands;
any other is ISO_IR 192. Source: PS3.3 C.12.1.1.2, PS3.5 6.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.charset import convert_encodings, python_encoding
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_for_tag
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName

from dicomnode.report.heading.cleaning import wrong
from dicomnode.store.foreign import UNREADABLE_ITEMS, quiet
from dicomnode.store.names import DAMAGED, UTF_8

_CHARACTER_SET = 0x00080005
_TEXT_VRS = frozenset({"AE", "LO", "LT", "PN", "SH", "SQ", "ST", "UC", "UT"})
_EXPLICIT_LITTLE = (False, True)  # (implicit VR, little endian) of encoded source headers


@contextmanager
def as_it_is() -> Iterator[None]:
    """Read wrong values without a warning: each is checked, and dropped or refused, where it is used."""
    with quiet(), disable_value_validation():
        yield


def read_encoded(encoded: bytes, tags: Sequence[BaseTag] = ()) -> Dataset:
    """Read a Part 10 header, or these tags of it. Must run within `as_it_is`.

    Raises NodeError(SOURCE_HEADER_WRONG) where its character set is no text: all others are read as they are.
    """
    try:
        return dcmread(BytesIO(encoded), specific_tags=list(tags) or None)
    except UNREADABLE_ITEMS:
        raise wrong("SpecificCharacterSet", "not valid") from None


def read_unicode(encoded: bytes, otherwise: str) -> tuple[Dataset, str | None]:
    """Read a Part 10 header so that every text in it is Unicode.

    otherwise: character set (0008,0005) to assume for bytes that the header does not explain.
    Returns the data set, without SpecificCharacterSet, and a sentence if the character set was assumed.
    Must run within `as_it_is`. Raises NodeError(SOURCE_HEADER_WRONG) as `read_encoded`.
    """
    declared = terms_of(read_encoded(encoded))
    if declared and all(term in python_encoding for term in declared):
        dataset = _read_as(encoded, declared)
        if not _damaged(dataset):
            return _without_character_set(dataset), None
    for assumed in (UTF_8, otherwise):
        dataset = _read_as(encoded, [assumed])
        if not _damaged(dataset):
            break
    foreign = not is_ascii(dataset)
    told = f"The source's texts were read as {assumed}, because (0008,0005) does not explain them."
    return _without_character_set(dataset), told if foreign else None


def is_ascii(dataset: Dataset, besides: frozenset[str] = frozenset()) -> bool:
    """Tell whether every text of a data set is ASCII; elements named in `besides` are passed over."""
    return all(text.isascii() for text in _texts(dataset, besides))


def terms_of(dataset: Dataset) -> list[str]:
    """The terms of Specific Character Set, none where there is none."""
    declared = dataset.get("SpecificCharacterSet")
    if not declared:
        return []
    return [declared] if isinstance(declared, str) else [str(term) for term in declared]


def _read_as(encoded: bytes, terms: list[str]) -> Dataset:
    dataset = read_encoded(encoded)
    # pydicom converts an element when it is first looked at, so this comes early enough for all of them.
    dataset.set_original_encoding(*_EXPLICIT_LITTLE, convert_encodings(terms))
    return dataset


def _damaged(dataset: Dataset) -> bool:
    return any(DAMAGED in text for text in _texts(dataset))


def _texts(dataset: Dataset, besides: frozenset[str] = frozenset()) -> Iterator[str]:
    for tag in dataset.keys():  # noqa: SIM118  iterating over a data set converts every value, wrong ones too
        if dataset.get_item(tag).VR not in _TEXT_VRS or keyword_for_tag(tag) in besides:
            continue
        try:
            element = dataset[tag]
        except UNREADABLE_ITEMS:  # it is left out or refused where it is used
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.value is not None:
            values = [element.value] if isinstance(element.value, str | PersonName) else element.value
            yield from (str(value) for value in values)


def _without_character_set(dataset: Dataset) -> Dataset:
    if _CHARACTER_SET in dataset:
        del dataset[_CHARACTER_SET]
    return dataset

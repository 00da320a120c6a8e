"""Values out of data sets that others wrote: of a simple kind, finite, or None."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from dicomnode.assemble.dataset import base_tag
from dicomnode.store.foreign import UNREADABLE_ITEMS
from dicomnode.values import Fact

# What is not a plausible coordinate or factor would only overflow later.
_LARGEST_NUMBER: Final = 1e7
# Nor are these a time in ms or s, a dose in Bq, a rate: 1e11 s are 3000 years, 1e11 Bq more than any dose
_LEAST_POSITIVE: Final = 1e-9
_LARGEST_POSITIVE: Final = 1e11

# Value representations whose value says all by itself: no other attribute, no item, no private creator
_OF_ITSELF: Final = frozenset(
    {"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "SH", "SL"}
    | {"SS", "ST", "TM", "UC", "UI", "UL", "UR", "US", "UT"}
)
# Values are remembered, but none of a patient, and no long ones
_PATIENT: Final = 0x0010
_REMEMBERED_BYTES: Final = 256


def many(value: Fact) -> tuple[object, ...]:
    """Return the values of an attribute, none or one or several, as a tuple."""
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def value_of(dataset: Dataset, keyword: str) -> Fact:
    """Return an attribute's value; None if it is missing, empty, not valid, or not of a simple kind."""
    try:
        tag = _tag(keyword)
        if tag is None or tag not in dataset.keys():  # noqa: SIM118  a dict's answer: a data set's own is ten times slower
            return None
        raw: object = dataset.get_item(tag, keep_deferred=True)
        if isinstance(raw, RawDataElement) and raw.value and len(raw.value) <= _REMEMBERED_BYTES:
            vr = raw.VR or _vr_of(tag)
            if vr in _OF_ITSELF and tag.group != _PATIENT:
                encoding = dataset.original_character_set
                encodings = (encoding,) if isinstance(encoding, str) else tuple(encoding)
                return _converted(tag, vr, raw.value, raw.is_little_endian, encodings)
        return _fact(dataset[tag].value)
    except UNREADABLE_ITEMS:
        return None


@lru_cache(maxsize=8192)
def _converted(tag: BaseTag, vr: str, value: bytes, little: bool, encodings: tuple[str, ...]) -> Fact:
    """Convert a value by pydicom; most are the same in all slices of a series."""
    raw = RawDataElement(tag, vr, len(value), value, 0, False, little)
    return _fact(convert_raw_data_element(raw, encoding=list(encodings)).value)


@cache
def _tag(keyword: str) -> BaseTag | None:
    tag = tag_for_keyword(keyword)
    return None if tag is None else base_tag(tag)


@cache
def _vr_of(tag: BaseTag) -> str:
    return dictionary_VR(tag)


def _fact(value: object) -> Fact:
    if isinstance(value, MultiValue | list):  # binary numbers from a file are a plain list
        parts = [_simple(one) for one in value]
        if any(isinstance(part, str) for part in parts):
            return tuple("" if part is None else str(part) for part in parts)
        return tuple(float(part) for part in parts if part is not None)
    return _simple(value)


def _simple(value: object) -> str | int | float | None:
    if isinstance(value, str):  # UID is a str
        return str(value).strip() or None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):  # IS is an int
        return int(value)
    if isinstance(value, float):  # DS is a float
        number = float(value)
        return number if abs(number) < float("inf") else None
    return None


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return a text of one value, or nothing."""
    value = value_of(dataset, keyword)
    return value if isinstance(value, str) else ""


def texts_of(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the texts of an attribute in upper case."""
    return tuple(str(word).upper() for word in many(value_of(dataset, keyword)))


def numbers_of(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return so many plausible numbers; None if there are more, fewer or others."""
    values = many(value_of(dataset, keyword))
    if len(values) != count:
        return None
    numbers = [float(one) for one in values if isinstance(one, int | float)]
    if len(numbers) != count or not all(abs(one) < _LARGEST_NUMBER for one in numbers):
        return None
    return tuple(numbers)


def is_empty(dataset: Dataset, keyword: str) -> bool:
    """Tell whether an attribute is missing or has no value; not so where it has one that is not valid."""
    tag = _tag(keyword)
    if tag is None or tag not in dataset.keys():  # noqa: SIM118  see `value_of`
        return True
    return dataset.get_item(tag, keep_deferred=True).value in (None, "", b"")


def whole_of(dataset: Dataset, keyword: str) -> int | None:
    """Return a whole number."""
    value = value_of(dataset, keyword)
    return value if isinstance(value, int) else None


def positive_of(dataset: Dataset, keyword: str) -> float | None:
    """Return a number above 0 that a time, a dose, a mass or a rate can be."""
    value = value_of(dataset, keyword)
    if not isinstance(value, int | float) or not _LEAST_POSITIVE <= value <= _LARGEST_POSITIVE:
        return None
    return float(value)


def items_of(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Return the items of a sequence; none if it is missing or cannot be read."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in dataset.keys():  # noqa: SIM118  see `value_of`
        return ()
    try:
        return tuple(dataset[tag].value or ())
    except UNREADABLE_ITEMS:
        return ()

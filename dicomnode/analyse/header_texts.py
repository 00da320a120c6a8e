"""What attributes of the first source instance say, as text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from io import BytesIO
from typing import TYPE_CHECKING

from dicomnode.values import SourceHeaders

if TYPE_CHECKING:
    from pydicom import Dataset


def first_texts(headers: SourceHeaders, keywords: Collection[str]) -> Mapping[str, str]:
    """Return the first value of each attribute; "" where there is none, or none that is valid."""
    # Few engines need it
    from pydicom import dcmread  # noqa: PLC0415

    from dicomnode.store.foreign import UNREADABLE_ITEMS, quiet  # noqa: PLC0415  it loads pydicom

    nothing = dict.fromkeys(keywords, "")
    if not headers.encoded:
        return nothing
    with quiet():
        try:
            header = dcmread(BytesIO(headers.encoded[0]), specific_tags=list(nothing))
        except UNREADABLE_ITEMS:  # of its character set: all else is read where it is asked for
            return nothing
        return {keyword: _text(header, keyword) for keyword in nothing}


def _text(header: Dataset, keyword: str) -> str:
    from dicomnode.store.foreign import UNREADABLE_ITEMS  # noqa: PLC0415  it loads pydicom

    try:
        value = header.get(keyword)
    except UNREADABLE_ITEMS:
        return ""
    if value is None or isinstance(value, bytes):
        return ""
    single = value if isinstance(value, str | float | int) else next(iter(value), "")
    return str(single).strip() if isinstance(single, str | float | int) else ""

"""What a table says of a patient in the place of a header that does not: age, sex, and the like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO

from dicomnode.analyse.header_texts import first_texts
from dicomnode.values import Picture, SourceHeaders, Volume


def standing_in(images: Volume | Picture, said: Mapping[str, str]) -> Volume | Picture:
    """Return the images with attributes where their header lacks them; a header that speaks holds.

    said: texts by keyword. They go through the code that reads headers in service.
    """
    there = first_texts(images.headers, list(said))
    missing = {tag: text for tag, text in said.items() if not there[tag]}
    if not missing or not images.headers.encoded:
        return images
    return replace(images, headers=_with(images.headers, missing))


def _with(headers: SourceHeaders, said: Mapping[str, str]) -> SourceHeaders:
    from pydicom import dcmread  # noqa: PLC0415 (heavy, of use only here)

    from dicomnode.store.foreign import quiet  # noqa: PLC0415 (loads pydicom)

    first, *rest = headers.encoded
    with quiet():
        header = dcmread(BytesIO(first))
        for keyword, text in said.items():
            setattr(header, keyword, text)
        made = BytesIO()
        header.save_as(made)
    return SourceHeaders((made.getvalue(), *rest))

"""Which images pages show, and what those images' own headers say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread

from dicomnode.store.foreign import quiet
from dicomnode.values import Findings, Source


@dataclass(frozen=True, slots=True)
class Shown:
    """A slice or frame that a page shows: of which source, and which of its frames."""

    source: int
    frame: int


def said_of_images(findings: Findings, keyword: str, shows: Iterable[Shown]) -> str | None:
    """YES or NO: what the headers of all images shown say, None if one says nothing; of text alone, NO.

    keyword: BurnedInAnnotation or RecognizableVisualFeatures, neither of which names anybody.
    """
    said = {_said(findings.sources[shown.source], keyword) for shown in shows}
    if "YES" in said:
        return "YES"
    return None if None in said else "NO"


def _said(source: Source, keyword: str) -> str | None:
    with quiet():
        header = dcmread(BytesIO(source.headers.encoded[0]), specific_tags=[keyword])
        said = header.get(keyword)
    if said in {"YES", "NO"}:
        return str(said)
    # Slices of a volume were measured: who writes into them writes over what they are for
    return "NO" if keyword == "BurnedInAnnotation" and source.plane is None else None

"""Where the outlines are that a report has not: which object beside it holds them, and why others do not.

A report must not promise what was not made, nor keep quiet about what was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from dicomnode.report.objects import Kind
from dicomnode.report.words.wording import joined, sentence
from dicomnode.values import Findings

_WORDS: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "SEG": "segmentation",
        "LABELMAP": "label map",
        "RTSTRUCT": "structure set",
        "GSPS": "presentation state",
        "SC": "secondary capture",
        "PDF": "document",
    }
)
_MOST_LABELS: Final = 6  # named one by one
_ON_PICTURES: Final[tuple[Kind, ...]] = ("GSPS", "SC", "PDF")  # the best first
_OF_VOLUMES: Final[tuple[Kind, ...]] = ("LABELMAP", "RTSTRUCT", "GSPS")


def of_outlines(findings: Findings, impossible: Mapping[Kind, str], shown_by: Collection[Kind]) -> list[str]:
    """Say which kinds of objects there are not, and where the outlines are; mostly nothing.

    impossible: of kinds that were wanted, why there are none. shown_by: kinds of objects that hold all
    outlines; of pages, only where their pictures are at hand.
    """
    parts = [f"no {_WORDS[kind]}: {why}" for kind, why in impossible.items() if kind in _WORDS]
    if findings.segments and "SEG" not in shown_by:
        parts.append(_where(findings, shown_by))
    return [sentence("; ".join(parts))] if parts else []


def _where(findings: Findings, shown_by: Collection[Kind]) -> str:
    labels = [one.label for one in findings.segments]
    several = len(labels) > 1
    flat = findings.sources[0].plane is not None
    named = joined(labels) if len(labels) <= _MOST_LABELS else f"all {len(labels)} segments"
    outlines = f"the outlines of {named} are" if several else f"the outline of {named} is"
    by = next((kind for kind in (_ON_PICTURES if flat else _OF_VOLUMES) if kind in shown_by), None)
    if by is not None:
        return f"{outlines} in the {_WORDS[by]}"
    each = "each" if several else "it"
    has = f"the box around {each}" if flat else f"that of {each} on the slice with most of it"
    return f"{outlines} kept in the findings, and this report has {has}"

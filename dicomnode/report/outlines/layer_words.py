"""What a presentation state says: of each finding beside it and in its layer, and of those without a text.

Of an outline that is not drawn on every slice this is always said: in the text, however short that is; where
there is no room for a text, among what there is more of; and in the layer, whether or not a viewer shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.report.outlines.drawn_slices import DrawnSegment
from dicomnode.report.words.sentences import site_text
from dicomnode.report.words.wording import present_classes, score_text, size_text
from dicomnode.values import FindingKind, Findings, Region, Segment

LINE_BREAK: Final = "\r\n"
_CS_MAX: Final = 16
_LO_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class FindingWords:
    """The lines of a text. last: what stands even where room is short, behind the first."""

    lines: tuple[str, ...]
    last: tuple[str, ...] = ()


def words_of_segment(one: DrawnSegment, findings: Findings) -> FindingWords:
    """Name, numbers, and what is not drawn of a segment."""
    segment = one.segment
    numbers = size_text(segment, findings)
    if segment.long_axis_lps_mm is not None and findings.sources[0].plane is None:
        numbers += f", long axis {np.linalg.norm(np.subtract(*segment.long_axis_lps_mm)):.1f} mm"
    score = [score_text(segment.score, calibrated=segment.calibrated)] if segment.score is not None else []
    said = left_out(one)
    lines = (name_of(segment), numbers, *score, *present_classes(segment))
    return FindingWords(lines, (said,) if said else ())


def words_of_region(region: Region) -> FindingWords:
    """Name, score and classes of a region."""
    score = [score_text(region.score, calibrated=region.calibrated)] if region.score is not None else []
    return FindingWords((name_of(region), *score, *present_classes(region)))


def name_of(found: Segment | Region) -> str:
    """What it is and where: "nodule-1: Nodule, left lung"."""
    return f"{found.label}: {found.type.meaning}{site_text(found)}"


def left_out(one: DrawnSegment) -> str:
    """Say which slices an outline is drawn on; nothing where it is on all."""
    if one.step == 0:
        return "outline left out: too large"
    if one.step == 1:
        return ""
    return f"outline on every {one.step}{'nd' if one.step == 2 else 'th'} slice"


def layer_text(name: str, said: str = "") -> str:
    """Return the description of a layer. said: what stands at its end, whatever is cut before it."""
    end = f", {said}" if said else ""
    return f"{name[: _LO_MAX - len(end)]}{end}"


def more_text(count: int, said: Mapping[str, int]) -> str:
    """Say how many findings have no text, and of how many of these what is left out.

    said: how many, by what `left_out` says of them.
    """
    return "; ".join(
        (f"+ {count} more: see the layers", *(f"{n} with {one}" for one, n in sorted(said.items())))
    )


def rank(segment: Segment) -> tuple[bool, float, int]:
    """Lesions first, of these the surest, of equally sure ones the largest."""
    return segment.kind is not FindingKind.LESION, -(segment.score or 0.0), -segment.mask.count


def code_string(text: str, otherwise: str) -> str:
    """Return a text as a code string (CS): "LUNG RIGHT" of "lung-right"; it begins with a letter."""
    words = re.sub(r"[^A-Z0-9]+", " ", text.upper()).strip()[:_CS_MAX].strip()
    return words if words and words[0].isalpha() else (f"{otherwise} {words}"[:_CS_MAX].strip())

"""Words of assessment in a report: somebody says of a result that he takes it, or does not.

IHE AIRA (AI Result Assessment) has a report name result objects and say of each whether it is accepted. Which
codes a reading station writes for that differs; those of PS3.16 are known by value, all others by their Code
Meaning (English), and then only where the question or the title of the report says that it is an assessment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dicomnode.values import Code


class Assessment(StrEnum):
    """What somebody says of a result, in so many words."""

    ACCEPTED = "accepted"
    CHANGED = "changed"  # accepted after a change
    REJECTED = "rejected"


# PS3.16 CID 3217, CID 7010
_CODES: Final[Mapping[tuple[str, str], Assessment]] = MappingProxyType(
    {
        ("122775", "DCM"): Assessment.ACCEPTED,  # Agreement with prior findings
        ("122776", "DCM"): Assessment.REJECTED,  # Disagreement with prior findings
        ("113001", "DCM"): Assessment.REJECTED,  # Rejected for Quality Reasons
        ("113037", "DCM"): Assessment.REJECTED,  # Rejected for Patient Safety Reasons
    }
)
_QUESTION: Final = re.compile(
    r"\b(assess\w*|agreement|decision|verification|acceptance|review)\b", re.IGNORECASE
)
# In this order: "accepted with modifications" is a change, "not accepted" is a rejection
_VALUES: Final = (
    (
        r"reject\w*|disagree\w*|refus\w*|false[- ]positive|incorrect|not (accept|agree|confirm)\w*",
        Assessment.REJECTED,
    ),
    (r"modif\w*|chang\w*|correct(ed|ions?)\b|partial\w*|edit\w*", Assessment.CHANGED),
    (r"accept\w*|agree\w*|confirm\w*|approv\w*|correct\b|true[- ]positive", Assessment.ACCEPTED),
)


def assessment_of(concept: Code, value: Code, title: str = "") -> Assessment | None:
    """Read a coded answer of a report; None for one that assesses no result. title: of the report."""
    known = _CODES.get((value.value, value.scheme))
    if known is not None:
        return known
    if not (_QUESTION.search(concept.meaning) or _QUESTION.search(title)):
        return None
    meaning = value.meaning.lower()
    return next((said for words, said in _VALUES if re.search(rf"\b({words})", meaning)), None)

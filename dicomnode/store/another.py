"""Another patient, another order: which corrected headers name one, and which only say more of the same.

Archives write into what they have an issuer, a birth date or an accession number where the scanner wrote
none, and names in capitals or in ideographic writing too: that is still the same patient and order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NAME: Final = "PatientName"
_REQUESTS: Final = "RequestAttributesSequence"
_NAMING: Final = ("PatientID", _NAME, "PatientBirthDate", "PatientSex", "AccessionNumber", _REQUESTS)
# By which an item of Request Attributes (PS3.3 10.6) names the order
_OF_ORDER: Final = ("AccessionNumber", "RequestedProcedureID", "ScheduledProcedureStepID")

# What is said by parts (groups of a name, numbers of an order); a part that is not there says nothing
_Said = Mapping[str, frozenset[str]]


def of_another(one: Dataset, other: Dataset, keywords: Collection[str]) -> frozenset[str]:
    """Which of these attributes name another patient or order in one header than in the other.

    They do where both say something, and nothing of it is the same.
    """
    return frozenset(
        keyword
        for keyword in _NAMING
        if keyword in keywords and _contradict(_said(one, keyword), _said(other, keyword))
    )


def _contradict(one: _Said, other: _Said) -> bool:
    return any(one[part].isdisjoint(other[part]) for part in one.keys() & other.keys())


def _said(header: Dataset, keyword: str) -> _Said:
    value = header.get(keyword)
    if keyword == _REQUESTS:
        found = {part: [item.get(part) for item in value or ()] for part in _OF_ORDER}
    elif keyword == _NAME:  # alphabetic, ideographic and phonetic group (PS3.5 6.2.1)
        groups = str(value or "").casefold().split("=")
        found = {str(number): [group.rstrip("^ ")] for number, group in enumerate(groups)}
    else:
        found = {keyword: [value]}
    texts = {
        part: frozenset(str(one or "").strip() for one in values) - {""} for part, values in found.items()
    }
    return {part: said for part, said in texts.items() if said}

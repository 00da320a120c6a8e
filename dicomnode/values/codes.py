"""Coded concepts (PS3.16) and the few that every room needs.

The dictionary of concepts that reports write stands in `dicomnode.report.concepts`; what is here is
only what values themselves refer to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_LO_MAX = 64  # PS3.5 6.2: Code Meaning is LO, at most 64 characters
_SH_MAX = 16  # Code Value and Coding Scheme Designator are SH, at most 16 characters


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept: value, scheme, meaning (PS3.3 section 8, Basic Code Sequence Macro).

    Two codes are equal when value and scheme are; the meaning is for people.
    Raises ValueError if a part is empty or longer than its VR allows.
    """

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        for name, text, longest in (
            ("value", self.value, _SH_MAX),
            ("scheme", self.scheme, _SH_MAX),
            ("meaning", self.meaning, _LO_MAX),
        ):
            if not text or len(text) > longest:
                raise ValueError(f"Code.{name} must have 1 to {longest} characters, got {text!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Code):
            return NotImplemented
        return (self.value, self.scheme) == (other.value, other.scheme)

    def __hash__(self) -> int:
        return hash((self.value, self.scheme))

    def __str__(self) -> str:
        return f"({self.value}, {self.scheme}, {self.meaning!r})"


# Units, UCUM (PS3.16 CID 82)
HOUNSFIELD: Final = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
NO_UNIT: Final = Code("1", "UCUM", "no units")
SUV_BODY_WEIGHT: Final = Code("{SUVbw}g/ml", "UCUM", "Standardized Uptake Value body weight")
BECQUEREL_PER_ML: Final = Code("Bq/ml", "UCUM", "Becquerels/milliliter")
COUNTS: Final = Code("{counts}", "UCUM", "Counts")
MILLIMETRE: Final = Code("mm", "UCUM", "mm")
MILLILITRE: Final = Code("ml", "UCUM", "ml")
CUBIC_MILLIMETRE: Final = Code("mm3", "UCUM", "mm3")
PERCENT: Final = Code("%", "UCUM", "%")
DAY: Final = Code("d", "UCUM", "day")

_UNIT_WORDS: Final = {HOUNSFIELD: "HU", SUV_BODY_WEIGHT: "SUVbw", COUNTS: "counts"}


def unit_word(unit: Code) -> str:
    """Return a unit in a word: HU, SUVbw, Bq/ml, counts, 1; its UCUM code where there is no better one."""
    return _UNIT_WORDS.get(unit, unit.value)


# Laterality (PS3.16 CID 244)
RIGHT: Final = Code("24028007", "SCT", "Right")
LEFT: Final = Code("7771000", "SCT", "Left")

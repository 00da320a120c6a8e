"""What is asked of `report`, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["SEG", "SR", "KO"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportProfile:
    """What a destination gets, and how.

    kinds: objects wanted. series_number: of the segmentations; that of the reports is one higher.
    assumed_character_set: of source headers that declare none and are not UTF-8 (0008,0005).
    for_a_look: they are for people who look at what the node kept, not for an archive; each of them says so.
    """

    kinds: tuple[Kind, ...] = ("SEG", "SR")
    series_number: int = 9000
    assumed_character_set: str = "ISO_IR 100"
    for_a_look: bool = False

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("ReportProfile.kinds must name at least one kind of object")
        if not 0 < self.series_number < 2**31 - 1:
            raise ValueError(
                f"ReportProfile.series_number must be 1 to 2147483646, got {self.series_number!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierReport:
    """A report of the same study that a new one takes the place of."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultObject:
    """A finished object; content is a whole Part 10 file, always the same bytes for the same Findings."""

    kind: Kind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    content: bytes

"""What a judge may say of an object that is right: each false alarm by a name, and why it is one.

Everything else that a judge says fails the tests. docs/reference/judges.md lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Allowed:
    """A line of a judge that is not held against the object."""

    name: str
    pattern: re.Pattern[str]
    why: str


def held(lines: Iterable[str], allowed: Sequence[Allowed]) -> list[str]:
    """The lines that no false alarm explains."""
    return [line for line in lines if not any(one.pattern.search(line) for one in allowed)]


DCIODVFY: Final = (
    Allowed(
        "needed for DICOMDIR",
        re.compile(r"Missing attribute or value that would be needed to build DICOMDIR"),
        "the source has no study date, time or ID either",
    ),
    Allowed(
        "name of one component",
        re.compile(r"Retired Person Name form"),
        "the name is the source's, character by character",
    ),
    Allowed(
        "side unknown",
        re.compile(r"Laterality.* - (Value is empty|.*only permitted to be empty when)"),
        "nothing in the source says which side a paired organ is of",
    ),
    Allowed(
        "private coding scheme",
        re.compile(r"CodingSchemeDesignator.* - Unrecognized defined term = <99"),
        "designators that start with 99 are anybody's own (PS3.16 8.2), and the object says whose",
    ),
    Allowed(
        "eye without a source",
        re.compile(
            r"SourceImageSequence.* - Bad (Sequence number of Items = <0>|attribute Value Multiplicity)"
        ),
        "a derived photograph of an eye has the sequence, and it may be empty (Type 2C, PS3.3 C.8.17.2)",
    ),
    Allowed(
        "eye that was drawn",
        re.compile(r"ImageType.* - Unrecognized defined term = <(PHANTOM|SYNTHETIC)>"),
        "it must say how it was derived, and defined terms may be added to (PS3.5 6.3)",
    ),
)
DCENTVFY: Final = (
    Allowed(
        "accession number of series and study",
        re.compile(r"Different information entities for attribute - Element=<AccessionNumber>"),
        "it stands in the study and in the request of a series, with one value",
    ),
)


def the_study(uid: str) -> Allowed:
    """What `dcentvfy` says of a structure set in the study of this UID."""
    return Allowed(
        "the study as an object of its own",
        re.compile(rf"Missing SOPInstanceUID that was referenced - {re.escape(uid)} "),
        "a structure set names its study as an object of a class long retired (PS3.3 C.8.8.5)",
    )


DSRDUMP: Final = (
    Allowed(
        "values in UTF-8",
        re.compile(r"VR checker does not support this Specific Character Set: ISO_IR 192"),
        "DCMTK checks no values in UTF-8, and says so of every such document",
    ),
    Allowed(
        "key objects without a template check",
        re.compile(r"Check for template constraints not yet supported"),
        "DCMTK knows no template of them",
    ),
)
_ZONE: Final = Allowed(
    "zone behind a date and time",
    re.compile(r"ContributionDateTime \(0018,a002\)(, Type DT| violates VR definition)"),
    "DCMTK 3.6.7 takes no zone there (PS3.5 6.2 does)",
)
DRTDUMP: Final = (_ZONE,)
DCMPSCHK: Final = (
    _ZONE,
    Allowed(
        "names and descriptions in UTF-8",
        re.compile(r", Type PN$|StudyDescription \(0008,1030\), Type LO$"),
        "DCMTK takes bytes for characters (PS3.5 6.2), some of them for control characters",
    ),
)
PIXELMED: Final = (
    Allowed(
        "evaluation of the whole study, side without a site, class of a finding",
        re.compile(
            r"CODE \((27925004,SCT,\"Nodule\"|52988006,SCT,\"Lesion\"|233604007,SCT,\"Pneumonia\""
            r"|111064,DCM,\"Summary of Detections\"|272741003,SCT,\"Laterality\""
            r"|SOLID,99DICOMNODE,\"Solid nodule\"|GROUNDGLASS,99DICOMNODE,\"Ground-glass nodule\")\)"
            r": Content Item not in template"
        ),
        "its templates are of 2022: groups had no free evaluation yet",
    ),
    Allowed(
        "radiography among the procedures",
        re.compile(r"Code \(43468-8,LN,\"XR unspecified body region\"\) not found in context group 100"),
        "its context groups are of 2022: the standard's has the code",
    ),
)

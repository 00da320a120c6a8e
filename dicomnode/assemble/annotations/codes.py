"""Codes of others as `Code`: those of retired SNOMED schemes as SNOMED CT, so that they can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from pydicom import Dataset

from dicomnode.assemble.attributes import text_of
from dicomnode.values import Code
from dicomnode.values.codes import LEFT, RIGHT

BOTH_SIDES: Final = Code("51440002", "SCT", "Right and left")
"""With `RIGHT` and `LEFT` the sides of CID 244; Unilateral says no side."""

SIDES: Final = frozenset({RIGHT, LEFT, BOTH_SIDES})

_RETIRED: Final = frozenset({"SRT", "SNM3", "99SDM"})
"""SNOMED RT under its names (PS3.16 section 8.1); DICOM has used SNOMED CT since 2019."""

_LO_MAX: Final = 64


def code_of(item: Dataset) -> Code | None:
    """Return the code of an item of a code sequence (PS3.3 section 8.8).

    None where it has none that a `Code` can hold: no value, a long one, or a URN.
    """
    value, scheme = text_of(item, "CodeValue"), text_of(item, "CodingSchemeDesignator")
    meaning = text_of(item, "CodeMeaning") or value
    if scheme in _RETIRED and value in _of_snomed_rt():
        value, scheme = _of_snomed_rt()[value], "SCT"
    try:
        return Code(value, scheme, meaning[:_LO_MAX].strip())
    except ValueError:
        return None


@cache
def _of_snomed_rt() -> Mapping[str, str]:
    """Concept of SNOMED CT for each of SNOMED RT that DICOM used (PS3.16 Annex O), as pydicom has it."""
    from pydicom.sr._snomed_dict import mapping  # noqa: PLC0415  heavy: the dictionary of codes comes with it

    retired: Mapping[str, str] = mapping["SRT"]
    return retired

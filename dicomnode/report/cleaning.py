"""A header's values as they may stand in a result: valid ones exactly as they are, others not at all.

Nothing is guessed: a wrong sex, date or length is left empty (Type 2) or left out, and noted by the name of
its attribute, never by its value. What says who the patient is may not be wrong: then there is no result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pydicom import DataElement, Dataset
from pydicom.config import RAISE
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import PersonName, validate_value

from dicomnode.faults import SOURCE_HEADER_WRONG, NodeError
from dicomnode.report.shared_modules import IDENTIFYING, TYPE_2
from dicomnode.values import is_valid_uid

_ENUMERATED: Final = {  # PS3.3 C.7.1.1, C.7.2.2
    "PatientSex": ("M", "F", "O"),
    "TypeOfPatientID": ("TEXT", "RFID", "BARCODE"),
    "PatientIdentityRemoved": ("YES", "NO"),
    "QualityControlSubject": ("YES", "NO"),
    "SmokingStatus": ("YES", "NO", "UNKNOWN"),
    "PregnancyStatus": ("1", "2", "3", "4"),
    "PatientSexNeutered": ("ALTERED", "UNALTERED"),
}
# Sequences that may be empty (Type 2C, of an animal); any other is left out when it holds nothing
_EMPTY_SEQUENCES: Final = frozenset({"PatientBreedCodeSequence", "BreedRegistrationSequence"})
# PS3.5 6.2: HHMMSS.FFFFFF from the left; 60 is a leap second
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?")


@dataclass(slots=True)
class Cleaning:
    """What had to be left out, in sentences without values."""

    notes: list[str] = field(default_factory=list)

    def copy(self, header: Dataset, keywords: Iterable[str]) -> Dataset:
        """Copy the attributes that are there and valid; missing or wrong ones of Type 2 are empty.

        header: texts in Unicode. Raises NodeError(SOURCE_HEADER_WRONG) if a UID of the study or an ID of the
        patient is missing or invalid. Must run within `as_it_is`.
        """
        result = Dataset()
        for keyword in keywords:
            if tag_of(keyword) not in header:
                if keyword in ("PatientID", "StudyInstanceUID"):
                    raise wrong(keyword, "missing")
                if keyword in TYPE_2:
                    setattr(result, keyword, None)
                continue
            self._copy_one(header, keyword, result)
        return result

    def _copy_one(self, header: Dataset, keyword: str, result: Dataset) -> None:
        tag = tag_of(keyword)
        noted = len(self.notes)
        try:
            value = self._value(header[tag])
            empty = header[tag].is_empty
        except (TypeError, ValueError):  # pydicom cannot make a value of the bytes at all
            self._note(tag)
            value, empty = None, False
        if len(self.notes) > noted and keyword in IDENTIFYING:
            raise wrong(keyword, "not valid")
        if value is not None or keyword in TYPE_2:
            setattr(result, keyword, value)
        elif empty and dictionary_VR(tag) != "SQ":
            setattr(result, keyword, None)
        elif empty and keyword in _EMPTY_SEQUENCES:
            setattr(result, keyword, [])

    def _value(self, element: DataElement) -> object:
        """The value, or None where it is empty or wrong."""
        if element.VR == "SQ":
            items = [self._item(item) for item in element.value]
            return [item for item in items if len(item)] or None
        if element.is_empty:
            return None
        values = list(element.value) if element.VM > 1 else [element.value]
        texts = [_as_it_was(value) for value in values]
        if not all(_is_valid(element.VR, element.keyword, value) for value in texts):
            self._note(element.tag)
            return None
        return texts if len(texts) > 1 else texts[0]

    def _item(self, item: Dataset) -> Dataset:
        clean = Dataset()
        for element in item:
            if element.tag.is_private or element.keyword in ("", "SpecificCharacterSet"):
                continue
            value = self._value(element)
            if value is not None:
                setattr(clean, element.keyword, value)
        return clean

    def _note(self, tag: BaseTag) -> None:
        note = f"{written(tag)} {dictionary_description(tag)} of the source is not valid and was left out."
        if note not in self.notes:
            self.notes.append(note)


def element_of(header: Dataset, keyword: str) -> DataElement | None:
    """The element of a keyword, None if the header has none."""
    found: DataElement | None = header.get(tag_of(keyword))
    return found


def tag_of(keyword: str) -> BaseTag:
    """Tag of a keyword of the data dictionary."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword!r} is no keyword of the data dictionary")
    return Tag(tag)


def written(tag: BaseTag) -> str:
    """A tag as the standard writes it: (0010,0020)."""
    return f"({tag.group:04x},{tag.element:04x})"


def wrong(keyword: str, problem: str) -> NodeError:
    """The failure that names a header attribute and what is wrong with it, without its value."""
    return NodeError(SOURCE_HEADER_WRONG, tag=written(tag_of(keyword)), keyword=keyword, problem=problem)


def _as_it_was(value: object) -> object:
    """Texts as text, and numbers in the words of the source (DS, IS); other values are returned."""
    written_so = getattr(value, "original_string", None)
    if isinstance(written_so, str):
        return written_so
    return str(value) if isinstance(value, str | float | PersonName) else value


def _is_valid(vr: str, keyword: str, value: object) -> bool:
    text = str(value)
    if keyword in _ENUMERATED and text not in _ENUMERATED[keyword]:
        return False
    if vr == "UI":
        return is_valid_uid(text)
    if vr == "DA":
        return _is_date(text)
    if vr == "TM":
        return _TIME.fullmatch(text) is not None
    try:
        validate_value(vr, value, RAISE)
    except ValueError:
        return False
    # Control characters and backslashes break the value in two or the reader in one
    return vr not in ("LO", "SH", "PN", "CS", "AE") or text.isprintable()


def _is_date(text: str) -> bool:
    if re.fullmatch(r"\d{8}", text) is None:
        return False
    try:
        datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True

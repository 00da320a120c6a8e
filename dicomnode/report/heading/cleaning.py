"""A header's values as they may stand in a result: valid ones exactly as they are, others not at all.

Nothing is guessed: a wrong sex, date or length is left empty (Type 2) or left out, and noted by the name of
its attribute, never by its value. What says who the patient is may not be wrong: then there is no result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pydicom import DataElement, Dataset
from pydicom.config import RAISE
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import PersonName, validate_value

from dicomnode.faults import SOURCE_HEADER_WRONG, NodeError
from dicomnode.report.heading.shared_modules import IDENTIFYING, TRIAL, TYPE_2
from dicomnode.store.foreign import UNREADABLE_ITEMS
from dicomnode.values import is_text, is_valid_uid

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
# Type 1C: where they are, they say something
_NEVER_EMPTY: Final = frozenset(
    {
        "DeidentificationMethod",
        "PatientAlternativeCalendar",
        "PatientSpeciesDescription",
        "ResponsiblePersonRole",
        "ClinicalTrialSubjectID",
        "ClinicalTrialSubjectReadingID",
        "LongitudinalTemporalOffsetFromEvent",
        "LongitudinalTemporalEventType",
    }
)
# A trial is named by sponsor, protocol and subject, or not at all (C.7.1.3); the rest of it may be empty
_TRIAL_NEEDS: Final = (
    ("ClinicalTrialSponsorName",),
    ("ClinicalTrialProtocolID",),
    ("ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
)
_TRIAL_TYPE_2: Final = ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName")
# Value representations that are texts in a file (PS3.5 6.2)
_TEXTS: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)
_CODES: Final = ("CodeValue", "LongCodeValue", "URNCodeValue")
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
        self._drop_fragments(result)
        return result

    def _copy_one(self, header: Dataset, keyword: str, result: Dataset) -> None:
        tag = tag_of(keyword)
        noted = len(self.notes)
        try:
            value = self._value(header[tag], tag)
            empty = header[tag].is_empty
        except UNREADABLE_ITEMS:  # pydicom cannot make a value of the bytes at all
            self._note(tag)
            value, empty = None, False
        if len(self.notes) > noted and keyword in IDENTIFYING:
            raise wrong(keyword, "not valid")
        if value is not None or keyword in TYPE_2:
            setattr(result, keyword, value)
        elif empty and dictionary_VR(tag) != "SQ" and keyword not in _NEVER_EMPTY:
            setattr(result, keyword, None)
        elif empty and keyword in _EMPTY_SEQUENCES:
            setattr(result, keyword, [])

    def _value(self, element: DataElement, of: BaseTag) -> object:
        """The value, or None where it is empty or wrong; of: the header's attribute that it belongs to."""
        if not _is_of_its_kind(element):
            self._note(of)
            return None
        if element.VR == "SQ":
            items = [self._item(item, element.keyword, of) for item in element.value]
            whole = [item for item in items if _is_whole(item, element.keyword)]
            if len(whole) < len(items):
                self._note(of)
            return whole or None
        if element.is_empty:
            return None
        values = list(element.value) if element.VM > 1 else [element.value]
        texts = [_as_it_was(value) for value in values]
        vr = dictionary_VR(element.tag) if element.VR in _TEXTS else element.VR
        if not all(_is_valid(vr, element.keyword, value) for value in texts):
            self._note(of)
            return None
        return texts if len(texts) > 1 else texts[0]

    def _item(self, item: Dataset, keyword: str, of: BaseTag) -> Dataset:
        clean = Dataset()
        for element in item:
            if element.tag.is_private or element.keyword in ("", "SpecificCharacterSet"):
                continue
            value = self._value(element, of)
            if value is not None:
                setattr(clean, element.keyword, value)
        if keyword == "OtherPatientIDsSequence" and "TypeOfPatientID" not in clean:
            clean.TypeOfPatientID = "TEXT"  # Type 1, and often forgotten: an ID in an LO is text
        return clean

    def _drop_fragments(self, result: Dataset) -> None:
        """Leave out what is not allowed without something else that the source does not say."""
        trial = [keyword for keyword in TRIAL if keyword in result]
        if trial and not all(any(result.get(one) for one in group) for group in _TRIAL_NEEDS):
            self._leave_out(result, trial)
        for keyword in _TRIAL_TYPE_2 if any(keyword in result for keyword in TRIAL) else ():
            if keyword not in result:
                setattr(result, keyword, None)
        methods = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")
        if result.get("PatientIdentityRemoved") == "YES" and not any(result.get(one) for one in methods):
            self._leave_out(result, ["PatientIdentityRemoved"])

    def _leave_out(self, result: Dataset, keywords: Sequence[str]) -> None:
        for keyword in keywords:
            del result[tag_of(keyword)]
        self._note(tag_of(keywords[0]))

    def _note(self, tag: BaseTag) -> None:
        note = f"{written(tag)} {dictionary_description(tag)} of the source is not valid and was left out."
        if note not in self.notes:
            self.notes.append(note)


def element_of(header: Dataset, keyword: str) -> DataElement | None:
    """The element of a keyword, None if the header has none.

    Raises NodeError(SOURCE_HEADER_WRONG) where it has another kind of value, or one that is none at all.
    """
    try:
        found: DataElement | None = header.get(tag_of(keyword))
    except UNREADABLE_ITEMS:
        raise wrong(keyword, "not valid") from None
    if found is not None and not _is_of_its_kind(found):
        raise wrong(keyword, "not valid")
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


def _is_of_its_kind(element: DataElement) -> bool:
    """Tell whether a value may be one of its attribute: some write LO for SH; none a number for a name."""
    said, meant = element.VR, dictionary_VR(element.tag)
    return said in meant.split(" or ") or (said in _TEXTS and meant in _TEXTS)


def _is_whole(item: Dataset, of: str) -> bool:
    """Tell whether an item has what it is nothing without (PS3.3 8.8, 10.11)."""
    if of.endswith("CodeSequence"):
        return "CodeMeaning" in item and any(keyword in item for keyword in _CODES)
    if of in ("ReferencedStudySequence", "ReferencedPatientSequence"):
        return "ReferencedSOPClassUID" in item and "ReferencedSOPInstanceUID" in item
    if of == "OtherPatientIDsSequence":
        return "PatientID" in item
    return len(item) > 0


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
    return vr not in ("LO", "SH", "PN", "CS", "AE") or is_text(text)


def _is_date(text: str) -> bool:
    if re.fullmatch(r"\d{8}", text) is None:
        return False
    try:
        datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True

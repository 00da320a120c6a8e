"""One data set of a patient becomes one of nobody: every element at every depth, then who did it and how."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from pydicom import DataElement, Dataset, Sequence
from pydicom.datadict import dictionary_keyword, dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import UID

from dicomnode import __version__
from dicomnode.learn.deidentify.keys import ExportKey, shifted_date
from dicomnode.learn.deidentify.profile import EDITION, Deed, Options, deed, library_action
from dicomnode.learn.deidentify.subjects import NO_DATE, scrub_subject
from dicomnode.learn.deidentify.words import cleaned, is_clean
from dicomnode.values.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

NOBODY: Final = "ANONYMIZED"
_OLDEST: Final = 89
_AGE: Final = re.compile(r"(\d{3})Y")
# PS3.5 6.2; and TM with colons, as before 1993
_WHOLE: Final = {
    "DA": re.compile(r"\d{8}"),
    "DT": re.compile(r"\d{8}(?:\d\d){0,3}(?:\.\d{1,6})?(?:[+-]\d{4})?"),
    "TM": re.compile(r"\d\d(?::?\d\d){0,2}(?:\.\d{1,6})?"),
}
_OF_A_DAY: Final = ("DA", "DT")
_ZONE: Final = re.compile(r"[+-]\d{4}$")
_TEXTS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_BYTES: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
_TRACKING: Final = ("TrackingID", "TrackingIdentifier")
_TRACKING_CODE: Final = "112039"  # DCM Tracking Identifier
# Code Meanings of PS3.16 CID 7050
_BASIC, _PIXELS, _STRUCTURED, _DESCRIPTORS, _DATES, _CHARACTERISTICS = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113101", "Clean Pixel Data Option"),
    ("113104", "Clean Structured Content Option"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
# Labels that a file is nothing without (Type 1), and what each stands for
_MAY_NOT_BE_EMPTY: Final = frozenset(
    {"SegmentLabel", "ContentLabel", "StructureSetLabel", "TextValue", "TrackingID"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubber:
    """How the data sets of one patient are made nobody's. patient: what tells the patient from others."""

    key: ExportKey
    options: Options
    patient: str

    def scrub(self, dataset: Dataset, *, masked: bool) -> None:
        """Change a data set in place. masked: its pixels were. Raises what pydicom raises on damaged ones."""
        transfer_syntax = dataset.file_meta.TransferSyntaxUID
        self._walk(dataset)
        pseudonym = self.key.pseudonym(self.patient)
        dataset.PatientName, dataset.PatientID = pseudonym, pseudonym
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = f"PS3.15 Annex E {EDITION}, dicomnode {__version__}"
        dataset.DeidentificationMethodCodeSequence = Sequence(_item(*code) for code in self._methods(masked))
        modified = "MODIFIED" if self.options.shift_dates else "REMOVED"
        dataset.LongitudinalTemporalInformationModified = modified
        if masked:
            dataset.BurnedInAnnotation = "NO"
        _renew_meta(dataset, transfer_syntax)

    def _methods(self, masked: bool) -> list[tuple[str, str]]:
        taken = {
            _PIXELS: masked,
            _STRUCTURED: True,
            _DESCRIPTORS: True,
            _DATES: self.options.shift_dates,
            _CHARACTERISTICS: self.options.characteristics,
        }
        return [_BASIC, *(code for code, is_taken in taken.items() if is_taken)]

    def _walk(self, dataset: Dataset) -> None:
        dataset.is_undefined_length_sequence_item = False
        scrub_subject(dataset, characteristics=self.options.characteristics)
        for tag in list(dataset.keys()):
            self._element(dataset, BaseTag(tag))

    def _element(self, dataset: Dataset, tag: BaseTag) -> None:
        what = deed(tag, self.options)
        if what is Deed.REMOVE:  # before its value is looked at: private ones may be anything
            del dataset[tag]
            return
        element = dataset[tag]
        if _is_another_vr(element.VR, dictionary_VR(tag)):
            del dataset[tag]
            return
        if what is Deed.CLEAR:
            element.value = Sequence()
        elif what is Deed.WALK:
            for item in element.value:
                self._walk(item)
        elif what is Deed.UID:
            element.value = _each(element.value, self._uid)
        else:
            self._value(dataset, element, what)

    def _value(self, dataset: Dataset, element: DataElement, what: Deed) -> None:
        if what is Deed.DATE:
            self._date(dataset, element)
        elif what is Deed.WORDS:
            self._words(dataset, element)
        elif what is Deed.AGE:
            _cap_age(element)
        elif what is Deed.LIBRARY:
            self._dummy(dataset, element)

    def _uid(self, uid: str) -> str:
        text = str(uid)
        is_of_the_standard = UID(text).name != text  # pydicom names what PS3.6 lists
        return text if not text or is_of_the_standard else self.key.uid(text)

    def _date(self, dataset: Dataset, element: DataElement) -> None:
        """Move a date; the time of day stays (E.3.6). What is no whole date or time goes."""
        if not self.options.shift_dates:  # not in the table, and times are not to be told
            del dataset[element.tag]
            return
        if element.is_empty:
            return
        vr = dictionary_VR(element.tag)
        values = [str(value).strip() for value in _as_list(element.value)]
        if not all(_WHOLE[vr].fullmatch(text) and text.isascii() for text in values):
            _blank(dataset, element)
            return
        if vr == "TM" or values == [NO_DATE]:
            return
        days = self.key.shift_days(self.patient)
        moved = [shifted_date(text[:8], days) for text in values]
        if any(date is None for date in moved):
            _blank(dataset, element)
            return
        # A difference from UTC tells the country; the table removes it elsewhere, too
        after = [f"{date}{_ZONE.sub('', text[8:])}" for date, text in zip(moved, values, strict=True)]
        element.value = after[0] if len(after) == 1 else after

    def _words(self, dataset: Dataset, element: DataElement) -> None:
        """Leave of a description what may stay; a label that says too much becomes what its code means."""
        keyword = dictionary_keyword(element.tag)
        texts = [str(text) for text in _as_list(element.value)]
        if _names_a_track(dataset, keyword):
            element.value = texts[0] if is_clean(texts[0]) else f"track {self.key.word(texts[0])}"
            return
        kept = [cleaned(text) for text in texts]
        if not any(kept):
            if keyword == "SegmentLabel":
                element.value = _meaning(dataset) or f"segment {dataset.get('SegmentNumber', '')}".strip()
            elif keyword == "ContentLabel" or keyword in _MAY_NOT_BE_EMPTY:
                element.value = NOBODY
            else:
                _blank(dataset, element)
            return
        if keyword == "ContentLabel":  # CS: upper case, digits, spaces and underscores, 16 characters at most
            kept = [re.sub(r"[^A-Z0-9 _]", "", kept[0].upper())[:16].strip() or NOBODY]
        element.value = kept[0] if len(kept) == 1 else kept

    def _dummy(self, dataset: Dataset, element: DataElement) -> None:
        """Act as the library does; names of persons that its table leaves out are emptied."""
        action = library_action(element.tag)
        if action is None or action.__name__ in ("empty", "delete_or_empty"):
            _blank(dataset, element)  # the library would write the first day of the year 1 for a date
            return
        if dictionary_VR(element.tag) in _OF_A_DAY:  # the year 1 of the library is no year of DICOM's
            element.value = NO_DATE + ("000000" if dictionary_VR(element.tag) == "DT" else "")
            return
        try:
            action(dataset, element.tag)
        except NotImplementedError:  # a VR that it knows no dummy for
            del dataset[element.tag]


def _is_another_vr(found: str, meant: str) -> bool:
    """Tell whether an element was written as what it is not: items in a text, a text in a number."""
    if "SQ" in (found, meant) or found in ("PN", "UN"):
        return found != meant
    if found in _BYTES:
        return not _BYTES & set(meant.split(" or "))
    return found in _TEXTS and meant not in _TEXTS


def _names_a_track(dataset: Dataset, keyword: str) -> bool:
    """Tell whether a text is what findings are followed by: it must stay distinct from others."""
    if keyword in _TRACKING:
        return True
    concept = dataset.get("ConceptNameCodeSequence")
    return keyword == "TextValue" and bool(concept) and concept[0].get("CodeValue") == _TRACKING_CODE


def _meaning(dataset: Dataset) -> str:
    """Say what the type of a segment means, if the words of its code may stand."""
    types = dataset.get("SegmentedPropertyTypeCodeSequence")
    return cleaned(str(types[0].get("CodeMeaning", ""))) if types else ""


def _cap_age(element: DataElement) -> None:
    """Write ages above 89 as 090Y: so few are older that the age tells who (45 CFR 164.514(b)(2)(i)(C))."""
    found = _AGE.fullmatch(str(element.value or ""))
    if found is not None and int(found[1]) > _OLDEST:
        element.value = f"{_OLDEST + 1:03d}Y"


def _blank(dataset: Dataset, element: DataElement) -> None:
    """Leave a value empty; Type 3 might go, but Type 2 may not, and empty is right for both."""
    del dataset[element.tag]
    dataset.add_new(element.tag, element.VR, None)


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, MultiValue | list | tuple):
        return [change(one) for one in value]
    return value if value is None else change(value)


def _as_list(value: Any) -> list[Any]:
    return (
        list(value) if isinstance(value, MultiValue | list | tuple) else [value if value is not None else ""]
    )


def _item(value: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, "DCM", meaning
    return made


def _renew_meta(dataset: Dataset, transfer_syntax: str) -> None:
    """Write a new preamble and File Meta Information: those of the source may name who sent it to whom."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.file_meta = meta
    dataset.preamble = b"\0" * 128

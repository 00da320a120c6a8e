"""Whose an image is, as hashes that are only compared: nothing of the patient stays in a record."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement

from dicomnode.assemble.attributes import many, text_of, value_of
from dicomnode.assemble.dataset import base_tag
from dicomnode.store.foreign import UNREADABLE_ITEMS
from dicomnode.store.names import UTF_8, Name, read_name
from dicomnode.store.persons import KEYWORDS, plain_date

READ: Final = (*KEYWORDS, "PatientSex")
_NAME: Final = base_tag(tag_for_keyword("PatientName") or 0)
_WRITTEN: Final = tuple(
    base_tag(tag_for_keyword(word) or 0)
    for word in ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "SpecificCharacterSet")
)


class PersonKeys(NamedTuple):
    """Hashes of the issuer of the Patient ID, of Patient's Name as it may be read, of the date of birth.

    issuer, birth_date: "" where there is none. written: of all that says whose it is, with Patient's Sex and
    without the name: headers that have the same one say the same. "" where there is no Patient ID, or a value
    cannot be read.
    """

    issuer: str = ""
    name: Name = Name()
    birth_date: str = ""
    written: str = ""


def patient_key(dataset: Dataset) -> str:
    """Return a hash of Patient ID."""
    return hashed(text_of(dataset, "PatientID"))


def person_keys(dataset: Dataset) -> PersonKeys:
    """Return the hashes of what says who it is beside Patient ID. Call it within `quiet()`."""
    issuer = text_of(dataset, "IssuerOfPatientID")
    birth_date = plain_date(text_of(dataset, "PatientBirthDate"))
    return PersonKeys(
        issuer=issuer and hashed(issuer),
        name=_name(dataset).hidden(hashed),
        birth_date=birth_date and hashed(birth_date),
        written=_written(dataset),
    )


def _written(dataset: Dataset) -> str:
    there = dataset.keys()
    if _WRITTEN[0] not in there:
        return ""
    try:
        elements = [dataset[tag] if tag in there else None for tag in _WRITTEN]
        return hashed(repr([element and (element.VR, element.value) for element in elements]))
    except UNREADABLE_ITEMS:
        return ""


def _name(dataset: Dataset) -> Name:
    try:
        if _NAME not in dataset.keys():  # noqa: SIM118  as in `value_of`
            return Name()
        raw: object = dataset.get_item(_NAME)
        if isinstance(raw, RawDataElement):
            terms = [str(term) for term in many(value_of(dataset, "SpecificCharacterSet"))]
            return read_name(raw.value or b"", terms)
        # Somebody has looked at it: then it is a text by now
        value = dataset[_NAME].value
        return read_name(("" if value is None else str(value)).encode(), [UTF_8])
    except UNREADABLE_ITEMS:
        return Name()


def hashed(text: str) -> str:
    """Return the hash of a text, as keys have it."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

"""Whose an image is, as hashes that are only compared: nothing of the patient stays in a record."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Final

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.valuerep import PersonName

from dicomnode.assemble.attributes import text_of, value_of
from dicomnode.assemble.dataset import base_tag
from dicomnode.store.foreign import UNREADABLE_ITEMS

KEYWORDS: Final = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
_NAME: Final = base_tag(tag_for_keyword("PatientName") or 0)


def patient_key(dataset: Dataset) -> str:
    """Return a hash of Patient ID and its issuer."""
    return _hash("\0".join(text_of(dataset, keyword) for keyword in ("PatientID", "IssuerOfPatientID")))


def person_keys(dataset: Dataset) -> tuple[str, str]:
    """Return hashes of Patient's Name, whatever character set it is written in, and of the date of birth."""
    return _hash(_name(dataset)), _hash(text_of(dataset, "PatientBirthDate"))


def _name(dataset: Dataset) -> str:
    try:
        value = dataset[_NAME].value if _NAME in dataset.keys() else None  # noqa: SIM118  as in `value_of`
    except UNREADABLE_ITEMS:
        return ""
    text = "" if value is None else str(value)
    if isinstance(value, PersonName) and not text.isascii() and not value_of(dataset, "SpecificCharacterSet"):
        # Reports read it so, too: what names no character set is UTF-8 where it can be
        with suppress(UnicodeDecodeError):
            text = value.original_string.decode("utf-8")
    return text.rstrip("^ ")  # what is empty at the end may be left out (PS3.5 6.2.1.1)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

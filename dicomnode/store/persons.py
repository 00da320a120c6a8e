"""Whose images are, as their headers say it: whether all are of one person, also after a merge.

What one header leaves out is no difference: an archive may add the issuer of a Patient ID, or a name and a
birth date where the scanner wrote none, as it may add component groups of a name (`names`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from dicomnode.store.names import UTF_8, Name, may_be_one, read_name

KEYWORDS: Final = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
_ID, *_BESIDES = KEYWORDS
_WITH_DOTS: Final = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)")  # DA of ACR-NEMA 300, PS3.5 6.2
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

Hide = Callable[[str], str]
"""Makes texts unreadable, so that equal ones still are; see `Person.hidden`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What a header says of its patient, or what compares as that does; "" for what is not there."""

    patient_id: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    name: Name = field(default=Name(), repr=False)
    birth_date: str = field(default="", repr=False)

    def hidden(self, by: Hide) -> Person:
        """Return what compares as this person does, of texts that `by` has made unreadable."""
        return Person(
            patient_id=by(self.patient_id),
            issuer=self.issuer and by(self.issuer),
            name=self.name.hidden(by),
            birth_date=self.birth_date and by(self.birth_date),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """What messages said of a patient, by keyword, after images had come.

    told: attributes that take the place of those of the headers. former: who the patient was when each
    message came, in the attributes that `store.load_former` gives; the headers of nobody else are meant.
    corrected: of what headers were corrected since, and say otherwise than was told: they have the last word.
    """

    told: Mapping[str, str] = field(default_factory=dict, repr=False)
    former: Sequence[Mapping[str, str]] = field(default=(), repr=False)
    corrected: frozenset[str] = frozenset()

    def told_of(self, person: Person, hide: Hide | None = None) -> Mapping[str, str]:
        """Return what takes the place of what a header says; nothing where it is of nobody they speak of.

        hide: as of `Person.hidden`, where the person is hidden. It is of whom they speak where its Patient ID
        is the former or the new one, and nothing else in it contradicts both: an archive that follows a
        message may do so by and by.
        """
        if not self._is_theirs(person, hide):
            return _NOTHING
        return {keyword: value for keyword, value in self.told.items() if keyword not in self.corrected}

    def may_be_told_of(self, person: Person) -> bool:
        """Tell whether messages may be of whom a header is of, who cannot be shown to be of them.

        They left out who was meant (records of earlier versions), or they replaced its Patient ID, and what
        else it says is not what was known of that patient.
        """
        if not self.told or self._is_theirs(person, None):
            return False
        replaced = {values.get(_ID, "") for values in self.former} - {self.told.get(_ID)}
        return not self.former or (_ID in self.told and person.patient_id in replaced)

    def of(self, persons: Iterable[Person], hide: Hide | None = None) -> list[Person]:
        """Return who persons are now. hide: as of `told_of`."""
        return [self._now(one, self.told_of(one, hide), hide) for one in persons]

    def _is_theirs(self, person: Person, hide: Hide | None) -> bool:
        now = person_of(self.told, hide)
        former: list[Person | None] = [person_of(values, hide) for values in self.former]
        return any(self._is_of(person, before, now) for before in former or [None])

    def _is_of(self, person: Person, before: Person | None, now: Person) -> bool:
        ids = {now.patient_id} if _ID in self.told else set()
        if before is not None:
            ids.add(before.patient_id)
        return person.patient_id in ids and all(
            keyword in self.corrected
            or (keyword in self.told and is_said_alike(keyword, person, now))
            or (keyword not in self.told if before is None else is_said_alike(keyword, person, before))
            for keyword in _BESIDES
        )

    def _now(self, person: Person, told: Mapping[str, str], hide: Hide | None) -> Person:
        now = person_of(told, hide)
        return Person(
            patient_id=now.patient_id if "PatientID" in told else person.patient_id,
            issuer=now.issuer if "IssuerOfPatientID" in told else person.issuer,
            name=now.name if "PatientName" in told else person.name,
            birth_date=now.birth_date if "PatientBirthDate" in told else person.birth_date,
        )


NO_RENAMING: Final = Renaming()


def is_one(persons: Iterable[Person]) -> bool:
    """Tell whether all are one person."""
    return difference(persons) is None


def difference(persons: Iterable[Person]) -> tuple[str, int] | None:
    """Name the first of `KEYWORDS` by which not all are one person, and how many values it has."""
    distinct = set(persons)
    for keyword in KEYWORDS:
        values = _values(keyword, distinct)
        if not _are_one(keyword, values):
            return keyword, len(values)
    return None


def is_said_alike(keyword: str, one: Person, other: Person) -> bool:
    """Tell whether two say the same in one of `KEYWORDS`, as far as both say something."""
    return _are_one(keyword, _values(keyword, (one, other)))


def _values(keyword: str, persons: Iterable[Person]) -> set[str] | set[Name]:
    """Return what persons say: all but the Patient ID may be unknown, which contradicts nothing."""
    match keyword:
        case "PatientID":
            return {one.patient_id for one in persons}
        case "IssuerOfPatientID":
            return {one.issuer for one in persons if one.issuer}
        case "PatientName":
            return {one.name for one in persons if not one.name.is_empty}
        case _:
            return {one.birth_date for one in persons if one.birth_date}


def _are_one(keyword: str, values: Iterable[str | Name]) -> bool:
    if keyword == "PatientName":
        return may_be_one(one for one in values if isinstance(one, Name))
    return len(set(values)) < 2


def plain_date(text: str) -> str:
    """Return a date as DICOM writes it, also where it is written as ACR-NEMA 300 did: 1970.01.02."""
    return _WITH_DOTS.sub(r"\1\2\3", text)


def person_of(values: Mapping[str, str], hide: Hide | None = None) -> Person:
    """Return who it is that has these values, texts by keyword; hidden by `hide`."""
    person = Person(
        patient_id=values.get("PatientID", ""),
        issuer=values.get("IssuerOfPatientID", ""),
        name=read_name(values.get("PatientName", "").encode(), [UTF_8]),
        birth_date=plain_date(values.get("PatientBirthDate", "")),
    )
    return person if hide is None else person.hidden(hide)

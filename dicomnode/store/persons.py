"""Whose images are, as their headers say it: whether all are of one person, also after a merge.

What one header leaves out is no difference: an archive may add the issuer of a Patient ID, as it may add
component groups of a name (`names`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dicomnode.store.names import UTF_8, Name, may_be_one, read_name

KEYWORDS: Final = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What a header says of its patient, or what compares as that does; "" for what is not there."""

    patient_id: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    name: Name = field(default=Name(), repr=False)
    birth_date: str = field(default="", repr=False)

    def hidden(self, by: Callable[[str], str]) -> Person:
        """Return what compares as this person does, of texts that `by` has made unreadable."""
        return Person(
            patient_id=by(self.patient_id),
            issuer=self.issuer and by(self.issuer),
            name=self.name.hidden(by),
            birth_date=by(self.birth_date),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """What messages said of a patient, by keyword, after images had come.

    told: attributes that take the place of those of the headers. former: who the patient was when each
    message came, in the attributes that `store.load_former` gives; the headers of nobody else are meant.
    """

    told: Mapping[str, str] = field(default_factory=dict, repr=False)
    former: Sequence[Mapping[str, str]] = field(default=(), repr=False)

    def of(self, persons: Iterable[Person], hide: Callable[[str], str] | None = None) -> list[Person]:
        """Return who persons are now. hide: as of `Person.hidden`, where they are hidden."""
        former = [_person(values, hide) for values in self.former]
        now = _person(self.told, hide)
        return [
            self._now(one, now) if any(is_one([one, before]) for before in former) else one for one in persons
        ]

    def _now(self, person: Person, now: Person) -> Person:
        # The header may have the name that it had, and the one that was told: both are known to be the
        # patient's, and headers that came since may have either
        name = replace(person.name, readings=person.name.readings | now.name.readings)
        return Person(
            patient_id=now.patient_id if "PatientID" in self.told else person.patient_id,
            issuer=now.issuer if "IssuerOfPatientID" in self.told else person.issuer,
            name=name if "PatientName" in self.told else person.name,
            birth_date=now.birth_date if "PatientBirthDate" in self.told else person.birth_date,
        )


NO_RENAMING: Final = Renaming()


def is_one(persons: Iterable[Person]) -> bool:
    """Tell whether all are one person."""
    return difference(persons) is None


def difference(persons: Iterable[Person]) -> tuple[str, int] | None:
    """Name the first of `KEYWORDS` by which not all are one person, and how many values it has."""
    distinct = set(persons)
    ids = {one.patient_id for one in distinct}
    issuers = {one.issuer for one in distinct if one.issuer}
    names = {one.name for one in distinct}
    dates = {one.birth_date for one in distinct}
    apart = (len(ids) > 1, len(issuers) > 1, not may_be_one(names), len(dates) > 1)
    counts = (len(ids), len(issuers), len(names), len(dates))
    return next(
        (found for found, differs in zip(zip(KEYWORDS, counts, strict=True), apart, strict=True) if differs),
        None,
    )


def _person(values: Mapping[str, str], hide: Callable[[str], str] | None) -> Person:
    person = Person(
        patient_id=values.get("PatientID", ""),
        issuer=values.get("IssuerOfPatientID", ""),
        name=read_name(values.get("PatientName", "").encode(), [UTF_8]),
        birth_date=values.get("PatientBirthDate", ""),
    )
    return person if hide is None else person.hidden(hide)

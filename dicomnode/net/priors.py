"""Earlier studies of a patient: what a peer has of them, asked by C-FIND or by QIDO-RS.

Study by study and series by series, as every archive must answer (PS3.4 C.4.1.3.1: hierarchical search).
A peer may ignore the keys beyond the unique ones: what it answers is looked at again here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicomnode.net.dicomweb import query
from dicomnode.net.limits import Meter
from dicomnode.net.peer import Peer
from dicomnode.net.query import count_told, matches, open_find, told
from dicomnode.net.web import WebPeer
from dicomnode.values import Fact, is_valid_uid

_MOST_ANSWERS: Final = 1000  # a peer that ignores the keys would send all that it has
_WILD: Final = "*?\\"  # PS3.4 C.2.2.2.4, and the separator of several values

# Patient IDs that stand for "not known": two studies that have one are not of one patient
_OF_MANY: Final = frozenset({"anonymised", "anonymized", "anonymous", "n/a", "none", "null", "unknown"})
# "O" is written for "not known" too (PS3.3 C.7.1.1: male, female, other)
_SEXES: Final = {"F", "M"}
_ASKED_OF_STUDY: Final = (
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyTime",
    "StudyDescription",
    "NumberOfStudyRelatedSeries",
)

AnyPeer = Peer | WebPeer


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Who is asked for. Never logged: `repr` says nothing of it. issuer: of the Patient ID, "" if unknown.

    birth_date, sex: as a header says them (DA, CS), "" if it does not. former: who the same patient was
    before a merge or a correction; archives may not have heard of it.
    """

    patient_id: str
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""
    former: Patient | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The Patient ID, and the one before a merge; none that says nothing of who it is."""
        more = () if self.former is None else self.former.ids
        return tuple(dict.fromkeys((*([self.patient_id] if self._is_somebody else []), *more)))

    @property
    def _is_somebody(self) -> bool:
        text = self.patient_id.strip()
        return bool(text.strip("0")) and text.casefold() not in _OF_MANY

    def __repr__(self) -> str:
        return "Patient(…)"

    def is_same(self, other: Patient) -> bool:
        """Tell whether a header or an answer is of the same patient: `other`, without what that was before.

        The Patient ID (0010,0020) is the same. Its issuer (0010,0021), Patient's Birth Date (0010,0030) and
        Sex (0010,0040) are no others: what one of the two does not say is no difference. IDs are typed in,
        and given again.
        """
        if self.former is not None and self.former.is_same(other):
            return True
        return (
            self._is_somebody
            and self.patient_id == other.patient_id.strip()
            and _agree(self.issuer.strip(), other.issuer.strip())
            and _agree(day_of(self.birth_date), day_of(other.birth_date))
            and {self.sex.strip(), other.sex.strip()} != _SEXES
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorQuery:
    """What is asked for: studies of the patient since `earliest` that are earlier than the current one.

    day, time_of_day: of the current study; without a time, one of the same day is not earlier. modality: of
    the series that is wanted, "" for any.
    """

    patient: Patient
    study_instance_uid: str
    earliest: date
    day: date
    time_of_day: time | None = None
    modality: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStudy:
    """An earlier study. description: only for what it covers. series: how many; None where it is not told."""

    study_instance_uid: str
    day: date
    time_of_day: time | None
    description: str
    series: int | None = None

    @property
    def moment(self) -> datetime:
        """Its date and time, for sorting."""
        return datetime.combine(self.day, self.time_of_day or time.min)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """A series: attributes as the peer tells them, and how many instances; None where it does not tell."""

    series_instance_uid: str
    tags: Mapping[str, Fact]
    instances: int | None


def find_earlier(
    peer: AnyPeer, calling_ae: str, wanted: PriorQuery, meter: Meter | None = None
) -> list[FoundStudy]:
    """Return the earlier studies that the peer has, the latest first; also under the patient's former ID.

    meter: of the time that is left, also for the steps that follow; without, of this one alone.
    Raises NodeError PEER_UNREACHABLE, PEER_REJECTED, NO_PRESENTATION_CONTEXT, QUERY_FAILED, FETCH_LATE, or
    those of `dicomweb.query`. ValueError for a Patient ID that is empty or a pattern: it would match others.
    """
    ids = wanted.patient.ids
    if not ids or set(_WILD) & set("".join(ids)):
        raise ValueError("a patient is asked for by an ID that is no pattern")
    keys = {
        "StudyDate": f"{wanted.earliest:%Y%m%d}-{wanted.day:%Y%m%d}",
        "ModalitiesInStudy": wanted.modality,
        **dict.fromkeys(_ASKED_OF_STUDY, ""),
    }
    found = {
        study.study_instance_uid: study
        for patient_id in ids
        for answer in _ask(peer, calling_ae, "STUDY", "studies", {"PatientID": patient_id, **keys}, meter)
        if (study := _study(answer, wanted)) is not None
    }
    return sorted(found.values(), key=lambda one: (one.moment, one.study_instance_uid), reverse=True)


def find_series(
    peer: AnyPeer,
    calling_ae: str,
    study_uid: str,
    keywords: Collection[str] = (),
    meter: Meter | None = None,
) -> list[FoundSeries]:
    """Return the series of a study, sorted by UID, with the attributes of `keywords` that the peer tells.

    It may list fewer than it says that there are (`FoundStudy.series`): some cut their answers off without a
    word, others count what they do not show. Raises as `find_earlier`.
    """
    asked = ("Modality", "SeriesDescription", "BodyPartExamined", "SeriesNumber", *keywords)
    keys = {
        "StudyInstanceUID": study_uid,
        **dict.fromkeys(("SeriesInstanceUID", *asked, "NumberOfSeriesRelatedInstances"), ""),
    }
    if isinstance(peer, WebPeer):
        del keys["StudyInstanceUID"]
    answers = _ask(peer, calling_ae, "SERIES", f"studies/{study_uid}/series", keys, meter)
    found = {
        uid: FoundSeries(
            series_instance_uid=uid,
            tags={keyword: value for keyword in asked if (value := _fact(answer, keyword)) is not None},
            instances=_count(answer),
        )
        for answer in answers
        if is_valid_uid(uid := _text(answer, "SeriesInstanceUID"))
        and (_text(answer, "StudyInstanceUID") or study_uid) == study_uid
    }
    return [found[uid] for uid in sorted(found)]


def _ask(
    peer: AnyPeer, calling_ae: str, level: str, path: str, keys: Mapping[str, str], meter: Meter | None
) -> list[Dataset]:
    if meter is not None:
        meter.check_time()
    if isinstance(peer, WebPeer):
        return query(peer, path, keys, limit=_MOST_ANSWERS, meter=meter)
    with open_find(peer, calling_ae, meter) as link:
        return list(matches(link, level, keys, _MOST_ANSWERS))


def _study(answer: Dataset, wanted: PriorQuery) -> FoundStudy | None:
    """Make a study of an answer; None where it is not one that was asked for."""
    uid = _text(answer, "StudyInstanceUID")
    day = day_of(told(answer, "StudyDate"))
    patient = Patient(
        patient_id=_text(answer, "PatientID"),
        issuer=_text(answer, "IssuerOfPatientID"),
        birth_date=_text(answer, "PatientBirthDate"),
        sex=_text(answer, "PatientSex"),
    )
    of_patient = wanted.patient.is_same(patient)
    if not of_patient or day is None or not is_valid_uid(uid) or uid == wanted.study_instance_uid:
        return None
    at = time_of(told(answer, "StudyTime"))
    if not wanted.earliest <= day <= wanted.day:
        return None
    if day == wanted.day and (at is None or wanted.time_of_day is None or at >= wanted.time_of_day):
        return None
    description = _text(answer, "StudyDescription")
    series = count_told(answer, "NumberOfStudyRelatedSeries")
    return FoundStudy(study_instance_uid=uid, day=day, time_of_day=at, description=description, series=series)


def _agree(ours: object, theirs: object) -> bool:
    """Tell whether two values are no contradiction: one of them is not there, or they are the same."""
    return not ours or not theirs or ours == theirs


def _text(answer: Dataset, keyword: str) -> str:
    return str(told(answer, keyword) or "")


def day_of(value: object) -> date | None:
    """Return a DA value as a date (PS3.5 table 6.2-1; the old form with points is taken too)."""
    text = str(value or "").strip().replace(".", "")
    with suppress(ValueError):
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007  a day has no zone
    return None


def time_of(value: object) -> time | None:
    """Return a TM value as a time: HH, HHMM, HHMMSS with fractions."""
    text = str(value or "").strip().replace(":", "").partition(".")[0]
    with suppress(ValueError):
        return datetime.strptime(text.ljust(6, "0"), "%H%M%S").time() if text else None  # noqa: DTZ007
    return None


def _count(answer: Dataset) -> int | None:
    with suppress(ValueError, TypeError):
        return int(str(told(answer, "NumberOfSeriesRelatedInstances")))
    return None


def _fact(answer: Dataset, keyword: str) -> Fact:
    """Return an attribute as matching sees it; None where the peer told nothing."""
    value: Any = told(answer, keyword)
    if value is None or value == "":
        return None
    if isinstance(value, MultiValue | list | tuple):
        several: Sequence[Any] = value
        return tuple(str(one) for one in several)
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else str(value)

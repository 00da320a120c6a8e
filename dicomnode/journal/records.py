"""What the journal gives and takes: frozen records, one a row. They can be pickled: workers get them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from dicomnode.journal.study_state import StudyState
from dicomnode.journal.transitions import TaskKind, TaskState

Scalar = str | int | float | None
Progress = tuple[str, int, int]  # stage in a word or two, done, total
DeliveryOutcome = Literal["stored", "retry", "refused"]
# By what it is known that a destination keeps an object: it took responsibility (PS3.4 Annex J), it lists it
# when asked, or it said nothing but that it has stored it
Confirmation = Literal["commitment", "query", "status"]


class ReadIds(Protocol):
    """What the journal needs of an instance besides `Instance`: as the store reads it from the data set."""

    @property
    def accession_number(self) -> str:
        """Accession Number (0008,0050), or empty."""

    @property
    def modality(self) -> str:
        """Modality (0008,0060), or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """A study as the journal knows it.

    version: 1, and one more each time something arrives after it was complete; `predecessor`: the one
    before. reason: why it is refused, failed or waits, as a sentence. shortfall: what is known to be
    missing ("127 of 180 images, by the count of PACS1"), also when it was closed without that. progress: of
    the work that runs now. Times are UTC.
    """

    study_instance_uid: str
    accession_number: str
    state: StudyState
    version: int
    instances: int
    series: int
    modalities: tuple[str, ...]
    calling_ae: str
    first_received_at: datetime
    last_received_at: datetime
    complete_evidence: str | None
    reason: str | None
    progress: Progress | None
    shortfall: str | None = None

    @property
    def predecessor(self) -> int | None:
        """The version that this one takes the place of; None for the first."""
        return self.version - 1 or None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task. fence: raised at each claim; whoever has an older one changes nothing any more.

    attempt: how often it was claimed since it was made or retried by a person.
    """

    id: int
    kind: TaskKind
    study_instance_uid: str
    study_version: int
    engine: str | None
    destination: str | None
    payload: Mapping[str, Scalar]
    state: TaskState
    attempt: int
    fence: int
    owner: str | None
    priority: int
    not_before: datetime
    error_code: str | None
    error_text: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task to be made. The same (kind, study, version, engine, destination) twice is one task.

    again: where it is there and done, it is done once more.
    """

    kind: TaskKind
    study_instance_uid: str
    study_version: int
    engine: str | None = None
    destination: str | None = None
    payload: Mapping[str, Scalar] = field(default_factory=dict)
    priority: int = 0
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecord:
    """A result object in the outbox. kind: "SEG", "SR". digest: of its bytes, hex."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    kind: str
    study_instance_uid: str
    study_version: int
    engine: str
    path: Path
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """An object that a destination shall get."""

    destination: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that a try found out and that belongs into the story of the study. text: a sentence."""

    what: str
    text: str
    facts: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """Something that happened to a study. what: a word; text: a sentence that a radiographer understands."""

    at: datetime
    what: str
    text: str
    facts: Mapping[str, Scalar]


class Arriving(NamedTuple):
    """A study that is being received. heard_at: when the journal last heard of an instance of it."""

    study_instance_uid: str
    heard_at: datetime


class Maker(NamedTuple):
    """Which package of an engine made Findings. digest: SHA-256 of it, 64 hex digits.

    taken_over_of: the version of the study that it found them in, where this is a later one; else None.
    """

    version: str
    digest: str
    taken_over_of: int | None = None


class FindingRecord(NamedTuple):
    """Where the Findings of an engine for a version of a study are."""

    engine: str
    study_version: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """An object on its way to a destination. status: of the C-STORE response, None when there was none.

    outcome "replaced": it is not sent, because the destination gets other kinds instead. confirmed_by: None
    while nothing tells that the destination keeps it. losses: how often it was stored and then not there.
    """

    sop_instance_uid: str
    kind: str
    study_version: int
    destination: str
    outcome: Literal["wanted", "stored", "retry", "refused", "replaced"]
    status: int | None
    text: str
    changed_at: datetime
    confirmed_by: Confirmation | None = None
    losses: int = 0

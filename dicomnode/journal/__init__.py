"""The journal: what the node knows of studies, tasks, results and deliveries, and all that happened.

One transaction a method. The bytes are in the store; what stands here about received files can be made
again from them. Any process may die at any instant.
"""

from __future__ import annotations

from dicomnode.journal.closing import SHORTFALL, THEN, Closing, Incomplete
from dicomnode.journal.corrections import Correction, HeaderCorrection, RejectionNote, Retracted
from dicomnode.journal.evidence import EvidenceKind, EvidenceRecord, OpenStudy, SourceAnswer
from dicomnode.journal.identities import Identity, IdentityChange, PatientKey
from dicomnode.journal.instances import KEY_OBJECTS
from dicomnode.journal.journal import Journal
from dicomnode.journal.notices import Commitment, Holding, Notice, NoticeKind, Reference, ReportState, Said
from dicomnode.journal.priors import Arrival, ExpectedPrior
from dicomnode.journal.records import (
    Arriving,
    DeliveryOutcome,
    DeliveryRecord,
    EventRecord,
    FindingRecord,
    NewDelivery,
    NewTask,
    Note,
    ObjectRecord,
    ReadIds,
    StudyRecord,
    TaskRecord,
)
from dicomnode.journal.retraction import is_of_retraction
from dicomnode.journal.study_state import StudyState
from dicomnode.journal.tasks import ASKS, GIVEN_UP, PRIORS
from dicomnode.journal.transitions import TRANSITIONS, Event, IllegalTransition, TaskKind, TaskState

__all__ = [
    "ASKS",
    "GIVEN_UP",
    "KEY_OBJECTS",
    "PRIORS",
    "SHORTFALL",
    "THEN",
    "TRANSITIONS",
    "Arrival",
    "Arriving",
    "Closing",
    "Commitment",
    "Correction",
    "DeliveryOutcome",
    "DeliveryRecord",
    "Event",
    "EventRecord",
    "EvidenceKind",
    "EvidenceRecord",
    "ExpectedPrior",
    "FindingRecord",
    "HeaderCorrection",
    "Holding",
    "Identity",
    "IdentityChange",
    "IllegalTransition",
    "Incomplete",
    "Journal",
    "NewDelivery",
    "NewTask",
    "Note",
    "Notice",
    "NoticeKind",
    "ObjectRecord",
    "OpenStudy",
    "PatientKey",
    "ReadIds",
    "Reference",
    "RejectionNote",
    "ReportState",
    "Retracted",
    "Said",
    "SourceAnswer",
    "StudyRecord",
    "StudyState",
    "TaskKind",
    "TaskRecord",
    "TaskState",
    "is_of_retraction",
]

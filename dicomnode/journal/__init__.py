"""The journal: what the node knows of studies, tasks, results and deliveries, and all that happened.

One transaction a method. The bytes are in the store; what stands here about received files can be made
again from them. Any process may die at any instant.
"""

from __future__ import annotations

from dicomnode.journal.acceptance import AskedAnalysis, AskedStudy
from dicomnode.journal.answers import Answer, AnswerKey, AnswerQuery
from dicomnode.journal.closing import SHORTFALL, THEN, Closing, Incomplete
from dicomnode.journal.confirmations import AskedCommitment, Unconfirmed
from dicomnode.journal.corrections import Correction, HeaderCorrection, RejectionNote
from dicomnode.journal.evidence import EvidenceKind, EvidenceRecord, OpenStudy, SourceAnswer
from dicomnode.journal.failures import analysis_of, failure_of, is_failure
from dicomnode.journal.feedback import (
    ANNOTATIONS,
    BY_HAND,
    COMMENT,
    OBJECT,
    Act,
    FeedbackQuery,
    FeedbackRecord,
)
from dicomnode.journal.finish import Overtaken
from dicomnode.journal.identities import Identity, IdentityChange, PatientKey
from dicomnode.journal.instances import KEY_OBJECTS, NO_IMAGES
from dicomnode.journal.journal import Journal
from dicomnode.journal.notices import Commitment, Holding, Notice, NoticeKind, Reference, ReportState, Said
from dicomnode.journal.places import place_of
from dicomnode.journal.postponing import Closed
from dicomnode.journal.priors import Arrival, ExpectedPrior
from dicomnode.journal.records import (
    Arriving,
    Confirmation,
    DeliveryOutcome,
    DeliveryRecord,
    EventRecord,
    FindingRecord,
    Maker,
    NewDelivery,
    NewTask,
    Note,
    ObjectRecord,
    ReadIds,
    StudyRecord,
    TaskRecord,
)
from dicomnode.journal.released import RELEASED_BY
from dicomnode.journal.retraction import Retracted, is_of_retraction
from dicomnode.journal.study_state import StudyState
from dicomnode.journal.tasks import ASKS, GIVEN_UP, PRIORS
from dicomnode.journal.transitions import TRANSITIONS, Event, IllegalTransition, TaskKind, TaskState
from dicomnode.journal.waiting import Backlog, Wait

__all__ = [
    "ANNOTATIONS",
    "ASKS",
    "BY_HAND",
    "COMMENT",
    "GIVEN_UP",
    "KEY_OBJECTS",
    "NO_IMAGES",
    "OBJECT",
    "PRIORS",
    "RELEASED_BY",
    "SHORTFALL",
    "THEN",
    "TRANSITIONS",
    "Act",
    "Answer",
    "AnswerKey",
    "AnswerQuery",
    "Arrival",
    "Arriving",
    "AskedAnalysis",
    "AskedCommitment",
    "AskedStudy",
    "Backlog",
    "Closed",
    "Closing",
    "Commitment",
    "Confirmation",
    "Correction",
    "DeliveryOutcome",
    "DeliveryRecord",
    "Event",
    "EventRecord",
    "EvidenceKind",
    "EvidenceRecord",
    "ExpectedPrior",
    "FeedbackQuery",
    "FeedbackRecord",
    "FindingRecord",
    "HeaderCorrection",
    "Holding",
    "Identity",
    "IdentityChange",
    "IllegalTransition",
    "Incomplete",
    "Journal",
    "Maker",
    "NewDelivery",
    "NewTask",
    "Note",
    "Notice",
    "NoticeKind",
    "ObjectRecord",
    "OpenStudy",
    "Overtaken",
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
    "Unconfirmed",
    "Wait",
    "analysis_of",
    "failure_of",
    "is_failure",
    "is_of_retraction",
    "place_of",
]

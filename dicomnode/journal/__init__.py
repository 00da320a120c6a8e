"""The journal: what the node knows of studies, tasks, results and deliveries, and all that happened.

One transaction a method. The bytes are in the store; what stands here about received files can be made
again from them. Any process may die at any instant.
"""

from __future__ import annotations

from dicomnode.journal.journal import Journal
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
from dicomnode.journal.study_state import StudyState
from dicomnode.journal.transitions import TRANSITIONS, Event, IllegalTransition, TaskKind, TaskState

__all__ = [
    "TRANSITIONS",
    "Arriving",
    "DeliveryOutcome",
    "DeliveryRecord",
    "Event",
    "EventRecord",
    "FindingRecord",
    "IllegalTransition",
    "Journal",
    "NewDelivery",
    "NewTask",
    "Note",
    "ObjectRecord",
    "ReadIds",
    "StudyRecord",
    "StudyState",
    "TaskKind",
    "TaskRecord",
    "TaskState",
]

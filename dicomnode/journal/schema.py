"""The tables. Portable between SQLite and PostgreSQL: no statement in this room is of one of them alone.

What changes here needs a migration (`dicomnode/journal/migrations/versions`); a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.types import Boolean, Float

from dicomnode.journal.columns import UtcTime, one_of
from dicomnode.journal.study_state import StudyState
from dicomnode.journal.transitions import TaskKind, TaskState

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

_UID: Final = String(64)

study: Final = Table(
    "study",
    metadata,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("accession_number", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("calling_ae", String(16), nullable=False),
    Column("first_received_at", UtcTime, nullable=False),
    Column("last_received_at", UtcTime, nullable=False),
    # When the journal heard of the last instance: after a standstill, later than it was received
    Column("last_added_at", UtcTime, nullable=False),
    Column("complete_at", UtcTime),
    Column("complete_evidence", Text),
    Column("shortfall", Text),  # what is known to be missing, also when it was closed without it
    # Of its Patient ID, and tells nothing of it; NULL until somebody asks whose it is
    Column("patient_key", String(32)),
    CheckConstraint(one_of("state", StudyState), name="state"),
    Index("ix_study_state", "state", "last_received_at"),
    Index("ix_study_accession_number", "accession_number"),
    Index("ix_study_patient_key", "patient_key"),
)

series: Final = Table(
    "series",
    metadata,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("series_instance_uid", _UID, primary_key=True),
    Column("modality", String(64), nullable=False),
    ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
)

# A UID names an instance within its study: what comes under the same UID in another study is another
# instance of this node, and can take nothing away from the first one
instance: Final = Table(
    "instance",
    metadata,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("series_instance_uid", _UID, nullable=False),
    Column("sop_class_uid", _UID, nullable=False),
    Column("transfer_syntax_uid", _UID, nullable=False),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(16), nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("called_ae", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("study_version", Integer, nullable=False),
    # Of the first file of it; `received_at` is of the one that it has, which a correction replaces
    Column("first_received_at", UtcTime, nullable=False),
    # The version in which its header came to name another patient or order, by no message; NULL: never
    Column("another_in", Integer),
    ForeignKeyConstraint(
        ["study_instance_uid", "series_instance_uid"],
        ["series.study_instance_uid", "series.series_instance_uid"],
    ),
    Index("ix_instance_sop_instance_uid", "sop_instance_uid"),
)

# Studies that are fetched as priors of others: said before their first instance comes
prior: Final = Table(
    "prior",
    metadata,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("wanted_by", _UID, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("until", UtcTime, nullable=False),
)

# The series of earlier studies that an analysis was given, while they may be used: its results go with them
given_prior: Final = Table(
    "given_prior",
    metadata,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("study_version", Integer, primary_key=True),
    Column("engine", String(64), primary_key=True),
    Column("prior_study_uid", _UID, primary_key=True),
    Column("prior_series_uid", _UID, primary_key=True),
    ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
    Index("ix_given_prior_prior", "prior_study_uid"),
)

# What a source says of a version of a study: of each one the last word
evidence: Final = Table(
    "evidence",
    metadata,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("study_version", Integer, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("found_at", UtcTime, nullable=False),
    Column("expected", Integer),
    Column("here", Integer),
    Column("unit", String(8), nullable=False),
    Column("decided", Boolean, nullable=False),
    # Of a peer that was asked: how many images were here then, what it has by series, why it did not answer
    Column("images_here", Integer),
    Column("series", JSON(none_as_null=True)),
    Column("problem", Text, nullable=False),
    ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
)

# What others say without being asked. The study that a notice names may come later, or never
notice: Final = Table(
    "notice",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("uid", _UID, nullable=False),
    Column("study_instance_uid", _UID, nullable=False),  # empty where it names none
    Column("status", String(16), nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("report", String(16), nullable=False),
    Column("report_attempt", Integer, nullable=False),
    Column("report_at", UtcTime, nullable=False),
    Index("ix_notice_study", "study_instance_uid"),
    Index("ix_notice_report", "report", "report_at"),
)

notice_reference: Final = Table(
    "notice_reference",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("sop_class_uid", _UID, nullable=False),
    ForeignKeyConstraint(["name"], ["notice.name"]),
    Index("ix_notice_reference_instance", "sop_instance_uid"),
)

# What was put right, or taken back: keywords of attributes, never values
correction: Final = Table(
    "correction",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", _UID, nullable=False),
    Column("study_version", Integer, nullable=False),  # that it began, or that it was told of
    Column("at", UtcTime, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("keywords", JSON, nullable=False),
    Column("is_renaming", Boolean, nullable=False),
    Column("code", String(16), nullable=False),
    Column("path", Text, nullable=False),
    # Of headers: those of the keywords that say otherwise than messages had told
    Column("anew", JSON, nullable=False),
    # What was made of versions before this one and is of the wrong patient or order, is put right by it
    Column("cures_below", Integer, nullable=False),
    ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
    Index("ix_correction_study", "study_instance_uid", "study_version"),
)

# Instances, and result objects, that are not to be used any more. A rejection note may come before them
rejected: Final = Table(
    "rejected",
    metadata,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("code", String(16), nullable=False),
    Column("note", _UID, nullable=False),
)

verdict: Final = Table(
    "verdict",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", _UID, nullable=False),
    Column("study_version", Integer, nullable=False),
    Column("engine", String(64), nullable=False),
    Column("engine_version", String(64), nullable=False),
    Column("series_instance_uid", _UID, nullable=False),
    Column("stack", Integer, nullable=False),
    Column("chosen", Boolean, nullable=False),
    Column("score", Float),
    Column("rule", Text, nullable=False),
    Column("found", Text, nullable=False),
    ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
    UniqueConstraint("study_instance_uid", "study_version", "engine", "series_instance_uid", "stack"),
)

task: Final = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("study_instance_uid", _UID, nullable=False),
    Column("study_version", Integer, nullable=False),
    # Empty, not NULL, where there is none: two NULLs would be two tasks to the unique constraint
    Column("engine", String(64), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("not_before", UtcTime, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("lost", Integer, nullable=False),  # leases that ended without a word of the worker
    Column("fence", Integer, nullable=False),
    Column("owner", Text),
    Column("lease_until", UtcTime),
    Column("progress_stage", Text),
    Column("progress_done", Integer),
    Column("progress_total", Integer),
    Column("error_code", String(16)),
    Column("error_text", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
    UniqueConstraint("kind", "study_instance_uid", "study_version", "engine", "destination"),
    CheckConstraint(one_of("kind", TaskKind), name="kind"),
    CheckConstraint(one_of("state", TaskState), name="state"),
    Index("ix_task_claim", "state", "kind", "not_before"),
    Index("ix_task_study", "study_instance_uid", "study_version"),
)

finding: Final = Table(
    "finding",
    metadata,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("study_version", Integer, primary_key=True),
    Column("engine", String(64), primary_key=True),
    Column("path", Text, nullable=False),
    Column("committed_at", UtcTime, nullable=False),
    # Of the package that found it; NULL while only its file says it
    Column("engine_version", String(64)),
    Column("engine_digest", String(64)),
    Column("found_at", UtcTime, nullable=False),  # first, where it was taken over from an earlier version
    Column("taken_back", String(16)),  # the code by which a person did; NULL: it stands
    ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
)

# What others say of our findings: a row a finding and object of theirs, never who it was
feedback: Final = Table(
    "feedback",
    metadata,
    Column("study_instance_uid", _UID, primary_key=True),  # two studies may have objects of one UID
    Column("their_uid", _UID, primary_key=True),
    Column("engine", String(64), primary_key=True),
    Column("finding", String(64), primary_key=True),
    Column("their_class_uid", _UID, nullable=False),
    Column("study_version", Integer, nullable=False),
    Column("engine_version", String(64), nullable=False),
    Column("engine_digest", String(64), nullable=False),
    Column("label", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("recognised_by", String(16), nullable=False),
    Column("at", UtcTime, nullable=False),  # when their object came
    Column("object_uid", _UID),  # of ours
    Column("tracking_uid", _UID),  # of ours, or of what we missed
    Column("dice", Float),
    Column("difference_ml", Float),  # theirs less ours
    Column("verified", Boolean, nullable=False),
    ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
    CheckConstraint("kind IN ('accepted', 'changed', 'rejected', 'missed')", name="kind"),
    Index("ix_feedback_study", "study_instance_uid"),
    Index("ix_feedback_engine", "engine", "at"),
)

# What persons did that concerns no study; append only
act: Final = Table(
    "act",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("what", String(32), nullable=False),
    Column("engine", String(64), nullable=False),
    Column("text", Text, nullable=False),
)

# `object` is a word of Python
result_object: Final = Table(
    "object",
    metadata,
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("sop_class_uid", _UID, nullable=False),
    Column("series_instance_uid", _UID, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("study_instance_uid", _UID, nullable=False),
    Column("study_version", Integer, nullable=False),
    Column("engine", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
    Index("ix_object_study", "study_instance_uid", "study_version"),
)

delivery: Final = Table(
    "delivery",
    metadata,
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("destination", String(64), primary_key=True),
    Column("outcome", String(16), nullable=False),
    Column("status", Integer),  # of the C-STORE response
    Column("text", Text, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("confirmed_by", String(16)),
    Column("losses", Integer, nullable=False, server_default="0"),
    # Replaced by another object after a sending whose answer was lost
    Column("may_be_there", Boolean, nullable=False, server_default=false()),
    ForeignKeyConstraint(["sop_instance_uid"], ["object.sop_instance_uid"]),
    CheckConstraint("outcome IN ('wanted', 'stored', 'retry', 'refused', 'replaced')", name="outcome"),
)

# What destinations said of SOP Classes when contexts were negotiated
peer_class: Final = Table(
    "peer_class",
    metadata,
    Column("destination", String(64), primary_key=True),
    Column("sop_class_uid", _UID, primary_key=True),
    Column("accepted", Boolean, nullable=False),
    Column("at", UtcTime, nullable=False),
)

# Storage commitment that this node asked for
asked_commitment: Final = Table(
    "asked_commitment",
    metadata,
    Column("transaction_uid", _UID, primary_key=True),
    Column("task", Integer, nullable=False),
    Column("destination", String(64), nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("answered_at", UtcTime),
    Column("committed", JSON, nullable=False),  # SOP Instance UIDs
    Column("failed", JSON, nullable=False),  # SOP Instance UID: Failure Reason (0008,1197)
    Index("ix_asked_commitment_task", "task"),
)

event: Final = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("study_instance_uid", _UID, nullable=False),
    Column("what", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("facts", JSON, nullable=False),
    ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
    Index("ix_event_study", "study_instance_uid", "id"),
)

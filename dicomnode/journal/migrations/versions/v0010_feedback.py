"""What doctors say of our findings, the tasks that find it out, and what persons do to engines.

Revision ID: 0010
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0010"
down_revision: Final = "0009"

_TIME: Final = sa.String(27)
_UID: Final = sa.String(64)
_KINDS: Final = "'fetch', 'dispatch', 'analyse', 'report', 'deliver', 'confirm', 'feedback', 'prefetch'"
_STATES: Final = "'waiting', 'ready', 'running', 'done', 'retry', 'parked', 'superseded'"


def upgrade() -> None:
    """Make the tables, and let tasks be of the new kind."""
    if op.get_bind().dialect.name != "sqlite":  # whose copy of a table leaves constraints of this kind out
        op.drop_constraint("ck_task_kind", "task", type_="check")
        op.drop_constraint("ck_task_state", "task", type_="check")
    with op.batch_alter_table("task", recreate="auto") as task:
        task.create_check_constraint("ck_task_kind", f"kind IN ({_KINDS})")
        task.create_check_constraint("ck_task_state", f"state IN ({_STATES})")
    op.create_table(
        "feedback",
        sa.Column("study_instance_uid", _UID, nullable=False),
        sa.Column("their_uid", _UID, nullable=False),
        sa.Column("engine", _UID, nullable=False),
        sa.Column("finding", _UID, nullable=False),
        sa.Column("their_class_uid", _UID, nullable=False),
        sa.Column("study_version", sa.Integer(), nullable=False),
        sa.Column("engine_version", _UID, nullable=False),
        sa.Column("engine_digest", _UID, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("recognised_by", sa.String(length=16), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("object_uid", _UID, nullable=True),
        sa.Column("tracking_uid", _UID, nullable=True),
        sa.Column("dice", sa.Float(), nullable=True),
        sa.Column("difference_ml", sa.Float(), nullable=True),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.CheckConstraint("kind IN ('accepted', 'changed', 'rejected', 'missed')", name="ck_feedback_kind"),
        sa.ForeignKeyConstraint(
            ["study_instance_uid"], ["study.study_instance_uid"], name="fk_feedback_study"
        ),
        sa.PrimaryKeyConstraint("study_instance_uid", "their_uid", "engine", "finding", name="pk_feedback"),
    )
    op.create_index("ix_feedback_study", "feedback", ["study_instance_uid"])
    op.create_index("ix_feedback_engine", "feedback", ["engine", "at"])
    op.create_table(
        "act",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("engine", _UID, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_act"),
    )

"""Evidence of completeness, notices, and what a study lacks.

Revision ID: 0002
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"

_TIME: Final = sa.String(27)


def upgrade() -> None:
    """Make the tables of evidence and notices; no study that is there lacks anything known."""
    op.add_column("study", sa.Column("shortfall", sa.Text(), nullable=True))
    _make_evidence()
    _make_notice()


def _make_evidence() -> None:
    op.create_table(
        "evidence",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("found_at", _TIME, nullable=False),
        sa.Column("expected", sa.Integer(), nullable=True),
        sa.Column("here", sa.Integer(), nullable=True),
        sa.Column("unit", sa.String(length=8), nullable=False),
        sa.Column("decided", sa.Boolean(), nullable=False),
        sa.Column("images_here", sa.Integer(), nullable=True),
        sa.Column("series", sa.JSON(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_instance_uid"], ["study.study_instance_uid"], name="fk_evidence_study"
        ),
        sa.PrimaryKeyConstraint("study_instance_uid", "study_version", "kind", "source", name="pk_evidence"),
    )


def _make_notice() -> None:
    op.create_table(
        "notice",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("report", sa.String(length=16), nullable=False),
        sa.Column("report_attempt", sa.Integer(), nullable=False),
        sa.Column("report_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_notice"),
    )
    op.create_index("ix_notice_study", "notice", ["study_instance_uid"])
    op.create_index("ix_notice_report", "notice", ["report", "report_at"])
    op.create_table(
        "notice_reference",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["name"], ["notice.name"], name="fk_notice_reference_notice"),
        sa.PrimaryKeyConstraint("name", "sop_instance_uid", name="pk_notice_reference"),
    )
    op.create_index("ix_notice_reference_instance", "notice_reference", ["sop_instance_uid"])
    # Notices name instances, whatever study these are of
    op.create_index("ix_instance_sop_instance_uid", "instance", ["sop_instance_uid"])

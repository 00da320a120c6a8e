"""Corrections, what was rejected, and whose a study is.

Revision ID: 0004
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"

_TIME: Final = sa.String(27)


def upgrade() -> None:
    """Make the tables; whose the studies are that are there is read when somebody asks."""
    op.add_column("study", sa.Column("patient_key", sa.String(length=32), nullable=True))
    op.create_index("ix_study_patient_key", "study", ["patient_key"])
    op.create_table(
        "correction",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_version", sa.Integer(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("keywords", sa.JSON(), nullable=False),
        sa.Column("is_renaming", sa.Boolean(), nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_instance_uid"], ["study.study_instance_uid"], name="fk_correction_study"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_correction"),
    )
    op.create_index("ix_correction_study", "correction", ["study_instance_uid", "study_version"])
    op.create_table(
        "rejected",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", "sop_instance_uid", name="pk_rejected"),
    )

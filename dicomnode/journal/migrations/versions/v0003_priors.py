"""Studies that were fetched as priors.

Revision ID: 0003
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"


def upgrade() -> None:
    """Make the table of priors; no study that is there is one."""
    op.create_table(
        "prior",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("wanted_by", sa.String(length=64), nullable=False),
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("until", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", name="pk_prior"),
    )

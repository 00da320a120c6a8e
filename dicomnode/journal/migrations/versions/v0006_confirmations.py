"""How it is known that a destination keeps an object; what destinations can take; commitment asked for.

Revision ID: 0006
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0006"
down_revision: Final = "0005"

_TIME: Final = sa.String(27)


def upgrade() -> None:
    """Make the tables and columns. What was stored before counts by its C-STORE status, which is known."""
    if op.get_bind().dialect.name != "sqlite":  # whose copy of a table leaves constraints of this kind out
        op.drop_constraint("ck_delivery_outcome", "delivery", type_="check")
    with op.batch_alter_table("delivery") as delivery:
        delivery.add_column(sa.Column("confirmed_by", sa.String(length=16), nullable=True))
        delivery.add_column(sa.Column("losses", sa.Integer(), nullable=False, server_default="0"))
        delivery.add_column(
            sa.Column("may_be_there", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        delivery.create_check_constraint(
            "ck_delivery_outcome", "outcome IN ('wanted', 'stored', 'retry', 'refused', 'replaced')"
        )
    op.execute("UPDATE delivery SET confirmed_by = 'status' WHERE outcome = 'stored'")
    op.create_table(
        "peer_class",
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("destination", "sop_class_uid", name="pk_peer_class"),
    )
    op.create_table(
        "asked_commitment",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("task", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("answered_at", _TIME, nullable=True),
        sa.Column("committed", sa.JSON(), nullable=False),
        sa.Column("failed", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("transaction_uid", name="pk_asked_commitment"),
    )
    op.create_index("ix_asked_commitment_task", "asked_commitment", ["task"])

"""Which package of an engine found something, when it did, and whether that was taken back.

Revision ID: 0008
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0008"
down_revision: Final = "0007"

_KEY: Final = ("study_instance_uid", "study_version", "engine")


def upgrade() -> None:
    """Make the columns. What an engine found in a version is of the moment at which it was committed.

    What was taken over from an earlier version is of the moment of that one. Which package it was, only the
    files of Findings say: they are read when somebody asks.
    """
    with op.batch_alter_table("finding") as finding:
        finding.add_column(sa.Column("engine_version", sa.String(length=64), nullable=True))
        finding.add_column(sa.Column("engine_digest", sa.String(length=64), nullable=True))
        finding.add_column(sa.Column("found_at", sa.String(length=27), nullable=True))
        finding.add_column(sa.Column("taken_back", sa.String(length=16), nullable=True))
    op.execute("UPDATE finding SET found_at = committed_at")
    _follow_what_was_taken_over()
    with op.batch_alter_table("finding") as finding:
        finding.alter_column("found_at", existing_type=sa.String(length=27), nullable=False)


def _follow_what_was_taken_over() -> None:
    finding = sa.table("finding", *(sa.column(name) for name in (*_KEY, "found_at")))
    task = sa.table("task", sa.column("kind"), sa.column("payload", sa.JSON()), *map(sa.column, _KEY))
    connection = op.get_bind()
    for row in connection.execute(
        sa.select(task).where(task.c.kind == "analyse").order_by(task.c.study_version)
    ).all():
        of = row.payload.get("findings_of")
        if of is None:
            continue

        def key(version: int, row: sa.Row[tuple[object, ...]] = row) -> sa.ColumnElement[bool]:
            return sa.and_(
                finding.c.study_instance_uid == row.study_instance_uid,
                finding.c.study_version == version,
                finding.c.engine == row.engine,
            )

        found_at = connection.execute(sa.select(finding.c.found_at).where(key(of))).scalar()
        if found_at is not None:
            connection.execute(sa.update(finding).where(key(row.study_version)).values(found_at=found_at))

"""Which earlier studies analyses were given.

Revision ID: 0005
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"


def upgrade() -> None:
    """Make the table, and fill it with what the tasks of analyses say."""
    given = op.create_table(
        "given_prior",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_version", sa.Integer(), nullable=False),
        sa.Column("engine", sa.String(length=64), nullable=False),
        sa.Column("prior_study_uid", sa.String(length=64), nullable=False),
        sa.Column("prior_series_uid", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_instance_uid"], ["study.study_instance_uid"], name="fk_given_prior_study"
        ),
        sa.PrimaryKeyConstraint(
            "study_instance_uid",
            "study_version",
            "engine",
            "prior_study_uid",
            "prior_series_uid",
            name="pk_given_prior",
        ),
    )
    op.create_index("ix_given_prior_prior", "given_prior", ["prior_study_uid"])
    task = sa.table(
        "task",
        sa.column("kind"),
        sa.column("study_instance_uid"),
        sa.column("study_version"),
        sa.column("engine"),
        sa.column("payload", sa.JSON()),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(task).where(task.c.kind == "analyse")).all():
        for prior_study_uid, prior_series_uid in _given(row.payload):
            connection.execute(
                sa.insert(given).values(
                    study_instance_uid=row.study_instance_uid,
                    study_version=row.study_version,
                    engine=row.engine,
                    prior_study_uid=prior_study_uid,
                    prior_series_uid=prior_series_uid,
                )
            )


def _given(payload: dict[str, object]) -> set[tuple[str, str]]:
    """(study, series) by `prior.<input>.study` and `prior.<input>.series`, as revision 0004 wrote them."""
    return {
        (str(uid), str(payload.get(f"{key.removesuffix('.study')}.series", "")))
        for key, uid in payload.items()
        if key.startswith("prior.") and key.endswith(".study")
    }

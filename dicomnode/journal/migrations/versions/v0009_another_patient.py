"""Which images name another patient or order by now, and what headers say otherwise than messages had told.

Revision ID: 0009
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0009"
down_revision: Final = "0008"


def upgrade() -> None:
    """Make the columns; what was put right before was so by any corrected header that named another one.

    Whose a study is, of which a message told, is asked again: whether it told of the images of this study is
    known for the records of this version only.
    """
    with op.batch_alter_table("instance") as instance:
        instance.add_column(sa.Column("first_received_at", sa.String(length=27), nullable=True))
        instance.add_column(sa.Column("another_in", sa.Integer(), nullable=True))
    op.execute("UPDATE instance SET first_received_at = received_at")
    with op.batch_alter_table("instance") as instance:
        instance.alter_column("first_received_at", existing_type=sa.String(length=27), nullable=False)
    with op.batch_alter_table("correction") as correction:
        correction.add_column(sa.Column("anew", sa.JSON(), nullable=True))
        correction.add_column(sa.Column("cures_below", sa.Integer(), nullable=True))
    op.execute("UPDATE correction SET anew = keywords, cures_below = 0")
    op.execute("UPDATE correction SET cures_below = study_version WHERE kind = 'header' AND code = '113038'")
    with op.batch_alter_table("correction") as correction:
        correction.alter_column("anew", existing_type=sa.JSON(), nullable=False)
        correction.alter_column("cures_below", existing_type=sa.Integer(), nullable=False)
    _keep_what_persons_said()
    op.execute(
        "UPDATE study SET patient_key = NULL WHERE study_instance_uid IN "
        "(SELECT study_instance_uid FROM correction WHERE kind = 'identity')"
    )


def _keep_what_persons_said() -> None:
    """A person who had a study analysed again stands in its story alone, until now."""
    names = ("study_instance_uid", "at", "what")
    event = sa.table("event", *map(sa.column, names), sa.column("facts", sa.JSON()))
    texts = ("study_instance_uid", "at", "kind", "code", "path")
    numbers = ("study_version", "is_renaming", "cures_below")
    lists = (sa.column(name, sa.JSON()) for name in ("keywords", "anew"))
    correction = sa.table("correction", *map(sa.column, texts), *map(sa.column, numbers), *lists)
    connection = op.get_bind()
    for row in connection.execute(sa.select(event).where(event.c.what == "study.reanalysed")).all():
        version = row.facts["version"]
        connection.execute(
            sa.insert(correction).values(
                study_instance_uid=row.study_instance_uid, at=row.at, kind="again", code="", path="",
                study_version=version, is_renaming=False, cures_below=version, keywords=[], anew=[],
            )
        )  # fmt: skip

"""Result objects that an archive sent back are no images of their study.

Revision ID: 0007
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0007"
down_revision: Final = "0006"


def upgrade() -> None:
    """Take the rows out that earlier versions entered for them, and series that are left without an instance.

    What comes back now makes no row either. The files stay where they are.
    """
    instance = _table("instance", "study_instance_uid", "series_instance_uid", "sop_instance_uid")
    made = _table("object", "study_instance_uid", "sop_instance_uid")
    series = _table("series", "study_instance_uid", "series_instance_uid")
    is_made = sa.exists().where(
        made.c.study_instance_uid == instance.c.study_instance_uid,
        made.c.sop_instance_uid == instance.c.sop_instance_uid,
    )
    op.execute(sa.delete(instance).where(is_made))
    is_used = sa.exists().where(
        instance.c.study_instance_uid == series.c.study_instance_uid,
        instance.c.series_instance_uid == series.c.series_instance_uid,
    )
    op.execute(sa.delete(series).where(~is_used))


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(column, sa.String(64)) for column in columns))

"""Of another: what was taken back as of the wrong patient or order, since when, and what was put right since.

The one place that says so: of a study whose results were taken back, and of single answers of engines. It is
read from the rows of `correction` alone. One with `cures_below` puts right what was made of versions before
that; one with `ENDS_CURES` ends every cure before it, as headers name again whom they named before.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from dicomnode.journal import schema

_correction: Final = schema.correction

# Of CID 7010: results of the wrong patient or order, for which the right one is the cure
WRONG_ORDER: Final = "113038"
ENDS_CURES: Final = -1


def cured_below(connection: Connection, study_uid: str) -> int:
    """The version below which what was of the wrong patient or order has been put right; 0: nothing was.

    By the newest word on it: headers that go back end what those before them had cured.
    """
    newest: int | None = connection.execute(
        select(_correction.c.cures_below)
        .where(_correction.c.study_instance_uid == study_uid, _correction.c.cures_below != 0)
        .order_by(_correction.c.id.desc())
        .limit(1)
    ).scalar()
    return max(newest or 0, 0)


def since(connection: Connection, study_uid: str) -> int | None:
    """Since which version the results of a study are taken back as of the wrong patient or order.

    None where they are not. Whatever comes then joins the version that was taken back, until its images name
    another one, or a person has it analysed again: nothing else tells that it is right now. It reaches back
    to the last cure at most, also one that was ended: who was named after that is wrong of himself. An open
    version that nothing has put right, as earlier releases began them with a late image, is as the last one.
    """
    table = schema.study
    row = connection.execute(
        select(table.c.version, table.c.complete_at).where(table.c.study_instance_uid == study_uid)
    ).first()
    if row is None:
        return None
    cures = select(func.max(_correction.c.cures_below)).where(_correction.c.study_instance_uid == study_uid)
    cured = connection.execute(cures).scalar_one() or 0
    wrong = {
        found for found in connection.execute(_wrong(study_uid, "retracted")).scalars() if found >= cured
    }
    version: int = row.version
    if row.complete_at is None and version not in wrong:
        version -= 1
    first = None
    while version in wrong:
        first, version = version, version - 1
    return first


def was(connection: Connection, study_uid: str) -> bool:
    """Whether results of a version of a study were ever taken back as a whole as of the wrong one."""
    return connection.execute(_wrong(study_uid, "retracted", "superseded").limit(1)).first() is not None


def _wrong(study_uid: str, *kinds: str) -> Select[Any]:
    return select(_correction.c.study_version).where(
        _correction.c.study_instance_uid == study_uid,
        _correction.c.kind.in_(kinds),
        _correction.c.code == WRONG_ORDER,
    )

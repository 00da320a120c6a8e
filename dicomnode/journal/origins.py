"""Where studies come from: what goes back to the sender goes there."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, select

from dicomnode.journal import schema
from dicomnode.journal.instances import NO_IMAGES
from dicomnode.values import Sender

_instance: Final = schema.instance


def origin(connection: Connection, study_uid: str, version: int) -> Sender | None:
    """Who sent the latest image of a study, of `version` or an earlier one; None where that is not known.

    Notes on images, segmentations and reports come from whoever looks at them.
    """
    row = connection.execute(
        select(_instance.c.calling_ae, _instance.c.called_ae, _instance.c.address)
        .where(
            _instance.c.study_instance_uid == study_uid,
            _instance.c.study_version <= version,
            _instance.c.sop_class_uid.not_in(NO_IMAGES),
            _instance.c.calling_ae != "",
            _instance.c.address != "",
        )
        .order_by(_instance.c.received_at.desc(), _instance.c.sop_instance_uid.desc())
        .limit(1)
    ).first()
    return (
        None
        if row is None
        else Sender(calling_ae=row.calling_ae, called_ae=row.called_ae, address=row.address)
    )

"""What a corrected header says as a message had told it: the archive follows the merge (IHE PIR)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from dicomnode.faults import STORE_WRITE_FAILED, NodeError
from dicomnode.journal import Journal
from dicomnode.serve.identity.patient_header import read_patient_header
from dicomnode.serve.logs import fault_facts
from dicomnode.store import load_identity
from dicomnode.values import Instance

log = structlog.get_logger("dicomnode.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the newest message on a study said of its patient, and the SOP Instance UIDs that it was said of.

    Not of images that were received after it: what those say instead was not known to it.
    """

    values: Mapping[str, str]
    of: frozenset[str]

    def said_by(self, corrected: Instance) -> frozenset[str]:
        """Keywords of what the header of a corrected image says now as the message had said it.

        Raises NodeError: STORE_WRITE_FAILED where the disk does not give the image.
        """
        if corrected.sop_instance_uid not in self.of:
            return frozenset()
        try:
            header = read_patient_header(corrected.path) or {}
        except NodeError as error:
            raise NodeError(STORE_WRITE_FAILED, path=corrected.path, error=error) from error
        return frozenset(keyword for keyword, value in self.values.items() if header.get(keyword) == value)


def newest_told(study_uid: str, journal: Journal) -> Told:
    """What was told of a study; nothing where its record cannot be read. Raises NodeError(JOURNAL_FAILED)."""
    record = journal.newest_record(study_uid)
    values: dict[str, str] = {}
    if record is not None:
        try:
            values = load_identity(record.path)
        except NodeError as error:
            log.warning("hl7.record_unread", study=study_uid, **fault_facts(error))
    if record is None or not values:
        return Told(values={}, of=frozenset())
    of = {one.sop_instance_uid for one in journal.instances(study_uid) if one.received_at <= record.at}
    return Told(values=values, of=frozenset(of))

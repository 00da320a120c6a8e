"""What a corrected header says as a message had told it: the archive follows the merge (IHE PIR)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from dicomnode.faults import STORE_WRITE_FAILED, NodeError
from dicomnode.journal import Journal
from dicomnode.serve.identity.patient_header import read_patient_header
from dicomnode.serve.logs import fault_facts
from dicomnode.store import load_former, load_identity
from dicomnode.store.another import is_same_number
from dicomnode.store.persons import KEYWORDS, NO_RENAMING, Renaming, is_said_alike, person_of
from dicomnode.values import Instance

log = structlog.get_logger("dicomnode.serve")

_ID: Final = "PatientID"


class Follows(NamedTuple):
    """How a corrected header follows a message. as_told, undoes: as of `HeaderCorrection`."""

    as_told: frozenset[str] = frozenset()
    undoes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the newest message on a study said of its patient, and the SOP Instance UIDs that it was said of.

    Not of images that came first after it: what those say was not known to it.
    """

    renaming: Renaming = NO_RENAMING
    of: frozenset[str] = field(default=frozenset())
    record: str = ""  # the name of its file, which tells nothing of the patient

    def replaced_id_of(self, image: Instance) -> bool:
        """Tell whether an image says the Patient ID that was replaced. Raises NodeError as `followed_by`."""
        return image.sop_instance_uid in self.of and self._says(image.path).get(_ID) in self._replaced

    @property
    def _replaced(self) -> set[str]:
        return {values.get(_ID, "") for values in self.renaming.former} - {self.renaming.told.get(_ID, "")}

    def _says(self, path: Path) -> dict[str, str]:
        """Read the header of an image; an ID that the message named is spelt as there."""
        header = _header(path)
        said = header.get(_ID, "")
        named = [name for name in (self.renaming.told.get(_ID, ""), *sorted(self._replaced)) if name]
        if said in named:
            return header
        return {**header, _ID: next((name for name in named if is_same_number(said, name)), said)}

    def followed_by(self, corrected: Instance, then: Path | None) -> Follows:
        """Say how the header of an image follows the message, that was of its patient before too.

        then: the file before its correction; None where there is none any more. Raises NodeError:
        STORE_WRITE_FAILED where the disk does not give the files.
        """
        if corrected.sop_instance_uid not in self.of or then is None:
            return Follows()
        before, now = self._says(then), self._says(corrected.path)
        person = person_of(before)
        if not self.renaming.told_of(person) and self.renaming.former:
            return Follows()  # it was of somebody else
        told = self.renaming.told
        has_replaced = now.get(_ID) in self._replaced
        undoes = has_replaced and before.get(_ID) == told.get(_ID)
        as_told = {keyword for keyword, value in told.items() if _alike(keyword, now.get(keyword, ""), value)}
        if has_replaced and not undoes:  # of several merges it follows an earlier one
            as_told.add(_ID)
        return Follows(frozenset(as_told), undoes)


def newest_told(study_uid: str, journal: Journal) -> Told:
    """What was told of a study; nothing where its record cannot be read. Raises NodeError(JOURNAL_FAILED)."""
    record = journal.newest_record(study_uid)
    if record is None:
        return Told()
    try:
        renaming = Renaming(told=load_identity(record.path), former=load_former(record.path))
    except NodeError as error:
        log.warning("hl7.record_unread", study=study_uid, **fault_facts(error))
        return Told()
    return Told(renaming=renaming, of=record.of, record=record.path.name)


def _header(path: Path) -> dict[str, str]:
    try:
        return read_patient_header(path) or {}
    except NodeError as error:
        raise NodeError(STORE_WRITE_FAILED, path=path, error=error) from error


def _alike(keyword: str, said: str, told: str) -> bool:
    """Tell whether a header says what was told, in whatever spelling; what it leaves out it does not say."""
    if keyword == _ID:
        return is_same_number(said, told)
    if keyword in KEYWORDS and said:
        return is_said_alike(keyword, person_of({keyword: said}), person_of({keyword: told}))
    return said == told

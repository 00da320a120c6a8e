"""The face of the journal for what is put right or taken back; each method is one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Engine

from dicomnode.journal import corrections, events, identities, retraction, studies
from dicomnode.journal.connection import reading, writing
from dicomnode.journal.corrections import Retracted
from dicomnode.journal.identities import Identity, IdentityChange, PatientKey, Record
from dicomnode.journal.records import Note, ObjectRecord, TaskRecord


class Correcting:
    """What `Journal` can do about corrections, identities and retraction."""

    _engine: Engine

    def correct_identity(self, study_uid: str, change: IdentityChange, now: datetime) -> int | None:
        """Keep whose a study is; results that were written are written again, as its next version.

        Gives the version from which on it holds; None where the study was corrected after `change.after`:
        whose it is must be read again then.
        """
        with writing(self._engine) as connection:
            return identities.correct_identity(connection, study_uid, change, now)

    def identity(self, study_uid: str, version: int) -> Identity | None:
        """What messages said of whose a version of a study is; None where its headers alone say it."""
        with reading(self._engine) as connection:
            return identities.identity(connection, study_uid, version)

    def newest_record(self, study_uid: str) -> Record | None:
        """The last record of whose a study is, also where headers have said it anew since."""
        with reading(self._engine) as connection:
            return identities.newest_record(connection, study_uid)

    def newest_correction(self, study_uid: str) -> int:
        """The number of the last correction of a study; asked before it is read whose the study is."""
        with reading(self._engine) as connection:
            return identities.newest_correction(connection, study_uid)

    def add_notes(self, notes: Iterable[tuple[str, Note]], now: datetime) -> None:
        """Write notes of studies (Study Instance UID, note), each with the same facts once a study."""
        with writing(self._engine) as connection:
            events.append_once(connection, notes, now)

    def same_images_since(self, study_uid: str, version: int) -> int:
        """The first version whose images no engine can tell from those of `version`."""
        with reading(self._engine) as connection:
            return corrections.same_images_since(connection, study_uid, version)

    def without_patient_key(self) -> list[str]:
        """Studies of which it is not known (any more) whose they are."""
        with reading(self._engine) as connection:
            return identities.without_patient_key(connection)

    def set_patient_keys(self, keys: Mapping[str, PatientKey]) -> None:
        """Write whose studies are: Study Instance UID → key. One that was corrected meanwhile stays open."""
        with writing(self._engine) as connection:
            identities.set_patient_keys(connection, keys)

    def studies_of(self, keys: Collection[str]) -> list[str]:
        """Studies of the patients of these keys."""
        with reading(self._engine) as connection:
            return identities.studies_of(connection, keys)

    def retract(
        self, study_uid_or_accession: str, code: str, now: datetime, *, earlier_only: bool = False
    ) -> Retracted:
        """Take back the results of a study, or only those of its earlier versions.

        code: why, of CID 7010. Each destination that has stored one, or may have, is told. What was not sent
        is not sent any more. Doing it again changes nothing.
        Raises NodeError: STUDY_NOT_FOUND, STUDY_AMBIGUOUS.
        """
        with writing(self._engine) as connection:
            study_uid = studies.find(connection, study_uid_or_accession).study_instance_uid
            return corrections.retract(connection, study_uid, code, now, earlier_only=earlier_only)

    def withdrawn(self, task: TaskRecord) -> list[ObjectRecord]:
        """The objects that a task of retraction takes back at its destination."""
        with reading(self._engine) as connection:
            return retraction.withdrawn(
                connection, task.study_instance_uid, task.engine or "", task.destination or ""
            )

    def rejected(self, study_uid: str) -> dict[str, str]:
        """Instances and result objects not to be used any more: SOP Instance UID → code of CID 7010."""
        with reading(self._engine) as connection:
            return retraction.rejected(connection, study_uid)

"""The face of the journal for what is put right or taken back; each method is one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Engine

from dicomnode.journal import (
    answers,
    corrections,
    events,
    identities,
    of_another,
    retraction,
    studies,
    versions,
)
from dicomnode.journal.answers import Answer, AnswerKey, AnswerQuery
from dicomnode.journal.connection import reading, writing
from dicomnode.journal.identities import Identity, IdentityChange, PatientKey, Record
from dicomnode.journal.records import FindingRecord, Maker, Note, ObjectRecord, TaskRecord
from dicomnode.journal.retraction import Retracted
from dicomnode.journal.versions import RejectedAnswer


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
            return versions.same_images_since(connection, study_uid, version)

    def rejected_answers(self, study_uid: str) -> dict[tuple[str, int], RejectedAnswer]:
        """Results that others reject, or that a person took back by engine: by (engine, version)."""
        with reading(self._engine) as connection:
            return versions.rejected_answers(connection, study_uid)

    def of_another_since(self, study_uid: str) -> int | None:
        """Since which version a study is taken back as of the wrong patient or order; None: it is not."""
        with reading(self._engine) as connection:
            return of_another.since(connection, study_uid)

    def is_of_another(self, study_uid: str) -> bool:
        """Whether a study, or an answer to it, is of the wrong patient or order still."""
        with reading(self._engine) as connection:
            return versions.is_of_another(connection, study_uid)

    def must_be_of_one(self, study_uid: str) -> bool:
        """Whether images of more than one patient or order hold a study: it was of another once."""
        with reading(self._engine) as connection:
            return versions.must_be_of_one(connection, study_uid)

    def reanalyse(self, study_uid: str, by: str, now: datetime) -> int | None:
        """Have a study whose results were taken back analysed again, as its next version; give that.

        by: who says so, for the audit. None where results stand or are being made, and where no image may be
        used.
        """
        with writing(self._engine) as connection:
            return versions.reanalyse(connection, study_uid, by, now)

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
        self,
        study_uid_or_accession: str,
        code: str,
        now: datetime,
        *,
        earlier_only: bool = False,
        by: str | None = None,
    ) -> Retracted:
        """Take back the results of a study, or only those of its earlier versions.

        code: why, of CID 7010. by: who says so, for the audit. Each destination that has stored one, or may
        have, is told. What was not sent is not sent any more. Doing it again changes nothing.
        Raises NodeError: STUDY_NOT_FOUND, STUDY_AMBIGUOUS.
        """
        with writing(self._engine) as connection:
            study_uid = studies.find(connection, study_uid_or_accession).study_instance_uid
            return corrections.retract(connection, study_uid, code, now, earlier_only=earlier_only, by=by)

    def answers(self, query: AnswerQuery) -> list[Answer]:
        """Answers of engines that stand, by study, version and engine."""
        with reading(self._engine) as connection:
            return answers.find(connection, query)

    def retract_answers(
        self, study_uid: str, of: Collection[AnswerKey], code: str, by: str, now: datetime
    ) -> Retracted:
        """Take back some answers to a study; see `retract`. Those that were before change nothing."""
        with writing(self._engine) as connection:
            return answers.take_back(connection, study_uid, of, code, by, now)

    def analyses_under_way(self, query: AnswerQuery) -> int:
        """How many analyses of an engine, or of a study, are still to be made, or are being made."""
        with reading(self._engine) as connection:
            return answers.under_way(connection, query)

    def findings_without_maker(self, query: AnswerQuery) -> list[tuple[str, FindingRecord]]:
        """Findings of which only the file says which package made them, with their studies."""
        with reading(self._engine) as connection:
            return answers.without_maker(connection, query)

    def note_makers(self, makers: Mapping[tuple[str, AnswerKey], Maker]) -> None:
        """Write which packages made Findings: (Study Instance UID, answer) → maker."""
        with writing(self._engine) as connection:
            answers.note_makers(connection, makers)

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

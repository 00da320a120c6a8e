"""Mixed: a study that was of the wrong patient or order once goes on only where its images name one.

What comes late may still have the wrong header, and after the cure of the others nothing else would tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.faults import PATIENTS_MIXED, NodeError
from dicomnode.journal import NO_IMAGES, Journal, TaskRecord
from dicomnode.serve.identity.patient_header import read_patient_header
from dicomnode.serve.identity.whose import renaming_of
from dicomnode.store.another import is_same_number
from dicomnode.store.persons import person_of
from dicomnode.values import Instance

_NAMING: Final = {"PatientID": "(0010,0020)", "AccessionNumber": "(0008,0050)"}


def check_of_one(task: TaskRecord, instances: Sequence[Instance], journal: Journal) -> None:
    """Refuse to dispatch images of several patients or orders of a study that was of the wrong one once.

    What a header leaves out contradicts nothing, and what messages told of a patient holds. Raises NodeError:
    PATIENTS_MIXED, FILE_UNREADABLE, IDENTITY_UNREADABLE, JOURNAL_FAILED.
    """
    if not journal.must_be_of_one(task.study_instance_uid):
        return
    told = renaming_of(task.study_instance_uid, task.study_version, journal)
    first: dict[str, str] = {}
    for one in instances:
        header = None if one.sop_class_uid in NO_IMAGES else read_patient_header(one.path)
        if header is None:
            continue
        now = {**header, **told.told_of(person_of(header))}
        for keyword, tag in _NAMING.items():
            said = now[keyword]
            if said and not is_same_number(said, first.setdefault(keyword, said)):
                raise NodeError(PATIENTS_MIXED, tag=tag, keyword=keyword)

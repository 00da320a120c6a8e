"""What the header of an image says of its patient, and of when its study was."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydicom import dcmread

from dicomnode.store.foreign import UNREADABLE, file_unreadable, is_of_the_disk, quiet

_KEYWORDS: Final = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyDate",
    "StudyTime",
)


def read_patient_header(path: Path) -> dict[str, str] | None:
    """Read attributes of patient and study: keyword → value, "" where there is none.

    None where the file cannot be understood: then it says nothing of the patient, and will not either when it
    is read once more. Raises NodeError(FILE_UNREADABLE) where the disk does not give it, or has it no more.
    """
    try:
        with quiet():
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
            return {keyword: str(header.get(keyword) or "").strip() for keyword in _KEYWORDS}
    except OSError as error:
        if is_of_the_disk(error):
            raise file_unreadable(path, error) from error
        return None
    except UNREADABLE:
        return None

"""Whose an object is that the geometry guard looks at, and what it is of."""

from __future__ import annotations

from io import BytesIO

from pydicom import Dataset, dcmread

from dicomnode.report.mismatch.error import differs
from dicomnode.store.foreign import quiet
from dicomnode.values import Findings, Grid, Source, SourceFrame


def check_object(read: Dataset, findings: Findings, sop_class: str, told: str | None) -> None:
    """Compare class, study, patient, and whether the source is synthetic.

    told: the Patient ID of a message, None where the source says it.
    """
    equal("SOP Class", read.SOPClassUID, sop_class)
    equal("study", read.StudyInstanceUID, findings.sources[0].study_instance_uid)
    # An ID beyond ASCII may stand in another character set than the source's: other bytes, the same ID
    patient_id = _source_patient_id(findings) if told is None else told
    if patient_id.isascii() and str(read.PatientID or "").strip() != patient_id:
        raise differs("it is of another patient")
    if _is_of_synthetic(findings) and read.get("SyntheticData") != "YES":
        raise differs("it hides that its source is synthetic")


def grid_of(findings: Findings) -> Grid:
    """Return the grid of what was looked at, which an object with places must have."""
    grid = findings.sources[0].grid
    if grid is None:
        raise differs("there are places in it, and no volume that they could be of")
    return grid


def frame_of(image: Dataset) -> SourceFrame:
    """Return the image that an item of the Image SOP Instance Reference Macro names."""
    number = image.get("ReferencedFrameNumber")
    return SourceFrame(str(image.ReferencedSOPInstanceUID), None if number is None else int(number))


def equal(what: str, found: object, expected: object) -> None:
    """Refuse what differs. what: no attribute of the patient, which the words would tell."""
    if found != expected:
        raise differs(f"its {what} is {found}, expected {expected}")


def _source_patient_id(findings: Findings) -> str:
    return _text_of(findings.sources[0], "PatientID")


def _is_of_synthetic(findings: Findings) -> bool:
    """Tell whether the first image of any source says so: Synthetic Data (0008,001C)."""
    return any(_text_of(source, "SyntheticData") == "YES" for source in findings.sources)


def _text_of(source: Source, keyword: str) -> str:
    with quiet():  # of a character set that does not exist: not looked at here
        header = dcmread(BytesIO(source.headers.encoded[0]), specific_tags=[keyword])
        return str(header.get(keyword) or "").strip()

"""The codes that reports write: one table, each checked against the DICOM code dictionary in the tests.

What an engine found carries its own codes (`engine.toml`); these are the words of the report around it.
Numbers of context groups (CID) and templates (TID) are those of PS3.16.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from pydicom import Dataset

from dicomnode.values import Code

if TYPE_CHECKING:
    from pydicom.sr.coding import Code as DicomCode

# ── The document ──────────────────────────────────────────────────────────────────────────────────
MEASUREMENT_REPORT: Final = Code("126000", "DCM", "Imaging Measurement Report")  # CID 7021
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500 row 12
ENGLISH: Final = Code("en", "RFC5646", "English")  # CID 5000
DEVICE: Final = Code("121007", "DCM", "Device")  # CID 270
COMMENT: Final = Code("121106", "DCM", "Comment")
FINDING: Final = Code("121071", "DCM", "Finding")
SOURCE_SERIES: Final = Code("121232", "DCM", "Source series for segmentation")  # TID 1411 row 12

# ── The procedure that was analysed (CID 100), by the modality of its images ──────────────────────
PROCEDURES: Final[Mapping[str, Code]] = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
    "PT": Code("44136-0", "LN", "PET unspecified body region"),
    "NM": Code("49118-3", "LN", "NM unspecified body region"),
    "CR": Code("43468-8", "LN", "XR unspecified body region"),
    "DX": Code("43468-8", "LN", "XR unspecified body region"),
}
ANY_PROCEDURE: Final = Code("363679005", "SCT", "Imaging procedure")

# ── How the analysis ended ────────────────────────────────────────────────────────────────────────
PROCESSING_SUMMARY: Final = Code("111017", "DCM", "CAD Processing and Findings Summary")
SUCCEEDED_WITH_FINDINGS: Final = Code("111242", "DCM", "All algorithms succeeded; with findings")  # CID 6047
SUCCEEDED_WITHOUT: Final = Code("111241", "DCM", "All algorithms succeeded; without findings")
PARTLY_WITHOUT: Final = Code("111243", "DCM", "Not all algorithms succeeded; without findings")
PARTLY_WITH_FINDINGS: Final = Code("111244", "DCM", "Not all algorithms succeeded; with findings")
NONE_SUCCEEDED: Final = Code("111245", "DCM", "No algorithms succeeded; without findings")
DETECTIONS: Final = Code("111064", "DCM", "Summary of Detections")
SUCCEEDED: Final = Code("111222", "DCM", "Succeeded")  # CID 6042
PARTIALLY_SUCCEEDED: Final = Code("111223", "DCM", "Partially Succeeded")
NOT_ATTEMPTED: Final = Code("111225", "DCM", "Not Attempted")
FAILED: Final = Code("111224", "DCM", "Failed")

# ── What is said of a finding ─────────────────────────────────────────────────────────────────────
LESION: Final = Code("52988006", "SCT", "Lesion")  # where an engine did not say what it looked for
ANATOMICAL_STRUCTURE: Final = Code("91723000", "SCT", "Anatomical Structure")
LATERALITY: Final = Code("272741003", "SCT", "Laterality")
PRESENT: Final = Code("52101004", "SCT", "Present")  # CID 240
ABSENT: Final = Code("272519000", "SCT", "Absent")
UNDETERMINED: Final = Code("373068000", "SCT", "Undetermined")
PROBABILITY: Final = Code("122157", "DCM", "Probability")  # of a class; of a finding where it is calibrated
CERTAINTY: Final = Code("111012", "DCM", "Certainty of Finding")  # a score: nobody calibrated it
DECISION_THRESHOLD: Final = Code("THRESHOLD", "99DICOMNODE", "Decision threshold")  # DICOM has none
INTERVAL_LOW: Final = Code("INTERVALLOW", "99DICOMNODE", "Lower end of interval")
INTERVAL_HIGH: Final = Code("INTERVALHIGH", "99DICOMNODE", "Upper end of interval")
INTERVAL_PART: Final = Code("INTERVALPART", "99DICOMNODE", "Part of cases within interval")
VOLUME: Final = Code("118565006", "SCT", "Volume")  # CID 7469
LENGTH: Final = Code("410668003", "SCT", "Length")  # CID 7470
LONG_AXIS: Final = Code("103339001", "SCT", "Long axis")
SHORT_AXIS: Final = Code("103340004", "SCT", "Short axis")
MAXIMUM: Final = Code("56851009", "SCT", "Maximum")  # CID 7464

# ── Purposes ──────────────────────────────────────────────────────────────────────────────────────
ACQUISITION_EQUIPMENT: Final = Code("109101", "DCM", "Acquisition Equipment")  # CID 7005
PROCESSING_EQUIPMENT: Final = Code("109102", "DCM", "Processing Equipment")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")  # CID 7162

REPLACED_REPORT: Final = Code("121360", "DCM", "Replaced report")  # CID 7009
SOURCE_IMAGE: Final = Code("121322", "DCM", "Source image for image processing operation")  # CID 7202
SOURCE_FOR_MONTAGE: Final = Code("121329", "DCM", "Source image for montage")

# ── Fields: maps and derived images ───────────────────────────────────────────────────────────────
QUANTITY: Final = Code("246205007", "SCT", "Quantity")  # TID 8200
# How a map came from images: no code of CID 7203 says "by a network"
UNSPECIFIED_METHOD: Final = Code("112187", "DCM", "Unspecified method of calculation")

# ── Selections of key objects (TID 2010) ──────────────────────────────────────────────────────────
OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")  # CID 7010

_CODE_VALUE_MAX: Final = 16  # SH (PS3.5 6.2)
_CODE_MEANING_MAX: Final = 64  # LO

# Of schemes that it leaves out, and our own
NOT_IN_DICTIONARY: Final = frozenset(
    {QUALITATIVE_EVALUATIONS, ENGLISH, DECISION_THRESHOLD, INTERVAL_LOW, INTERVAL_HIGH, INTERVAL_PART}
)


def all_concepts() -> dict[str, Code]:
    """Every code of the table by its name here."""
    named = {name: value for name, value in globals().items() if isinstance(value, Code)}
    return named | {f"PROCEDURES[{modality}]": code for modality, code in PROCEDURES.items()}


def concept_of_score(*, calibrated: bool) -> Code:
    """What the number from 0 to 1 of a finding is; of a class, words say whether it is calibrated."""
    return PROBABILITY if calibrated else CERTAINTY


def concept_of_class(of: Code, *, calibrated: bool) -> Code:
    """What the number of a class of one finding is: a group has several, so that each has a name of its own.

    DICOM has one code for any probability (122157), and no place below a number for what it is one of.
    """
    word = "Probability" if calibrated else "Score"
    value = of.value
    if of.scheme != "SCT" or len(value) >= _CODE_VALUE_MAX:  # two schemes may have equal values
        value = sha256(f"{of.scheme}\n{of.value}".encode()).hexdigest()
    meaning = f"{word} of {of.meaning[:1].lower()}{of.meaning[1:]}"
    return Code(f"{word[0]}{value}"[:_CODE_VALUE_MAX], "99DICOMNODE", meaning[:_CODE_MEANING_MAX])


def procedure_of(modality: str) -> Code:
    """The procedure reported (CID 100) for images of `modality` (0008,0060)."""
    return PROCEDURES.get(modality, ANY_PROCEDURE)


def code_item(code: Code) -> Dataset:
    """The same code as an item of a code sequence (PS3.3 section 8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def coded(code: Code) -> DicomCode:
    """The same code as pydicom and highdicom take it."""
    from pydicom.sr.coding import Code as DicomCode  # noqa: PLC0415  heavy: its dictionary is loaded with it

    return DicomCode(code.value, code.scheme, code.meaning)

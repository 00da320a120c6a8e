"""What keeps a generated image from being taken for a patient's: every place of a header that can say it.

Synthetic Data (0008,001C) is YES (PS3.3 C.12.1); the patient has a name and an ID that nobody has, is a
Quality Control Subject (C.7.1.1) whose identity was never there; the image is DERIVED, not acquired, a
Quality Control Image (C.7.6.1), its comments and its equipment say how it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from pydicom import Dataset

from dicomnode import __version__
from dicomnode.learn.generate.plan import SYNTH_VERSION, Case
from dicomnode.values import PHANTOM_MAKER

WORD: Final = "SYNTHETIC"
COMMENT: Final = "SYNTHETIC: drawn by software (dicomnode synth). Nobody was imaged. Not for clinical use."
MANUFACTURER, MODEL = PHANTOM_MAKER


class Plan(Protocol):
    """What marks need of a plan. kind: a part of IDs."""

    @property
    def kind(self) -> str: ...  # noqa: D102

    @property
    def seed(self) -> int: ...  # noqa: D102

    def uid(self, *parts: str) -> str:
        """Derive a UID of something of this plan."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How images were made. model, software: of the equipment; study: of its description, after the kind."""

    model: str = MODEL
    software: tuple[str, ...] = (__version__, f"synth {SYNTH_VERSION}")
    comment: str = COMMENT
    derivation: str = "Drawn by software from a seed; no source images"
    study: str = "known truth, no patient"


PHANTOM: Final = Words()
_FIRST_VISIT: Final = datetime(2025, 1, 2, 10, 15, 0, tzinfo=UTC)
_DAYS_APART: Final = 120
_DATES: Final = ("Study", "Series", "Acquisition", "Content", "InstanceCreation")


def visited_at(case: Case) -> datetime:
    """Say when a study was: visits of a patient are 120 days apart, for all the same."""
    return _FIRST_VISIT + timedelta(days=_DAYS_APART * (case.visit - 1))


def mark(header: Dataset, plan: Plan, case: Case, words: Words = PHANTOM) -> None:
    """Set patient, study, equipment and all that says "synthetic", over what stands there."""
    _mark_patient(header, plan, case, words)
    _mark_study(header, plan, case, words)
    header.SyntheticData = "YES"
    header.Manufacturer = MANUFACTURER
    header.ManufacturerModelName = words.model
    header.SoftwareVersions = list(words.software)
    header.DeviceSerialNumber = WORD
    header.InstitutionName = None
    header.ContributingEquipmentSequence = [_equipment(words)]


def mark_image(header: Dataset, words: Words = PHANTOM) -> None:
    """Say of an image that it was not acquired."""
    header.ImageType = ["DERIVED", "SECONDARY", *list(header.get("ImageType", []))[2:]]
    header.DerivationDescription = words.derivation
    header.ImageComments = words.comment
    header.QualityControlImage = "YES"
    header.BurnedInAnnotation = "NO"
    header.SeriesDescription = f"{WORD} {header.SeriesDescription}"[:64]


def _mark_patient(header: Dataset, plan: Plan, case: Case, words: Words) -> None:
    header.SpecificCharacterSet = "ISO_IR 192"
    header.PatientName = f"{WORD}^PHANTOM {case.patient}"
    header.PatientID = f"{WORD}-{plan.kind.upper()}-{plan.seed}-{case.patient}"
    header.PatientBirthDate = None
    header.PatientSex = "O"
    header.PatientComments = words.comment
    header.QualityControlSubject = "YES"
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = "Drawn by software: there is no patient"


def _mark_study(header: Dataset, plan: Plan, case: Case, words: Words) -> None:
    header.StudyInstanceUID = plan.uid("study", str(case.number))
    at = visited_at(case)
    for what in _DATES:
        setattr(header, f"{what}Date", at.strftime("%Y%m%d"))
        setattr(header, f"{what}Time", at.strftime("%H%M%S"))
    header.StudyID = f"{WORD[:5]}{case.number}"
    header.StudyDescription = f"{WORD} {plan.kind}: {words.study}"
    header.AccessionNumber = f"SYN{plan.seed % 10**6}-{case.number}"[:16]
    header.ReferringPhysicianName = None


def _equipment(words: Words) -> Dataset:
    """Contributing Equipment (PS3.3 C.12.1): purpose by CID 7005, Processing Equipment."""
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "109102", "DCM"
    purpose.CodeMeaning = "Processing Equipment"
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [purpose]
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = words.model
    item.SoftwareVersions = list(words.software)
    item.ContributionDescription = words.comment
    return item

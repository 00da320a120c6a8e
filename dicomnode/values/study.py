"""What is known of a study: facts of its series, verdicts of the engines, and refusals.

A refusal is a value that travels: a study that cannot be analysed still gets an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something was not done: a row of the table of faults and the sentence made from it.

    code: row in `dicomnode.faults`, "DN-3001". text: a sentence that names tag and value found.
    sop_instance_uids: the instances concerned, empty when it is the whole series.
    """

    code: str
    text: str
    sop_instance_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An instance or file that no volume uses, and why: nothing is skipped in silence."""

    sop_instance_uid: str | None
    file: str | None
    code: str
    text: str


# Attributes of a series that matching sees, and that engine.toml may ask for with { tag = … }. None of them
# says who the patient is: what a rule found is shown to people and kept in the journal.
FACT_TAGS: Final = (
    "AcquisitionType",
    "AnatomicalOrientationType",
    "BodyPartExamined",
    "BurnedInAnnotation",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "EchoTime",
    "EchoTrainLength",
    "FilterType",
    "FlipAngle",
    "ImageType",
    "InversionTime",
    "KVP",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "MagneticFieldStrength",
    "Manufacturer",
    "ManufacturerModelName",
    "Modality",
    "MRAcquisitionType",
    "PatientPosition",
    "ProtocolName",
    "ReconstructionDiameter",
    "RepetitionTime",
    "RescaleType",
    "SOPClassUID",
    "ScanOptions",
    "ScanningSequence",
    "SequenceName",
    "SequenceVariant",
    "SeriesDescription",
    "SeriesNumber",
    "SliceThickness",
    "SpacingBetweenSlices",
    "StudyDescription",
    "XRayTubeCurrent",
)

Fact = str | int | float | bool | tuple[str, ...] | tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """What matching sees of a stack of a series, before any pixel is decoded.

    tags: DICOM keyword → value of the first instance ("Modality": "CT"), multi-valued as tuples.
    facts: derived ones, by these names: `instances`, `extent_k_mm`, `spacing_k_mm`, `spacing_j_mm`,
    `spacing_i_mm`, `rows`, `columns`, `plane` ("axial", "coronal", "sagittal", "oblique"), `covers`
    (body parts, tuple of words in lower case), `lossy`. `extent_k_mm` is number of slices × spacing.
    `covers` is None when the header does not say: then it is not known yet, and a rule that `contains` a
    part holds for now. A tuple without the part is a reason to fail.
    frame_of_reference_uid: of the first instance, None where it has none.
    refusal: set when no volume can be made of the stack; then `facts` may be incomplete.
    """

    study_instance_uid: str
    series_instance_uid: str
    stack: int = 0
    frame_of_reference_uid: str | None = None
    tags: Mapping[str, Fact] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    refusal: Refusal | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an engine says of one stack of a series: chosen, passed over, or the first rule that failed.

    rule: the rule in words ("Modality equals CT", "spacing_k_mm at most 5.0"); for a chosen one, why it
    won. found: the value that the rule met, as text. score: of the preferences, None where a rule failed.
    """

    engine: str
    version: str
    series_instance_uid: str
    stack: int
    chosen: bool
    score: float | None
    rule: str
    found: str

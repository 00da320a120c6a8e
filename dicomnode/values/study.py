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
    "ComplexImageComponent",
    "ContrastBolusAgent",
    "ContrastBolusAgentPhase",
    "ConvolutionKernel",
    "DiffusionBValue",
    "EchoTime",
    "EchoTrainLength",
    "FilterType",
    "FlipAngle",
    "ImageLaterality",
    "ImageType",
    "InversionTime",
    "KVP",
    "Laterality",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "MagneticFieldStrength",
    "Manufacturer",
    "ManufacturerModelName",
    "Modality",
    "MRAcquisitionType",
    "PatientOrientation",
    "PatientPosition",
    "PhotometricInterpretation",
    "PresentationIntentType",
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
    "StationName",
    "StudyDescription",
    "TemporalPositionIdentifier",
    "ViewPosition",
    "XRayTubeCurrent",
)

Fact = str | int | float | bool | tuple[str, ...] | tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """What matching sees of a stack of a series: of its headers at once, of some slices when they decide.

    tags: DICOM keyword → value of the first instance ("Modality": "CT"), multi-valued as tuples.
    facts: derived ones, by these names: `kind` ("volume", "picture", "cine"), `instances`, `rows`,
    `columns`, `extent_k_mm`, `spacing_k_mm`, `spacing_j_mm`, `spacing_i_mm`, `plane` ("axial", "coronal",
    "sagittal", "oblique"), `covers` (body parts, tuple of words in lower case), `covers_from` ("pixels"),
    `lossy`, `unit` of the values ("HU", "SUVbw", "Bq/ml", "counts", "1" for none, else a UCUM code).
    `extent_k_mm` is number of slices × spacing, both along the normal. Only where they apply:
    `contrast` ("none", "arterial", "venous", "delayed", "given"), `phase` (what tells it from other stacks at
    its positions: "EchoTime 4.6, 1 of 2"), `block` (of slices of one series that are not one
    even row: "2 of 2"), `tilt_degrees`.
    Of pictures and cines: `frames`, `frames_per_s`, `view`, `laterality`, `intent`, `colour`, `capture`.
    `covers` is None when neither header nor pixels say: then a rule that `contains` a part holds for now. A
    tuple without the part is a reason to fail. `covers_from` is absent until pixels have been looked at.
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

    rule: the rule in words ("Modality is CT", "spacing between slices at most 5 mm"); for a chosen one, why
    it won. found: the value that the rule met, as text ("7 mm"). score: of the preferences, None where a rule
    failed.
    """

    engine: str
    version: str
    series_instance_uid: str
    stack: int
    chosen: bool
    score: float | None
    rule: str
    found: str

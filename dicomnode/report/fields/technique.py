"""How the source was made, as far as an image derived of it must say so again (CT, MR and PET modules).

Read from the source's headers by a list of attributes, none of which says who the patient is. In a
multi-frame object they stand in the functional groups of its frames, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from dicomnode.report.fields.stored import window_text
from dicomnode.report.heading.characters import as_it_is, read_encoded, read_unicode
from dicomnode.report.heading.cleaning import Cleaning, tag_of
from dicomnode.store.names import ASSUMED
from dicomnode.values import Findings, Source

CLASSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        CTImageStorage: CTImageStorage,
        EnhancedCTImageStorage: CTImageStorage,
        LegacyConvertedEnhancedCTImageStorage: CTImageStorage,
        MRImageStorage: MRImageStorage,
        EnhancedMRImageStorage: MRImageStorage,
        LegacyConvertedEnhancedMRImageStorage: MRImageStorage,
        PositronEmissionTomographyImageStorage: PositronEmissionTomographyImageStorage,
        EnhancedPETImageStorage: PositronEmissionTomographyImageStorage,
        LegacyConvertedEnhancedPETImageStorage: PositronEmissionTomographyImageStorage,
    }
)
"""The class of single-frame images of a class of sources."""

_ANY: Final = (
    "AcquisitionDate",
    "AcquisitionNumber",
    "AcquisitionTime",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "ContrastBolusRoute",
    "ContrastBolusVolume",
    "Laterality",
    "PatientPosition",
    "PositionReferenceIndicator",
    "ProtocolName",
    "RescaleSlope",
    "RescaleType",
    "WindowCenter",
    "WindowWidth",
)
_OF: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        CTImageStorage: (
            "ConvolutionKernel",
            "DataCollectionDiameter",
            "FilterType",
            "GantryDetectorTilt",
            "KVP",
            "ReconstructionDiameter",
            "ScanOptions",
        ),
        MRImageStorage: (
            "EchoNumbers",
            "EchoTime",
            "EchoTrainLength",
            "FlipAngle",
            "ImagedNucleus",
            "ImagingFrequency",
            "InversionTime",
            "MRAcquisitionType",
            "MagneticFieldStrength",
            "NumberOfAverages",
            "RepetitionTime",
            "ScanOptions",
            "ScanningSequence",
            "SequenceName",
            "SequenceVariant",
            "TriggerTime",
            # of Enhanced MR only, and not written
            "EchoPlanarPulseSequence",
            "EchoPulseSequence",
        ),
        PositronEmissionTomographyImageStorage: (
            "ActualFrameDuration",
            "AttenuationCorrectionMethod",
            "CollimatorType",
            "CorrectedImage",
            "CountsSource",
            "DecayCorrection",
            "DecayFactor",
            "FrameReferenceTime",
            "PatientGantryRelationshipCodeSequence",
            "PatientOrientationCodeSequence",
            "RadiopharmaceuticalInformationSequence",
            "RandomsCorrectionMethod",
            "ReconstructionMethod",
            "ScatterCorrectionMethod",
            "SeriesType",
        ),
    }
)
_OF_SLICES: Final = (
    "AcquisitionDate",
    "AcquisitionTime",
    "ActualFrameDuration",
    "DecayFactor",
    "FrameReferenceTime",
)
_NOT_WRITTEN: Final = (
    "EchoPlanarPulseSequence",
    "EchoPulseSequence",
    "RescaleSlope",
    "RescaleType",
    "WindowCenter",
    "WindowWidth",
)
# Type 1, and nobody can make them up
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        CTImageStorage: (),
        MRImageStorage: ("ScanningSequence", "SequenceVariant"),
        PositronEmissionTomographyImageStorage: (
            "CountsSource",
            "DecayCorrection",
            "FrameReferenceTime",
            "SeriesType",
        ),
    }
)
# Type 2, and 2C that nobody can rule out: empty where they are not known
_MAY_BE_EMPTY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        CTImageStorage: ("AcquisitionNumber", "KVP", "PatientPosition", "PositionReferenceIndicator"),
        MRImageStorage: (
            "AcquisitionNumber",
            "EchoTime",
            "EchoTrainLength",
            "MRAcquisitionType",
            "PatientPosition",
            "PositionReferenceIndicator",
            "RepetitionTime",
            "ScanOptions",
        ),
        PositronEmissionTomographyImageStorage: (
            "AcquisitionDate",
            "AcquisitionNumber",
            "AcquisitionTime",
            "ActualFrameDuration",
            "CollimatorType",
            "CorrectedImage",
            "PatientGantryRelationshipCodeSequence",
            "PatientOrientationCodeSequence",
            "PositionReferenceIndicator",
            "RadiopharmaceuticalInformationSequence",
        ),
    }
)
_SEQUENCES: Final = {"SPIN": ["SE"], "GRADIENT": ["GR"], "BOTH": ["SE", "GR"]}  # of Enhanced MR, C.8.13.4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Technique:
    """What images derived of the source say of its making.

    shared: attributes of all images. step: of the source's values, 1 where it says none. window: centre and
    width as the source has them, None where it has none. missing: names of attributes without which there are
    no such images.
    """

    sop_class_uid: str
    shared: Dataset
    step: float
    window: tuple[str, str] | None
    missing: tuple[str, ...]


def technique_of(findings: Findings) -> Technique | None:
    """Read how the first source was made; None where it is of a class that has no images of planes."""
    with as_it_is():
        first, _ = read_unicode(findings.sources[0].headers.encoded[0], ASSUMED)
        wanted = CLASSES.get(str(first.get("SOPClassUID", "")))
        if wanted is None:
            return None
        said = Cleaning().copy(_flat(first), (*_ANY, *_OF[wanted]))
    shared = Dataset()
    shared.update({element.tag: element for element in said if element.keyword not in _NOT_WRITTEN})
    if wanted == MRImageStorage and "ScanningSequence" not in shared:
        _name_sequence(shared, said)
    missing = tuple(one for one in _NEEDED[wanted] if one not in shared or shared[one].is_empty)
    for keyword in _MAY_BE_EMPTY[wanted]:
        if keyword not in shared:
            setattr(shared, keyword, [] if keyword.endswith("Sequence") else None)
    for drug in shared.get("RadiopharmaceuticalInformationSequence", ()):
        if "RadionuclideCodeSequence" not in drug:
            drug.RadionuclideCodeSequence = []  # Type 2
    return Technique(
        sop_class_uid=wanted,
        shared=shared,
        step=abs(float(said.get("RescaleSlope") or 1.0)),
        window=_window(said),
        missing=missing,
    )


def technique_of_slices(source: Source) -> tuple[Dataset, ...]:
    """Read what images say of each slice of a source by itself, over what `Technique` says of all."""
    if len(source.headers.encoded) < len(source.frames):  # frames of one object
        return (Dataset(),) * len(source.frames)
    tags = [tag_of(keyword) for keyword in (*_OF_SLICES, "SOPInstanceUID")]
    found = {}
    with as_it_is():
        for encoded in source.headers.encoded:
            header = read_encoded(encoded, tags)
            found[str(header.get("SOPInstanceUID", ""))] = Cleaning().copy(header, _OF_SLICES)
    return tuple(found[frame.sop_instance_uid] for frame in source.frames)


def position_reference(findings: Findings) -> str:
    """Return Position Reference Indicator (0020,1040) of the first source: one in a Frame of Reference."""
    with as_it_is():
        header, _ = read_unicode(findings.sources[0].headers.encoded[0], ASSUMED)
        return str(
            Cleaning().copy(header, ["PositionReferenceIndicator"]).get("PositionReferenceIndicator") or ""
        )


def _flat(header: Dataset) -> Dataset:
    """A header, with what its functional groups say where it says nothing itself."""
    flat = Dataset()
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in list(header.get(groups) or ())[:1]:
            for macro in group:
                if macro.VR == "SQ" and macro.value:
                    flat.update(macro.value[0])
    flat.update({element.tag: element for element in header if not element.is_empty})
    return flat


def _name_sequence(shared: Dataset, said: Dataset) -> None:
    """Say the pulse sequence of an Enhanced MR object in the words of MR images."""
    named = _SEQUENCES.get(str(said.get("EchoPulseSequence") or ""))
    if named is not None:
        planar = ["EP"] if said.get("EchoPlanarPulseSequence") == "YES" else []
        shared.ScanningSequence = [*named, *planar] if planar or len(named) > 1 else named[0]
        shared.SequenceVariant = "NONE"


def _window(said: Dataset) -> tuple[str, str] | None:
    centre, width = (_first(said.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width < 1:
        return None
    return window_text(centre - width / 2, centre + width / 2)


def _first(value: object) -> float | None:
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return None if not values or values[0] in (None, "") else float(str(values[0]))

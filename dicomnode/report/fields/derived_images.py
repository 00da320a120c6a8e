"""A volume that an engine made (denoised, enhanced, super-resolved) as a series of images, one a plane.

Of the source's own kind, where that is CT, MR or PET: viewers then treat it as they treat the source. Each
image says by Image Type, derivation, source images and comments that no scanner made it. Other sources have
no class of single-frame images in patient space: theirs are left out, and it is said why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydicom import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage

from dicomnode.report.concepts import code_item
from dicomnode.report.fields.instances import blank_instance, set_derivation, set_lossy, spoken
from dicomnode.report.fields.limits import against_image
from dicomnode.report.fields.planes import Planes, SourceImages, planes_of
from dicomnode.report.fields.stored import Scale, scale_of, window_of, window_text
from dicomnode.report.fields.technique import Technique, technique_of, technique_of_slices
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.uids import ResultUids
from dicomnode.report.words.wording import inside, sentence
from dicomnode.values import Code, DerivedImage, Findings
from dicomnode.values.codes import (
    BECQUEREL_PER_ML,
    COUNTS,
    HOUNSFIELD,
    NO_UNIT,
    PERCENT,
    SUV_BODY_WEIGHT,
    unit_word,
)

PET_UNITS: Final[Mapping[Code, str]] = MappingProxyType(
    {BECQUEREL_PER_ML: "BQML", COUNTS: "CNTS", NO_UNIT: "NONE", PERCENT: "PCNT", SUV_BODY_WEIGHT: "GML"}
)
"""Units (0054,1001), PS3.3 C.8.9.1.1.3."""

RECUMBENT: Final = Code("102538003", "SCT", "recumbent")  # CID 19
_SUPINE, _PRONE = Code("40199007", "SCT", "supine"), Code("1240000", "SCT", "prone")  # CID 20
_HEAD, _FEET = Code("102540008", "SCT", "headfirst"), Code("102541007", "SCT", "feet-first")  # CID 21
LYING: Final[Mapping[str, tuple[Code, Code]]] = MappingProxyType(
    {"HFS": (_HEAD, _SUPINE), "HFP": (_HEAD, _PRONE), "FFS": (_FEET, _SUPINE), "FFP": (_FEET, _PRONE)}
)
"""Patient Position (0018,5100): which end of the patient comes first, and on which side he lies."""

_STILL: Final = frozenset({"STATIC", "WHOLE BODY"})  # Series Type of PET that needs no times of phases
_ROUNDING: Final = 1 + 1e-6  # of a step that is written as DS
_MODALITY: Final[Mapping[str, str]] = MappingProxyType(
    {CTImageStorage: "CT", MRImageStorage: "MR", PositronEmissionTomographyImageStorage: "PT"}
)
# Image Type: C.8.2.1.1.1, C.8.3.1.1.1; images of PET are all called PRIMARY, C.8.9.4.1.1
_IMAGE_TYPE: Final[Mapping[str, list[str]]] = MappingProxyType(
    {
        CTImageStorage: ["DERIVED", "SECONDARY", "AXIAL"],
        MRImageStorage: ["DERIVED", "SECONDARY", "OTHER"],
        PositronEmissionTomographyImageStorage: ["DERIVED", "PRIMARY"],
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """What all images of the series share."""

    imprint: Imprint
    uids: ResultUids
    number: int
    image: DerivedImage
    technique: Technique
    of_slices: tuple[Dataset, ...]
    planes: Planes
    scale: Scale

    @property
    def sop_class_uid(self) -> str:
        return self.technique.sop_class_uid


def build_derived_images(
    imprint: Imprint, uids: ResultUids, series_number: int, image: DerivedImage
) -> tuple[Dataset, ...]:
    """Write one derived image of the Findings, k ascending; () where `against` says why not."""
    findings = imprint.findings
    technique = technique_of(findings)
    if technique is None or _against(findings, technique, image) is not None:
        return ()
    series = _Series(
        imprint=imprint,
        uids=uids,
        number=series_number,
        image=image,
        technique=technique,
        of_slices=technique_of_slices(findings.sources[0]),
        planes=planes_of(imprint, image.grid),
        scale=scale_of(image.values, image.unit, technique.step),
    )
    common, images = _common(series), SourceImages(imprint)
    return tuple(_image(series, common, images, k) for k in range(image.grid.shape_kji[0]))


def build_moved_images(
    imprint: Imprint,
    uids: ResultUids,
    series_number: int,
    image: DerivedImage,
    moving: Imprint,
    seen: Sequence[Sequence[Dataset]],
) -> Iterator[Dataset]:
    """Write a series that was moved onto the grid of the first source, k ascending.

    moving: of the series that it was; its kind and technique are those of the images. seen: for each plane
    the items of its Source Image Sequence. ValueError for a kind that has no images of planes.
    """
    technique = technique_of(moving.findings)
    if technique is None:
        raise ValueError("a moved series must be of a kind that has images of planes")
    series = _Series(
        imprint=imprint,
        uids=uids,
        number=series_number,
        image=image,
        technique=technique,
        of_slices=(Dataset(),) * len(imprint.findings.sources[0].frames),
        planes=planes_of(imprint, image.grid),
        scale=scale_of(image.values, image.unit, technique.step),
    )
    common, images = _common(series), SourceImages(imprint)
    set_lossy(common, moving)
    for k in range(image.grid.shape_kji[0]):
        made = _image(series, common, images, k)
        made.SourceImageSequence = list(seen[k])
        yield made


def against(findings: Findings, image: DerivedImage) -> str | None:
    """Say why a derived image has no objects; None where it has."""
    return _against(findings, technique_of(findings), image)


def _against(findings: Findings, technique: Technique | None, image: DerivedImage) -> str | None:
    if (reason := against_image(findings, image.grid)) is not None:
        return reason
    if technique is None:
        return "its source is neither CT nor MR nor PET"
    if technique.missing:
        return f"its source does not say {', '.join(technique.missing)}"
    if technique.sop_class_uid == PositronEmissionTomographyImageStorage:
        return _against_pet(technique, image)
    return None


def _against_pet(technique: Technique, image: DerivedImage) -> str | None:
    if image.unit not in PET_UNITS:
        return f"images of PET have no word for its unit, {unit_word(image.unit)}"
    if (kind := _series_type(technique)) not in _STILL:
        return f"its source is a PET series of the type {kind}"
    return None


def _common(series: _Series) -> Dataset:
    """What stands in every image, beside what its class is made with."""
    image, technique, imprint = series.image, series.technique, series.imprint
    common = Dataset()
    common.update(technique.shared)
    if not imprint.heading.equipment.get("BodyPartExamined") and "Laterality" not in common:
        common.Laterality = None  # Type 2C: of an unknown part nobody can say that it is not paired
    common.ImageType = _IMAGE_TYPE[series.sop_class_uid]
    what = f"{image.description} ({image.label}), step {image.algorithm}"
    set_derivation(common, imprint, what, image.type)
    common.ImageComments = spoken(imprint, *_comments(series))
    common.BurnedInAnnotation = "NO"
    set_lossy(common, imprint)
    common.ImageOrientationPatient, common.PixelSpacing = series.planes.orientation, series.planes.spacing
    common.SliceThickness = common.SpacingBetweenSlices = series.planes.distance
    common.SamplesPerPixel, common.PhotometricInterpretation = 1, "MONOCHROME2"
    _, common.Rows, common.Columns = image.grid.shape_kji
    common.BitsAllocated = common.BitsStored = 16
    common.HighBit, common.PixelRepresentation = 15, 1
    _set_values(common, series)
    if series.sop_class_uid == PositronEmissionTomographyImageStorage:
        _set_pet(common, series)
    return common


def _comments(series: _Series) -> list[str]:
    image, scale = series.image, series.scale
    told = [sentence(f"Derived by software, not an original image: {inside(image.description)}")]
    if (count := scale.beyond(image.values)) > 0:
        told.append(f"{count} values beyond {scale.reach(image.unit)} were clipped to it.")
    if image.unit in {HOUNSFIELD, NO_UNIT} and scale.step > series.technique.step * _ROUNDING:
        told.append(f"Values are rounded to steps of {scale.step:.4g}; those of the source are finer.")
    return told


def _set_values(common: Dataset, series: _Series) -> None:
    """What stored values mean, and the window that they are shown in."""
    image, scale = series.image, series.scale
    low, high = window_of(image.values, image.unit)
    window = window_text(low, high)
    if image.unit == HOUNSFIELD and series.technique.window is not None:
        window = series.technique.window
    if series.sop_class_uid != MRImageStorage:
        common.RescaleSlope, common.RescaleIntercept = scale.slope, scale.intercept
        common.RescaleType = "HU" if image.unit == HOUNSFIELD else "US"
    elif scale.step != 1.0:
        # MR images have no rescale (PS3.3 A.4.3): their window is one of stored values
        window = window_text(low / scale.step, high / scale.step)
    if image.unit != HOUNSFIELD:
        common.RealWorldValueMappingSequence = [_mapping(image, scale)]
    common.WindowCenter, common.WindowWidth = window
    if float(window[1]) < 1:
        common.VOILUTFunction = "LINEAR_EXACT"  # C.11.2.1.3.2


def _mapping(image: DerivedImage, scale: Scale) -> Dataset:
    """Real World Value Mapping of General Image (C.7.6.1): of stored values."""
    mapping = Dataset()
    mapping.LUTLabel, mapping.LUTExplanation = image.label[:16], image.description[:64]
    mapping.RealWorldValueFirstValueMapped, mapping.RealWorldValueLastValueMapped = -32768, 32767
    mapping.RealWorldValueSlope = float(scale.slope)
    mapping.RealWorldValueIntercept = float(scale.intercept)
    mapping.MeasurementUnitsCodeSequence = [code_item(image.unit)]
    return mapping


def _series_type(technique: Technique) -> str:
    """Value 1 of Series Type (0054,1000): what moved while it was acquired."""
    said = technique.shared.get("SeriesType") or ""
    return said if isinstance(said, str) else str(said[0])


def _set_pet(common: Dataset, series: _Series) -> None:
    """PET Series (C.8.9.1) of so many planes."""
    common.Units = PET_UNITS[series.image.unit]
    if series.image.unit == SUV_BODY_WEIGHT:
        common.SUVType = "BW"
    common.SeriesType = [_series_type(series.technique), "IMAGE"]
    common.NumberOfSlices = series.image.grid.shape_kji[0]
    del common.RescaleType  # no attribute of PET images
    # Codes say the same (NM/PET Patient Orientation, C.8.4.6), and both may not be there
    position = str(common.get("PatientPosition") or "")
    common.pop("PatientPosition", None)
    if position in LYING and not common.PatientOrientationCodeSequence:
        first, side = LYING[position]
        lying = code_item(RECUMBENT)
        lying.PatientOrientationModifierCodeSequence = [code_item(side)]
        common.PatientOrientationCodeSequence = [lying]
        common.PatientGantryRelationshipCodeSequence = [code_item(first)]


def _image(series: _Series, common: Dataset, images: SourceImages, k: int) -> Dataset:
    uid = series.sop_class_uid
    made = blank_instance(series.imprint, series.uids, (series.number, k + 1), uid, _MODALITY[uid])
    made.update(common)
    planes = series.planes
    slices = planes.slices[k]
    nearest = slices[len(slices) // 2]
    made.update(series.of_slices[nearest])
    made.ImagePositionPatient = planes.positions[k]
    made.SourceImageSequence = images.of(slices, in_place=planes.in_place[k])
    if uid == PositronEmissionTomographyImageStorage:
        made.ImageIndex = k + 1
    made.PixelData = series.scale.stored(series.image.values[k]).tobytes()
    return made

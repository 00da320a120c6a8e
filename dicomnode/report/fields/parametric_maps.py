"""Scalar maps as Parametric Maps (PS3.3 A.75): 32-bit floats on a grid of their own, one object a map.

Numbers are stored as they are; what they mean stands in the Real World Value Mapping: the quantity and its
unit. They are shown in grey. The standard would let a map of floats bring a palette, scaled to the output of
its window (A.75.1, PS3.17 BBBB); no reader that is at hand takes it, and the one library for them refuses it.
"""

from __future__ import annotations

from typing import Final

from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import ParametricMapStorage

from dicomnode.report.concepts import QUANTITY, UNSPECIFIED_METHOD, code_item
from dicomnode.report.fields.anatomy import frame_anatomy
from dicomnode.report.fields.instances import blank_instance, label_word, set_derivation, set_lossy, spoken
from dicomnode.report.fields.limits import against_map
from dicomnode.report.fields.planes import Planes, SourceImages, planes_of
from dicomnode.report.fields.stored import window_of, window_text
from dicomnode.report.fields.technique import position_reference
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.uids import ResultUids
from dicomnode.values import ScalarMap

MODALITY: Final = "OT"  # that of the source would bring maps among the images of the scanner
_LO_MAX: Final = 64
_SH_MAX: Final = 16


def build_parametric_maps(imprint: Imprint, uids: ResultUids, series_number: int) -> tuple[Dataset, ...]:
    """Write each map of the Findings, in their order; those that cannot be are left out (`limits`)."""
    findings = imprint.findings
    return tuple(
        _parametric_map(imprint, uids, (series_number, number), one)
        for number, one in enumerate(findings.maps, start=1)
        if against_map(findings, one.grid) is None
    )


def _parametric_map(imprint: Imprint, uids: ResultUids, place: tuple[int, int], one: ScalarMap) -> Dataset:
    made = blank_instance(imprint, uids, place, ParametricMapStorage, MODALITY)
    made.PositionReferenceIndicator = position_reference(imprint.findings)
    made.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "QUANTITY"]
    what = f"{one.type.meaning} ({one.label}), step {one.algorithm}"
    set_derivation(made, imprint, what, None)
    made.ImageComments = spoken(imprint, f"Map of {one.type.meaning} made by software.")
    made.ContentLabel = label_word(one.label, "MAP")
    made.ContentDescription = f"{one.type.meaning}, {imprint.findings.provenance.title}"[:_LO_MAX]
    made.ContentCreatorName = None
    made.BurnedInAnnotation = "NO"
    # Nobody has looked. What is said here wrongly to be no face would not be removed as one
    made.RecognizableVisualFeatures = "YES"
    made.LossyImageCompression = "00"
    set_lossy(made, imprint)
    made.AcquisitionContextSequence = []
    _set_pixels(made, one)
    _set_frames(made, one, planes_of(imprint, one.grid), SourceImages(imprint))
    _set_dimension(made, uids.inside(f"dimensions {place[1]}"))
    return made


def _set_pixels(made: Dataset, one: ScalarMap) -> None:
    """Floating Point Image Pixel (C.7.6.24)."""
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.PixelPresentation = "MONOCHROME"
    made.PresentationLUTShape = "IDENTITY"
    made.NumberOfFrames, made.Rows, made.Columns = one.grid.shape_kji
    made.BitsAllocated = 32
    made.FloatPixelData = one.values.astype("<f4", copy=False).tobytes()


def _set_frames(made: Dataset, one: ScalarMap, planes: Planes, images: SourceImages) -> None:
    """Shared and Per-Frame Functional Groups, and the whole source series (Common Instance Reference).

    Where a plane lies on no image, the object as a whole names them all: viewers would lay a frame that names
    an image over that image.
    """
    made.SharedFunctionalGroupsSequence = [_shared(made, one, planes)]
    frames = []
    for k, position in enumerate(planes.positions):
        frame, content, place, derived = Dataset(), Dataset(), Dataset(), Dataset()
        content.DimensionIndexValues = [k + 1]
        frame.FrameContentSequence = [content]
        place.ImagePositionPatient = position
        frame.PlanePositionSequence = [place]
        on = planes.on[k]
        derived.SourceImageSequence = images.of([] if on is None else [on], in_place=planes.in_place[k])
        derived.DerivationCodeSequence = [code_item(UNSPECIFIED_METHOD)]
        frame.DerivationImageSequence = [derived]
        frames.append(frame)
    made.PerFrameFunctionalGroupsSequence = frames
    if None in planes.on:
        made.SourceImageSequence = images.of(range(images.count), in_place=False)
    made.ReferencedSeriesSequence = [images.series()]


def _shared(made: Dataset, one: ScalarMap, planes: Planes) -> Dataset:
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = planes.spacing
    measures.SliceThickness = measures.SpacingBetweenSlices = planes.distance
    orientation.ImageOrientationPatient = planes.orientation
    identity, window, frame_type = Dataset(), Dataset(), Dataset()
    identity.RescaleIntercept, identity.RescaleSlope, identity.RescaleType = "0", "1", "US"
    low, high = window_of(one.values, one.unit)
    window.WindowCenter, window.WindowWidth = window_text(low, high)
    window.VOILUTFunction = "LINEAR_EXACT"  # of widths below 1, C.11.2.1.3.2
    frame_type.FrameType = made.ImageType
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    shared.FrameAnatomySequence = [frame_anatomy(str(made.get("BodyPartExamined") or ""))]
    shared.PixelValueTransformationSequence = [identity]
    shared.FrameVOILUTSequence = [window]
    shared.RealWorldValueMappingSequence = [_mapping(one)]
    shared.ParametricMapFrameTypeSequence = [frame_type]
    return shared


def _mapping(one: ScalarMap) -> Dataset:
    """Real World Value Mapping (C.7.6.16.2.11): the numbers are the quantity, in its unit."""
    mapping, quantity = Dataset(), Dataset()
    mapping.LUTLabel = one.label[:_SH_MAX]
    mapping.LUTExplanation = one.type.meaning
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 1.0, 0.0
    mapping.DoubleFloatRealWorldValueFirstValueMapped = float(one.values.min())
    mapping.DoubleFloatRealWorldValueLastValueMapped = float(one.values.max())
    mapping.MeasurementUnitsCodeSequence = [code_item(one.unit)]
    quantity.ValueType = "CODE"
    quantity.ConceptNameCodeSequence = [code_item(QUANTITY)]
    quantity.ConceptCodeSequence = [code_item(one.type)]
    mapping.QuantityDefinitionSequence = [quantity]
    return mapping


def _set_dimension(made: Dataset, uid: str) -> None:
    """Multi-frame Dimension (C.7.6.17): frames differ in their position."""
    organisation, index = Dataset(), Dataset()
    organisation.DimensionOrganizationUID = index.DimensionOrganizationUID = uid
    index.DimensionIndexPointer = Tag("ImagePositionPatient")
    index.FunctionalGroupPointer = Tag("PlanePositionSequence")
    index.DimensionDescriptionLabel = "Image Position Patient"
    made.DimensionOrganizationSequence = [organisation]
    made.DimensionIndexSequence = [index]

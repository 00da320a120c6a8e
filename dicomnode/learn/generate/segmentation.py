"""The truth of a volume or a picture as a Segmentation (PS3.3 A.51): BINARY, a frame a slice and segment.

Frames of a picture lie on its pixels, and in no patient space: they name it as their source image. Written
here and not by `dicomnode.report`: nothing was found, and no engine is to be named. A segment that is known
not to be there is described and has no frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from dicomnode.learn.generate.drawn import TrueSegment
from dicomnode.learn.generate.items import code_item, item
from dicomnode.learn.generate.marks import WORD
from dicomnode.values import Code
from dicomnode.values.colours import Rgb

SERIES_NUMBER: Final = 900
_SOURCE_IMAGE: Final = Code("121322", "DCM", "Source image for image processing operation")  # CID 7202
_SEGMENTATION: Final = Code("113076", "DCM", "Segmentation")  # CID 7203
_D65: Final = (0.95047, 1.0, 1.08883)  # white of sRGB, XYZ


UidOf = Callable[[str], str]
"""Derives the UID of a part of an object from its name."""


def build_segmentation(images: Sequence[Dataset], segments: Sequence[TrueSegment], uid_of: UidOf) -> Dataset:
    """Write the segments of one study; some voxel is of a segment.

    images: headers of the slices, k ascending, or that of a picture.
    """
    made = truth_head(images[0], "SEG", SERIES_NUMBER, uid_of)
    made.SOPClassUID = SegmentationStorage
    made.SeriesDescription = f"{WORD} known truth, segments"
    made.ImageType = ["DERIVED", "PRIMARY"]
    made.InstanceNumber = 1
    if is_placed(images[0]):
        made.FrameOfReferenceUID = images[0].FrameOfReferenceUID
        made.PositionReferenceIndicator = None
    else:
        made.PatientOrientation = images[0].PatientOrientation
    made.Rows, made.Columns = images[0].Rows, images[0].Columns
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 1
    made.HighBit = made.PixelRepresentation = 0
    made.LossyImageCompression, made.BurnedInAnnotation = "00", "NO"
    made.ContentLabel, made.ContentDescription, made.ContentCreatorName = "TRUTH", "Known truth", None
    made.SegmentationType = "BINARY"
    made.SegmentsOverlap = "NO" if _are_apart(segments) else "YES"
    made.SegmentSequence = [_described(n, one, uid_of) for n, one in enumerate(segments, start=1)]
    made.ReferencedSeriesSequence = [_referenced(images)]
    _add_frames(made, images, segments, uid_of("SEG dimensions"))
    return made


def is_placed(image: Dataset) -> bool:
    """Tell whether an image is a slice in patient space; pictures are not."""
    return "ImagePositionPatient" in image


def truth_head(image: Dataset, modality: str, number: int, uid_of: UidOf) -> Dataset:
    """Make what a truth has in common with its images: patient, study, marks, equipment and dates."""
    made = Dataset()
    for keyword in _SHARED:
        if keyword in image:
            made[keyword] = image[keyword]
    made.Modality = modality
    made.SeriesNumber = number
    made.SOPInstanceUID, made.SeriesInstanceUID = uid_of(f"{modality} instance"), uid_of(f"{modality} series")
    return made


_SHARED: Final = (
    *("SpecificCharacterSet", "InstanceCreationDate", "InstanceCreationTime", "SyntheticData"),
    *("ContributingEquipmentSequence", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("PatientComments", "QualityControlSubject", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber"),
    *("ReferringPhysicianName", "SeriesDate", "SeriesTime", "ContentDate", "ContentTime"),
    *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"),
)


def _are_apart(segments: Sequence[TrueSegment]) -> bool:
    return int(np.sum([one.mask for one in segments], axis=0).max(initial=0)) < 2


def _described(number: int, segment: TrueSegment, uid_of: UidOf) -> Dataset:
    """Write an item of the Segment Sequence (PS3.3 C.8.20.4)."""
    made = item(
        SegmentNumber=number,
        SegmentLabel=segment.label,
        SegmentDescription="Known by construction",
        SegmentAlgorithmType="AUTOMATIC",
        SegmentAlgorithmName="Known truth of a phantom",
        SegmentedPropertyCategoryCodeSequence=[code_item(segment.category)],
        SegmentedPropertyTypeCodeSequence=[code_item(segment.type)],
        TrackingID=segment.label,
        TrackingUID=uid_of(f"tracking {segment.label}"),
        RecommendedDisplayCIELabValue=_cielab(segment.colour_rgb),
    )
    if segment.laterality is not None:
        kind = made.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [code_item(segment.laterality)]
    if segment.site is not None:
        made.AnatomicRegionSequence = [code_item(segment.site)]
    return made


def _cielab(colour: Rgb) -> list[int]:
    """A colour of sRGB as CIELab in 16 bits each (PS3.3 C.10.7.1.1)."""
    levels = [level / 255 for level in colour]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels)
    xyz = (
        0.4124564 * red + 0.3575761 * green + 0.1804375 * blue,
        0.2126729 * red + 0.7151522 * green + 0.0721750 * blue,
        0.0193339 * red + 0.1191920 * green + 0.9503041 * blue,
    )
    x, y, z = (
        ratio ** (1 / 3) if ratio > 0.008856 else 7.787 * ratio + 16 / 116
        for ratio in (value / white for value, white in zip(xyz, _D65, strict=True))
    )
    lab = ((116 * y - 16) / 100, (500 * (x - y) + 128) / 255, (200 * (y - z) + 128) / 255)
    return [min(max(round(part * 65535), 0), 65535) for part in lab]


def _referenced(images: Sequence[Dataset]) -> Dataset:
    """Common Instance Reference (PS3.3 C.12.2): every image of the series."""
    return item(
        SeriesInstanceUID=images[0].SeriesInstanceUID,
        ReferencedInstanceSequence=[_reference(one) for one in images],
    )


def _reference(image: Dataset) -> Dataset:
    return item(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID)


def _add_frames(
    made: Dataset, images: Sequence[Dataset], segments: Sequence[TrueSegment], organization: str
) -> None:
    """Add functional groups, dimensions and pixels, segment by segment, k ascending."""
    placed = is_placed(images[0])
    made.DimensionOrganizationSequence = [item(DimensionOrganizationUID=organization)]
    made.DimensionIndexSequence = [
        item(
            DimensionOrganizationUID=organization, DimensionIndexPointer=pointer, FunctionalGroupPointer=group
        )
        for pointer, group in (_OF_SEGMENT, _OF_PLACE)[: 2 if placed else 1]
    ]
    made.SharedFunctionalGroupsSequence = [_shared(images[0]) if placed else Dataset()]
    there = sorted({int(k) for one in segments for k in np.flatnonzero(one.mask.any(axis=(1, 2)))})
    place = {k: index for index, k in enumerate(there, start=1)}
    frames, planes = [], []
    for number, segment in enumerate(segments, start=1):
        for k in (int(one) for one in np.flatnonzero(segment.mask.any(axis=(1, 2)))):
            frames.append(_frame(images[k], number, place[k]))
            planes.append(segment.mask[k])
    made.PerFrameFunctionalGroupsSequence = frames
    made.NumberOfFrames = len(frames)
    # Bits of all frames one behind the other, the first voxel in the lowest bit (PS3.5 8.1.1)
    packed = np.packbits(np.array(planes).ravel(), bitorder="little").tobytes()
    made.PixelData = packed + b"\0" * (len(packed) % 2)
    made["PixelData"].VR = "OB"


_OF_SEGMENT: Final = (0x0062000B, 0x0062000A)  # Referenced Segment Number, and the group that it stands in
_OF_PLACE: Final = (0x00200032, 0x00209113)  # Image Position (Patient)


def _shared(first: Dataset) -> Dataset:
    """What all slices have in common: size of their pixels, distance, orientation."""
    measures = item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
    measures.SpacingBetweenSlices = first.SliceThickness
    return item(
        PixelMeasuresSequence=[measures],
        PlaneOrientationSequence=[item(ImageOrientationPatient=first.ImageOrientationPatient)],
    )


def _frame(image: Dataset, number: int, place: int) -> Dataset:
    source = _reference(image)
    source.PurposeOfReferenceCodeSequence = [code_item(_SOURCE_IMAGE)]
    source.SpatialLocationsPreserved = "YES"
    derivation = item(SourceImageSequence=[source], DerivationCodeSequence=[code_item(_SEGMENTATION)])
    placed = is_placed(image)
    made = item(
        DerivationImageSequence=[derivation],
        FrameContentSequence=[item(DimensionIndexValues=[number, place] if placed else number)],
        SegmentIdentificationSequence=[item(ReferencedSegmentNumber=number)],
    )
    if placed:
        made.PlanePositionSequence = [item(ImagePositionPatient=image.ImagePositionPatient)]
    return made

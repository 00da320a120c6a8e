"""Writes a volume as one multi-frame object: Enhanced CT, as scanners write it, or Legacy Converted."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from dicomnode.phantom.header import SALT, STUDY_DATE, STUDY_TIME, SeriesForm, decimals, series_header
from dicomnode.phantom.series import add_pixel_format, instance_numbers, save, stored_values
from dicomnode.values import Grid, derive_uid

_ACQUIRED: Final = f"{STUDY_DATE}{STUDY_TIME}"
# What stands in the functional groups, not beside them
_OF_FRAMES: Final = (
    "AcquisitionDate",
    "AcquisitionTime",
    "ConvolutionKernel",
    "ImageOrientationPatient",
    "KVP",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "SliceThickness",
    "WindowCenter",
    "WindowCenterWidthExplanation",
    "WindowWidth",
)


def write_enhanced(
    voxels: NDArray[np.generic],
    grid: Grid,
    path: Path,
    *,
    seed: int,
    form: SeriesForm | None = None,
    legacy: bool = False,
) -> Path:
    """Write all slices as the frames of one CT object, in the order of the form's Instance Numbers.

    voxels: (k, j, i), HU. The same arguments give the same bytes. Raises as `write_series`; ValueError for
    a form that is not CT.
    """
    form = form or SeriesForm()
    if form.modality != "CT" or voxels.shape != grid.shape_kji:
        raise ValueError(f"{form.modality} of shape {voxels.shape} on a grid of {grid.shape_kji}")
    stored = stored_values(voxels, form)
    image = series_header(grid, form, seed)
    add_pixel_format(image, stored)
    numbers = instance_numbers(len(stored), form, seed)
    order = np.argsort(numbers)
    image.SOPClassUID = LegacyConvertedEnhancedCTImageStorage if legacy else EnhancedCTImageStorage
    image.SOPInstanceUID = derive_uid(SALT, image.SeriesInstanceUID, "multi-frame")
    image.InstanceNumber = 1
    image.NumberOfFrames = len(stored)
    _describe(image)
    image.SharedFunctionalGroupsSequence = [_shared(image, legacy=legacy)]
    image.PerFrameFunctionalGroupsSequence = [_frame(image, grid, int(k), legacy=legacy) for k in order]
    for keyword in _OF_FRAMES:
        del image[keyword]
    path.parent.mkdir(parents=True, exist_ok=True)
    save(image, stored[order], form.transfer_syntax_uid, path)
    return path


def _describe(image: Dataset) -> None:
    """Add what multi-frame objects say of all their frames (PS3.3 C.8.15.2, C.7.6.17)."""
    # DERIVED: nothing was acquired, and what an ORIGINAL must say of its tube and table would be invented
    image.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    image.PixelPresentation = "MONOCHROME"
    image.VolumetricProperties = "VOLUME"
    image.VolumeBasedCalculationTechnique = "NONE"
    image.PresentationLUTShape = "IDENTITY"
    image.LossyImageCompression = "00"
    image.ContentQualification = "RESEARCH"
    image.AcquisitionContextSequence = []
    image.AcquisitionDateTime = _ACQUIRED
    organization = derive_uid(SALT, image.SOPInstanceUID, "dimensions")
    image.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    image.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=0x00209111,
        )
        for pointer in (0x00209056, 0x00209057)  # Stack ID, In-Stack Position Number
    ]


def _shared(image: Dataset, *, legacy: bool) -> Dataset:
    kind = _item(
        FrameType=list(image.ImageType),
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )
    groups = {
        "PixelMeasuresSequence": _from(image, "PixelSpacing", "SliceThickness"),
        "PlaneOrientationSequence": _from(image, "ImageOrientationPatient"),
        "PixelValueTransformationSequence": _from(image, "RescaleIntercept", "RescaleSlope", "RescaleType"),
        "FrameVOILUTSequence": _from(image, "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation"),
        "CTImageFrameTypeSequence": kind,
        "FrameAnatomySequence": _item(
            FrameLaterality="U",
            AnatomicRegionSequence=[
                _item(CodeValue="51185008", CodingSchemeDesignator="SCT", CodeMeaning="Chest")
            ],
        ),
    }
    made = _from(image, "ConvolutionKernel", "KVP")
    if legacy:
        groups["UnassignedSharedConvertedAttributesSequence"] = made
    else:
        groups["CTReconstructionSequence"] = _from(image, "ConvolutionKernel")
        groups["CTXRayDetailsSequence"] = _from(image, "KVP")
    return _item(**{keyword: [item] for keyword, item in groups.items()})


def _frame(image: Dataset, grid: Grid, k: int, *, legacy: bool) -> Dataset:
    content = _item(
        StackID="1",
        InStackPositionNumber=k + 1,
        DimensionIndexValues=[1, k + 1],
        FrameAcquisitionNumber=1,
        FrameAcquisitionDateTime=_ACQUIRED,
        FrameReferenceDateTime=_ACQUIRED,
        FrameAcquisitionDuration=500.0,
    )
    position = decimals(grid.to_lps_mm(np.array([k, 0, 0])))
    frame = _item(
        FrameContentSequence=[content], PlanePositionSequence=[_item(ImagePositionPatient=position)]
    )
    if legacy:
        source = derive_uid(SALT, image.SeriesInstanceUID, "converted", str(k))
        frame.ConversionSourceAttributesSequence = [
            _item(ReferencedSOPClassUID=UID("1.2.840.10008.5.1.4.1.1.2"), ReferencedSOPInstanceUID=source)
        ]
        frame.UnassignedPerFrameConvertedAttributesSequence = [_item(InstanceNumber=k + 1)]
    return frame


def _from(image: Dataset, *keywords: str) -> Dataset:
    return _item(**{keyword: image[keyword].value for keyword in keywords})


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item

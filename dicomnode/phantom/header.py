"""The header of a phantom's images: valid, dated, and plainly nobody's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import DSfloat

from dicomnode import __version__
from dicomnode.values import Grid, derive_uid
from dicomnode.values.geometry import Float64

PHANTOM_VERSION: Final = "1"  # goes up when a voxel or a header changes: caches and UIDs depend on it
SALT: Final = b"dicomnode phantom"  # of all UIDs of phantoms
STUDY_DATE: Final = "20250102"
STUDY_TIME: Final = "101500"
SOP_CLASSES: Final = {"CT": CTImageStorage, "MR": MRImageStorage}

Modality = Literal["CT", "MR"]
InstanceOrder = Literal["ascending", "reversed", "shuffled"]


@dataclass(frozen=True, kw_only=True)
class SeriesForm:
    """How a series is written.

    instance_order: of the Instance Numbers along k. transfer_syntax_uid: a native one, RLE, JPEG-LS or
    JPEG 2000 (lossless all). slope, intercept: of the stored values of a CT; stored = (value - intercept) /
    slope. series_number: a series of its own for each, within the study of the seed.
    """

    modality: Modality = "CT"
    instance_order: InstanceOrder = "ascending"
    transfer_syntax_uid: str = ExplicitVRLittleEndian
    slope: float = 1.0
    intercept: float = -1024.0
    series_number: int = 2
    description: str = "Phantom, soft kernel"
    kernel: str = "STANDARD"
    body_part: str = "CHEST"


def study_uid(seed: int) -> str:
    """Study Instance UID of all series of one seed."""
    return derive_uid(SALT, PHANTOM_VERSION, "study", str(seed))


def series_uid(seed: int, grid: Grid, form: SeriesForm) -> str:
    """Series Instance UID of a series of the seed: one for each patient space, modality and series number."""
    space = grid.frame_of_reference_uid
    return derive_uid(
        SALT, PHANTOM_VERSION, "series", str(seed), space, form.modality, str(form.series_number)
    )


def series_header(grid: Grid, form: SeriesForm, seed: int) -> Dataset:
    """Make the attributes that all images of the series share."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID = SOP_CLASSES[form.modality]
    header.StudyInstanceUID = study_uid(seed)
    header.SeriesInstanceUID = series_uid(seed, grid, form)
    header.FrameOfReferenceUID = grid.frame_of_reference_uid
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(header, keyword, STUDY_DATE)
        setattr(header, keyword.replace("Date", "Time"), STUDY_TIME)
    _add_patient(header, seed)
    header.Modality = form.modality
    header.SeriesNumber = form.series_number
    header.SeriesDescription = form.description
    header.BodyPartExamined = form.body_part
    header.PatientPosition = "HFS"
    header.PositionReferenceIndicator = None
    header.AcquisitionNumber = 1
    _add_equipment(header)
    _add_geometry(header, grid)
    if form.modality == "CT":
        _add_ct(header, grid, form)
    else:
        _add_mr(header, grid)
    return header


def _add_patient(header: Dataset, seed: int) -> None:
    header.PatientName = "PHANTOM^THORAX"
    header.PatientID = f"DICOMNODE-PHANTOM-{seed}"
    header.PatientBirthDate = None
    header.PatientSex = "O"
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = "Procedural phantom: nobody was imaged"
    header.ReferringPhysicianName = None
    header.InstitutionName = None
    header.StudyID = "PHANTOM"
    header.AccessionNumber = f"PHANTOM{seed % 10**9}"  # SH: at most 16 characters
    header.StudyDescription = "Chest phantom with known truth"


def _add_equipment(header: Dataset) -> None:
    header.Manufacturer = "dicomnode"
    header.ManufacturerModelName = "Procedural phantom"
    header.SoftwareVersions = [__version__, f"phantom {PHANTOM_VERSION}"]
    header.QualityControlImage = "YES"  # PS3.3 C.7.6.1: also says "phantom"
    header.BurnedInAnnotation = "NO"


def _add_geometry(header: Dataset, grid: Grid) -> None:
    _, row_mm, column_mm = grid.spacing_kji_mm
    along_row, along_column = _unit(grid.affine_lps[:3, 0]), _unit(grid.affine_lps[:3, 1])
    header.ImageOrientationPatient = decimals(np.concatenate([along_row, along_column]))
    header.PixelSpacing = decimals(np.array([row_mm, column_mm]))  # distance between rows comes first
    header.SliceThickness = decimals(np.array([abs(slice_step_mm(grid))]))[0]
    header.Rows, header.Columns = grid.shape_kji[1:]


def _add_ct(header: Dataset, grid: Grid, form: SeriesForm) -> None:
    # PS3.3 C.8.2.1.1.1: what was not reconstructed axially was made from such images.
    axial = abs(normal(grid)[2]) > 0.999
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if axial else ["DERIVED", "SECONDARY", "MPR"]
    header.KVP = 120
    header.ConvolutionKernel = form.kernel
    header.RescaleIntercept = decimals(np.array([form.intercept]))[0]
    header.RescaleSlope = decimals(np.array([form.slope]))[0]
    header.RescaleType = "HU"
    header.WindowCenter, header.WindowWidth = [-600, 40], [1500, 400]
    header.WindowCenterWidthExplanation = ["LUNG", "MEDIASTINUM"]


def _add_mr(header: Dataset, grid: Grid) -> None:
    header.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    header.ScanningSequence, header.SequenceVariant, header.ScanOptions = "SE", "NONE", None
    header.MRAcquisitionType = "2D"
    header.RepetitionTime, header.EchoTime, header.EchoTrainLength = 600, 15, 1
    header.MagneticFieldStrength = 1.5
    header.SpacingBetweenSlices = decimals(np.array([abs(slice_step_mm(grid))]))[0]


def normal(grid: Grid) -> Float64:
    """Unit normal of the slices: along the row × along the column (LPS)."""
    return _unit(np.cross(grid.affine_lps[:3, 0], grid.affine_lps[:3, 1]))


def slice_step_mm(grid: Grid) -> float:
    """Step from slice to slice along the normal in mm; negative when k runs against the normal."""
    return float(normal(grid) @ grid.affine_lps[:3, 2])


def _unit(vector: Float64) -> Float64:
    unit: Float64 = vector / np.linalg.norm(vector)
    return unit


def decimals(values: Float64) -> list[DSfloat]:
    """Write numbers as DS: as many digits as 16 characters hold (PS3.5 6.2)."""
    # + 0.0 turns a negative zero into a plain one
    return [DSfloat(float(value) + 0.0, auto_format=True) for value in values]

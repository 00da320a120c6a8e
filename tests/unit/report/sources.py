"""Synthetic source series and Findings on them, in every plane and with every kind of header.

Pixels are not square, slices are not as thick as pixels are wide, and no mask has a symmetry: a flipped or
transposed axis cannot go unseen. CT headers are clean for dciodvfy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE, disable_value_validation
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicomnode.report import EarlierReport
from dicomnode.values import (
    Code,
    EarlierSeries,
    FindingKind,
    Findings,
    Grid,
    Mask,
    Measurement,
    Outcome,
    Provenance,
    ReferencedInstance,
    Remark,
    RemarkKind,
    Segment,
    Source,
    SourceFrame,
    SourceHeaders,
    derive_uid,
)
from dicomnode.values.codes import CUBIC_MILLIMETRE, HOUNSFIELD, LEFT, MILLILITRE, MILLIMETRE, RIGHT

SALT = bytes(range(32))
MADE_AT = datetime(2025, 3, 4, 23, 30, 15, 123456, tzinfo=UTC)

LUNG = Code("39607008", "SCT", "Lung")
NODULE = Code("27925004", "SCT", "Nodule")
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")

# Two of one series, as when a study was reported to it twice, and one of another
EARLIER = tuple(
    EarlierReport(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.22",
        sop_instance_uid=derive_uid(SALT, "earlier", number),
        series_instance_uid=derive_uid(SALT, "earlier series", series),
    )
    for number, series in (("1", "1"), ("2", "1"), ("3", "2"))
)

# A prior: images of an earlier study that a report names
BEFORE = EarlierSeries(
    name="before",
    study_instance_uid=derive_uid(SALT, "study before"),
    series_instance_uid=derive_uid(SALT, "series before"),
    instances=tuple(
        ReferencedInstance(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=derive_uid(SALT, "image before", n)
        )
        for n in "123"
    ),
)

_A, _B = np.radians((25.0, 20.0))  # turned about the body axis, then tipped
# Direction cosines of rows and columns (PS3.3 C.7.6.2.1.1); slices go along their cross product
PLANES = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "reversed": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),  # instances numbered from the head down
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "oblique": (
        (float(np.cos(_A)), float(np.sin(_A)), 0.0),
        (float(-np.sin(_A) * np.cos(_B)), float(np.cos(_A) * np.cos(_B)), float(np.sin(_B))),
    ),
    "feet-first": ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "tilted": ((1.0, 0.0, 0.0), (0.0, float(np.cos(_B)), float(-np.sin(_B)))),  # slices follow the table
}

Edit = Callable[[Dataset, int], None]


@dataclass(frozen=True)
class Series:
    """How a synthetic CT series is made; edit changes each data set (with its k) before it is encoded."""

    plane: str = "axial"
    shape_kji: tuple[int, int, int] = (12, 20, 28)
    spacing_kji_mm: tuple[float, float, float] = (2.5, 0.8, 0.7)
    origin_lps_mm: tuple[float, float, float] = (-9.5, -101.25, -312.5)
    edit: Edit | None = None
    study: str = "study"
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def affine(self) -> np.ndarray:
        row, column = (np.array(c) for c in PLANES[self.plane])
        dk, dj, di = self.spacing_kji_mm
        affine = np.eye(4)
        affine[:3, 0], affine[:3, 1], affine[:3, 2] = row * di, column * dj, np.cross(row, column) * dk
        if self.plane == "tilted":
            affine[:3, 2] = (0.0, 0.0, dk / float(np.cos(_B)))
        affine[:3, 3] = self.origin_lps_mm
        return affine

    def uid(self, what: str) -> str:
        return derive_uid(b"tests", self.plane, self.study, what)

    def datasets(self) -> list[Dataset]:
        """The images, k ascending, with pixels."""
        return [self._dataset(k) for k in range(self.shape_kji[0])]

    def voxels(self) -> np.ndarray:
        """int16 (k, j, i) HU: a ramp along each axis, all different."""
        k, j, i = np.indices(self.shape_kji)
        return (k * 40 + j * 3 + i - 900).astype(np.int16)

    def _dataset(self, k: int) -> Dataset:
        count, rows, columns = self.shape_kji
        ds = Dataset()
        ds.SpecificCharacterSet = "ISO_IR 100"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SOPClassUID = CTImageStorage
        ds.SOPInstanceUID = self.uid(f"instance {k}")
        ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20250301"
        ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101112"
        ds.AccessionNumber = "ACC123"
        ds.Modality = "CT"
        ds.Manufacturer = "Maker"
        ds.ManufacturerModelName = "Scanner 1"
        ds.SoftwareVersions = "7.1"
        ds.DeviceSerialNumber = "4711"
        ds.InstitutionName = "Städtisches Klinikum"
        ds.ReferringPhysicianName = "Arzt^Änne"
        ds.StudyDescription = "Thorax nativ"
        ds.SeriesDescription = "Lunge"
        ds.PatientName = "Müller^Jörg"
        ds.PatientID = "PAT-7"
        ds.IssuerOfPatientID = "KLINIKUM"
        ds.PatientBirthDate = "19600229"
        ds.PatientSex = "M"
        ds.PatientAge = "065Y"
        ds.PatientWeight = "81.5"
        ds.BodyPartExamined = "CHEST"
        ds.SliceThickness = str(self.spacing_kji_mm[0])
        ds.KVP = "120"
        ds.PatientPosition = "HFS"
        ds.StudyInstanceUID = self.uid("study")
        ds.SeriesInstanceUID = self.uid("series")
        ds.StudyID = "S1"
        ds.SeriesNumber = 2
        ds.AcquisitionNumber = 1
        ds.InstanceNumber = count - k if self.plane == "reversed" else k + 1
        position = (self.affine @ (0, 0, k, 1))[:3]
        ds.ImagePositionPatient = [f"{value:.6g}" for value in position]
        ds.ImageOrientationPatient = [f"{value:.10g}" for value in np.concatenate(PLANES[self.plane])]
        ds.FrameOfReferenceUID = self.uid("frame of reference")
        ds.PositionReferenceIndicator = ""
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.Rows, ds.Columns = rows, columns
        ds.PixelSpacing = [str(self.spacing_kji_mm[1]), str(self.spacing_kji_mm[2])]
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit = 15
        ds.PixelRepresentation = 1
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
        ds.PixelData = self.voxels()[k].tobytes()
        for keyword, value in self.extra.items():
            setattr(ds, keyword, value)
        if self.edit is not None:
            self.edit(ds, k)
        return ds

    def source(self) -> Source:
        """Return what `assemble` would: nobody can change it, so of a series without more it is made once."""
        if self.edit is not None or self.extra:
            return self._source()
        key = (self.plane, self.shape_kji, self.spacing_kji_mm, self.origin_lps_mm, self.study)
        if key not in _MADE:
            _MADE[key] = self._source()
        return _MADE[key]

    def _source(self) -> Source:
        datasets = self.datasets()
        return Source(
            name="ct",
            study_instance_uid=self.uid("study"),
            series_instance_uid=self.uid("series"),
            grid=Grid(self.shape_kji, self.affine, self.uid("frame of reference")),
            frames=tuple(SourceFrame(self.uid(f"instance {k}")) for k in range(self.shape_kji[0])),
            headers=SourceHeaders(tuple(header_bytes(ds) for ds in datasets)),
        )


_MADE: dict[tuple[object, ...], Source] = {}


def wrong_element(keyword: str, value: object) -> DataElement:
    """An element whose value nobody has checked."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)


def part_10(ds: Dataset) -> bytes:
    """Encode as a Part 10 file, Explicit VR Little Endian."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    with disable_value_validation():  # wrong values are what some tests are about
        ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def header_bytes(ds: Dataset) -> bytes:
    """What `assemble` keeps of an instance: everything but the pixels."""
    if "PixelData" in ds:
        del ds["PixelData"]
    return part_10(ds)


def provenance(**changes: str) -> Provenance:
    made_by = Provenance(
        engine="lung-ct",
        version="1.0.0",
        title="Lungs and nodule candidates",
        use="Research and engineering. Not for clinical use.",
        engine_digest="0123456789abcdef" * 4,
        runtime="onnxruntime 1.31.1 CPU",
        precision="fp32",
        device="CPU",
        node_version="0.1.0",
    )
    return replace(made_by, **changes)


def masks(shape_kji: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Asymmetric masks: two lungs apart, and a nodule within the right one (they overlap)."""
    k, j, i = np.indices(shape_kji)
    count, rows, columns = shape_kji
    left = (i > 0.6 * columns) & (j > 0.2 * rows) & (k < count - 2) & (i + j < 0.55 * columns + rows)
    right = (i < 0.35 * columns) & (j > 0.15 * rows) & (k > 1) & (j < 0.9 * rows - i / 3)
    nodule = np.zeros(shape_kji, dtype=bool)
    nodule[count // 2 : count // 2 + 2, rows // 2 : rows // 2 + 4, 2:5] = True
    nodule[count // 2, rows // 2 + 4, 2] = True
    return {"lung-right": right, "lung-left": left, "nodule-1": nodule}


def _segment(label: str, mask: np.ndarray, grid: Grid, **more: object) -> Segment:
    index = np.argwhere(mask)
    x, y, z = grid.to_lps_mm(index).mean(axis=0)
    volume_mm3 = len(index) * grid.voxel_mm3
    facts: dict[str, object] = {
        "kind": FindingKind.ANATOMY,
        "category": ANATOMY,
        "type": LUNG,
        "algorithm": "lungs 1",
        "measurements": (
            Measurement(name="volume_ml", concept=VOLUME, value=volume_mm3 / 1000, unit=MILLILITRE),
            Measurement(
                name="mean_hu", concept=ATTENUATION, value=-812.3456, unit=HOUNSFIELD, derivation=MEAN
            ),
        ),
    }
    return Segment(
        label=label,
        mask=Mask.from_array(mask),
        centre_lps_mm=(float(x), float(y), float(z)),
        tracking_uid=derive_uid(SALT, "tracking", label),
        tracking_id=label.replace("-", " ").capitalize(),
        **{**facts, **more},  # type: ignore[arg-type]
    )


def lung_segments(grid: Grid) -> tuple[Segment, ...]:
    """Two lungs and a nodule; "right" is where the pixels of a low column index lie, as in axial images."""
    found = masks(grid.shape_kji)
    ij = [np.argwhere(found["nodule-1"])[n] for n in (0, -1)]
    ends = [tuple(float(v) for v in grid.to_lps_mm(one)) for one in ij]
    long_axis = (
        Measurement(name="volume_mm3", concept=VOLUME, value=123.456789, unit=CUBIC_MILLIMETRE),
        Measurement(name="long_axis_mm", concept=LONG_AXIS, value=12.34567, unit=MILLIMETRE),
    )
    low, high = (RIGHT, LEFT) if _leftward(grid) else (LEFT, RIGHT)
    return (
        _segment("lung-right", found["lung-right"], grid, laterality=low, colour_rgb=(102, 170, 255)),
        _segment("lung-left", found["lung-left"], grid, laterality=high, colour_rgb=(102, 220, 190)),
        _segment(
            "nodule-1",
            found["nodule-1"],
            grid,
            kind=FindingKind.LESION,
            category=ABNORMAL,
            type=NODULE,
            site=LUNG,
            laterality=low,
            score=0.8712,
            algorithm="nodules 1",
            measurements=long_axis,
            long_axis_lps_mm=(ends[0], ends[1]),
        ),
    )


def _leftward(grid: Grid) -> bool:
    """Tell whether the columns go to the patient's left, so that the mask of low columns is on the right."""
    lungs = [grid.to_lps_mm(np.argwhere(m)).mean(axis=0)[0] for m in list(masks(grid.shape_kji).values())[:2]]
    return bool(lungs[1] > lungs[0])


def findings(series: Series | None = None, **changes: object) -> Findings:
    """Findings of two lungs and a nodule on a synthetic series; changes replace fields."""
    source = (series or Series()).source()
    assert source.grid is not None
    facts: dict[str, object] = {
        "outcome": Outcome.FINDINGS,
        "sources": (source,),
        "provenance": provenance(),
        "made_at": MADE_AT,
        "study_version": 1,
        "segments": lung_segments(source.grid),
        "remarks": (
            Remark(kind=RemarkKind.QUALITY, text="The lungs are cut at the top."),
            Remark(kind=RemarkKind.LIMIT, text="1 of 3 candidates is reported."),
        ),
    }
    return Findings(**{**facts, **changes})  # type: ignore[arg-type]


def nothing_found(series: Series | None = None) -> Findings:
    """The lungs were looked at, and there is no nodule."""
    return findings(
        series,
        outcome=Outcome.NO_FINDINGS,
        segments=(),
        remarks=(
            Remark(kind=RemarkKind.NO_FINDING, text="No nodule candidate was found.", type=NODULE, site=LUNG),
        ),
    )


def not_analysed(series: Series | None = None, outcome: Outcome = Outcome.NOT_ANALYSED) -> Findings:
    """No volume could be made of the series."""
    source = replace((series or Series()).source(), grid=None)
    text = "Between slices 3 and 4 one is missing (5.0 mm instead of 2.5 mm)."
    return findings(
        series,
        outcome=outcome,
        sources=(source,),
        segments=(),
        remarks=(Remark(kind=RemarkKind.NOT_ANALYSED, text=text, code="DN-3005"),),
    )

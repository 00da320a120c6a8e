"""A registration as Spatial Registration (PS3.3 C.20.2) or Deformable Spatial Registration (C.20.3).

It lies in the study and the Frame of Reference of the fixed series. A matrix takes points of each series
there. A deformation goes the other way: from a point of the fixed series, plus what the field says there,
back by the matrix to the moving one (C.20.3.1.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import DeformableSpatialRegistrationStorage, SpatialRegistrationStorage

from dicomnode.report.concepts import code_item
from dicomnode.report.fields.instances import blank_instance
from dicomnode.report.fields.technique import position_reference
from dicomnode.report.heading.headers import Heading, read_heading
from dicomnode.report.heading.identity import Imprint, apply_identity, to_bytes
from dicomnode.report.spatial.laid import Laid, SpatialObject, SpatialOccasion
from dicomnode.report.uids import ResultUids
from dicomnode.values import Code, Float64, Source

SERIES_NUMBER: Final = 9030
_BY_CONTENT: Final = Code("125024", "DCM", "Image Content-based Alignment")  # CID 7100
_LO_MAX: Final = 64
_TYPES: Final = {"rigid": "RIGID", "affine": "AFFINE", "deformable": "AFFINE"}


def make_registration(fixed: Source, moving: Source, laid: Laid, occasion: SpatialOccasion) -> SpatialObject:
    """Write the registration of `moving` onto `fixed`; the same call gives the same bytes.

    Raises NodeError: SOURCES_DISAGREE, SOURCE_HEADER_WRONG of either series.
    """
    findings = occasion.findings(fixed)
    imprint = Imprint(findings, read_heading(findings), occasion.salt)
    other = read_heading(occasion.findings(moving))
    about = f"{moving.series_instance_uid}, {laid.digest}"
    uids = ResultUids.of(findings, occasion.salt, "REG", about)
    bends = laid.field_lps_mm is not None
    sop_class = DeformableSpatialRegistrationStorage if bends else SpatialRegistrationStorage
    made = blank_instance(imprint, uids, (SERIES_NUMBER, 1), sop_class, "REG")
    if "BodyPartExamined" not in made:
        made.Laterality = None  # Type 2C: of an unknown part nobody can say that it is not paired
    made.PositionReferenceIndicator = position_reference(findings)
    made.ContentLabel, made.ContentCreatorName = "REGISTRATION", None
    made.ContentDescription = f"{laid.kind} registration of two series"[:_LO_MAX]
    both = ((fixed, imprint.heading, np.eye(4)), (moving, other, laid.moved_lps))
    if bends:
        made.DeformableRegistrationSequence = [_bent(*both[0][:2]), _bent(*both[1][:2], laid)]
    else:
        made.RegistrationSequence = [_moved(*one, laid) for one in both]
    _add_references(made, [(one, heading) for one, heading, _ in both])
    apply_identity(made, imprint, uids, "REG")
    return SpatialObject(
        kind="REG",
        sop_class_uid=str(sop_class),
        sop_instance_uid=str(made.SOPInstanceUID),
        content=to_bytes(made),
    )


def _moved(source: Source, heading: Heading, matrix: Float64, laid: Laid) -> Dataset:
    """Write an item of the Registration Sequence (C.20.2): a series, and how it gets to the fixed space."""
    assert source.grid is not None
    registration = Dataset()
    registration.FrameOfReferenceTransformationComment = _shortened(laid.words)
    registration.RegistrationTypeCodeSequence = [code_item(_BY_CONTENT)]
    registration.MatrixSequence = [_matrix(matrix, _TYPES[laid.kind])]
    item = Dataset()
    item.FrameOfReferenceUID = source.grid.frame_of_reference_uid
    item.ReferencedImageSequence = references(heading)
    item.MatrixRegistrationSequence = [registration]
    return item


def _bent(source: Source, heading: Heading, laid: Laid | None = None) -> Dataset:
    """Write an item of the Deformable Registration Sequence. laid: None of the fixed series itself."""
    assert source.grid is not None
    item = Dataset()
    item.SourceFrameOfReferenceUID = source.grid.frame_of_reference_uid
    item.ReferencedImageSequence = references(heading)
    item.RegistrationTypeCodeSequence = [code_item(_BY_CONTENT)]
    if laid is None:
        return item
    item.FrameOfReferenceTransformationComment = _shortened(laid.words)
    back = np.asarray(np.linalg.inv(laid.moved_lps), dtype=np.float64)
    item.PreDeformationMatrixRegistrationSequence = [_matrix(np.eye(4), "RIGID")]
    item.PostDeformationMatrixRegistrationSequence = [_matrix(back, "AFFINE")]
    item.DeformableRegistrationGridSequence = [_field(laid)]
    return item


def _field(laid: Laid) -> Dataset:
    """Write the field: x, y, z of each point, i fastest, then j, then k (C.20.3.1.2)."""
    assert laid.grid is not None
    assert laid.field_lps_mm is not None
    item = Dataset()
    k, j, i = laid.grid.shape_kji
    mm_k, mm_j, mm_i = laid.grid.spacing_kji_mm
    axes = laid.grid.affine_lps[:3, :2] / [mm_i, mm_j]
    item.ImagePositionPatient = [f"{one:.10g}" for one in laid.grid.to_lps_mm((0, 0, 0))]
    item.ImageOrientationPatient = [f"{one + 0.0:.10g}" for one in axes.T.ravel()]
    item.GridDimensions = [i, j, k]
    item.GridResolution = [mm_i, mm_j, mm_k]
    item.VectorGridData = laid.field_lps_mm.astype("<f4").tobytes()
    return item


def _shortened(words: str) -> str:
    """As many of the parts between commas as an LO takes."""
    text, *parts = words.split(", ")
    for part in parts:
        if len(text) + len(part) + 2 > _LO_MAX:
            break
        text = f"{text}, {part}"
    return text[:_LO_MAX]


def _matrix(matrix: Float64, kind: str) -> Dataset:
    item = Dataset()
    item.FrameOfReferenceTransformationMatrixType = kind
    item.FrameOfReferenceTransformationMatrix = [f"{one + 0.0:.10g}" for one in matrix.ravel()]
    return item


def references(heading: Heading) -> list[Dataset]:
    """Name each image of a series once."""
    return [_reference(stub) for stub in heading.stubs[0]]


def _reference(stub: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = stub.SOPClassUID, stub.SOPInstanceUID
    return item


def _add_references(made: Dataset, series: Sequence[tuple[Source, Heading]]) -> None:
    """Common Instance Reference (C.12.2): series of the same study, and of other ones."""
    here = series[0][0].study_instance_uid
    named: dict[str, dict[str, Dataset]] = {}
    for source, heading in series:
        item = Dataset()
        item.SeriesInstanceUID = source.series_instance_uid
        item.ReferencedInstanceSequence = references(heading)
        named.setdefault(source.study_instance_uid, {})[source.series_instance_uid] = item
    made.ReferencedSeriesSequence = list(named.pop(here).values())
    others = []
    for study, items in named.items():
        other = Dataset()
        other.StudyInstanceUID, other.ReferencedSeriesSequence = study, list(items.values())
        others.append(other)
    if others:
        made.StudiesContainingOtherReferencedInstancesSequence = others

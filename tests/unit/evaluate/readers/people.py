"""Objects of invented people beside studies of phantoms: SEG, RTSTRUCT and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import RTStructureSetStorage, generate_uid

ADA, BOB, EVE = "Lovelace^Ada", "Babbage^Bob", "Noether^Eve"


def sign(case: Path, author: str) -> None:
    """Say that the segmentation of a case is of a person."""
    path = case / "truth" / "segments.dcm"
    ds = dcmread(path)
    _sign(ds, author)
    ds.save_as(path)


def _sign(ds: Dataset, author: str) -> None:
    ds.ContentCreatorName = author
    for segment in ds.SegmentSequence:
        segment.SegmentAlgorithmType = "MANUAL"
        if "SegmentAlgorithmName" in segment:
            del segment.SegmentAlgorithmName


def read_again(case: Path, author: str, shift: int, *, name: str = "again.dcm", empty: bool = False) -> Path:
    """Write the segmentation of a case once more, of another person, moved by some columns."""
    ds = dcmread(case / "truth" / "segments.dcm")
    frames = np.roll(ds.pixel_array.reshape(-1, ds.Rows, ds.Columns), shift, axis=2)
    ds.PixelData = pack_bits(np.zeros_like(frames) if empty else frames)
    ds["PixelData"].VR = "OB"
    _sign(ds, author)
    ds.SOPInstanceUID = generate_uid(entropy_srcs=[str(ds.SOPInstanceUID), author, name])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=[str(ds.SeriesInstanceUID), author, name])
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    path = case / "truth" / name
    ds.save_as(path)
    return path


def drawn_by_hand(case: Path, author: str, label: str = "liver") -> Path:
    """Write the outline of one segment as an RT structure set: the corners of its voxels, slice by slice."""
    seg = dcmread(case / "truth" / "segments.dcm")
    (number,) = [int(one.SegmentNumber) for one in seg.SegmentSequence if one.SegmentLabel == label]
    images = {str(one.SOPInstanceUID): one for one in map(dcmread, sorted((case / "images").glob("*.dcm")))}
    first = next(iter(images.values()))
    contours = []
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        if int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber) != number or not frame.any():
            continue
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        contour = Dataset()
        contour.ContourGeometricType = "CLOSED_PLANAR"
        corners = _around(frame.astype(bool))
        row_mm, column_mm = (float(one) for one in first.PixelSpacing)
        points = [position + np.array((column * column_mm, row * row_mm, 0.0)) for row, column in corners]
        contour.NumberOfContourPoints = len(points)
        contour.ContourData = [f"{value:.4f}" for point in points for value in point]
        contours.append(contour)
    ds = _structure_set(first, author, label, contours)
    path = case / "truth" / "structures.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def _around(plane: np.ndarray) -> list[tuple[float, float]]:
    """Go around a part that is convex row by row: down its right side and up its left one."""
    rows = np.flatnonzero(plane.any(axis=1))
    ends = [(row, np.flatnonzero(plane[row])[[0, -1]]) for row in rows]
    right = [(row + half, last + 0.5) for row, (_, last) in ends for half in (-0.5, 0.5)]
    left = [(row + half, start - 0.5) for row, (start, _) in reversed(ends) for half in (0.5, -0.5)]
    return [*right, *left]


def _structure_set(image: Dataset, author: str, label: str, contours: list[Dataset]) -> Dataset:
    ds = Dataset()
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID"):
        if keyword in image:
            setattr(ds, keyword, image[keyword].value)
    ds.SOPClassUID = RTStructureSetStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["structures", str(image.SOPInstanceUID), author])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["structure series", str(image.SOPInstanceUID), author])
    ds.Modality, ds.StructureSetLabel = "RTSTRUCT", "by hand"
    roi, drawn, observed = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = 1, label
    roi.ReferencedFrameOfReferenceUID, roi.ROIGenerationAlgorithm = image.FrameOfReferenceUID, "MANUAL"
    drawn.ReferencedROINumber, drawn.ContourSequence = 1, Sequence(contours)
    observed.ObservationNumber, observed.ReferencedROINumber = 1, 1
    observed.RTROIInterpretedType, observed.ROIInterpreter = "ORGAN", author
    ds.StructureSetROISequence = Sequence([roi])
    ds.ROIContourSequence = Sequence([drawn])
    ds.RTROIObservationsSequence = Sequence([observed])
    reference, study, series = Dataset(), Dataset(), Dataset()
    reference.FrameOfReferenceUID = image.FrameOfReferenceUID
    series.SeriesInstanceUID = image.SeriesInstanceUID
    study.RTReferencedSeriesSequence = Sequence([series])
    reference.RTReferencedStudySequence = Sequence([study])
    ds.ReferencedFrameOfReferenceSequence = Sequence([reference])
    ds.file_meta = Dataset()

    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def without_headers(folder: Path) -> list[str]:
    """What must not stand in anything that is written: the people, and the patients of the data."""
    known = {ADA, BOB, EVE, *(one.split("^")[0] for one in (ADA, BOB, EVE))}
    for path in folder.rglob("*.dcm"):
        header = dcmread(path, stop_before_pixels=True)
        known |= {str(header.PatientID), str(header.PatientName)}
    return sorted(one for one in known if one)

"""Real CT series as a Volume, and what readers marked in them as masks: a small reader for tests alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmread

from dicomnode.values import Findings, Grid, Mask, Segment, Source, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD, LEFT, RIGHT
from tests.unit.report import sources


def read_series(folder: Path) -> tuple[Volume, list[Dataset]]:
    """The axial CT series of a folder, k ascending along z."""
    images = [dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    images = sorted(
        (ds for ds in images if "PixelData" in ds), key=lambda ds: float(ds.ImagePositionPatient[2])
    )
    voxels = np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in images])
    first, last = images[0], images[-1]
    affine = np.eye(4)
    affine[0, 0], affine[1, 1] = float(first.PixelSpacing[1]), float(first.PixelSpacing[0])
    affine[:3, 3] = [float(v) for v in first.ImagePositionPatient]
    affine[2, 2] = (float(last.ImagePositionPatient[2]) - affine[2, 3]) / (len(images) - 1)
    volume = Volume(
        voxels=voxels.astype(np.int16),
        affine_lps=affine,
        unit=HOUNSFIELD,
        frame_of_reference_uid=str(first.FrameOfReferenceUID),
        study_instance_uid=str(first.StudyInstanceUID),
        series_instance_uid=str(first.SeriesInstanceUID),
        frames=tuple(SourceFrame(str(ds.SOPInstanceUID)) for ds in images),
        headers=SourceHeaders(tuple(_header(ds) for ds in images)),
    )
    return volume, images


def _header(ds: Dataset) -> bytes:
    kept = Dataset()
    kept.update({e.tag: e for e in ds if not e.tag.is_private and e.keyword != "PixelData"})
    return sources.header_bytes(kept)


def enhanced_source(path: Path) -> Source:
    """The source that a multi-frame CT is: one header, a frame for each slice, k ascending."""
    ds = dcmread(path)
    shared, groups = ds.SharedFunctionalGroupsSequence[0], ds.PerFrameFunctionalGroupsSequence

    def macro(group: Dataset, keyword: str) -> Dataset:
        return (group if keyword in group else shared)[keyword].value[0]

    positions = np.array(
        [macro(g, "PlanePositionSequence").ImagePositionPatient for g in groups], dtype=float
    )
    cosines = np.array(macro(groups[0], "PlaneOrientationSequence").ImageOrientationPatient, dtype=float)
    row_mm, column_mm = (float(v) for v in macro(groups[0], "PixelMeasuresSequence").PixelSpacing)
    order = np.argsort(positions @ np.cross(cosines[:3], cosines[3:]))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = cosines[:3] * column_mm, cosines[3:] * row_mm
    affine[:3, 2] = (positions[order[-1]] - positions[order[0]]) / (len(order) - 1)
    affine[:3, 3] = positions[order[0]]
    return Source(
        name="ct",
        study_instance_uid=str(ds.StudyInstanceUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        grid=Grid((len(order), ds.Rows, ds.Columns), affine, str(ds.FrameOfReferenceUID)),
        frames=tuple(SourceFrame(str(ds.SOPInstanceUID), int(n) + 1) for n in order),
        headers=SourceHeaders((_header(ds),)),
    )


def source_of(volume: Volume) -> Source:
    return Source(
        name="ct",
        study_instance_uid=volume.study_instance_uid,
        series_instance_uid=volume.series_instance_uid,
        grid=volume.grid,
        frames=volume.frames,
        headers=volume.headers,
    )


def reader_mask(folder: Path, volume: Volume) -> np.ndarray:
    """What the first reader of a LIDC folder outlined: bool (k, j, i)."""
    slice_of = {frame.sop_instance_uid: k for k, frame in enumerate(volume.frames)}
    mask = np.zeros(volume.voxels.shape, dtype=bool)
    notes = json.loads((folder / "lidc-annotations.json").read_text())
    for contour in notes["annotations"][0]["contours"]:
        if contour["sop_instance_uid"] in slice_of and contour["inclusion"]:
            k = slice_of[contour["sop_instance_uid"]]
            drawn = Image.new("1", volume.voxels.shape[:0:-1])
            ImageDraw.Draw(drawn).polygon([tuple(p) for p in contour["points"]], fill=1)
            mask[k] |= np.asarray(drawn)
    return mask


def findings_of(volume: Volume, nodule: np.ndarray, **changes: object) -> Findings:
    """Findings with one nodule and rough lungs (air inside the body) on a real volume."""
    air = volume.voxels < -500
    air[:, :60], air[:, -60:], air[:, :, :60], air[:, :, -60:] = False, False, False, False
    half = volume.voxels.shape[2] // 2
    right, left = air.copy(), air.copy()
    right[:, :, half:], left[:, :, :half] = False, False
    grid = volume.grid
    made = sources.lung_segments(replace(grid, shape_kji=(12, 20, 28)))
    segments = tuple(_moved(old, mask, volume) for old, mask in zip(made, (right, left, nodule), strict=True))
    series = {"sources": (source_of(volume),), "segments": segments}
    return sources.findings(None, **{**series, **changes})


def _moved(segment: Segment, mask: np.ndarray, volume: Volume) -> Segment:
    index = np.argwhere(mask)
    x, y, z = volume.grid.to_lps_mm(index).mean(axis=0)
    ends = None
    if segment.score is not None:
        k = int(np.argmax(mask.sum(axis=(1, 2))))
        flat = index[index[:, 0] == k]
        points = volume.grid.to_lps_mm(flat)
        apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
        a, b = np.unravel_index(np.argmax(apart), apart.shape)
        ends = (tuple(map(float, points[a])), tuple(map(float, points[b])))
    side = LEFT if x > volume.grid.to_lps_mm((0, 0, volume.voxels.shape[2] / 2))[0] else RIGHT
    return replace(
        segment,
        mask=Mask.from_array(mask),
        centre_lps_mm=(float(x), float(y), float(z)),
        long_axis_lps_mm=ends,
        laterality=side,
    )

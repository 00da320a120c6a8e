"""A segmentation frame by frame, for grids that no image of ITK holds: those of a tilted gantry.

Shares no code with the node: pydicom reads elements and pixels, the formulas are those of PS3.3 C.7.6.2.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread


@dataclass(frozen=True)
class Plane:
    """One frame: where it lies, the image that it names, and its pixels (rows, columns)."""

    segment: int  # 0 for a frame of a label map, whose pixels are the numbers of segments
    source_uid: str
    source_frame: int | None  # of the image that it names, counted from 1
    position: np.ndarray
    row: np.ndarray  # mm from one column to the next
    column: np.ndarray  # mm from one row to the next
    pixels: np.ndarray

    def points(self, label: int | None = None) -> np.ndarray:
        """Where the pixels that are set lie, or those of one label, LPS mm (n, 3)."""
        rows, columns = np.nonzero(self.pixels if label is None else self.pixels == label)
        return self.position + columns[:, None] * self.row + rows[:, None] * self.column

    def at(self, points: np.ndarray, thickness_mm: float) -> tuple[np.ndarray, np.ndarray]:
        """Tell which points (n, 3) lie in the slab around this plane, and which of those on a pixel set."""
        away = points - self.position
        normal = np.cross(self.row, self.column) / np.linalg.norm(np.cross(self.row, self.column))
        near = np.abs(away @ normal) <= thickness_mm / 2
        i = np.rint(away @ self.row / (self.row @ self.row)).astype(int)
        j = np.rint(away @ self.column / (self.column @ self.column)).astype(int)
        inside = near & (i >= 0) & (j >= 0) & (j < self.pixels.shape[0]) & (i < self.pixels.shape[1])
        hit = np.zeros(len(points), dtype=bool)
        hit[inside] = self.pixels[j[inside], i[inside]] > 0
        return near, hit


def planes_of(path: Path) -> list[Plane]:
    """Read all frames of a segmentation."""
    ds = dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0]
    pixels = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    return [
        _plane(group, shared, frame)
        for group, frame in zip(ds.PerFrameFunctionalGroupsSequence, pixels, strict=True)
    ]


def _plane(group: Dataset, shared: Dataset, pixels: np.ndarray) -> Plane:
    def macro(keyword: str) -> Dataset:
        return (group if keyword in group else shared)[keyword].value[0]

    cosines = np.array(macro("PlaneOrientationSequence").ImageOrientationPatient, float)
    between_rows, between_columns = (float(x) for x in macro("PixelMeasuresSequence").PixelSpacing)
    source = macro("DerivationImageSequence").SourceImageSequence[0]
    named = "SegmentIdentificationSequence" in group or "SegmentIdentificationSequence" in shared
    return Plane(
        segment=int(macro("SegmentIdentificationSequence").ReferencedSegmentNumber) if named else 0,
        source_uid=str(source.ReferencedSOPInstanceUID),
        source_frame=int(source.ReferencedFrameNumber) if "ReferencedFrameNumber" in source else None,
        position=np.array(macro("PlanePositionSequence").ImagePositionPatient, float),
        row=cosines[:3] * between_columns,
        column=cosines[3:] * between_rows,
        pixels=pixels,
    )

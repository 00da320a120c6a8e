"""What an object says lies where, read as far as it can be: for the picture of one that the guard stopped.

Nothing is compared and nothing refused here: whatever the object claims is put onto the grid of the Findings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicomnode.report.guard.reading import Encoded, read_head, read_labels
from dicomnode.store.elements import ScanError
from dicomnode.store.foreign import UNREADABLE_ITEMS
from dicomnode.values import Findings, Float64, Grid, SourceFrame

_BINARY = "1.2.840.10008.5.1.4.1.1.66.4"
_LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
_PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"

_Marks = Iterator[tuple[int, Float64]]
"""Numbers of segments, from 1, and where something of them lies: (n, 3) k, j, i."""


@dataclass(slots=True, eq=False)
class ReadBack:
    """Voxels by slice: number of the segment, from 1, and (n, 2) j, i.

    outside: how many lie on no slice, or beside it. problem: why not all could be read; "" where it could.
    """

    by_slice: dict[int, list[tuple[int, NDArray[np.int32]]]] = field(default_factory=dict)
    outside: int = 0
    problem: str = ""


def read_back(contents: Sequence[bytes], findings: Findings) -> ReadBack:
    """Read the objects of a series onto the grid of the first source, which must have one."""
    grid = findings.sources[0].grid
    assert grid is not None
    read, before = ReadBack(by_slice=defaultdict(list)), 0
    for content in contents:
        try:
            head = read_head(content)
            for number, index in _marks(content, head, findings, grid):
                _put(read, before + number, index, grid)
            before += len(head.get("SegmentSequence") or ())
        except (*UNREADABLE_ITEMS, ScanError) as error:
            read.problem = f"it cannot be read to its end ({type(error).__name__})"
    return read


def _put(read: ReadBack, number: int, index_kji: Float64, grid: Grid) -> None:
    if not np.isfinite(index_kji).all():
        read.problem = "it has coordinates that are no numbers"
        return
    near = np.round(np.clip(index_kji, -1e6, 1e6)).astype(np.int32)
    inside = ((near >= 0) & (near < np.array(grid.shape_kji))).all(axis=1)
    read.outside += int(np.count_nonzero(~inside))
    near = near[inside]
    for k in np.unique(near[:, 0]):
        read.by_slice[int(k)].append((number, near[near[:, 0] == k, 1:]))


def _marks(content: bytes, head: Dataset, findings: Findings, grid: Grid) -> _Marks:
    if head.SOPClassUID in (_BINARY, _LABELMAP):
        return _of_segmentation(content, grid)
    if head.SOPClassUID == _STRUCTURE_SET:
        return _of_structure_set(head, grid)
    if head.SOPClassUID == _PRESENTATION_STATE:
        return _of_presentation_state(head, findings)
    raise ScanError("its class holds no outlines")


def _of_segmentation(content: bytes, grid: Grid) -> _Marks:
    """By the position of each frame; frames of a label map name no segment, their pixels do."""
    for (number, place), pixels in zip(Encoded(content).frames(), read_labels(content), strict=True):
        j, i = np.nonzero(pixels)
        index = grid.to_index_kji((place.plane @ np.stack((i, j, np.ones_like(i)))).T)
        labels = np.full(len(j), number) if number else pixels[j, i]
        for label in np.unique(labels):
            yield int(label), index[labels == label]


def _of_structure_set(head: Dataset, grid: Grid) -> _Marks:
    for item in head.ROIContourSequence:
        for contour in item.get("ContourSequence") or ():
            points = np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            yield int(item.ReferencedROINumber), grid.to_index_kji(_closely(points))


def _of_presentation_state(head: Dataset, findings: Findings) -> _Marks:
    slice_of = {frame: k for k, frame in enumerate(findings.sources[0].frames)}
    numbers = {segment.tracking_uid: n for n, segment in enumerate(findings.segments, start=1)}
    for annotation in head.GraphicAnnotationSequence:
        for graphic in annotation.get("GraphicObjectSequence") or ():
            number = numbers.get(str(graphic.get("TrackingUID") or ""))
            if number is None:
                continue
            image = annotation.ReferencedImageSequence[0]
            frame_number = image.get("ReferencedFrameNumber")
            uid = str(image.ReferencedSOPInstanceUID)
            k = slice_of.get(SourceFrame(uid, None if frame_number is None else int(frame_number)), -1)
            points = _closely(np.array(graphic.GraphicData, dtype=np.float64).reshape(-1, 2)) - 0.5
            yield number, np.column_stack((np.full(len(points), k), points[:, 1], points[:, 0]))


def _closely(points: Float64) -> Float64:
    """Put points between the corners of a line, so that it is seen as one: at most a few hundred on each."""
    ends = np.roll(points, -1, axis=0)
    parts = np.linspace(0.0, 1.0, 16, endpoint=False)[:, None, None]
    between: Float64 = (points * (1 - parts) + ends * parts).reshape(-1, points.shape[1])
    return between

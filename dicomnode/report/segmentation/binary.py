"""Findings as DICOM Segmentations (PS3.3 A.51): BINARY, Explicit VR Little Endian, never compressed.

BINARY is what every archive and viewer takes, and segments may overlap in it. It costs a frame for each
slice of each segment: where these are too many for one object, whole segments go to the next one of the same
series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.report.drawing.colours import coloured
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.segmentation.bits import occupied, overlap, pack_frames
from dicomnode.report.segmentation.encoding import LongDataset, element_head
from dicomnode.report.segmentation.frames import PIXEL_DATA, Frame, FrameWriter
from dicomnode.report.segmentation.head import HeadWriter, Instance
from dicomnode.report.segmentation.slices import slices_of
from dicomnode.report.uids import ResultUids
from dicomnode.values import Segment

OBJECT_MAX_BYTES: Final = 500_000_000
"""No object with several segments is larger: archives and viewers refuse such, or run out of memory."""

_GROUPS_BYTES: Final = 700  # what the description of a frame takes, at most


def build_segmentation(
    imprint: Imprint,
    uids: ResultUids,
    series_number: int,
    *,
    frames_max: int = 0,
    empty_frames: bool = False,
) -> Iterator[LongDataset]:
    """Write the segments of the Findings on the frames of their first source; nothing where there are none.

    Each object holds whole segments, numbered from 1, in the order of the Findings (`numbered`). It is made
    when it is asked for: the pixels of all together may be more than memory holds twice.
    frames_max: frames in an object, 0 for no such limit; a single segment is never divided. empty_frames:
    whether each segment has a frame for every slice, or only for those where it has voxels.
    Raises ValueError where two slices of the source lie at one place.
    """
    findings = imprint.findings
    if not findings.segments or findings.sources[0].plane is not None:
        return
    every = range(len(findings.sources[0].frames))
    slices_with = [list(every) if empty_frames else occupied(one.mask) for one in findings.segments]
    most = _frames_most(findings.segments[0], frames_max)
    parts = _parts([len(one) for one in slices_with], most)
    slices = slices_of(imprint)
    writer = HeadWriter(
        imprint=imprint,
        uids=uids,
        series_number=series_number,
        slices=slices,
        segmentation="BINARY",
        syntax=ExplicitVRLittleEndian,
    )
    segments = coloured(findings.segments)
    for n, part in enumerate(parts, start=1):
        yield _object(writer, segments[part], slices_with[part], Instance(number=n, of=len(parts)))


def numbered(objects: Sequence[Dataset]) -> Mapping[int, tuple[Dataset, int]]:
    """For the number of each segment of the Findings, from 1: its object, and its number there."""
    places = [(one, int(item.SegmentNumber)) for one in objects for item in one.SegmentSequence]
    return dict(enumerate(places, start=1))


def _frames_most(segment: Segment, frames_max: int) -> int:
    _, rows, columns = segment.mask.shape_kji
    most = OBJECT_MAX_BYTES // (rows * columns // 8 + _GROUPS_BYTES)
    return min(most, frames_max) if frames_max else most


def _parts(counts: Sequence[int], most: int) -> list[slice]:
    """Which segments go together: as many as have `most` frames, at least one."""
    parts, first, frames = [], 0, 0
    for index, count in enumerate(counts):
        if index > first and frames + count > most:
            parts.append(slice(first, index))
            first, frames = index, 0
        frames += count
    return [*parts, slice(first, len(counts))]


def _object(
    writer: HeadWriter, segments: Sequence[Segment], slices_with: Sequence[Sequence[int]], instance: Instance
) -> LongDataset:
    """Write one object. slices_with: of each segment the slices that have a frame."""
    there = {k for own in slices_with for k in own}
    planes = [k for k in writer.slices.order if k in there]
    index_of = {k: index for index, k in enumerate(planes, start=1)}
    head, sample = writer.write(segments, planes, instance)
    frames = [
        Frame((number, index_of[k]), k, number if len(segments) > 1 else None)
        for number, own in enumerate(slices_with, start=1)
        for k in sorted(own, key=index_of.__getitem__)
    ]
    masks = [one.mask for one in segments]
    head.NumberOfFrames = len(frames)
    head.SegmentsOverlap = "YES" if overlap(masks) else "NO"
    pixels = pack_frames([(masks[frame.indices[0] - 1], frame.k) for frame in frames])
    head.tail = (
        FrameWriter(writer.slices, sample).groups(frames),
        element_head(PIXEL_DATA, "OB", pixels.nbytes),
        pixels.data,
    )
    return head

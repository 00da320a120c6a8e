"""Findings as a Label Map Segmentation: one frame a slice, whose pixels are numbers of segments.

A hundred organs cost no more frames than one, and runs of equal labels compress well (RLE Lossless).
Segments must not overlap; and few archives take the SOP Class yet, so it stands beside a BINARY object, never
alone. Numbers of segments are those of the BINARY object, as long as that is one. Voxels of no segment are 0,
which is Pixel Padding Value and described as background: every label in the pixels must be.
Source: PS3.3 C.8.20.2 (since 2024d), PS3.5 A.4.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import structlog
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from dicomnode.report.drawing.colours import coloured
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.segmentation.bits import occupied, overlap
from dicomnode.report.segmentation.encoding import SEQUENCE_END, UNDEFINED, LongDataset, element_head
from dicomnode.report.segmentation.frames import PIXEL_DATA, Frame, FrameWriter
from dicomnode.report.segmentation.head import HeadWriter, Instance
from dicomnode.report.segmentation.run_lengths import Labels, encode_bands
from dicomnode.report.segmentation.slices import slices_of
from dicomnode.report.uids import ResultUids
from dicomnode.values import Mask

_MOST_SEGMENTS: Final = 0xFFFF

_log = structlog.get_logger("dicomnode.report")


def build_labelmap(
    imprint: Imprint, uids: ResultUids, series_number: int, *, empty_frames: bool = False
) -> tuple[LongDataset, ...]:
    """Write the segments of the Findings as labels; () where there are none, or where they overlap (logged).

    empty_frames: whether every slice has a frame, or only those with labels.
    Raises ValueError where two slices of the source lie at one place.
    """
    findings = imprint.findings
    if not findings.segments or findings.sources[0].plane is not None:
        return ()
    masks = [one.mask for one in findings.segments]
    if overlap(masks) or len(masks) > _MOST_SEGMENTS:
        _log.info("labelmap.left_out", study=findings.sources[0].study_instance_uid, segments=len(masks))
        return ()
    slices = slices_of(imprint)
    there = set(range(len(slices.frames)) if empty_frames else (k for one in masks for k in occupied(one)))
    planes = [k for k in slices.order if k in there]
    writer = HeadWriter(
        imprint=imprint,
        uids=uids,
        series_number=series_number,
        slices=slices,
        segmentation="LABELMAP",
        syntax=RLELossless,
    )
    head, sample = writer.write(coloured(findings.segments), planes, Instance())
    head.NumberOfFrames = len(planes)
    groups = FrameWriter(slices, sample).groups(Frame((index,), k) for index, k in enumerate(planes, start=1))
    pixels = encapsulate([_frame(masks, k) for k in planes])
    head.tail = (groups, element_head(PIXEL_DATA, "OB", UNDEFINED), pixels, SEQUENCE_END)
    return (head,)


def _frame(masks: Sequence[Mask], k: int) -> bytes:
    """Encode slice `k` of the whole grid: the number of the segment of each voxel, or 0."""
    here = [(n, one) for n, one in enumerate(masks, start=1) if one.box_kji[0][0] <= k < one.box_kji[0][1]]
    bands = _bands(one.box_kji[1] for _, one in here)
    rows, columns = masks[0].shape_kji[1:]
    size = (sum(stop - start for start, stop in bands), columns)
    labels: Labels = np.zeros(size, np.uint8) if len(masks) < 1 << 8 else np.zeros(size, np.uint16)
    for number, mask in here:
        top, bottom = mask.box_kji[1]
        above = sum(min(stop, top) - start for start, stop in bands if start < top)  # rows of bands
        labels[above : above + bottom - top, mask.slices_kji[2]][mask.plane(k)] = number
    return encode_bands(labels, bands, rows)


def _bands(boxes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Rows that boxes take, those that touch joined."""
    bands: list[tuple[int, int]] = []
    for start, stop in sorted(boxes):
        if bands and start <= bands[-1][1]:
            bands[-1] = (bands[-1][0], max(stop, bands[-1][1]))
        else:
            bands.append((start, stop))
    return bands

"""Findings as a Label Map Segmentation: one frame a slice, whose pixels are numbers of segments.

A hundred organs cost no more frames than one, and runs of equal labels compress well (RLE Lossless).
Segments must not overlap; and few archives take the SOP Class yet, so it stands beside a BINARY object, never
alone. Numbers of segments are those of the BINARY object, as long as that is one. Voxels of no segment are 0,
which is Pixel Padding Value and described as background: every label in the pixels must be.
Source: PS3.3 C.8.20.2 (since 2024d), PS3.5 A.4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import structlog
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from dicomnode.report.colours import coloured
from dicomnode.report.identity import Imprint
from dicomnode.report.segmentation.bits import occupied, overlap
from dicomnode.report.segmentation.encoding import SEQUENCE_END, UNDEFINED, LongDataset, element_head
from dicomnode.report.segmentation.frames import PIXEL_DATA, Frame, FrameWriter
from dicomnode.report.segmentation.head import HeadWriter, Instance
from dicomnode.report.segmentation.run_lengths import Labels, encode_frame
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
    pixels = encapsulate([encode_frame(_labels(masks, k)) for k in planes])
    head.tail = (groups, element_head(PIXEL_DATA, "OB", UNDEFINED), pixels, SEQUENCE_END)
    return (head,)


def _labels(masks: Sequence[Mask], k: int) -> Labels:
    """Slice `k` of the whole grid (rows, columns): the number of the segment of each voxel, or 0."""
    size = masks[0].shape_kji[1:]
    labels: Labels = np.zeros(size, np.uint8) if len(masks) < 1 << 8 else np.zeros(size, np.uint16)
    for number, mask in enumerate(masks, start=1):
        if mask.box_kji[0][0] <= k < mask.box_kji[0][1]:
            labels[mask.slices_kji[1:]][mask.plane(k)] = number
    return labels

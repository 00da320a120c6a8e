"""A segmentation of ours as somebody judged it: accepted segments stay, rejected ones are empty.

What he has not answered is not in it, so that nobody takes it for true or for absent. A segment without a
frame says that there is nothing (PS3.3 C.8.20.2); where none has one, an empty frame stands in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pack_bits
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.values import derive_uid

_SEGMENT_NUMBER: Final = 0x0062000B  # Referenced Segment Number


def reviewed(path: Path, accepted: Mapping[str, bool]) -> tuple[str, bytes] | None:
    """Give SOP Instance UID and bytes of what is left of a binary segmentation; None where that is no frame.

    accepted: by Tracking UID, False of what is rejected. Its UIDs are derived from ours and from what was
    said. Raises OSError.
    """
    made = dcmread(path)
    numbers = {
        int(one.SegmentNumber): str(one.get("TrackingUID", ""))
        for one in made.SegmentSequence
        if one.get("TrackingUID", "") in accepted
    }
    if not numbers:
        return None
    kept = [number for number, uid in numbers.items() if accepted[uid]]
    pixels = made.pixel_array.reshape(-1, made.Rows, made.Columns)
    of_frames = _segments_of_frames(made)
    frames = [n for n, number in enumerate(of_frames) if number in kept]
    if not frames:
        frames = [n for n, number in enumerate(of_frames) if number in numbers][:1]
        if not frames:
            return None
        pixels = np.zeros_like(pixels)
        made.pop("DimensionOrganizationType", None)  # one frame is no stack
    if made.get("SegmentsOverlap") == "YES":
        made.SegmentsOverlap = "UNDEFINED"  # those that did may be gone
    _take(made, list(numbers), frames, of_frames)
    made.PixelData = pack_bits(pixels[frames].ravel())
    words = [f"{uid} {accepted[uid]}" for uid in sorted(numbers.values())]
    salt = str(made.SOPInstanceUID).encode()
    made.SOPInstanceUID = derive_uid(salt, "reviewed", *words)
    made.SeriesInstanceUID = derive_uid(salt, "reviewed, series", *words)
    return str(made.SOPInstanceUID), _bytes(made)


def _segments_of_frames(made: Dataset) -> list[int]:
    """The number of the segment that each frame is of; one that all share stands once (PS3.3 C.7.6.16)."""
    shared = made.SharedFunctionalGroupsSequence[0].get("SegmentIdentificationSequence")
    return [
        int((one.get("SegmentIdentificationSequence") or shared)[0].ReferencedSegmentNumber)
        for one in made.PerFrameFunctionalGroupsSequence
    ]


def _take(made: Dataset, numbers: Sequence[int], frames: Sequence[int], of_frames: Sequence[int]) -> None:
    """Leave only some segments and frames, numbered anew from 1; a person had a hand in them."""
    renumbered = {number: n for n, number in enumerate(numbers, start=1)}
    segments = [one for one in made.SegmentSequence if int(one.SegmentNumber) in renumbered]
    for one in segments:
        one.SegmentNumber = renumbered[int(one.SegmentNumber)]
        one.SegmentAlgorithmType = "SEMIAUTOMATIC"  # found by an algorithm, judged by a person
    made.SegmentSequence = segments
    groups = [deepcopy(made.PerFrameFunctionalGroupsSequence[n]) for n in frames]
    for group, n in zip(groups, frames, strict=True):
        if "SegmentIdentificationSequence" in group:
            group.SegmentIdentificationSequence[0].ReferencedSegmentNumber = renumbered[of_frames[n]]
    shared = made.SharedFunctionalGroupsSequence[0].get("SegmentIdentificationSequence")
    if shared:
        shared[0].ReferencedSegmentNumber = renumbered[int(shared[0].ReferencedSegmentNumber)]
    made.PerFrameFunctionalGroupsSequence = groups
    made.NumberOfFrames = len(groups)
    _renumber_dimensions(made, [renumbered[of_frames[n]] for n in frames])


def _renumber_dimensions(made: Dataset, numbers: Sequence[int]) -> None:
    """Let the indices of each dimension begin at 1 without gaps; that of segments is their number."""
    contents = [one.get("FrameContentSequence") for one in made.PerFrameFunctionalGroupsSequence]
    pointers = [int(one.DimensionIndexPointer) for one in made.get("DimensionIndexSequence", ())]
    if not all(contents):
        return
    values = [[int(n) for n in _listed(one[0].DimensionIndexValues)] for one in contents if one]
    columns = [list(column) for column in zip(*values, strict=True)]
    for place, column in enumerate(columns):
        if place < len(pointers) and pointers[place] == _SEGMENT_NUMBER:
            columns[place] = list(numbers)
        else:
            rank = {value: n for n, value in enumerate(sorted(set(column)), start=1)}
            columns[place] = [rank[value] for value in column]
    for one, indices in zip(contents, zip(*columns, strict=True), strict=True):
        if one:
            one[0].DimensionIndexValues = list(indices)


def _listed(value: object) -> Sequence[int]:
    return [int(value)] if isinstance(value, int) else list(value)  # type: ignore[call-overload]


def _bytes(made: Dataset) -> bytes:
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    target = BytesIO()
    made.save_as(target, enforce_file_format=True)
    return target.getvalue()

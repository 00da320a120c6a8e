"""What is asked of `report`, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dicomnode.store.names import ASSUMED

# Words of [[destination]] objects; KO: a rejection note
Kind = Literal["SEG", "LABELMAP", "SR", "GSPS", "SC", "PM", "RTSTRUCT", "PDF", "KOS", "IMAGES", "KO"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportProfile:
    """What a destination gets, and how.

    kinds: objects wanted. fallback: whether the next best is made of one that its source does not allow.
    refused: kinds that the destination does not take, none of which is made instead.
    series_number: of the segmentations; that of the reports is one higher.
    assumed_character_set: of source headers that declare none and are not UTF-8 (0008,0005).
    for_a_look: they are for people who look at what the node kept, not for an archive; each of them says so.
    spatial: where regions of volumes stand in reports: "2d", on an image (Enhanced SR, which most viewers
    take), or "3d", in patient space (Comprehensive 3D SR). viewer: "cornerstone" adds groups to reports that
    viewers built on it (OHIF) turn into lines, rectangles and points.
    frames_max: frames in one segmentation, 0 for no such limit; whole segments go to the next instance of the
    series. empty_frames: whether segmentations have a frame for every slice of each segment, as some readers
    need, or only where there are voxels.
    """

    kinds: tuple[Kind, ...] = ("SEG", "SR")
    series_number: int = 9000
    assumed_character_set: str = ASSUMED
    for_a_look: bool = False
    spatial: Literal["2d", "3d"] = "2d"
    viewer: Literal["", "cornerstone"] = ""
    frames_max: int = 0
    empty_frames: bool = False
    fallback: bool = True
    refused: frozenset[Kind] = frozenset()

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("ReportProfile.kinds must name at least one kind of object")
        if not 0 < self.series_number < 2**31 - 1:
            raise ValueError(
                f"ReportProfile.series_number must be 1 to 2147483646, got {self.series_number!r}"
            )
        if self.frames_max < 0:
            raise ValueError(f"ReportProfile.frames_max must not be below 0, got {self.frames_max!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierReport:
    """A report of the same study that a new one takes the place of."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultObject:
    """A finished object; content is a whole Part 10 file, always the same bytes for the same Findings."""

    kind: Kind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    content: bytes

"""References to the source images of a volume or picture, by the slice or frame that is meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dicomnode.report.heading.identity import Imprint
from dicomnode.values import Float64

if TYPE_CHECKING:
    from highdicom import sr

FrameReference = tuple[str, str, list[int] | None]
"""SOP Class UID, SOP Instance UID, and numbers of frames, None of an image that has one."""


def reference_to(imprint: Imprint, k: int, source: int = 0) -> FrameReference:
    """Return the reference to slice or frame `k` of a source; the nearest one where there is none."""
    frames = imprint.findings.sources[source].frames
    frame = frames[min(max(k, 0), len(frames) - 1)]
    stubs = imprint.heading.stubs[source]
    stub = next(one for one in stubs if one.SOPInstanceUID == frame.sop_instance_uid)
    numbers = None if frame.frame_number is None else [frame.frame_number]
    return str(stub.SOPClassUID), str(stub.SOPInstanceUID), numbers


def references_to(imprint: Imprint, slices: Iterable[int]) -> list[FrameReference]:
    """Return one reference an instance to several slices or frames, in the order of the slices."""
    together: dict[str, FrameReference] = {}
    for k in sorted(slices):
        sop_class, uid, numbers = reference_to(imprint, k)
        _, _, earlier = together.get(uid, (sop_class, uid, None))
        both = sorted({*(earlier or ()), *(numbers or ())})
        together[uid] = (sop_class, uid, both or None)
    return list(together.values())


def image_region(imprint: Imprint, graphic: str, corners: Float64, *slices: int) -> sr.ImageRegion:
    """Write coordinates (n, 2) of column and row on a slice, or on frames of one image.

    For a planar group, which has one region (TID 1410 row 5): of several frames it holds for each.
    """
    from highdicom import sr  # noqa: PLC0415  heavy

    (reference,) = references_to(imprint, slices)
    return sr.ImageRegion(
        graphic_type=graphic,
        graphic_data=corners,
        source_image=sr.SourceImageForRegion(*reference),
    )


def measured_on(imprint: Imprint, graphic: str, corners: Float64, k: int) -> sr.CoordinatesForMeasurement:
    """Write the same as what a number was measured along, to stand below it."""
    from highdicom import sr  # noqa: PLC0415  heavy

    return sr.CoordinatesForMeasurement(
        graphic_type=graphic,
        graphic_data=corners,
        source_image=sr.SourceImageForRegion(*reference_to(imprint, k)),
    )

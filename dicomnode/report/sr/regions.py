"""The image region of a planar group (TID 1410): on an image, or in patient space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from dicomnode.report.concepts import ABSENT, LATERALITY, PRESENT, UNDETERMINED, coded
from dicomnode.report.frame_references import image_region
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.sr.picture_regions import region_on_picture
from dicomnode.report.volume_regions import on_slice
from dicomnode.values import Code, Float64, Region, RegionKind, Segment, plain_classes, told_attributes

if TYPE_CHECKING:
    from highdicom import sr


def image_region_of(
    imprint: Imprint, region: Region, spatial: Literal["2d", "3d"]
) -> sr.ImageRegion | sr.ImageRegion3D | None:
    """Write where a region lies; None of what lies beyond the images, and then stands in words alone.

    spatial: of volumes; a picture has no patient space.
    """
    source = imprint.findings.sources[0]
    if source.plane is not None or source.grid is None:
        return region_on_picture(imprint, region)
    found = on_slice(region, source.grid)
    if found is None:
        return None
    if spatial == "2d":
        return image_region(imprint, found.graphic, found.corners, found.k)
    return _in_space(region, found.points_lps_mm, source.grid.frame_of_reference_uid)


def _in_space(region: Region, cut_lps_mm: Float64, frame_of_reference_uid: str) -> sr.ImageRegion3D:
    """Of a box the cut that its slice makes, which is flat; everything else as it is (PS3.3 C.18.9.1.2)."""
    from highdicom import sr  # noqa: PLC0415  heavy
    from highdicom.spatial import are_points_coplanar  # noqa: PLC0415

    points = np.array(region.points_lps_mm, dtype=np.float64)
    if region.kind is RegionKind.BOX:
        return sr.ImageRegion3D("POLYGON", cut_lps_mm, frame_of_reference_uid)
    graphic = region.kind.value.upper()
    if region.kind is RegionKind.ELLIPSE and not are_points_coplanar(points):
        graphic = "POLYLINE"
    return sr.ImageRegion3D(graphic, points, frame_of_reference_uid)


def finding_sites(site: Code | None, laterality: Code | None) -> list[sr.FindingSite] | None:
    """Write where a finding lies, with its side; `evaluations_of` writes a side alone."""
    from highdicom import sr  # noqa: PLC0415  heavy

    if site is None:
        return None
    return [sr.FindingSite(coded(site), laterality=coded(laterality) if laterality else None)]


def evaluations_of(found: Segment | Region, site: Code | None) -> list[sr.QualitativeEvaluation] | None:
    """Write what is said of a finding in codes: its side, where it has no site, and its classes.

    TID 1419 and TID 1501 have a side below Finding Site only, so that without one it is a qualitative
    evaluation of the group, whose concept the templates leave open. A class is present or absent; of an
    attribute the value is told that the finding has, or that it is undetermined.
    """
    from highdicom import sr  # noqa: PLC0415  heavy

    said = [(LATERALITY, found.laterality)] if site is None and found.laterality is not None else []
    said += [(one.type, PRESENT if one.present else ABSENT) for one in plain_classes(found.classes)]
    said += [(name, one.type if one else UNDETERMINED) for name, one in told_attributes(found.classes)]
    return [sr.QualitativeEvaluation(coded(name), coded(value)) for name, value in said] or None

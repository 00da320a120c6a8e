"""Report: from Findings to validated DICOM objects, and pictures for people. Talks to no network.

Names are loaded when first used: highdicom is heavy, and the receiver and `dicomnode --help` need none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.report.choice import Choice, choose, classes_for
    from dicomnode.report.drawing.pictures import overlay_png
    from dicomnode.report.guard.segmentations import check_segmentation
    from dicomnode.report.heading.headers import check_patient
    from dicomnode.report.make import make_objects
    from dicomnode.report.mismatch.error import MismatchError
    from dicomnode.report.mismatch.pictures import draw_mismatch
    from dicomnode.report.objects import EarlierReport, ReportProfile, ResultObject
    from dicomnode.report.pages.heat_views import heat_png
    from dicomnode.report.pages.pixels import SourcePixels
    from dicomnode.report.selections.rejection_note import Rejection, make_rejection_note
    from dicomnode.report.spatial.laid import Laid, SpatialObject, SpatialOccasion
    from dicomnode.report.spatial.moved_images import against_moved_images, make_moved_images
    from dicomnode.report.spatial.pictures import checkerboard_png
    from dicomnode.report.spatial.registrations import make_registration

_HOMES = {
    "choice": ("Choice", "choose", "classes_for"),
    "guard.segmentations": ("check_segmentation",),
    "heading.headers": ("check_patient",),
    "make": ("make_objects",),
    "mismatch.error": ("MismatchError",),
    "mismatch.pictures": ("draw_mismatch",),
    "objects": ("EarlierReport", "ReportProfile", "ResultObject"),
    "pages.heat_views": ("heat_png",),
    "pages.pixels": ("SourcePixels",),
    "drawing.pictures": ("overlay_png",),
    "selections.rejection_note": ("Rejection", "make_rejection_note"),
    "spatial.laid": ("Laid", "SpatialObject", "SpatialOccasion"),
    "spatial.moved_images": ("against_moved_images", "make_moved_images"),
    "spatial.pictures": ("checkerboard_png",),
    "spatial.registrations": ("make_registration",),
}

__all__ = [
    "Choice",
    "EarlierReport",
    "Laid",
    "MismatchError",
    "Rejection",
    "ReportProfile",
    "ResultObject",
    "SourcePixels",
    "SpatialObject",
    "SpatialOccasion",
    "against_moved_images",
    "check_patient",
    "check_segmentation",
    "checkerboard_png",
    "choose",
    "classes_for",
    "draw_mismatch",
    "heat_png",
    "make_moved_images",
    "make_objects",
    "make_registration",
    "make_rejection_note",
    "overlay_png",
]

__getattr__ = lazy_face(__name__, _HOMES)

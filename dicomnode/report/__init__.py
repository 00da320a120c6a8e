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
    from dicomnode.report.pages.pixels import SourcePixels
    from dicomnode.report.selections.rejection_note import Rejection, make_rejection_note

_HOMES = {
    "choice": ("Choice", "choose", "classes_for"),
    "guard.segmentations": ("check_segmentation",),
    "heading.headers": ("check_patient",),
    "make": ("make_objects",),
    "mismatch.error": ("MismatchError",),
    "mismatch.pictures": ("draw_mismatch",),
    "objects": ("EarlierReport", "ReportProfile", "ResultObject"),
    "pages.pixels": ("SourcePixels",),
    "drawing.pictures": ("overlay_png",),
    "selections.rejection_note": ("Rejection", "make_rejection_note"),
}

__all__ = [
    "Choice",
    "EarlierReport",
    "MismatchError",
    "Rejection",
    "ReportProfile",
    "ResultObject",
    "SourcePixels",
    "check_patient",
    "check_segmentation",
    "choose",
    "classes_for",
    "draw_mismatch",
    "make_objects",
    "make_rejection_note",
    "overlay_png",
]

__getattr__ = lazy_face(__name__, _HOMES)

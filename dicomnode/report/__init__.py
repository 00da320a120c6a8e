"""Report: from Findings to validated DICOM objects, and pictures for people. Talks to no network.

Names are loaded when first used: highdicom is heavy, and the receiver and `dicomnode --help` need none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.report.guard import check_segmentation
    from dicomnode.report.make import make_objects
    from dicomnode.report.objects import EarlierReport, ReportProfile, ResultObject
    from dicomnode.report.pictures import overlay_png
    from dicomnode.report.rejection_note import Rejection, make_rejection_note

_HOMES = {
    "guard": ("check_segmentation",),
    "make": ("make_objects",),
    "objects": ("EarlierReport", "ReportProfile", "ResultObject"),
    "pictures": ("overlay_png",),
    "rejection_note": ("Rejection", "make_rejection_note"),
}

__all__ = [
    "EarlierReport",
    "Rejection",
    "ReportProfile",
    "ResultObject",
    "check_segmentation",
    "make_objects",
    "make_rejection_note",
    "overlay_png",
]

__getattr__ = lazy_face(__name__, _HOMES)

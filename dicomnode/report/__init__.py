"""Report: from Findings to validated DICOM objects, and pictures for people. Talks to no network.

Names are loaded when first used: highdicom is heavy, and the receiver and `dicomnode --help` need none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomnode.report.guard import check_segmentation
    from dicomnode.report.make import make_objects
    from dicomnode.report.objects import ReportProfile, ResultObject
    from dicomnode.report.pictures import overlay_png

_HOME_OF = {
    "ReportProfile": "objects",
    "ResultObject": "objects",
    "check_segmentation": "guard",
    "make_objects": "make",
    "overlay_png": "pictures",
}

__all__ = ["ReportProfile", "ResultObject", "check_segmentation", "make_objects", "overlay_png"]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)

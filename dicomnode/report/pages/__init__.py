"""Findings as pages for people: colour secondary captures, and a document to read and print.

For destinations that show nothing else, and for readers who look at one picture before anything else. What
the pages say is what the report says; nothing on them comes from the patient's or the study's attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.report.pages.captures import build_captures
    from dicomnode.report.pages.document import build_document
    from dicomnode.report.pages.pixels import SourcePixels

_HOMES = {
    "captures": ("build_captures",),
    "document": ("build_document",),
    "pixels": ("SourcePixels",),
}

__all__ = ["SourcePixels", "build_captures", "build_document"]

__getattr__ = lazy_face(__name__, _HOMES)

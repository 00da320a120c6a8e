"""Which judge looks at which kind of object, and what for: one table, of the tests and of the page in docs.

Nothing is loaded here that a judge needs. `object_judges` has a function for every cell that is no dash; a
test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

# Words of [[destination]] objects, and what they are
OBJECTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SEG": "Segmentation, BINARY",
        "LABELMAP": "Label Map Segmentation",
        "SR": "Structured report (TID 1500)",
        "GSPS": "Grayscale Softcopy Presentation State",
        "SC": "Secondary captures",
        "PM": "Parametric Map",
        "RTSTRUCT": "RT Structure Set",
        "PDF": "Encapsulated PDF",
        "KOS": "Key Object Selection",
        "IMAGES": "Derived images",
    }
)

# The fixture series; `cases` says how each is made
SERIES: Final = (
    *("axial", "oblique", "sagittal", "reversed", "tilted", "missing slice", "anisotropic", "multi-frame"),
    *("Japanese", "Latin-1", "minimal header", "MR", "CR"),
)


@dataclass(frozen=True, slots=True)
class Judge:
    """An independent program or library.

    checks: what it looks at, by kind. not_for: why it does not, by kind.
    """

    name: str
    version: str
    about: str
    checks: Mapping[str, str]
    not_for: Mapping[str, str]


_NO_REPORT: Final = "it is no structured report"
_NO_PLACE: Final = "it has no place in the patient"

_DCMTK: Final = {
    "SEG": "`dcm2xml`: every element",
    "LABELMAP": "`dcm2xml`: every element",
    "SR": "`dsrdump`: the document and its evidence",
    "GSPS": "`dcmpschk`: every attribute; `dcmp2pgm`: it draws each image with it",
    "SC": "`dcm2pnm`: the page, pixel by pixel",
    "PM": "`dcm2xml`: every element",
    "RTSTRUCT": "`drtdump`: its own reader; `dcm2xml`: every contour",
    "PDF": "`dcm2pdf`: the document, byte by byte",
    "KOS": "`dsrdump`: the document and its evidence",
    "IMAGES": "`dcm2pnm`: it draws the image; `dcm2xml`: every element",
}
_DCMQI: Final = {
    "SEG": "`segimage2itkimage`: every segment; not on a tilted gantry",
    "LABELMAP": "`segimage2itkimage`: every label; not on a tilted gantry",
    "SR": "`tid1500reader`: every measurement group, each with its tracking UID",
    "PM": "`paramap2itkimage`: every value; not on a tilted gantry",
}
_GEOMETRY: Final = {
    "SEG": "every voxel where it was found: SimpleITK resamples what dcmqi read; tilted: by formula",
    "LABELMAP": "the same",
    "GSPS": "outlines filled again: the mask, pixel by pixel",
    "PM": "every value and its place, by formula",
    "RTSTRUCT": "contours placed and filled again by formula: the mask, pixel by pixel",
    "IMAGES": "SimpleITK reads the series: every value at its place; tilted: by formula",
}
_CORNERSTONE: Final = {
    "SEG": "OHIF's reader: every voxel; drawn over the CT in Chromium, in its colour and at its place",
    "LABELMAP": "the same",
    "SR": "OHIF's reader: the long axis, the point and (not on oblique images) the box as annotations",
    "PM": "OHIF's reader: every value",
}

JUDGES: Final[tuple[Judge, ...]] = (
    Judge(
        name="dciodvfy",
        version="dicom3tools {dicom3tools}",
        about="every attribute against its module (PS3.3)",
        checks=dict.fromkeys(OBJECTS, "no error, no warning"),
        not_for={},
    ),
    Judge(
        name="dcentvfy",
        version="dicom3tools {dicom3tools}",
        about="the whole source and all results at once: one patient, one study, every named instance there",
        checks=dict.fromkeys(OBJECTS, "no error, no warning"),
        not_for={},
    ),
    Judge(
        name="DCMTK",
        version="3.6.7",
        about="reads, dumps and draws",
        checks=_DCMTK,
        not_for={},
    ),
    Judge(
        name="dcmqi",
        version="{dcmqi}",
        about="reads quantitative results, as 3D Slicer does",
        checks=_DCMQI,
        not_for=dict.fromkeys(("GSPS", "SC", "RTSTRUCT", "PDF", "KOS", "IMAGES"), "it has no reader for it"),
    ),
    Judge(
        name="PixelMed",
        version="20220618",
        about="the report against its templates (PS3.16)",
        checks={"SR": "no error, no warning"},
        not_for={
            **dict.fromkeys(OBJECTS.keys() - {"SR", "KOS"}, _NO_REPORT),
            "KOS": "its validator knows no template 2010",
        },
    ),
    Judge(
        name="geometry",
        version="SimpleITK {simpleitk}, and formulas of PS3.3 C.7.6.2.1.1",
        about="where things lie, in patient space, by code that shares nothing with the writers",
        checks=_GEOMETRY,
        not_for={
            "SR": "cornerstone and the tests of reports say where its points and boxes lie",
            **dict.fromkeys(("SC", "PDF", "KOS"), _NO_PLACE),
        },
    ),
    Judge(
        name="cornerstone",
        version="{cornerstone}",
        about="the code that OHIF reads results with",
        checks=_CORNERSTONE,
        not_for={
            "RTSTRUCT": "its adapters write structure sets and read none",
            **dict.fromkeys(
                ("GSPS", "SC", "PDF", "KOS", "IMAGES"), "no adapter: the viewer shows them itself"
            ),
        },
    ),
    Judge(
        name="Orthanc",
        version="1.10.1",
        about="takes each object by C-STORE and gives it back",
        checks=dict.fromkeys(OBJECTS, "status 0x0000, and the same data set comes back"),
        not_for={},
    ),
)

"""Which instances are slices of a volume, and what is said of the others."""

from __future__ import annotations

from typing import Final

from pydicom.uid import UID

from dicomnode.assemble.record import Header
from dicomnode.faults import LOCALIZER, NO_PIXELS, NOT_A_VOLUME_CLASS, Fault
from dicomnode.values import SetAside

CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
VOLUME_CLASSES: Final = frozenset({CT_IMAGE, MR_IMAGE})

# Raw data, registrations, segmentations (PS3.4 B.5): some have Pixel Data, none is an image of a patient.
_NO_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.66"
_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"

# Image Type, value 3 (PS3.3 C.8.2.1.1.1) and what makers write there or behind it: images that plan a
# scan, and pages of text.
_LOCALIZER_WORDS: Final = frozenset(
    {
        "LOCALIZER",
        "SCOUT",
        "SURVIEW",
        "REF_SURVIEW",
        "TOPOGRAM",
        "SCANOGRAM",
        "DOSE",
        "DOSE_INFO",
        "DOSE REPORT",
        "SCREEN SAVE",
        "SCREENSAVE",
        "SCREENSHOT",
        "CSA REPORT",
        "EXAM SUMMARY",
    }
)


def class_name(sop_class_uid: str) -> str:
    """Name of a SOP Class; its UID where it is not known."""
    return str(UID(sop_class_uid).name)


def set_aside(header: Header) -> SetAside | None:
    """Say why no stack uses the instance; None for one that belongs into a stack."""
    name = class_name(header.sop_class_uid)
    is_volume_class = header.sop_class_uid in VOLUME_CLASSES
    if _is_of(header, _NO_IMAGE) or not (header.has_pixels or is_volume_class):
        return aside(header, NO_PIXELS, sop_class=name)
    if _is_of(header, _SECONDARY_CAPTURE):
        return aside(header, NOT_A_VOLUME_CLASS, sop_class=name)
    if not is_volume_class:
        return None
    if _LOCALIZER_WORDS.intersection(header.image_type):
        return aside(header, LOCALIZER, image_type="\\".join(header.image_type))
    return None


def _is_of(header: Header, family: str) -> bool:
    return header.sop_class_uid == family or header.sop_class_uid.startswith(family + ".")


def aside(header: Header, fault: Fault, **values: object) -> SetAside:
    """Set one instance aside with a row of the table of faults."""
    return SetAside(
        sop_instance_uid=header.sop_instance_uid,
        file=str(header.path),
        code=fault.code,
        text=fault.text(**values),
    )


def not_a_slice(header: Header) -> str | None:
    """Say, as a class of images, why this one is not one slice of a volume; None if it may be one."""
    name = class_name(header.sop_class_uid)
    if header.sop_class_uid not in VOLUME_CLASSES:
        return name
    if header.frames > 1:
        return f"{name} with {header.frames} frames"
    if "MOSAIC" in header.image_type:
        return f"{name} with several slices tiled in one image (MOSAIC)"
    if header.samples != 1 or header.photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        return f"{name} in colour ({header.photometric or 'no Photometric Interpretation'})"
    return None

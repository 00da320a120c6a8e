"""Which instances are slices of a volume, and what is said of the others."""

from __future__ import annotations

from typing import Final

from pydicom.uid import UID

from dicomnode.assemble.nuclear import RECONSTRUCTED
from dicomnode.assemble.picture_classes import PICTURE_CLASSES
from dicomnode.assemble.record import Header
from dicomnode.faults import (
    FRAMES_UNPLACED,
    LOCALIZER,
    NO_PIXELS,
    NOT_A_VOLUME_CLASS,
    PIXELS_MISSING,
    PROJECTION,
    TOO_MANY_FRAMES,
    Fault,
)
from dicomnode.values import Refusal, SetAside

CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
PET_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.128"
NM_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.20"
ENHANCED_CT: Final = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_CT: Final = "1.2.840.10008.5.1.4.1.1.2.2"
ENHANCED_MR: Final = "1.2.840.10008.5.1.4.1.1.4.1"
LEGACY_MR: Final = "1.2.840.10008.5.1.4.1.1.4.4"
ENHANCED_PET: Final = "1.2.840.10008.5.1.4.1.1.130"
LEGACY_PET: Final = "1.2.840.10008.5.1.4.1.1.128.1"
XRAY_3D: Final = frozenset({"1.2.840.10008.5.1.4.1.1.13.1.1", "1.2.840.10008.5.1.4.1.1.13.1.2"})
"""Angiographic and craniofacial cone beam CT."""

CT_CLASSES: Final = frozenset({CT_IMAGE, ENHANCED_CT, LEGACY_CT})
PET_CLASSES: Final = frozenset({PET_IMAGE, ENHANCED_PET, LEGACY_PET})
FRAME_CLASSES: Final = (
    frozenset({ENHANCED_CT, LEGACY_CT, ENHANCED_MR, LEGACY_MR, ENHANCED_PET, LEGACY_PET, NM_IMAGE}) | XRAY_3D
)
"""Multi-frame objects whose frames may be slices of a volume."""

MOST_FRAMES: Final = 20_000
"""Of an object that is taken apart, a header a frame: 6 s and 60 MB. 40 slices at 500 times are so many."""

VOLUME_CLASSES: Final = FRAME_CLASSES | {CT_IMAGE, MR_IMAGE, PET_IMAGE}

# Raw data, registrations, segmentations (PS3.4 B.5): some have Pixel Data, none is an image of a patient.
_NO_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.66"
_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"

# Image Type, value 3 (PS3.3 C.8.2.1.1.1) and what makers write there or behind it: images that plan a
# scan, and pages of text.
LOCALIZER_WORDS: Final = frozenset(
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
# Of images that were looked through a volume, or drawn of it: no slices, and their values are no measure of
# what lies at a point. Words of Image Type (PS3.3 C.8.16.1.4 and what makers write), whole or as a part.
_PROJECTION_WORDS: Final = frozenset(
    {
        "MIP",
        "MINIP",
        "MAX_IP",
        "MIN_IP",
        "PROJECTION IMAGE",
        "REPROJECTION",
        "VOLUME_RENDER",
        "SURFACE_RENDER",
        "CURVED_MPR",
        "VRT",
        "VOLREN",
        "SSD",
        "MPVR",
    }
)


def class_name(sop_class_uid: str) -> str:
    """Name of a SOP Class; its UID where it is not known."""
    return str(UID(sop_class_uid).name)


def set_aside(header: Header) -> SetAside | None:
    """Say why no stack uses the instance; None for one that belongs into a stack."""
    name = class_name(header.sop_class_uid)
    is_volume_class = header.sop_class_uid in VOLUME_CLASSES
    if not header.has_pixels and header.sop_class_uid in PICTURE_CLASSES:
        return aside(header, PIXELS_MISSING, sop_class=name)
    if _is_of(header, _NO_IMAGE) or not (header.has_pixels or is_volume_class):
        return aside(header, NO_PIXELS, sop_class=name)
    is_capture = _is_of(header, _SECONDARY_CAPTURE)
    if (is_capture or is_volume_class) and LOCALIZER_WORDS.intersection(header.image_type):
        return aside(header, LOCALIZER, image_type="\\".join(header.image_type))
    if is_capture:
        return aside(header, NOT_A_VOLUME_CLASS, sop_class=name)
    return _projection(header) if is_volume_class else None


def _projection(header: Header) -> SetAside | None:
    """Say by which attribute an image is no slice but a view through a volume, or a bent one.

    A derived image is not set aside for being derived: often the reformatted series is the only one.
    """
    found = _PROJECTION_WORDS.intersection(_words(header.image_type))
    if found:
        return aside(header, PROJECTION, tag="(0008,0008) ImageType", value="\\".join(header.image_type))
    for tag, keyword, values in (
        ("(0008,9206)", "VolumetricProperties", {"SAMPLED", "DISTORTED"}),
        ("(0008,9207)", "VolumeBasedCalculationTechnique", _PROJECTION_WORDS),
        ("(0054,1000)", "SeriesType", {"REPROJECTION"}),
    ):
        value = header.tags.get(keyword)
        said = {str(one) for one in (value if isinstance(value, tuple) else (value,))}
        if said.intersection(values):
            shown = "\\".join(sorted(said))
            return aside(header, PROJECTION, tag=f"{tag} {keyword}", value=shown)
    return None


def _words(image_type: tuple[str, ...]) -> set[str]:
    """Return the values of Image Type, and the words of those from the third on: "CT_SOM5 MIP"."""
    return {*image_type, *(word for value in image_type[2:] for word in value.split())}


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
    if header.sop_class_uid == NM_IMAGE and RECONSTRUCTED.isdisjoint(header.image_type):
        return f"{name} of planar images or projections"
    several = _of_several(header)
    if several is not None:
        return f"{name} {several}"
    if header.samples != 1 or header.photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        return f"{name} in colour ({header.photometric or 'no Photometric Interpretation'})"
    return None


def _of_several(header: Header) -> str | None:
    """Say that an image is more or less than one slice."""
    if header.tags.get("ConcatenationUID"):  # PS3.3 C.7.6.16.2.2.4
        return "that is a part of several (0020,9161 ConcatenationUID)"
    if header.frames > 1 and header.frame_number is None:
        return f"with {header.frames} frames"
    if "MOSAIC" in header.image_type:
        return "with several slices tiled in one image (MOSAIC)"
    return None


def kind_refusal(header: Header) -> Refusal | None:
    """Refuse what is not one slice of a volume."""
    kind = not_a_slice(header)
    if kind is None:
        return None
    is_whole = header.frames > 1 and header.frame_number is None
    if header.sop_class_uid in FRAME_CLASSES and is_whole and header.frames > MOST_FRAMES:
        return TOO_MANY_FRAMES.refusal(frames=header.frames, most=MOST_FRAMES)
    if header.sop_class_uid in FRAME_CLASSES - {NM_IMAGE} and is_whole:
        return FRAMES_UNPLACED.refusal(sop_class=class_name(header.sop_class_uid), frames=header.frames)
    return NOT_A_VOLUME_CLASS.refusal(sop_class=kind)

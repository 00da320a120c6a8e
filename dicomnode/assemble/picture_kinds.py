"""Which instances are pictures or cines: images that are no slices of a volume, looked at as they are."""

from __future__ import annotations

from typing import Literal

from dicomnode.assemble.kinds import LOCALIZER_WORDS
from dicomnode.assemble.picture_classes import CAPTURES, PICTURE_CLASSES
from dicomnode.assemble.record import Header

PictureKind = Literal["picture", "cine"]


def picture_kind(header: Header) -> PictureKind | None:
    """Say what an instance is: one picture, or several frames in time; None where it is neither.

    A dose page or a localizer that is kept as a Secondary Capture is neither.
    """
    if header.sop_class_uid not in PICTURE_CLASSES or not header.has_pixels:
        return None
    if header.sop_class_uid in CAPTURES and LOCALIZER_WORDS.intersection(header.image_type):
        return None
    return "cine" if header.frames > 1 else "picture"

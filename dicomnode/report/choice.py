"""Which kinds of objects a destination gets: what it wants, and the next best instead of what it refuses.

What cannot be shown is of no use to anybody, and an archive that refuses a SOP Class keeps nothing of it.
The order is that of what a reader can still do with the object: a SEG has voxels, a presentation state has
outlines on the source images, a secondary capture is a picture of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydicom.uid import (
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicomnode.report.objects import Kind

LABEL_MAP_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.66.7"  # not in pydicom 3.0's dictionary

SOP_CLASSES: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "SEG": SegmentationStorage,
        "LABELMAP": LABEL_MAP_STORAGE,
        "SR": EnhancedSRStorage,
        "GSPS": GrayscaleSoftcopyPresentationStateStorage,
        "SC": SecondaryCaptureImageStorage,
        "PM": ParametricMapStorage,
        "RTSTRUCT": RTStructureSetStorage,
        "PDF": EncapsulatedPDFStorage,
        "KOS": KeyObjectSelectionDocumentStorage,
    }
)

# What says most of the same, the best first. A LABELMAP stands beside a SEG, which is its next best already.
NEXT_BEST: Final[Mapping[Kind, tuple[Kind, ...]]] = MappingProxyType(
    {"SEG": ("GSPS", "SC"), "SR": ("PDF", "SC"), "GSPS": ("SC",), "PM": ("SC",), "PDF": ("SC",)}
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a destination gets.

    instead: of a wanted kind that it refuses, or that cannot be made, what it gets; None: nothing.
    """

    kinds: tuple[Kind, ...]
    instead: Mapping[Kind, Kind | None]


def choose(
    wanted: Sequence[Kind],
    refused: Collection[str],
    *,
    fallback: bool = True,
    classes: Mapping[Kind, str] = SOP_CLASSES,
    impossible: Collection[Kind] = (),
) -> Choice:
    """Choose the kinds of objects. refused: SOP Class UIDs that the destination does not take.

    impossible: kinds that cannot be made of the source (`possible`).

    classes: what each kind would be of. That of IMAGES depends on their source, and an archive may take the
    source only: of an Enhanced CT come CT images. Without fallback all that is wanted is made, and the
    delivery says what was refused.
    """
    if not fallback:
        return Choice(tuple(wanted), MappingProxyType({}))
    kinds: dict[Kind, None] = {}
    instead: dict[Kind, Kind | None] = {}
    without = {kind for kind, uid in classes.items() if uid in refused} | set(impossible)
    for kind in wanted:
        if kind not in without:
            kinds[kind] = None
            continue
        instead[kind] = next((one for one in NEXT_BEST.get(kind, ()) if one not in without), None)
    for one in instead.values():
        if one is not None:
            kinds[one] = None
    return Choice(tuple(kinds), MappingProxyType(instead))


def classes_for(wanted: Sequence[Kind]) -> list[str]:
    """SOP Class UIDs of what is wanted, and of all that may be made instead of it."""
    kinds: dict[Kind, None] = dict.fromkeys(wanted)
    for kind in wanted:
        kinds |= dict.fromkeys(NEXT_BEST.get(kind, ()))
    return [SOP_CLASSES[kind] for kind in kinds if kind in SOP_CLASSES]

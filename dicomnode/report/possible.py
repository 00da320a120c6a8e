"""Which kinds of objects can be made of some Findings, and why others cannot.

A picture has no patient space that a segmentation could lie in, and a presentation state cannot refer to
images in colour. Nothing that was found may get lost by that: such a kind takes its next best, as one does
that an archive refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dicomnode.faults import NOTHING_MADE, NodeError
from dicomnode.report.choice import NEXT_BEST, SOP_CLASSES, choose
from dicomnode.report.fields.derived_images import against
from dicomnode.report.fields.limits import against_map
from dicomnode.report.objects import Kind, ReportProfile
from dicomnode.report.outlines.source_greys import is_in_colour
from dicomnode.report.segmentation.bits import overlap
from dicomnode.report.sr.key_frames import key_frames
from dicomnode.values import FindingKind, Findings

_NO_SPACE: Final = "the images have no patient space"
_HOLDS_NOTHING: Final = "it holds nothing of what was found"


@dataclass(frozen=True, slots=True)
class Possible:
    """What is made. impossible: of kinds that were wanted and are not made, why that cannot be.

    instead: of these, what is made in their place; None: nothing.
    """

    kinds: tuple[Kind, ...]
    impossible: Mapping[Kind, str]
    instead: Mapping[Kind, Kind | None]


def possible(findings: Findings, profile: ReportProfile) -> Possible:
    """Choose what is made of what is wanted."""
    kinds = dict.fromkeys(
        (*profile.kinds, *(one for kind in profile.kinds for one in NEXT_BEST.get(kind, ())))
    )
    why = {kind: said for kind in kinds if (said := why_not(kind, findings)) is not None}
    if _is_found(findings) and not any(_holds(kind, findings) for kind in profile.kinds):
        why |= {kind: _HOLDS_NOTHING for kind in kinds if not _holds(kind, findings)}
    refused = {SOP_CLASSES[kind] for kind in profile.refused if kind in SOP_CLASSES}
    # What is refused of the wanted kinds was chosen from before: it is here to be told of
    choice = choose(profile.kinds, refused, fallback=profile.fallback, impossible=why)
    impossible = {kind: why[kind] for kind in profile.kinds if kind in why}
    return Possible(
        choice.kinds,
        MappingProxyType(impossible),
        MappingProxyType({kind: choice.instead.get(kind) for kind in impossible}),
    )


def check_something_is_made(findings: Findings, profile: ReportProfile, made: Possible) -> None:
    """Raise NodeError(NOTHING_MADE) for Findings that have something to show; for where nothing was made."""
    if not made.impossible and not _is_found(findings):
        return
    why = {kind: made.impossible.get(kind, _HOLDS_NOTHING) for kind in profile.kinds}
    if profile.fallback:
        for one in dict.fromkeys(one for kind in profile.kinds for one in NEXT_BEST.get(kind, ())):
            said = "the destination refuses it" if one in profile.refused else why_not(one, findings)
            why.setdefault(one, said or _HOLDS_NOTHING)
    raise NodeError(NOTHING_MADE, why="; ".join(f"{kind}: {said}" for kind, said in why.items()))


def why_not(kind: Kind, findings: Findings) -> str | None:
    """Say why there is no object of a kind; None where it can be made, and where there is nothing for it."""
    judge = _AGAINST.get(kind)
    return None if judge is None else judge(findings)


def _against_segmentation(findings: Findings) -> str | None:
    return _NO_SPACE if findings.segments and findings.sources[0].plane is not None else None


def _against_label_map(findings: Findings) -> str | None:
    if said := _against_segmentation(findings):
        return said
    return "segments overlap" if overlap([one.mask for one in findings.segments]) else None


def _against_presentation_state(findings: Findings) -> str | None:
    drawn = findings.sources[0].grid is not None and (findings.segments or findings.regions)
    return "the images are in colour" if drawn and is_in_colour(findings.sources[0]) else None


def _against_maps(findings: Findings) -> str | None:
    """Of all maps; of one of several, `left_out` tells."""
    said = [against_map(findings, one.grid) for one in findings.maps]
    return None if None in said or not said else said[0]


def _against_images(findings: Findings) -> str | None:
    said = [against(findings, one) for one in findings.images]
    return None if None in said or not said else said[0]


_AGAINST: Final[Mapping[Kind, Callable[[Findings], str | None]]] = MappingProxyType(
    {
        "SEG": _against_segmentation,
        "LABELMAP": _against_label_map,
        "RTSTRUCT": _against_segmentation,
        "GSPS": _against_presentation_state,
        "PM": _against_maps,
        "IMAGES": _against_images,
    }
)


def _is_found(findings: Findings) -> bool:
    """Tell whether something was found that a reader must see somewhere."""
    lesions = any(one.kind is FindingKind.LESION for one in findings.segments)
    return bool(lesions or findings.regions or any(one.present for one in findings.classifications))


def _holds(kind: Kind, findings: Findings) -> bool:
    """Tell whether an object of a kind would have anything of the Findings in it."""
    match kind:
        case "SEG" | "LABELMAP" | "RTSTRUCT":
            return bool(findings.segments)
        case "GSPS":
            return bool(findings.segments or findings.regions)
        case "PM":
            return bool(findings.maps)
        case "IMAGES":
            return bool(findings.images)
        case "KOS":
            present = {one.label for one in findings.classifications if one.present}
            shown = any(of.best.label in present for of in key_frames(findings))
            lesions = any(one.kind is FindingKind.LESION for one in findings.segments)
            return bool(lesions or findings.regions or shown)
        case _:
            return True

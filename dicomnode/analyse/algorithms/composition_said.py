"""What a reader of a body composition must know: what was cut off, what is not told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dicomnode.values import Remark, RemarkKind


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFacts:
    """What is measured of a body composition before anybody believes in it; heights in mm, volumes in ml.

    height_mm: of all slices with a body. cut_mm: of those in which it goes on beyond the field of view.
    open_mm: of those of the trunk whose ring of muscle and bone has a gap. apart_mm: of those that show
    several pieces. trunk_mm: of those with a cavity of chest or belly. head_mm: of
    those of a head. contrast_ml: as dense as bone, and
    none. metal_ml: denser than any bone.
    """

    height_mm: float
    cut_mm: float = 0.0
    open_mm: float = 0.0
    apart_mm: float = 0.0
    trunk_mm: float = 0.0
    head_mm: float = 0.0
    contrast_ml: float = 0.0
    metal_ml: float = 0.0


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, of what kind, and when it is said."""

    kind: RemarkKind
    due: Callable[[BodyFacts], bool]
    text: Callable[[BodyFacts], str]


_CONTRAST_ML: Final = 3.0
_METAL_ML: Final = 0.5


def _of_the_rest(f: BodyFacts) -> str:
    """Say what soft tissue counts as where there is no trunk; in slices of a head it is no muscle."""
    if f.head_mm >= f.height_mm:
        return ""
    where = "soft tissue outside of the head" if f.head_mm > 0 else "soft tissue"
    return f", and {where} is counted as muscle, glands and vessels as well"


SAID: Final = (
    Said(
        RemarkKind.QUALITY,
        lambda f: f.cut_mm > 0,
        lambda f: (
            f"The body goes on beyond the field of view over {f.cut_mm:.0f} of {f.height_mm:.0f} mm: body, "
            "fat and muscle are at least as large as measured."
        ),
    ),
    Said(
        RemarkKind.QUALITY,
        lambda f: f.open_mm > 0,
        lambda f: (
            f"Over {f.open_mm:.0f} of {f.trunk_mm:.0f} mm of the trunk the ring of muscle and bone has a gap "
            "of more than 15 mm: fat there is in the total alone, neither subcutaneous nor visceral."
        ),
    ),
    Said(
        RemarkKind.QUALITY,
        lambda f: f.apart_mm > 0,
        lambda f: (
            f"Over {f.apart_mm:.0f} mm the slices show several pieces of the body, such as arms beside the "
            "trunk or two legs: all are counted."
        ),
    ),
    Said(
        RemarkKind.QUALITY,
        lambda f: f.head_mm > 0,
        lambda f: (
            f"Over {f.head_mm:.0f} mm the slices show a head: soft tissue there is told within the skull "
            "alone, none is called muscle, and what lies outside of the skull is in the body alone."
        ),
    ),
    Said(
        RemarkKind.QUALITY,
        lambda f: f.metal_ml > _METAL_ML,
        lambda f: f"{f.metal_ml:.1f} ml are denser than any bone (metal): tissues beside it may be wrong.",
    ),
    Said(
        RemarkKind.LIMIT,
        lambda f: f.contrast_ml > _CONTRAST_ML,
        lambda f: (
            f"{f.contrast_ml:.0f} ml as dense as bone were taken for contrast medium, and not for bone: they "
            "are even throughout, without a cortex. Contrast medium raises the HU of muscle as well."
        ),
    ),
    Said(
        RemarkKind.LIMIT,
        lambda f: f.trunk_mm > 0,
        lambda _: (
            "Muscle is the soft tissue of the wall of the body, by place: where an organ touches the wall, "
            "its rim may be counted as muscle; muscles before the spine are taken from a zone beside it."
        ),
    ),
    Said(
        RemarkKind.LIMIT,
        lambda f: f.trunk_mm == 0,
        lambda f: f"No trunk was recognised: no fat is called visceral{_of_the_rest(f)}.",
    ),
    Said(
        RemarkKind.LIMIT,
        lambda _: True,
        lambda f: (
            f"Volumes are those of the {f.height_mm:.0f} mm that the images cover: compare them only between "
            "images that cover the same. Areas at vertebral levels are not given."
        ),
    ),
)


def remarks_of(facts: BodyFacts) -> tuple[Remark, ...]:
    """Say what is due."""
    return tuple(Remark(kind=one.kind, text=one.text(facts)) for one in SAID if one.due(facts))

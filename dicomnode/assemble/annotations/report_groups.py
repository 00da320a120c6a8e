"""Measurement groups of a report (PS3.16 TID 1410, 1411, 1501): what was found, where, and its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from dicomnode.assemble.annotations.codes import SIDES
from dicomnode.assemble.annotations.content import Item
from dicomnode.assemble.annotations.coordinates import Shape, box_around, shapes_of
from dicomnode.assemble.annotations.targets import References, Target, Targets
from dicomnode.assemble.attributes import text_of
from dicomnode.values import AnnotatedRegion, Code, Measurement, RegionKind, SourceFrame

TRACKING_ID: Final = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING: Final = Code("121071", "DCM", "Finding")
FINDING_SITE: Final = Code("363698007", "SCT", "Finding Site")
LATERALITY: Final = Code("272741003", "SCT", "Laterality")
DERIVATION: Final = Code("121401", "DCM", "Derivation")
ALGORITHM_NAME: Final = Code("111001", "DCM", "Algorithm Name")
SOURCE_SERIES: Final = Code("121232", "DCM", "Source series for segmentation")

# Codes of a group that say what it is about or how it was made, and are no answers (TID 1501, TID 4019)
_NO_ANSWERS: Final = frozenset(
    {
        FINDING,
        FINDING_SITE,
        Code("276214006", "SCT", "Finding category"),
        Code("370129005", "SCT", "Measurement Method"),
        Code("111000", "DCM", "Algorithm Family"),
        Code("130400", "DCM", "Geometric purpose of region"),
    }
)
_COORDINATES: Final = frozenset({"SCOORD", "SCOORD3D"})


@dataclass(slots=True, eq=False)
class Group:
    """A measurement group as read. region: None where it lies on images that are not here.

    target: the stack that it speaks of, None where it does not say. names: objects and images that it names.
    by_algorithm: whether it says that an algorithm made it. left: numbers without a valid value or unit.
    """

    region: AnnotatedRegion | None = None
    target: Target | None = None
    names: list[str] = field(default_factory=list)
    by_algorithm: bool = False
    left: int = 0


def read_group(item: Item, targets: Targets, main: Target | None) -> Group:
    """Read a measurement group. main: the stack that the report as a whole speaks of.

    Raises NodeError(ANNOTATION_DAMAGED).
    """
    children = list(item.children)
    group, numbers = Group(), [child for child in children if child.value_type == "NUM"]
    measurements = _measurements(numbers, group)
    drawn = [child for child in children if child.value_type in _COORDINATES]
    if not drawn:  # as measurements of single lines have them, and viewers that write nothing else
        drawn = [one for number in numbers for one in number.children if one.value_type in _COORDINATES]
    found = [shapes_of(one, targets, main) for one in drawn]
    shapes = [shape for some in found for shape in some or ()]
    images = _images(children, group)
    group.target = shapes[0].target if shapes else _target(children, images, targets)
    named = [child for child in children if child.value_type == "IMAGE"]
    segment = next((one.segment for one in named if one.segment), None)
    elsewhere = bool(drawn) and not shapes
    elsewhere |= not drawn and bool(images) and segment is None and group.target is None
    if not elsewhere:
        group.region = _region(
            children, measurements, [s for s in shapes if s.target is group.target], segment
        )
    group.names += [shape.image.sop_instance_uid for shape in shapes if shape.image is not None]
    return group


def _region(
    children: Sequence[Item],
    measurements: tuple[Measurement, ...],
    shapes: Sequence[Shape],
    segment: tuple[str, int] | None,
) -> AnnotatedRegion:
    finding = next((child for child in children if _is_code(child, FINDING)), None)
    site = next((child for child in children if _is_code(child, FINDING_SITE)), None)
    side = next((one.code for one in (site.children if site else ()) if one.name == LATERALITY), None)
    answers = tuple(_answers(children))
    side = side or next((value for concept, value in answers if concept == LATERALITY), None)
    tracking_id = _text(children, TRACKING_ID)
    several = len(shapes) > 1
    image = {shape.image for shape in shapes}
    return AnnotatedRegion(
        label=(finding.code_text if finding else "") or tracking_id or "",
        kind=RegionKind.BOX if several else shapes[0].kind if shapes else None,
        points_lps_mm=box_around(shapes) if several else shapes[0].points if shapes else (),
        type=finding.code if finding else None,
        site=site.code if site else None,
        laterality=side if side in SIDES else None,
        tracking_uid=_text(children, TRACKING_UID),
        tracking_id=tracking_id,
        measurements=measurements,
        answers=answers,
        segment=segment,
        image=next(iter(image)) if len(image) == 1 else None,
        parts=tuple(shape.points for shape in shapes) if several else (),
    )


def _is_code(item: Item, name: Code) -> bool:
    return item.value_type == "CODE" and item.name == name


def _answers(children: Iterable[Item]) -> Iterable[tuple[Code, Code]]:
    for child in children:
        if child.value_type == "CODE":
            name, value = child.name, child.code
            if name is not None and value is not None and name not in _NO_ANSWERS:
                yield name, value


def answers_of(item: Item) -> list[tuple[Code, Code]]:
    """Return the coded answers among the children of an item."""
    return list(_answers(item.children))


def _text(children: Iterable[Item], name: Code) -> str | None:
    for child in children:
        if child.value_type in {"TEXT", "UIDREF"} and child.name == name:
            keyword = "TextValue" if child.value_type == "TEXT" else "UID"
            return text_of(child.dataset, keyword) or None
    return None


def _measurements(numbers: Iterable[Item], group: Group) -> tuple[Measurement, ...]:
    found = []
    for item in numbers:
        concept, number = item.name, item.number
        names = [child.name for child in item.children]
        group.by_algorithm |= ALGORITHM_NAME in names
        if concept is None or number is None:
            group.left += 1
            continue
        found.append(
            Measurement(
                name=re.sub(r"\W+", "_", concept.meaning.lower()).strip("_") or concept.value,
                concept=concept,
                value=number[0],
                unit=number[1],
                derivation=next((one.code for one in item.named(DERIVATION, "CODE")), None),
            )
        )
    return tuple(found)


def _images(children: Iterable[Item], group: Group) -> list[SourceFrame]:
    """Return the images that a group names; segments are named among `group.names` only."""
    images: list[SourceFrame] = []
    for child in children:
        group.by_algorithm |= child.name == ALGORITHM_NAME
        if child.value_type in {"IMAGE", "COMPOSITE"}:
            named = child.images
            group.names += [frame.sop_instance_uid for frame in named]
            if child.value_type == "IMAGE" and child.segment is None:
                images += named
    return images


def _target(children: Sequence[Item], images: Sequence[SourceFrame], targets: Targets) -> Target | None:
    """Return the stack that a group without coordinates speaks of: by its images, or its source series."""
    for image in images:
        if found := targets.image(image):
            return found[0]
    series = _text(children, SOURCE_SERIES)
    return targets.find(References(series=(series,))) if series else None

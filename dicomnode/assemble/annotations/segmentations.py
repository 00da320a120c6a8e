"""Segmentations of others (SEG: binary, fractional, label map) as masks on the images that they were made on.

Source: PS3.3 C.8.20 (Segmentation), C.7.6.16 (functional groups), A.51.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydicom import Dataset

from dicomnode.assemble.annotations.authors import author_of
from dicomnode.assemble.annotations.codes import SIDES, code_of
from dicomnode.assemble.annotations.frame_planes import SegmentFrame, frames_of_segmentation
from dicomnode.assemble.annotations.laying import lay
from dicomnode.assemble.annotations.opened import Opened, moment_of
from dicomnode.assemble.annotations.painting import Painting
from dicomnode.assemble.annotations.phantoms import known_by
from dicomnode.assemble.annotations.segment_pixels import (
    BINARY,
    FRACTION,
    FRACTIONAL,
    LABELMAP,
    SegmentPixels,
)
from dicomnode.assemble.annotations.targets import References, Target, Targets
from dicomnode.assemble.attributes import text_of, whole_of
from dicomnode.faults import ANNOTATION_NOT_READ, ANNOTATION_OUTSIDE
from dicomnode.values import AnnotatedSegment, Annotation, AnnotationKind, Code, MadeBy, Mask

_BACKGROUND: Final = Code("125040", "DCM", "Background")
_MADE_BY: Final[Mapping[str, MadeBy]] = {  # PS3.3 C.8.20.4, Segment Algorithm Type (0062,0008)
    "MANUAL": MadeBy.PERSON,
    "SEMIAUTOMATIC": MadeBy.SEMI,
    "AUTOMATIC": MadeBy.MACHINE,
}


def read_segmentation(opened: Opened, targets: Targets) -> Annotation:
    """Read a segmentation and lay its segments onto the stack that it speaks of.

    Binary segments, label maps of 8 and 16 bits, and fractional ones: of these, what has at least half of
    Maximum Fractional Value (0062,000E) belongs to the segment. What lies beside the images is left out, and
    told. Raises NodeError with the row that says why it cannot be read or placed.
    """
    dataset = opened.dataset
    kind = text_of(dataset, "SegmentationType").upper()
    if kind not in {BINARY, FRACTIONAL, LABELMAP}:
        error = f"Segmentation Type (0062,0001) {kind or 'without a value'}"
        raise opened.refused(ANNOTATION_NOT_READ, error=error)
    described = _described(opened)
    frames = frames_of_segmentation(opened, labelmap=kind == LABELMAP)
    references = _references(opened, frames)
    target = targets.choose(references, opened)
    segments, notes = _laid(opened, kind, described, frames, target)
    made = {one.made_by for one in segments}
    return Annotation(
        kind=AnnotationKind.SEG,
        sop_class_uid=opened.header.sop_class_uid,
        sop_instance_uid=opened.header.sop_instance_uid,
        series_instance_uid=opened.header.series_instance_uid,
        study_instance_uid=opened.header.study_instance_uid,
        of_series=target.series_instance_uid,
        of_stack=target.stack.facts.stack,
        frame_of_reference_uid=text_of(dataset, "FrameOfReferenceUID") or None,
        grid=target.grid,
        title=text_of(dataset, "ContentLabel"),
        made_by=together(made),
        made_at=moment_of(dataset, "ContentDate", "ContentTime"),
        references=references.instances,
        segments=segments,
        notes=notes,
        author=author_of(opened),
    )


def together(made: set[MadeBy]) -> MadeBy:
    """Return how an object came about whose parts came about like this."""
    if len(made) == 1:
        return next(iter(made))
    return MadeBy.SEMI if made and MadeBy.UNKNOWN not in made else MadeBy.UNKNOWN


def _described(opened: Opened) -> dict[int, Dataset]:
    """Return the items of Segment Sequence (0062,0002) by their numbers."""
    found: dict[int, Dataset] = {}
    for item in opened.items(opened.dataset, "SegmentSequence"):
        number = whole_of(item, "SegmentNumber")
        if number is None or number < 0 or number in found:
            raise opened.damaged(
                f"an item of SegmentSequence has segment number {number}, or a second one has"
            )
        found[number] = item
    if not found:
        raise opened.damaged("it has no SegmentSequence (0062,0002)")
    return found


def _laid(
    opened: Opened,
    kind: str,
    described: Mapping[int, Dataset],
    frames: Sequence[SegmentFrame],
    target: Target,
) -> tuple[tuple[AnnotatedSegment, ...], tuple[str, ...]]:
    background = _background(opened, described) if kind == LABELMAP else set[int]()
    wanted = [number for number in sorted(described) if number not in background]
    numbers = dict.fromkeys(background, 0) | {number: n for n, number in enumerate(wanted, start=1)}
    for frame in frames:
        if frame.segment is not None and frame.segment not in numbers:
            error = f"frame {frame.index + 1} is of segment {frame.segment}, which it does not describe"
            raise opened.damaged(error)
    paintings = {n: Painting(target.grid.shape_kji) for n in range(1, len(wanted) + 1)}
    with SegmentPixels(opened, kind, numbers) as pixels:
        told = lay(frames, pixels.labels, target, paintings, opened)
    masks = {number: paintings[numbers[number]].mask() for number in wanted}
    outside = sum(one.outside for one in paintings.values())
    if outside and all(mask.is_empty for mask in masks.values()):
        raise opened.refused(ANNOTATION_OUTSIDE, error=f"{outside} voxels, and none within")
    # A segment of which nothing is left does not say that there is none
    lost = [n for n in wanted if masks[n].is_empty and paintings[numbers[n]].given]
    segments = tuple(_segment(opened, n, described[n], masks[n]) for n in wanted if n not in lost)
    return segments, tuple(_notes(kind, outside, told, lost))


def _background(opened: Opened, described: Mapping[int, Dataset]) -> set[int]:
    """Return the values of a label map that are of no segment (PS3.3 C.8.20.2, Pixel Padding Value).

    0 where it is described as nothing else; and what is described as background.
    """
    found = {n for n, item in described.items() if _type(opened, item) == _BACKGROUND}
    padding = whole_of(opened.dataset, "PixelPaddingValue")
    if padding is not None:
        found.add(padding)
    return found if 0 in described else found | {0}


def _notes(kind: str, outside: int, told: str | None, lost: Sequence[int]) -> Iterator[str]:
    if kind == FRACTIONAL:
        part = f"{100 * FRACTION:.0f} %"
        yield f"Fractional: pixels of at least {part} of Maximum Fractional Value belong to their segment."
    if outside:
        yield f"{outside} voxels of the segments lie beside the images, and were left out."
    if lost:
        yield f"Of {len(lost)} segment(s) no voxel of the images is left: left out, not taken as empty."
    if told is not None:
        yield told


def _type(opened: Opened, item: Dataset) -> Code | None:
    return code_of(opened.item(item, "SegmentedPropertyTypeCodeSequence"))


def _segment(opened: Opened, number: int, item: Dataset, mask: Mask) -> AnnotatedSegment:
    return AnnotatedSegment(
        number=number,
        label=text_of(item, "SegmentLabel"),
        mask=mask,
        category=code_of(opened.item(item, "SegmentedPropertyCategoryCodeSequence")),
        type=_type(opened, item),
        laterality=side_of(opened, item, "SegmentedPropertyTypeCodeSequence"),
        site=code_of(opened.item(item, "AnatomicRegionSequence")),
        tracking_uid=text_of(item, "TrackingUID") or None,
        tracking_id=text_of(item, "TrackingID") or None,
        made_by=known_by(
            _MADE_BY.get(text_of(item, "SegmentAlgorithmType").upper(), MadeBy.UNKNOWN), opened.dataset
        ),
    )


def side_of(opened: Opened, item: Dataset, kinds: str) -> Code | None:
    """Return the side of what an item describes: of its type, else of where it lies (CID 244).

    kinds: the sequence of its type. Modifiers stand within the item of a code, or, as some write it, beside.
    """
    anatomic = opened.item(item, "AnatomicRegionSequence")
    for holder, modifiers in (
        (opened.item(item, kinds), "SegmentedPropertyTypeModifierCodeSequence"),
        (item, "SegmentedPropertyTypeModifierCodeSequence"),
        (anatomic, "AnatomicRegionModifierSequence"),
        (item, "AnatomicRegionModifierSequence"),
    ):
        for modifier in opened.items(holder, modifiers):
            side = code_of(modifier)
            if side in SIDES:
                return side
    return None


def _references(opened: Opened, frames: Sequence[SegmentFrame]) -> References:
    """Return what the object names: in its references to series (PS3.3 C.12.2), and frame by frame."""
    dataset = opened.dataset
    instances = [image.sop_instance_uid for frame in frames for image in frame.images]
    series = []
    studies = opened.items(dataset, "StudiesContainingOtherReferencedInstancesSequence")
    for holder in (dataset, *studies):
        for item in opened.items(holder, "ReferencedSeriesSequence"):
            series.append(text_of(item, "SeriesInstanceUID"))
            instances += _named(opened.items(item, "ReferencedInstanceSequence"))
    instances += _named(opened.items(dataset, "SourceImageSequence"))
    return References(
        instances=tuple(dict.fromkeys(uid for uid in instances if uid)),
        series=tuple(dict.fromkeys(uid for uid in series if uid)),
        frames_of_reference=(text_of(dataset, "FrameOfReferenceUID"),),
    )


def _named(items: Sequence[Dataset]) -> list[str]:
    return [text_of(one, "ReferencedSOPInstanceUID") for one in items]

"""Which segment of theirs is which of ours: by Tracking UID, else by what they are and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.evaluate.feedback.own import OwnResult
from dicomnode.evaluate.feedback.placed import on_grid, overlap
from dicomnode.values import AnnotatedSegment, Annotation, Mask, Segment

LEAST_OVERLAP: Final = 0.1
"""Dice from which two outlines without a common name are taken for the same thing."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A segment of ours and what became of it. mask: theirs, on our grid; None where that has no place."""

    ours: Segment
    theirs: AnnotatedSegment
    mask: Mask | None

    @property
    def dice(self) -> float | None:
        """How well both outlines agree."""
        return None if self.mask is None else overlap(self.ours.mask, self.mask)


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """Segments of ours and theirs. ours, theirs: those without a partner."""

    pairs: tuple[Pair, ...]
    ours: tuple[Segment, ...]
    theirs: tuple[AnnotatedSegment, ...]


def pair_segments(annotation: Annotation, own: OwnResult) -> Pairing:
    """Pair by Tracking UID; then by label; then by overlap, those of one type first."""
    masks = placed_masks(annotation, own)
    ours, theirs = list(own.findings.segments), list(annotation.segments)
    pairs: list[Pair] = []

    def take(one: Segment, other: AnnotatedSegment) -> None:
        ours.remove(one)
        theirs.remove(other)
        pairs.append(Pair(one, other, masks.get(other.number)))

    for same in (_same_tracking, _same_name):
        for one in list(ours):
            other = next((other for other in theirs if same(one, other)), None)
            if other is not None:
                take(one, other)
    for agreement, one, other in _by_overlap(ours, theirs, masks):
        if agreement >= LEAST_OVERLAP and one in ours and other in theirs:
            take(one, other)
    return Pairing(tuple(pairs), tuple(ours), tuple(theirs))


def placed_masks(annotation: Annotation, own: OwnResult) -> dict[int, Mask]:
    """Their masks on our grid, by segment number; those that have no place in it are left out."""
    grid, theirs = own.findings.sources[0].grid, annotation.grid
    if grid is None or theirs is None or grid.frame_of_reference_uid != theirs.frame_of_reference_uid:
        return {}
    return {one.number: on_grid(one.mask, theirs, grid) for one in annotation.segments}


def _same_tracking(one: Segment, other: AnnotatedSegment) -> bool:
    return other.tracking_uid == one.tracking_uid


def _same_name(one: Segment, other: AnnotatedSegment) -> bool:
    """What has a Tracking UID of its own is something else, whatever it is called."""
    return other.tracking_uid is None and other.label == one.label


def _by_overlap(
    ours: Sequence[Segment], theirs: Sequence[AnnotatedSegment], masks: Mapping[int, Mask]
) -> list[tuple[float, Segment, AnnotatedSegment]]:
    """All that could be the same, the best first. Codes that were changed do not part what lies together."""
    found = [
        (overlap(one.mask, mask), one, other)
        for one in ours
        for other in theirs
        if (mask := masks.get(other.number)) is not None
    ]
    return sorted(found, key=lambda one: (one[1].type == one[2].type, one[0]), reverse=True)

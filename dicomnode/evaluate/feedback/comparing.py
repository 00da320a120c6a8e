"""Each finding of a result in somebody's hands: accepted, changed, rejected; and what was missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from dicomnode.evaluate.feedback.assessment import Assessment, assessment_of
from dicomnode.evaluate.feedback.comparing_reports import compare_report
from dicomnode.evaluate.feedback.judgement import ALIKE_DICE, Judgement, JudgementKind
from dicomnode.evaluate.feedback.own import OwnResult
from dicomnode.evaluate.feedback.pairing import Pair, pair_segments, placed_masks
from dicomnode.evaluate.feedback.placed import is_near
from dicomnode.evaluate.feedback.recognition import Feedback
from dicomnode.values import AnnotatedSegment, Annotation, AnnotationKind, Mask, Region

_KINDS = {
    Assessment.ACCEPTED: JudgementKind.ACCEPTED,
    Assessment.CHANGED: JudgementKind.CHANGED,
    Assessment.REJECTED: JudgementKind.REJECTED,
}
_NEAR_VOXELS = 2
_MM3_OF_ML = 1000.0


def compare(feedback: Feedback, beside: Sequence[OwnResult] = ()) -> tuple[Judgement, ...]:
    """Say what became of each finding of a result.

    beside: the other results that the object speaks of: what it has of theirs was not missed here. A finding
    of which the object says nothing has no judgement.
    """
    annotation, own = feedback.annotation, feedback.own
    if annotation.kind is AnnotationKind.SR:
        told = compare_report(feedback, beside)
    else:
        told = _compare_segments(feedback, beside)
    said = _of_all(annotation, own)
    if said is None:
        return told
    named = {one.finding for one in told}
    label_of = {one.tracking_uid: one.label for one in own.placed}
    rest = [
        Judgement(
            kind=_KINDS[said],
            finding=uid,
            label=label,
            object_uid=object_of(own, annotation),
            tracking_uid=uid,
        )
        for uid, label in label_of.items()
        if uid not in named
    ]
    return (*told, *rest)


def _of_all(annotation: Annotation, own: OwnResult) -> Assessment | None:
    """What a report says of a whole object of ours that it names."""
    if own.object_uids.isdisjoint(annotation.references):
        return None
    # Readers tell the answers of groups without a place among those of the whole: they speak of one finding
    ours = own.tracking_uids
    of_one = Counter(
        answer for one in annotation.regions if one.tracking_uid in ours for answer in one.answers
    )
    answers = (Counter(annotation.answers) - of_one).elements()
    said = [assessment_of(concept, value, annotation.title) for concept, value in answers]
    return next((one for one in said if one is not None), None)


def object_of(own: OwnResult, annotation: Annotation) -> str | None:
    """Our object that somebody had before him: one that his names, else one of its kind, else any."""
    named = own.object_uids.intersection((*annotation.predecessors, *annotation.references))
    alike = [one for one in own.objects if one.said is not None and one.said.kind is annotation.kind]
    for some in ([one for one in own.objects if one.sop_instance_uid in named], alike, own.objects):
        if some:
            return min(one.sop_instance_uid for one in some)
    return None


def _compare_segments(feedback: Feedback, beside: Sequence[OwnResult]) -> tuple[Judgement, ...]:
    annotation, own = feedback.annotation, feedback.own
    object_uid = object_of(own, annotation)
    pairing = pair_segments(annotation, own)
    told = [_judged(pair, own, object_uid) for pair in pairing.pairs]
    if feedback.replaces:
        told += [
            Judgement(
                kind=JudgementKind.REJECTED,
                finding=one.tracking_uid,
                label=one.label,
                object_uid=object_uid,
                tracking_uid=one.tracking_uid,
                dice=0.0,
                difference_ml=-_volume_ml(one.mask.count, own),
            )
            for one in pairing.ours
        ]
    masks = placed_masks(annotation, own)
    drawn, left = _drawn_regions(pairing.theirs, masks, own)
    told += [
        Judgement(
            kind=JudgementKind.ACCEPTED,
            finding=one.tracking_uid,
            label=one.label,
            object_uid=object_uid,
            tracking_uid=one.tracking_uid,
        )
        for one in drawn
    ]
    if feedback.tells_missed:
        others = {id(pair.theirs) for other in beside for pair in pair_segments(annotation, other).pairs}
        told += [_missed(one, masks, own) for one in left if id(one) not in others and not one.mask.is_empty]
    return tuple(told)


def _judged(pair: Pair, own: OwnResult, object_uid: str | None) -> Judgement:
    ours, theirs, agreement = pair.ours, pair.theirs, pair.dice
    changed = [
        name
        for name in ("type", "laterality", "site")
        if getattr(theirs, name) is not None and getattr(theirs, name) != getattr(ours, name)
    ]
    if theirs.mask.is_empty:
        kind = JudgementKind.REJECTED
    elif changed or agreement is None or agreement < ALIKE_DICE:
        kind = JudgementKind.CHANGED
    else:
        kind = JudgementKind.ACCEPTED
    count = None if pair.mask is None else pair.mask.count - ours.mask.count
    return Judgement(
        kind=kind,
        finding=ours.tracking_uid,
        label=ours.label,
        object_uid=object_uid,
        tracking_uid=ours.tracking_uid,
        dice=agreement,
        difference_ml=None if count is None else _volume_ml(count, own),
        changed=tuple(changed),
    )


def _missed(one: AnnotatedSegment, masks: dict[int, Mask], own: OwnResult) -> Judgement:
    placed = masks.get(one.number)
    return Judgement(
        kind=JudgementKind.MISSED,
        finding=one.tracking_uid or f"segment {one.number}",
        label=one.label,
        tracking_uid=one.tracking_uid,
        difference_ml=None if placed is None else _volume_ml(placed.count, own),
    )


def _volume_ml(voxels: int, own: OwnResult) -> float:
    grid = own.findings.sources[0].grid
    assert grid is not None  # there are no segments without
    return voxels * grid.voxel_mm3 / _MM3_OF_ML


def _drawn_regions(
    theirs: Iterable[AnnotatedSegment], masks: dict[int, Mask], own: OwnResult
) -> tuple[list[Region], list[AnnotatedSegment]]:
    """Points and shapes of ours that somebody has outlined, and the segments that lie on none of them."""
    drawn: list[Region] = []
    left: list[AnnotatedSegment] = []
    for one in theirs:
        placed = masks.get(one.number)
        inside = [] if placed is None else [
            region
            for region in own.findings.regions
            if region not in drawn and _lies_in(region, placed, own)
        ]  # fmt: skip
        drawn += inside[:1]
        if not inside:
            left.append(one)
    return drawn, left


def _lies_in(region: Region, mask: Mask, own: OwnResult) -> bool:
    """Tell whether the middle of a region lies in a mask, or so near that a voxel of it is a neighbour."""
    grid = own.findings.sources[0].grid
    if grid is None or own.findings.sources[0].plane is not None or mask.is_empty:
        return False
    middle = np.mean(np.array(region.points_lps_mm), axis=0)
    i, j, k = np.rint((np.linalg.inv(grid.affine_lps) @ [*middle, 1.0])[:3]).astype(int)
    return is_near(mask, (int(k), int(j), int(i)), _NEAR_VOXELS)

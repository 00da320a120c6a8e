"""An edited, verified or assessing report, against the report that we wrote."""

from __future__ import annotations

from collections.abc import Sequence

from dicomnode.evaluate.feedback.assessment import Assessment, assessment_of
from dicomnode.evaluate.feedback.copies import changes_of, has_a_hand_in
from dicomnode.evaluate.feedback.judgement import Judgement, JudgementKind
from dicomnode.evaluate.feedback.own import OwnResult
from dicomnode.evaluate.feedback.recognition import Feedback
from dicomnode.values import AnnotatedRegion, Annotation, AnnotationKind

_KINDS = {
    Assessment.ACCEPTED: JudgementKind.ACCEPTED,
    Assessment.CHANGED: JudgementKind.CHANGED,
    Assessment.REJECTED: JudgementKind.REJECTED,
}
# (118565006, SCT, Volume); and (G-D705, SRT) of older reports
_VOLUMES = {("118565006", "SCT"), ("G-D705", "SRT")}
_OF_ML = {"ml": 1.0, "mL": 1.0, "cm3": 1.0, "mm3": 1e-3, "l": 1e3, "L": 1e3}


def compare_report(feedback: Feedback, beside: Sequence[OwnResult]) -> tuple[Judgement, ...]:
    """Say what became of each group of our report. Groups are the same by their Tracking UID."""
    annotation, own = feedback.annotation, feedback.own
    ours = _our_groups(own)
    theirs = _by_tracking(annotation, own)
    is_said = has_a_hand_in(annotation) or feedback.replaces
    told: list[Judgement] = []
    for uid, (object_uid, group) in ours.items():
        after = theirs.get(uid)
        kind, changed = _kind(group, after, annotation, is_said=is_said, replaces=feedback.replaces)
        if kind is not None:
            told.append(
                Judgement(
                    kind=kind,
                    finding=uid,
                    label=group.label,
                    object_uid=object_uid,
                    tracking_uid=uid,
                    difference_ml=_difference_ml(group, after),
                    changed=changed,
                )
            )
    if feedback.tells_missed:
        known = set(ours).union(*(one.tracking_uids for one in beside))
        told += [
            Judgement(
                kind=JudgementKind.MISSED,
                finding=one.tracking_uid or f"group {number}",
                label=one.label,
                tracking_uid=one.tracking_uid,
                difference_ml=_volume_ml(one),
            )
            for number, one in enumerate(annotation.regions, start=1)
            if _is_new(one, known, feedback)
        ]
    return tuple(told)


def _our_groups(own: OwnResult) -> dict[str, tuple[str, AnnotatedRegion]]:
    """The groups of our report that speak of a finding, by Tracking UID: object, group.

    Where no report was read, what the Findings say stands for it, without places and numbers.
    """
    labels = {one.tracking_uid: one.label for one in own.placed}
    classes = {one.label for one in own.findings.classifications}
    groups: dict[str, tuple[str, AnnotatedRegion]] = {}
    for made in own.objects:
        if made.said is None or made.said.kind is not AnnotationKind.SR:
            continue
        for one in made.said.regions:
            uid = one.tracking_uid
            if uid is not None and (uid in labels or {one.label, one.tracking_id} & classes):
                groups.setdefault(uid, (made.sop_instance_uid, one))
    return groups


def _by_tracking(annotation: Annotation, own: OwnResult) -> dict[str, AnnotatedRegion]:
    """Groups of theirs by Tracking UID of ours: they have it, or speak of a segment that has it."""
    numbered = own.numbered()
    found: dict[str, AnnotatedRegion] = {}
    for one in annotation.regions:
        uid = one.tracking_uid if one.tracking_uid in own.tracking_uids else None
        if uid is None and one.segment is not None:
            uid = numbered.get(one.segment)
        if uid is not None:
            found.setdefault(uid, one)
    return found


def _kind(
    ours: AnnotatedRegion,
    theirs: AnnotatedRegion | None,
    annotation: Annotation,
    *,
    is_said: bool,
    replaces: bool,
) -> tuple[JudgementKind | None, tuple[str, ...]]:
    """What became of a group, and what of it is another; None where the report does not say."""
    if theirs is None:
        return (JudgementKind.REJECTED if replaces else None), ()
    for concept, value in theirs.answers:
        said = assessment_of(concept, value, annotation.title)
        if said is not None:
            return _KINDS[said], ()
    changed = changes_of(ours, theirs)
    if not is_said:
        return None, ()
    if not replaces:
        # Somebody's own group on the same thing need not repeat our numbers; what it says may differ
        changed = tuple(name for name in changed if name in ("type", "laterality") and getattr(theirs, name))
    return (JudgementKind.CHANGED if changed else JudgementKind.ACCEPTED), changed


def _is_new(one: AnnotatedRegion, known: set[str], feedback: Feedback) -> bool:
    """Tell whether a group speaks of what we have not: a thing with a place, of a kind that we seek."""
    if one.tracking_uid in known or (one.segment is None and not one.points_lps_mm):
        return False
    if one.segment is not None and (not feedback.replaces or one.segment in feedback.own.numbered()):
        return False  # of a segmentation of theirs its voxels tell whether it lies on ours, not the report
    findings = feedback.own.findings
    sought = {it.type for it in feedback.own.placed}
    sought |= {it.type for it in findings.remarks if it.type is not None}
    return feedback.replaces or one.type in sought


def _difference_ml(ours: AnnotatedRegion, theirs: AnnotatedRegion | None) -> float | None:
    before = _volume_ml(ours)
    after = None if theirs is None else _volume_ml(theirs)
    return None if before is None or after is None else after - before


def _volume_ml(one: AnnotatedRegion) -> float | None:
    """The volume that a group measures; None where it measures none."""
    for number in one.measurements:
        is_volume = (number.concept.value, number.concept.scheme) in _VOLUMES
        if is_volume and number.derivation is None and number.unit.value in _OF_ML:
            return number.value * _OF_ML[number.unit.value]
    return None

"""Objects of ours that come under another UID: copies, migrations. Nobody has said anything by them.

A doctor who agrees says so: a report is verified, a result assessed, or a segment made by a person. What
says none of that and has the very content of one of ours is ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isclose

from dicomnode.evaluate.feedback.assessment import assessment_of
from dicomnode.evaluate.feedback.own import OwnResult
from dicomnode.values import AnnotatedRegion, AnnotatedSegment, Annotation, MadeBy, Measurement, PointLps

_HANDS = (MadeBy.PERSON, MadeBy.SEMI)
_ALIKE_MM = 1e-3
_ALIKE = 1e-6  # part of a number: writing it in 16 characters changes no more


def has_a_hand_in(annotation: Annotation) -> bool:
    """Tell whether a person stands behind an object, as far as it says so."""
    return (
        annotation.verified
        or annotation.made_by in _HANDS
        or any(one.made_by in _HANDS for one in annotation.segments)
        or any(assessment_of(concept, value, annotation.title) for concept, value in annotation.answers)
        or any(
            assessment_of(concept, value, annotation.title)
            for region in annotation.regions
            for concept, value in region.answers
        )
    )


def is_copy(annotation: Annotation, own: Sequence[OwnResult]) -> bool:
    """Tell whether an object is one of ours: by its UID, or because all that it says is what ours says."""
    ours = [one for result in own for one in result.objects]
    if any(annotation.sop_instance_uid == one.sop_instance_uid for one in ours):
        return True
    if has_a_hand_in(annotation):
        return False
    return any(one.said is not None and _say_the_same(annotation, one.said) for one in ours)


def _say_the_same(one: Annotation, other: Annotation) -> bool:
    return (
        one.kind is other.kind
        and _same_segments(one.segments, other.segments)
        and len(one.regions) == len(other.regions)
        and all(same_region(a, b) for a, b in zip(_sorted(one.regions), _sorted(other.regions), strict=True))
        and Counter(one.answers) == Counter(other.answers)
        and same_numbers(one.measurements, other.measurements)
    )


def _same_segments(some: Sequence[AnnotatedSegment], others: Sequence[AnnotatedSegment]) -> bool:
    if len(some) != len(others):
        return False
    left = list(others)
    for one in some:
        same = next((other for other in left if _same_segment(one, other)), None)
        if same is None:
            return False
        left.remove(same)
    return True


def _same_segment(one: AnnotatedSegment, other: AnnotatedSegment) -> bool:
    def of(it: AnnotatedSegment) -> tuple[object, ...]:
        return it.label, it.type, it.category, it.laterality, it.site, it.tracking_uid

    return of(one) == of(other) and one.mask == other.mask


def same_region(one: AnnotatedRegion, other: AnnotatedRegion) -> bool:
    """Tell whether two groups of reports say the same of the same place."""
    return not changes_of(one, other) and one.label == other.label and one.tracking_uid == other.tracking_uid


def changes_of(one: AnnotatedRegion, other: AnnotatedRegion) -> tuple[str, ...]:
    """Name what a group says otherwise than another one."""
    changed = [name for name in ("type", "site", "laterality") if getattr(one, name) != getattr(other, name)]
    shapes = [(one.points_lps_mm, *one.parts), (other.points_lps_mm, *other.parts)]
    if len(shapes[0]) != len(shapes[1]) or not all(map(same_points, *shapes)):
        changed.append("place")
    if not same_numbers(one.measurements, other.measurements):
        changed.append("measurements")
    if Counter(one.answers) != Counter(other.answers):
        changed.append("answers")
    return tuple(changed)


def same_points(some: Sequence[PointLps], others: Sequence[PointLps]) -> bool:
    """Tell whether points in LPS mm are the same, in the same order."""
    pairs = zip(some, others, strict=False)
    return len(some) == len(others) and all(
        isclose(a, b, abs_tol=_ALIKE_MM) for p, q in pairs for a, b in zip(p, q, strict=True)
    )


def same_numbers(some: Sequence[Measurement], others: Sequence[Measurement]) -> bool:
    """Tell whether measurements are the same, in whatever order."""

    def key(one: Measurement) -> tuple[str, ...]:
        derivation = one.derivation
        said = (one.concept, one.unit, *([derivation] if derivation else []))
        return tuple(f"{code.scheme} {code.value}" for code in said)

    pairs = zip(sorted(some, key=key), sorted(others, key=key), strict=False)
    return len(some) == len(others) and all(
        key(a) == key(b) and isclose(a.value, b.value, rel_tol=_ALIKE, abs_tol=_ALIKE) for a, b in pairs
    )


def _sorted(regions: Sequence[AnnotatedRegion]) -> list[AnnotatedRegion]:
    return sorted(regions, key=lambda one: (one.tracking_uid or "", one.label, one.points_lps_mm))

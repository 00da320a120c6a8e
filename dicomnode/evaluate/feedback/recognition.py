"""Whether an object of somebody else speaks of our results, and by what that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dicomnode.evaluate.feedback.copies import is_copy
from dicomnode.evaluate.feedback.own import OwnResult
from dicomnode.values import AnnotatedRegion, AnnotatedSegment, Annotation, AnnotationKind


class RecognisedBy(StrEnum):
    """By what an object is known to speak of a result; the first that holds, in this order."""

    TRACKING = "tracking"  # it has Tracking UIDs of ours
    PREDECESSOR = "predecessor"  # it takes the place of an object of ours (PS3.3 C.17.2)
    REFERENCE = "reference"  # it names an object of ours
    SERIES = "series"  # of the same image series, with tracking identifiers of ours


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feedback:
    """An object that speaks of a result of ours.

    replaces: it stands in place of an object of ours, so that what it leaves out was taken away.
    tells_missed: what it has and ours has not counts against this result; of several that it speaks of, one.
    """

    annotation: Annotation
    own: OwnResult
    by: RecognisedBy
    replaces: bool
    tells_missed: bool = True


def recognise(annotation: Annotation, own: Sequence[OwnResult]) -> tuple[Feedback, ...]:
    """Tell of which results an object speaks: one of each engine at most; () where it is no feedback.

    own: results of the study, of all engines and versions. Our own objects that come back are no feedback,
    under whatever UID. Of several versions of a result, that counts which the object knows best, then the
    latest.
    """
    of_study = [one for one in own if one.study_instance_uid == annotation.study_instance_uid]
    if not of_study or is_copy(annotation, of_study):
        return ()
    best: dict[str, tuple[tuple[int, int, int], OwnResult, RecognisedBy]] = {}
    for result in of_study:
        known = _known_by(annotation, result)
        if known is None:
            continue
        by, hits = known
        rank = (-list(RecognisedBy).index(by), hits, result.study_version)
        if result.engine not in best or rank > best[result.engine][0]:
            best[result.engine] = (rank, result, by)
    found = sorted(best.values(), key=lambda one: (one[0], one[1].engine), reverse=True)
    return tuple(
        Feedback(
            annotation=annotation,
            own=result,
            by=by,
            replaces=_replaces(annotation, result),
            tells_missed=number == 0,
        )
        for number, (_, result, by) in enumerate(found)
    )


def _known_by(annotation: Annotation, result: OwnResult) -> tuple[RecognisedBy, int] | None:
    """By what an object speaks of a result, and in how many places."""
    said: list[AnnotatedSegment | AnnotatedRegion] = [*annotation.segments, *annotation.regions]
    theirs = {one.tracking_uid for one in said if one.tracking_uid}
    uids = result.object_uids
    named = {*annotation.references, *(one.segment[0] for one in annotation.regions if one.segment)}
    of_series = annotation.of_series in result.series_instance_uids
    identifiers = {one.tracking_id for one in said if one.tracking_id}
    hits = {
        RecognisedBy.TRACKING: len(theirs & result.tracking_uids),
        RecognisedBy.PREDECESSOR: len(uids.intersection(annotation.predecessors)),
        RecognisedBy.REFERENCE: len(uids & named),
        RecognisedBy.SERIES: len(identifiers & result.tracking_ids) if of_series else 0,
    }
    return next(((by, count) for by, count in hits.items() if count), None)


def _replaces(annotation: Annotation, result: OwnResult) -> bool:
    """A segmentation or structure set stands for itself; a report only in place of what it names so.

    Another report with a lesion of ours may be somebody's own, which has no duty to repeat all that we said.
    """
    if annotation.kind is not AnnotationKind.SR:
        return True
    return not result.object_uids.isdisjoint(annotation.predecessors)

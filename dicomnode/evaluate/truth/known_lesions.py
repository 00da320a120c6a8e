"""What labels say of single lesions: where each lies, and which classes it has, by codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dicomnode.evaluate.truth.lesions import TrueLesion, lesion_of, parts_of
from dicomnode.evaluate.truth.outlines import fitting_segments, speaks_of
from dicomnode.evaluate.truth.trust import Labels
from dicomnode.evaluate.truth.wanted import Wanted
from dicomnode.evaluate.truth.words import coded_yes_no
from dicomnode.values import AnnotatedSegment, Annotation, Code

Answers = tuple[tuple[Code, Code], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownLesion:
    """A lesion of the truth. said: coded answers (concept, value) about it, and what it is called itself.

    annotation: the object that it stands in.
    """

    lesion: TrueLesion
    annotation: Annotation
    said: Answers
    types: tuple[Code, ...]

    def has(self, wanted: Wanted, others: Sequence[Wanted] = ()) -> bool | None:
        """Tell whether it is of a class; None where no label says it, or labels contradict each other.

        Yes or no to the class, the class as an answer or as its type. others: classes that exclude it.
        """
        told = {*_told(self, wanted)} | {False for other in others if True in _told(self, other)}
        return None if len(told) != 1 else told.pop()


def known_lesions(wanted: Wanted, labels: Labels) -> list[KnownLesion]:
    """Return the lesions of an output with a place, in a stable order: parts of segments, then shapes."""
    found: list[KnownLesion] = []
    tracked: set[str | None] = set()
    for annotation, segments in fitting_segments(wanted, labels):
        for segment, _ in segments:
            tracked.add(segment.tracking_uid)
            grid = annotation.grid or labels.grid
            parts = [] if grid is None else parts_of(segment.mask, grid)
            said = tuple(_answers(labels, annotation, segment))
            types = () if segment.type is None else (segment.type,)
            found += [KnownLesion(lesion=one, annotation=annotation, said=said, types=types) for one in parts]
    return [*found, *_drawn(wanted, labels, tracked - {None})]


def _drawn(wanted: Wanted, labels: Labels, tracked: set[str | None]) -> Iterator[KnownLesion]:
    for annotation in (one for one in labels.annotations if speaks_of(one, labels)):
        for region in annotation.regions:
            fits = wanted.fits(region.label, region.type, laterality=region.laterality, site=region.site)
            lesion = lesion_of(region)
            if fits is not None and lesion is not None and region.tracking_uid not in tracked:
                types = () if region.type is None else (region.type,)
                yield KnownLesion(lesion=lesion, annotation=annotation, said=region.answers, types=types)


def _answers(labels: Labels, of: Annotation, segment: AnnotatedSegment) -> Iterator[tuple[Code, Code]]:
    """Give what reports answer about a segment, known by its tracking UID or its number in its object."""
    named = (of.sop_instance_uid, segment.number)
    for annotation in labels.annotations:
        for region in annotation.regions:
            same = region.tracking_uid is not None and region.tracking_uid == segment.tracking_uid
            if same or region.segment == named:
                yield from region.answers


def _told(one: KnownLesion, wanted: Wanted) -> Iterator[bool]:
    """Give what is said of a class: each yes and each no."""
    for concept, value in one.said:
        answer = coded_yes_no(value)
        if answer is not None and wanted.fits(concept.meaning, concept) is not None:
            yield answer
        elif answer is None and wanted.fits(value.meaning, value) is not None:
            yield True
    for type_ in one.types:
        if wanted.fits(type_.meaning, type_) is not None:
            yield True

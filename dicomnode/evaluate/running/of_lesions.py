"""Classes of single lesions: each that was found and is known is a case of its own, with its own labels.

For its judgement a lesion is all that there is, as for its run: the same questions are asked of it as of a
study, and their figures are those of classes. What was not found the detection has missed: it has no class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dicomnode.engine import Manifest
from dicomnode.evaluate.matching import match_candidates
from dicomnode.evaluate.running.answering import Case
from dicomnode.evaluate.running.outlines import segments_of
from dicomnode.evaluate.truth import Labels, Wanted
from dicomnode.evaluate.truth.known_lesions import KnownLesion, known_lesions
from dicomnode.evaluate.truth.wanted import unnumbered
from dicomnode.values import Code, Findings, PointLps, Region, Segment

_PRESENT: Final = Code("52101004", "SCT", "Present")  # CID 240
_ABSENT: Final = Code("272519000", "SCT", "Absent")
_FINDING: Final = Code("121071", "DCM", "Finding")


@dataclass(frozen=True, slots=True, kw_only=True)
class OfEachLesion:
    """Makes a case of each lesion of a case.

    lesions: the outputs whose lesions they are, of boxes one for each class of box. classes: outputs that
    are said of each of them. exclusive: whether a lesion has one of these classes at most.
    """

    lesions: tuple[Wanted, ...]
    classes: tuple[Wanted, ...]
    exclusive: bool

    def __call__(self, case: Case) -> list[Case]:
        """Return a case for each known lesion that was found; of a case without an answer for each of all."""
        cases: list[Case] = []
        first = 1
        for output in self.lesions:
            known = known_lesions(output, case.labels)
            cases += self._of_output(output, known, case, first)
            first += len(known)
        return cases

    def _of_output(
        self, output: Wanted, known: Sequence[KnownLesion], case: Case, first: int
    ) -> Iterator[Case]:
        """Give the cases of one output. first: number of the first lesion that is known of it."""
        if case.findings is None:
            yield from (self._case(case, number, one, None) for number, one in enumerate(known, first))
            return
        found = list(_found(output, case.findings))
        scored = [(_centre(one), 1.0 if one.score is None else one.score) for one in found]
        for hit in match_candidates(scored, [one.lesion for one in known]).hits:
            yield self._case(case, first + hit.truth, known[hit.truth], found[hit.found])

    def _case(self, case: Case, number: int, known: KnownLesion, found: Segment | Region | None) -> Case:
        answer = case.answer
        if answer.findings is not None and found is not None:
            of_it = replace(
                answer.findings, segments=(), regions=(), changes=(), classifications=found.classes
            )
            answer = replace(answer, findings=of_it, stack=None)  # no picture of the whole study for each
        return Case(
            name=replace(case.name, lesion=str(number)),
            labels=self._labels(case.labels, known),
            answer=answer,
        )

    def _labels(self, labels: Labels, known: KnownLesion) -> Labels:
        answers = tuple(self._answers(known))
        told = replace(known.annotation, segments=(), regions=(), measurements=(), answers=answers)
        return replace(labels, annotations=(told,) if answers else (), row={})

    def _answers(self, known: KnownLesion) -> Iterator[tuple[Code, Code]]:
        for one in self.classes:
            others = [other for other in self.classes if other is not one] if self.exclusive else []
            has = known.has(one, others)
            if has is not None:
                yield one.spec.concept, _PRESENT if has else _ABSENT
            if has:
                yield _FINDING, one.spec.concept


def of_each_lesion(manifest: Manifest, one: Wanted, wanted: Sequence[Wanted]) -> OfEachLesion | None:
    """Return what makes cases of lesions, of an output that is said of each of them; None of the study."""
    each = manifest.each_of(one.spec)
    if each is None:
        return None
    lesions = [other for other in wanted if other.is_lesion]
    how = manifest.step_named(one.spec.step).classes
    return OfEachLesion(
        lesions=tuple(one for one in lesions if f"{one.spec.step}/{one.spec.head}".rstrip("/") == each),
        classes=tuple(
            other
            for other in wanted
            if other.spec.what == "classification" and other.spec.step == one.spec.step
        ),
        exclusive=how is None or how.activation != "sigmoid",
    )


def _found(lesions: Wanted, findings: Findings) -> Sequence[Segment | Region]:
    regions = (one for one in findings.regions if unnumbered(one.label) == lesions.label)
    return [*segments_of(lesions, findings), *regions]


def _centre(found: Segment | Region) -> PointLps:
    if isinstance(found, Segment):
        return found.centre_lps_mm
    x, y, z = np.mean(np.array(found.points_lps_mm, dtype=np.float64), axis=0)
    return float(x), float(y), float(z)

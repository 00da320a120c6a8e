"""Readers by their structured reports: coded answers, and numbers that each report gives once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from dicomnode.evaluate.data import LabelledStudy
from dicomnode.evaluate.figures import counted
from dicomnode.evaluate.outcomes import CaseName
from dicomnode.evaluate.readers.authors import BY, Authors
from dicomnode.evaluate.readers.readings import ReadClasses, Readings, ReadNumbers
from dicomnode.values import Annotation, AnnotationKind, Code, Measurement

_DIFFER = "In {cases} reports of one reader say different things: left out."

_Key = tuple[Code, Code | None]  # concept, and the unit of a number


class Reports:
    """Gathers what reports say, study after study."""

    def __init__(self) -> None:
        self._said: dict[_Key, dict[CaseName, dict[int, set[str | float]]]] = {}

    def take(self, study: LabelledStudy, annotations: Sequence[Annotation], readers: Sequence[int]) -> None:
        """Take what the reports of a study say. readers: number of the reader of each object."""
        for one, reader in zip(annotations, readers, strict=True):
            if one.kind is not AnnotationKind.SR:
                continue
            case = CaseName(
                patient=study.patient,
                study_instance_uid=study.study.study_instance_uid,
                series_instance_uid=one.of_series,
                place=study.place,
            )
            for key, value in _told(one):
                cases = self._said.setdefault(key, {})
                cases.setdefault(case, {}).setdefault(reader, set()).add(value)

    def readings(self, authors: Authors) -> Iterator[Readings]:
        """Give what two readers and more answered, or measured; answers first."""
        for concept, unit in sorted(self._said, key=lambda key: (key[1] is not None, key[0].meaning)):
            said = self._said[concept, unit]
            if sum(len(by_reader) > 1 for by_reader in said.values()):
                yield _reading(concept, unit, said, authors)


def _told(one: Annotation) -> Iterator[tuple[_Key, str | float]]:
    """Give the answers of a report, and the numbers whose concept stands in it once."""
    for concept, answer in one.answers:
        yield (concept, None), answer.meaning
    # Groups of no place stand in the measurements of the whole already
    placed = (region for region in one.regions if region.kind is not None or region.segment is not None)
    numbers: list[Measurement] = [*one.measurements, *(m for region in placed for m in region.measurements)]
    often = Counter(number.concept for number in numbers)
    for number in numbers:
        if often[number.concept] == 1:
            yield (number.concept, number.unit), number.value


def _reading(
    concept: Code, unit: Code | None, said: dict[CaseName, dict[int, set[str | float]]], authors: Authors
) -> Readings:
    readers = sorted({reader for by_reader in said.values() for reader in by_reader})
    names = tuple(authors.names[n] for n in readers)
    differing = sum(any(len(values) > 1 for values in one.values()) for one in said.values())
    rows = [
        [next(iter(one[n])) if n in one and len(one[n]) == 1 else None for n in readers]
        for one in said.values()
    ]
    remarks = (
        *authors.remarks(names),
        *([_DIFFER.format(cases=counted(differing, "case"))] if differing else []),
    )
    if unit is not None:
        table = np.array([[np.nan if one is None else one for one in row] for row in rows], dtype=np.float64)
        return ReadNumbers(
            title=concept.meaning,
            readers=names,
            by=BY,
            cases=tuple(said),
            given=table,
            unit=unit,
            remarks=remarks,
        )
    words = tuple(tuple(None if one is None else str(one) for one in row) for row in rows)
    return ReadClasses(
        title=concept.meaning,
        readers=names,
        by=BY,
        cases=tuple(said),
        given=words,
        labels=tuple(sorted({one for row in words for one in row if one is not None})),
        remarks=remarks,
    )

"""Readers by what they outline: each two outlines of one structure of one stack are compared."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import combinations

from dicomnode.assemble import Stack
from dicomnode.evaluate.data import LabelledStudy
from dicomnode.evaluate.figures import counted
from dicomnode.evaluate.metrics import dice, hausdorff95_mm
from dicomnode.evaluate.outcomes import CaseName
from dicomnode.evaluate.readers.authors import BY, Authors
from dicomnode.evaluate.readers.readings import OutlinedPair, ReadOutlines
from dicomnode.evaluate.truth.wanted import plain
from dicomnode.values import AnnotatedSegment, Annotation, Code, Grid, Mask

_AGAIN = "In {cases} a reader has several objects of it: the last one counts."


@dataclass(slots=True)
class _Structure:
    """One structure: its names, its codes, and the pairs of its cases."""

    title: str
    names: set[str]
    codes: set[tuple[Code, Code | None]]
    cases: list[CaseName] = field(default_factory=list)
    pairs: list[OutlinedPair] = field(default_factory=list)
    readers: set[int] = field(default_factory=set)
    alone: int = 0
    again: int = 0


class Outlines:
    """Compares outlines study after study: masks of one study are held at a time."""

    def __init__(self) -> None:
        self._structures: list[_Structure] = []

    def take(self, study: LabelledStudy, annotations: Sequence[Annotation], readers: Sequence[int]) -> None:
        """Compare what was outlined in a study. readers: number of the reader of each object."""
        for stack in study.stacks:
            drawn: dict[int, dict[int, list[tuple[Annotation, Mask]]]] = defaultdict(
                lambda: defaultdict(list)
            )
            grid: Grid | None = None
            for one, reader in zip(annotations, readers, strict=True):
                if _is_of(one, stack):
                    grid = one.grid
                    for structure, mask in self._parts(one):
                        drawn[structure][reader].append((one, mask))
            for structure, by_reader in drawn.items():
                if grid is not None:
                    self._compare(self._structures[structure], _name(study, stack), by_reader, grid)

    def _parts(self, one: Annotation) -> Iterator[tuple[int, Mask]]:
        """Give each structure of an object, all its segments together."""
        parts: dict[int, list[Mask]] = {}
        for segment in one.segments:
            parts.setdefault(self._of(segment), []).append(segment.mask)
        for structure, masks in parts.items():
            yield structure, reduce(Mask.union, masks)

    def _of(self, segment: AnnotatedSegment) -> int:
        """Return the structure of a segment: by its code and side, where one lacks it by a name."""
        code = None if segment.type is None else (segment.type, segment.laterality)
        names = _names(segment)
        for n, one in enumerate(self._structures):
            same = code in one.codes if code is not None and one.codes else bool(names & one.names)
            if same:
                one.names |= names
                one.codes |= {code} if code is not None else set()
                return n
        title = segment.type.meaning if segment.type is not None else segment.label or "without a name"
        side = "" if segment.laterality is None else f", {segment.laterality.meaning.casefold()}"
        codes = {code} if code is not None else set()
        self._structures.append(_Structure(title=f"{title}{side}", names=names, codes=codes))
        return len(self._structures) - 1

    @staticmethod
    def _compare(
        of: _Structure, case: CaseName, by_reader: dict[int, list[tuple[Annotation, Mask]]], grid: Grid
    ) -> None:
        of.again += any(len({one.sop_instance_uid for one, _ in drawn}) > 1 for drawn in by_reader.values())
        of.readers |= set(by_reader)
        if len(by_reader) < 2:
            of.alone += 1
            return
        masks = {reader: max(drawn, key=_age)[1] for reader, drawn in by_reader.items()}
        of.cases.append(case)
        for first, second in combinations(sorted(masks), 2):
            of.pairs.append(_pair(len(of.cases) - 1, (first, second), (masks[first], masks[second]), grid))

    def readings(self, authors: Authors) -> tuple[ReadOutlines, ...]:
        """Return what was compared, of structures that two people outlined."""
        found = sorted(self._structures, key=lambda one: one.title)
        return tuple(_readings(one, authors) for one in found if one.pairs)


def _readings(one: _Structure, authors: Authors) -> ReadOutlines:
    """Return one structure, with those alone who outlined it."""
    there = sorted(one.readers)
    names = tuple(authors.names[n] for n in there)
    again = [_AGAIN.format(cases=counted(one.again, "case"))] if one.again else []
    return ReadOutlines(
        title=one.title,
        readers=names,
        by=BY,
        cases=tuple(one.cases),
        pairs=tuple(
            replace(pair, first=there.index(pair.first), second=there.index(pair.second))
            for pair in one.pairs
        ),
        alone=one.alone,
        remarks=(*authors.remarks(names), *again),
    )


def _names(segment: AnnotatedSegment) -> set[str]:
    """Return what it may be called by an object that has no codes; with the side before or behind."""
    meaning = "" if segment.type is None else segment.type.meaning
    side = "" if segment.laterality is None else segment.laterality.meaning
    called = [segment.label, f"{side} {meaning}", f"{meaning} {side}"] if meaning else [segment.label]
    return {plain(one) for one in called if one.strip()}


def _is_of(one: Annotation, stack: Stack) -> bool:
    same = one.of_series == stack.facts.series_instance_uid and one.of_stack in (None, stack.facts.stack)
    return same and bool(one.segments)


def _age(drawn: tuple[Annotation, Mask]) -> tuple[str, str]:
    """Order objects by when they were made, as far as they say it."""
    one, _ = drawn
    made = "" if one.made_at is None else one.made_at.replace(tzinfo=None).isoformat()
    return made, one.sop_instance_uid


def _pair(case: int, readers: tuple[int, int], masks: tuple[Mask, Mask], grid: Grid) -> OutlinedPair:
    first, second = masks
    away = hausdorff95_mm(first, second, grid.spacing_kji_mm)
    both = not first.is_empty and not second.is_empty
    return OutlinedPair(
        case=case,
        first=readers[0],
        second=readers[1],
        dice=dice(first, second),
        hd95_mm=away if both and math.isfinite(away) else None,
        first_ml=first.count * grid.voxel_mm3 / 1000.0,
        second_ml=second.count * grid.voxel_mm3 / 1000.0,
    )


def _name(study: LabelledStudy, stack: Stack) -> CaseName:
    return CaseName(
        patient=study.patient,
        study_instance_uid=study.study.study_instance_uid,
        series_instance_uid=stack.facts.series_instance_uid,
        place=study.place,
    )

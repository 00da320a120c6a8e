"""Sets an engine beside the readers of its data: each reader's answers are read as a truth would be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dicomnode.assemble import Stack
from dicomnode.engine import Manifest
from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.evaluate.evaluation import task_of
from dicomnode.evaluate.outcomes import CaseName, ClassificationResult, RegressionResult, Result, Task
from dicomnode.evaluate.readers.authors import BY, Authors
from dicomnode.evaluate.readers.columns import BY as BY_COLUMNS
from dicomnode.evaluate.readers.columns import ReaderColumns, columns_as_truth
from dicomnode.evaluate.readers.company import Company
from dicomnode.evaluate.readers.company_figures import MEASURES, ReadByAll, company_of
from dicomnode.evaluate.running.collecting import Collector
from dicomnode.evaluate.running.judging import Evaluated, collectors_for
from dicomnode.evaluate.truth import Labels, TrueOutline, labels_for
from dicomnode.evaluate.truth.outlines import is_on
from dicomnode.evaluate.truth.wanted import plain
from dicomnode.values import Mask

Said = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Said:
    """What the engine says of a case, and what is true. stack: None is the first of the series."""

    case: CaseName
    said: Any
    truth: Any = None
    stack: Stack | None = None


def readers_beside(
    data: LabelledData,
    evaluated: Evaluated,
    manifest: Manifest,
    columns: Sequence[ReaderColumns] = (),
    *,
    said: Said,
    machine_labels: bool = False,
) -> tuple[Company, ...]:
    """Set each output beside its readers: those of `columns`, whose title is the output, else of the objects.

    Outputs that fewer than two people read, and columns of outputs that were not judged, are left out. said:
    as of `Judging`.
    """
    of_column = {plain(one.title): one for one in columns}
    gathering = _Gathering(data, manifest, said, machine_labels=machine_labels)
    found = []
    for result in evaluated.evaluation.results:
        if task_of(result) not in MEASURES:
            continue
        asked = of_column.get(plain(result.output.label))
        # A question and outlines may share a name: columns are what classes and numbers are read from
        by_columns = asked is not None and task_of(result) is not Task.SEGMENTATION
        names, read = (
            gathering.of_columns(result, asked)
            if asked is not None and by_columns
            else gathering.of_authors(result, _found_masks(evaluated, result))
        )
        kept = read.of_two_readers()
        if kept.cases:
            by = BY_COLUMNS if by_columns else BY
            made = company_of(result, kept, names, by, evaluated.evaluation.resampling)
            own = _own_truth(result, asked if by_columns else None)
            found.append(replace(made, remarks=(*made.remarks, *own)))
    return tuple(found)


def _own_truth(result: Result, asked: ReaderColumns | None) -> tuple[str, ...]:
    """Say where readers are held against a truth of their own making: they cannot be wrong then."""
    sources = result.output.truth.split("; ")
    if asked is None:
        own = any(not one.startswith("column ") for one in sources)
        who = "these readers' own objects"
    else:
        own = any(one in sources for one in columns_as_truth(asked))
        who = "one of these readers"
    if not own or not isinstance(result, ClassificationResult) or result.positive is None:
        return ()
    return (f"The truth is of {who}: their recall and specificity are too good, and say nothing.",)


def _found_masks(evaluated: Evaluated, result: Result) -> list[_Said]:
    """Return what the engine outlined, of an output with outlines; each stack of a series by itself."""
    return [
        _Said(case=one.case, said=mask, stack=one.stack)
        for one in evaluated.drawn
        if one.task is Task.SEGMENTATION and one.task is task_of(result) and one.output == result.output.label
        for mask in one.found
        if isinstance(mask, Mask)
    ]


class _Gathering:
    """Reads the answers of people as the truth of an output is read, one person at a time."""

    def __init__(self, data: LabelledData, manifest: Manifest, said: Said, *, machine_labels: bool) -> None:
        self._manifest, self._said, self._machines = manifest, said, machine_labels
        self._studies = {one.study.study_instance_uid: one for one in data.studies}
        self._authors = Authors()
        self._numbers: dict[str, dict[str, int]] = {}  # reader of each object, of each study
        for one in data.studies:
            there = labels_for(one, None, None, machine_labels=machine_labels).annotations
            numbers = self._authors.number(there)
            self._numbers[one.study.study_instance_uid] = {
                annotation.sop_instance_uid: number for annotation, number in zip(there, numbers, strict=True)
            }

    def of_columns(self, result: Result, asked: ReaderColumns) -> tuple[tuple[str, ...], ReadByAll]:
        """Read the column of each reader."""
        label = result.output.label
        collectors = [self._collector(result, {**self._said, label: (one,)}) for one in asked.columns]

        def answers(one: _Said) -> list[Any]:
            labels = self._labels(one)
            told = []
            for column, collector in zip(asked.columns, collectors, strict=True):
                # Nothing else of the case may speak for this reader
                row = {column: labels.row[column]} if column in labels.row else {}
                told.append(collector.truth_of(replace(labels, annotations=(), row=row)) if row else None)
            return [None if one is None else one[0] for one in told]

        names = tuple(f"reader {n + 1}" for n in range(len(asked.columns)))
        return names, _read(result, [], answers)

    def of_authors(self, result: Result, masks: Sequence[_Said]) -> tuple[tuple[str, ...], ReadByAll]:
        """Read the objects of each author."""
        collector = self._collector(result, self._said)
        names = tuple(self._authors.names)

        def answers(said: _Said) -> list[Any]:
            labels, numbers = self._labels(said), self._numbers[said.case.study_instance_uid]
            told = []
            for reader in range(len(names)):
                own = tuple(one for one in labels.annotations if numbers.get(one.sop_instance_uid) == reader)
                told.append(collector.truth_of(replace(labels, annotations=own, row={})) if own else None)
            return [None if one is None else one[0] for one in told]

        return names, _read(result, masks, answers)

    def _collector(self, result: Result, said: Said) -> Collector[Any]:
        collectors, _ = collectors_for(self._manifest, said)
        of = [one for one in collectors if one.wanted.label == result.output.label]
        return next(one for one in of if one.task is task_of(result))

    def _labels(self, one: _Said) -> Labels:
        study = self._studies[one.case.study_instance_uid]
        stack = one.stack if one.stack is not None else _stack(study, one.case)
        labels = labels_for(study, stack, None, machine_labels=self._machines)
        grids = (one.grid for one in labels.annotations if one.grid is not None and is_on(one, labels))
        return replace(labels, grid=next(grids, None))


def _stack(study: LabelledStudy, case: CaseName) -> Stack | None:
    own = (one for one in study.stacks if one.facts.series_instance_uid == case.series_instance_uid)
    return next(own, None)


def _read(result: Result, masks: Sequence[_Said], answers: Callable[[_Said], list[Any]]) -> ReadByAll:
    """Put what the engine says of each case before what the readers say."""
    cases, rows, truths = [], [], []
    for of in _of_engine(result, masks):
        told = [one.mask if isinstance(one, TrueOutline) else one for one in answers(of)]
        if isinstance(of.said, Mask):
            told = [one if one is not None and one.shape_kji == of.said.shape_kji else None for one in told]
        cases.append(of.case)
        rows.append([of.said, *told])
        truths.append(of.truth)
    return ReadByAll(cases=cases, rows=rows, truths=truths)


def _of_engine(result: Result, masks: Sequence[_Said]) -> Iterable[_Said]:
    """Give each case with what the engine says and what is true."""
    if isinstance(result, ClassificationResult):
        return [_Said(case=one.case, said=one.called, truth=one.truth) for one in result.cases]
    if isinstance(result, RegressionResult):
        return [_Said(case=one.case, said=one.found, truth=one.true) for one in result.cases]
    return masks

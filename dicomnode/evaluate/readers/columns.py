"""Readers by the columns of a table of labels: each column is what one reader says of every case."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final, TypeVar

import numpy as np

from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.evaluate.evaluation import Evaluation
from dicomnode.evaluate.outcomes import CaseName, Judged
from dicomnode.evaluate.readers.readings import ReadClasses, Readings, ReadNumbers
from dicomnode.evaluate.truth.wanted import plain
from dicomnode.evaluate.truth.words import number, yes_no
from dicomnode.faults import READERS_WRONG, NodeError

BY: Final = "Readers are the columns of the table, numbered as they were named."

MOST_GRADES: Final = 10
"""Whole numbers of more different values are numbers; of so many and fewer they are grades in an order."""

Judgement = TypeVar("Judgement", bound=Judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderColumns:
    """A thing that was read, and the column of each reader, as the table calls it."""

    title: str
    columns: tuple[str, ...]


def reader_columns(texts: Sequence[str], known: Sequence[str]) -> tuple[ReaderColumns, ...]:
    """Read [NAME=]COLUMN,COLUMN …; without a name it is what the columns begin with. known: of the table.

    Raises NodeError(READERS_WRONG).
    """
    by_word = {plain(column): column for column in known}
    found: list[ReaderColumns] = []
    for text in texts:
        name, equals, listed = text.partition("=") if "=" in text else ("", "", text)
        words = [one.strip() for row in csv.reader([listed], skipinitialspace=True) for one in row]
        if len(words) < 2 or not all(words) or (equals and not name.strip()):
            raise NodeError(READERS_WRONG, text=text, problem="it is not of the form [NAME=]COLUMN,COLUMN")
        unknown = [one for one in words if plain(one) not in by_word]
        if unknown:
            there = ", ".join(known) or "none: give --labels"
            raise NodeError(
                READERS_WRONG, text=text, problem=f"no column is called {unknown[0]!r}; there are: {there}"
            )
        columns = tuple(by_word[plain(one)] for one in words)
        if len(set(columns)) != len(columns):
            raise NodeError(READERS_WRONG, text=text, problem="a column stands twice")
        title = name.strip() or _beginning(columns) or f"reading {len(found) + 1}"
        if title in {one.title for one in found}:
            raise NodeError(READERS_WRONG, text=text, problem=f"{title!r} stands twice; write NAME=")
        found.append(ReaderColumns(title=title, columns=columns))
    return tuple(found)


def columns_as_truth(asked: ReaderColumns) -> dict[str, str]:
    """Return how an evaluation calls each column where it is the truth: as it is, and by number."""
    return {f"column {one}": f"the column of reader {n}" for n, one in enumerate(asked.columns, start=1)}


def without_columns(evaluation: Evaluation, columns: Sequence[ReaderColumns]) -> Evaluation:
    """Call the truth by the number of its reader where it is a reader's column: it may be a person's name."""
    numbered = {name: number for one in columns for name, number in columns_as_truth(one).items()}

    def nameless(text: str) -> str:
        for name in sorted(numbered, key=len, reverse=True):
            text = re.sub(rf"{re.escape(name)}(?!\w)", numbered[name], text)
        return text

    def renamed(one: Judgement) -> Judgement:
        output = replace(one.output, truth=nameless(one.output.truth))
        return replace(one, output=output, remarks=tuple(map(nameless, one.remarks)))

    return replace(
        evaluation,
        classifications=tuple(map(renamed, evaluation.classifications)),
        regressions=tuple(map(renamed, evaluation.regressions)),
    )


def _beginning(columns: Sequence[str]) -> str:
    """Return the words that all begin with: of "Maier" and "Mayer" none, since "Ma" is part of a name."""
    words = [re.split(r"([ _.-]+)", one) for one in columns]
    shared = takewhile(lambda some: len(set(some)) == 1, zip(*words, strict=False))
    return "".join(some[0] for some in shared).strip(" _-.")


def read_columns(data: LabelledData, asked: ReaderColumns, order: Sequence[str] = ()) -> Readings:
    """Gather what each reader says of each study, or of each series or picture that the table speaks of.

    order: labels from the least to the most; without it whole numbers of few values are such grades, other
    numbers are numbers, and words are labels without an order. Yes and no are read however they are written.
    Raises NodeError(READERS_WRONG) where a cell is none of `order`.
    """
    told = [
        (case, tuple(cells.get(column) for column in asked.columns))
        for study in data.studies
        for case, cells in _cases(study, asked.columns)
    ]
    rows = [(case, row) for case, row in told if any(cell is not None for cell in row)]
    cells = [cell for _, row in rows for cell in row if cell is not None]
    cases = tuple(case for case, _ in rows)
    readers = tuple(f"reader {n + 1}" for n in range(len(asked.columns)))
    numbers = [number(cell) for cell in cells]
    if not order and cells and all(one is not None for one in numbers) and _are_numbers(numbers):
        given = [[np.nan if cell is None else number(cell) for cell in row] for _, row in rows]
        table = np.array(given, dtype=np.float64).reshape(len(rows), len(readers))
        return ReadNumbers(title=asked.title, readers=readers, by=BY, cases=cases, given=table)
    words, labels, ordered = _labels(cells, order, asked)
    return ReadClasses(
        title=asked.title,
        readers=readers,
        by=BY,
        cases=cases,
        given=tuple(tuple(None if cell is None else words[cell] for cell in row) for _, row in rows),
        labels=labels,
        ordered=ordered,
    )


def _cases(study: LabelledStudy, columns: Sequence[str]) -> Iterator[tuple[CaseName, Mapping[str, str]]]:
    """Give the study, where the table speaks of all of it, else each of its stacks that it speaks of."""
    uid = study.study.study_instance_uid
    if any(column in study.row for column in columns):
        yield CaseName(patient=study.patient, study_instance_uid=uid, place=study.place), study.row
        return
    for stack in study.stacks if study.told else ():
        cells = study.labels_of(stack)
        if any(column in cells for column in columns):
            series = stack.facts.series_instance_uid
            yield (
                CaseName(
                    patient=study.patient,
                    study_instance_uid=uid,
                    series_instance_uid=series,
                    place=study.place,
                ),
                cells,
            )


def _are_numbers(values: Sequence[float | None]) -> bool:
    different = {one for one in values if one is not None}
    return len(different) > MOST_GRADES or any(not one.is_integer() for one in different)


def _labels(
    cells: Sequence[str], order: Sequence[str], asked: ReaderColumns
) -> tuple[dict[str, str], tuple[str, ...], bool]:
    """Return the label of each cell, all labels in their order, and whether that is one of degrees."""
    different = sorted(set(cells))
    if order:
        known = {plain(one): one for one in order}
        unknown = [one for one in different if plain(one) not in known]
        if unknown:
            problem = f"its columns hold {unknown[0]!r}, which --order does not name"
            raise NodeError(READERS_WRONG, text=asked.title, problem=problem)
        return {one: known[plain(one)] for one in different}, tuple(order), True
    said = {one: yes_no(one) for one in different}
    if different and all(one is not None for one in said.values()):
        return {one: "yes" if said[one] else "no" for one in different}, ("no", "yes"), False
    numbers = {one: number(one) for one in different}
    if different and all(one is not None for one in numbers.values()):
        words = {one: f"{value:g}" for one, value in numbers.items() if value is not None}
        return words, tuple(sorted(set(words.values()), key=float)), True
    first: dict[str, str] = {}
    words = {one: first.setdefault(plain(one), one) for one in different}
    return words, tuple(sorted(set(words.values()))), False

"""The figures of an engine in the company of readers: how near it is to them, and they to one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.agreement import intraclass_correlation, kappa_of_counts
from dicomnode.evaluate.cases import NO_CASES, Rows
from dicomnode.evaluate.evaluation import task_of
from dicomnode.evaluate.figures import Figure, share
from dicomnode.evaluate.intervals import Interval, Resampling, bootstrap_interval
from dicomnode.evaluate.metrics import dice
from dicomnode.evaluate.outcomes import CaseName, ClassificationResult, RegressionResult, Result, Task
from dicomnode.evaluate.readers.company import Company, InCompany

_NO_PAIR: Final = "no two readers have enough cases in common"
_NONE_OF: Final = {
    Task.SEGMENTATION: "a pair of readers outlines nothing",
    Task.CLASSIFICATION: "a pair calls every case the same",
    Task.REGRESSION: "a pair has one case alone, or the same number everywhere",
}
_LEFT_OUT: Final = "{left} of {all} pairs of readers have too few cases in common, and are in no figure."
MEASURES: Final = {
    Task.SEGMENTATION: "Dice",
    Task.CLASSIFICATION: "Cohen's kappa",
    Task.REGRESSION: "ICC(2,1)",
}

Of = Callable[[int, int, Rows], float | None]
"""The agreement of two (0 is the engine, then the readers) on cases of both; None where there is none."""

Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadByAll:
    """One output: its cases, and what the engine, then each reader say of it, None where they say nothing."""

    cases: list[CaseName]
    rows: list[list[Any]]
    truths: list[Any]

    def of_two_readers(self) -> ReadByAll:
        """Leave the cases that the engine answered and two readers and more read."""
        kept = [n for n, row in enumerate(self.rows) if sum(one is not None for one in row[1:]) > 1]
        return ReadByAll(
            cases=[self.cases[n] for n in kept],
            rows=[self.rows[n] for n in kept],
            truths=[self.truths[n] for n in kept],
        )


def company_of(result: Result, read: ReadByAll, names: Sequence[str], by: str, how: Resampling) -> Company:
    """Make the figures of one output. Readers who read none of its cases are left out."""
    there = [n for n in range(len(names)) if any(row[n + 1] is not None for row in read.rows)]
    beside = _Beside(result, [[row[0], *(row[n + 1] for n in there)] for row in read.rows])
    patients = [case.patient for case in read.cases]
    pairs = beside.pairs

    def interval(name: str, figure: Callable[[Pairs, Rows], float | None], of: Pairs) -> Interval:
        def made(chosen: Rows) -> Figure:
            value = figure(of, chosen)
            reason = "" if value is not None else _NONE_OF[task_of(result)] if of else _NO_PAIR
            return Figure(name=name, value=value, reason=reason)

        return bootstrap_interval(patients, made, how)

    def reader(n: int) -> InCompany:
        own = [(n, b if a == n else a) for a, b in pairs if n in (a, b)]
        recall, specificity = _against_truth(result, read, beside.rows, n, how)
        return InCompany(
            reader=names[there[n - 1]],
            cases=sum(row[n] is not None for row in beside.rows),
            engine=interval("with_engine", beside.of_engine_with_first, own),
            others=interval("with_other_readers", beside.among, own),
            recall=recall,
            specificity=specificity,
        )

    left = len(there) * (len(there) - 1) // 2 - len(pairs)
    return Company(
        output=result.output.label,
        task=task_of(result),
        measure=MEASURES[task_of(result)],
        by=by,
        cases=len(beside.rows),
        patients=len(set(patients)),
        differing=len({patients[n] for n in beside.differing}),
        engine=interval("engine_with_readers", beside.of_engine, pairs),
        among=interval("readers_among_themselves", beside.among, pairs),
        difference=interval("difference", beside.difference, pairs),
        readers=tuple(reader(n) for n in range(1, len(there) + 1)),
        remarks=(_LEFT_OUT.format(left=left, all=left + len(pairs)),) if left else (),
    )


class _Beside:
    """The engine (0) and its readers, pair of readers by pair: always on the cases that both have read.

    Were the engine held to each reader on all that this one has read, and readers to each other on what they
    share, an engine that is one of them case by case could come out nearer, for having easier cases
    (compare Williams, Biometrics 32, 1976).
    """

    def __init__(self, result: Result, rows: list[list[Any]]) -> None:
        self.rows = rows
        self._agreement = _agreement(result, rows)
        self._known = np.array([[one is not None for one in row] for row in rows], dtype=bool)
        if task_of(result) is Task.SEGMENTATION:
            self._filled = np.array([[one is not None and not one.is_empty for one in row] for row in rows])
        else:
            self._filled = self._known
        least = 2 if task_of(result) is Task.REGRESSION else 1
        every = np.arange(len(rows))
        many = len(rows[0]) if rows else 1
        pairs = combinations(range(1, many), 2)
        self.pairs = [pair for pair in pairs if len(self._of(pair, every)) >= least]

    def _of(self, pair: tuple[int, int], chosen: Rows) -> Rows:
        """Return the cases that both have read; of outlines, where one of both has something to outline."""
        two = list(pair)
        there = self._known[chosen][:, two].all(axis=1) & self._filled[chosen][:, two].any(axis=1)
        return chosen[there]

    def among(self, pairs: Pairs, chosen: Rows) -> float | None:
        """The mean agreement of each pair."""
        return _mean([self._agreement(*pair, self._of(pair, chosen)) for pair in pairs])

    def of_engine(self, pairs: Pairs, chosen: Rows) -> float | None:
        """The mean agreement of the engine with both of each pair, on the cases of the pair."""
        found = [(self._of(pair, chosen), pair) for pair in pairs]
        return _mean([self._agreement(0, one, rows) for rows, pair in found for one in pair])

    def of_engine_with_first(self, pairs: Pairs, chosen: Rows) -> float | None:
        """The same with the first of each pair alone."""
        return _mean([self._agreement(0, pair[0], self._of(pair, chosen)) for pair in pairs])

    def difference(self, pairs: Pairs, chosen: Rows) -> float | None:
        """The engine with the readers, minus the readers among themselves."""
        engine, among = self.of_engine(pairs, chosen), self.among(pairs, chosen)
        return None if engine is None or among is None else engine - among

    @property
    def differing(self) -> list[int]:
        """The cases of which not all say the same: the difference hangs on them alone."""
        return [n for n, row in enumerate(self.rows) if not _all_say_the_same(row)]


def _all_say_the_same(row: Sequence[Any]) -> bool:
    said = [one for one in row if one is not None]
    return all(one == said[0] for one in said[1:])


def _mean(values: Sequence[float | None]) -> float | None:
    """The plain mean; None where one of them is missing: the mean of the others is another one."""
    known = [one for one in values if one is not None]
    return float(sum(known) / len(known)) if known and len(known) == len(values) else None


def _agreement(result: Result, rows: Sequence[Sequence[Any]]) -> Of:
    """Return how two agree, by the task: everything that can be is computed once."""
    if isinstance(result, ClassificationResult):
        return _of_labels(result.labels, rows)
    if isinstance(result, RegressionResult):
        table = np.array([[np.nan if one is None else one for one in row] for row in rows], dtype=np.float64)
        return lambda first, second, chosen: intraclass_correlation(table[chosen][:, [first, second]]).value
    many = len(rows[0]) if rows else 0
    overlaps = np.full((len(rows), many, many), np.nan)
    for n, row in enumerate(rows):
        for first, second in combinations(range(many), 2):
            if row[first] is not None and row[second] is not None:
                overlap = dice(row[first], row[second])
                overlaps[n, first, second] = overlaps[n, second, first] = overlap

    def outlines(first: int, second: int, chosen: Rows) -> float | None:
        return float(overlaps[chosen, first, second].mean()) if chosen.size else None

    return outlines


def _of_labels(labels: Sequence[str], rows: Sequence[Sequence[Any]]) -> Of:
    many = len(labels)
    index = {label: n for n, label in enumerate(labels)}
    table: NDArray[np.intp] = np.array([[index.get(one, -1) for one in row] for row in rows], dtype=np.intp)

    def kappa(first: int, second: int, chosen: Rows) -> float | None:
        counts = np.bincount(table[chosen, first] * many + table[chosen, second], minlength=many * many)
        return kappa_of_counts(counts.reshape(many, many))

    return kappa


_Two = tuple[Interval, Interval] | None


def _against_truth(
    result: Result, read: ReadByAll, rows: Sequence[Sequence[Any]], reader: int, how: Resampling
) -> tuple[_Two, _Two]:
    """Recall and specificity of a reader, and of the engine on the same cases."""
    if not isinstance(result, ClassificationResult) or result.positive is None:
        return None, None
    own = [n for n, row in enumerate(rows) if row[reader] is not None]
    patients = [read.cases[n].patient for n in own]
    sick = np.array([read.truths[n] == result.positive for n in own])

    def share_of(name: str, who: int, wanted: NDArray[np.bool_]) -> Interval:
        called = np.array([rows[n][who] == result.positive for n in own])
        right = called == sick

        def figure(chosen: Rows) -> Figure:
            asked = wanted[chosen]
            return share(name, int((right[chosen] & asked).sum()), int(asked.sum()), NO_CASES)

        return bootstrap_interval(patients, figure, how)

    return (
        (share_of("recall", reader, sick), share_of("recall", 0, sick)),
        (share_of("specificity", reader, ~sick), share_of("specificity", 0, ~sick)),
    )

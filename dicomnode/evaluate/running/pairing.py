"""Which results and cases of two engines are held against each other: of one question and one truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dicomnode.evaluate.evaluation import Evaluation, task_of
from dicomnode.evaluate.figures import counted
from dicomnode.evaluate.outcomes import (
    CaseName,
    ClassificationResult,
    DetectionResult,
    RegressionResult,
    Result,
    SegmentationResult,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One output of both engines, and the cases that both answered, in one order.

    only_other: cases that the other engine answered and the one judged did not.
    """

    mine: Result
    other: Result
    rows: tuple[tuple[int, int], ...]
    only_other: int = 0

    @property
    def patients(self) -> list[str]:
        """Of each case."""
        return [self.mine.cases[n].case.patient for n, _ in self.rows]

    def cases(self, side: int) -> list[Any]:
        """The cases of one side, 0 of the engine judged, 1 of the other."""
        of: Sequence[Any] = (self.mine, self.other)[side].cases
        return [of[row[side]] for row in self.rows]


def counterpart(result: Result, mine: Evaluation, other: Evaluation) -> Result | None:
    """Return the result of the other engine on the same question; None where there is none, or several."""
    of_task = [one for one in other.results if task_of(one) is task_of(result) and _alike(one, result)]
    by_label = [one for one in of_task if one.output.label == result.output.label]
    if by_label:
        return by_label[0]
    by_code = [
        one for one in of_task if one.output.type is not None and one.output.type == result.output.type
    ]
    own = [one for one in mine.results if task_of(one) is task_of(result)]
    several = sum(one.output.type == result.output.type for one in own) > 1
    return by_code[0] if len(by_code) == 1 and not several else None


def _alike(one: Result, other: Result) -> bool:
    """Tell whether two results of a task can be compared: the same unit, the same classes."""
    if isinstance(one, RegressionResult) and isinstance(other, RegressionResult):
        return one.unit == other.unit
    if isinstance(one, ClassificationResult) and isinstance(other, ClassificationResult):
        several = one.positive is None or other.positive is None
        return not several or (one.positive is other.positive and set(one.labels) == set(other.labels))
    return True


def paired(mine: Result, other: Result) -> Pair:
    """Pair cases by study and series; by the study alone, where each engine has one case of it."""
    keys = [_unique_keys([one.case for one in result.cases]) for result in (mine, other)]
    found = [(n, keys[1][key]) for key, n in keys[0].items() if key in keys[1]]
    once, seen = [], set[int]()
    for a, b in sorted(found):
        if a not in seen:
            once.append((a, b))
            seen.add(a)
    only_other = len(other.cases) - len({b for _, b in once})
    return Pair(mine=mine, other=other, rows=tuple(once), only_other=only_other)


def _unique_keys(cases: Sequence[CaseName]) -> dict[tuple[str, ...], int]:
    """Return the place of each case by each key that is its alone."""
    keys: list[tuple[tuple[str, ...], int]] = []
    for n, one in enumerate(cases):
        study = (one.study_instance_uid, one.lesion)
        keys += [(study, n), ((*study, one.series_instance_uid), n)]
    counts = Counter(key for key, _ in keys)
    return {key: n for key, n in keys if counts[key] == 1}


def of_one_truth(pair: Pair) -> tuple[Pair, list[str]]:
    """Leave out cases that both engines are held against another truth in; and say what is not compared."""
    mine, other = pair.mine, pair.other
    told = []
    left = len(mine.cases) + len(other.cases) - 2 * len(pair.rows)
    if left:
        told.append(f"{counted(left, 'case')} of one engine only: not compared.")
    if pair.only_other:
        told.append(
            f"{counted(pair.only_other, 'case')} that the other engine answers have no answer here: who "
            "leaves out cases is not called better."
        )
    same = tuple(row for row in pair.rows if truth_of(mine, row[0]) == truth_of(other, row[1]))
    if len(same) < len(pair.rows):
        apart = counted(len(pair.rows) - len(same), "case")
        told.append(f"{apart} with another truth for the other engine: not compared.")
    return replace(pair, rows=same), told


def truth_of(result: Result, row: int) -> object:
    """What must be the same of both engines: outlines may lie on other grids, but not be there for one."""
    if isinstance(result, SegmentationResult):
        return result.cases[row].true_ml > 0
    if isinstance(result, DetectionResult):
        return len(result.cases[row].outcome.lesions)
    if isinstance(result, RegressionResult):
        return result.cases[row].true
    truth = result.cases[row].truth
    return truth if result.positive is None else truth == result.positive

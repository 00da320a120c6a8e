"""An engine in the company of readers: how near it is to them, and they to one another."""

from __future__ import annotations

from dataclasses import dataclass

from dicomnode.evaluate.figures import counted
from dicomnode.evaluate.intervals import Interval
from dicomnode.evaluate.outcomes import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class InCompany:
    """One reader. cases: that both it and the engine read.

    engine: agreement of the engine with it, others: its agreement with the other readers; means of its pairs,
    on the same cases. recall,
    specificity: of a question with yes or no, its own against the truth, and of the engine on the same
    cases; None of other answers.
    """

    reader: str
    cases: int
    engine: Interval
    others: Interval
    recall: tuple[Interval, Interval] | None = None
    specificity: tuple[Interval, Interval] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """One output beside its readers, on the cases that the engine answered and two readers and more read.

    Two readers at a time, on the cases that both have read. engine: mean of its agreement with both; among:
    of both with each other; difference: the first minus the second, all of them means of pairs. differing:
    patients of whom not all say the same. measure: what agreement is ("Dice", "Cohen's kappa", "ICC(2,1)").
    by: how readers were told apart.
    """

    output: str
    task: Task
    measure: str
    by: str
    cases: int
    patients: int
    differing: int
    engine: Interval
    among: Interval
    difference: Interval
    readers: tuple[InCompany, ...]
    remarks: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One sentence: what the difference says, and no more than it says."""
        from dicomnode.evaluate.evaluation import FEWEST_TO_TELL  # noqa: PLC0415 (it imports this file)

        low, high = self.difference.low, self.difference.high
        if low is None or high is None or self.patients < FEWEST_TO_TELL:
            return "Nothing can be said of the difference."
        if self.differing < FEWEST_TO_TELL:
            few = counted(self.differing, "patient")
            return f"Nothing can be said of the difference: of all but {few}, all say the same."
        if low > 0.0:
            return "The engine is nearer to the readers than they are to one another."
        if high < 0.0:
            return "The engine is farther from the readers than they are from one another."
        return (
            "The difference may be chance: the engine may be as near to the readers as they are to one "
            "another, or not."
        )

"""What all collectors share: they take case after case, and make one result of an output at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, TypeVar

from dicomnode.evaluate.evaluation import FEW_PATIENTS
from dicomnode.evaluate.figures import Figure, counted
from dicomnode.evaluate.intervals import FigureOf, Interval, Resampling, bootstrap_interval
from dicomnode.evaluate.outcomes import CaseName, OutputName, Result, Task
from dicomnode.evaluate.running.answering import Case
from dicomnode.evaluate.running.drawn import Drawn, Spot
from dicomnode.evaluate.truth import Labels, Wanted
from dicomnode.evaluate.truth.wanted import By
from dicomnode.values import Findings, Mask, Outcome

Truth = TypeVar("Truth")


class Collector(ABC, Generic[Truth]):
    """Collects the pairs of truth and answer of one output. task: what kind of answer they are."""

    task: ClassVar[Task]

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.of_each: Callable[[Case], Sequence[Case]] | None = None  # cases of which a case is made of many
        self.patients: list[str] = []  # of each pair
        self.unanswered: list[tuple[CaseName, Truth]] = []
        self.drawn: list[Drawn] = []
        self.untold = 0
        self.few_in_all = False  # then it is said once, of all outputs
        self._sources: Counter[tuple[By, str]] = Counter()
        self._problems: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many pairs there are."""
        return len(self.patients)

    @abstractmethod
    def truth_of(self, labels: Labels) -> tuple[Truth, By, str] | None:
        """Return what is true, how it was matched, and whence; None where no label says it."""

    @abstractmethod
    def pair(self, case: Case, findings: Findings, truth: Truth) -> None:
        """Keep a pair."""

    @abstractmethod
    def result(self, resampling: Resampling) -> Result:
        """Make the result of all pairs; call it where there is one."""

    def take(self, case: Case) -> bool:
        """Take note of a case; tell whether its labels speak of this output."""
        told, findings = self.truth_of(case.labels), case.findings
        if findings is None or not self.is_answered(findings):
            self.unanswered += [] if told is None else [(case.name, told[0])]
            return told is not None
        if told is None:
            self.untold += 1
            return False
        truth, by, source = told
        self._sources[by, source] += 1
        self.pair(case, findings, truth)
        self.patients.append(case.name.patient)
        return True

    def take_study(self, cases: Sequence[Case], beside: Sequence[Case]) -> None:
        """Take note of all cases of a study. beside: stacks that were not asked about, and labels speak of.

        Where no case has a truth, that of a stack beside is a truth that nobody answered: it is not lost.
        """
        if self.of_each is not None:
            cases, beside = [one for case in cases for one in self.of_each(case)], ()
        told = [self.take(case) for case in cases]
        if not any(told):
            next((case for case in beside if self.take(case)), None)

    def is_answered(self, findings: Findings) -> bool:
        """Whether Findings speak of this output."""
        return findings.outcome not in (Outcome.NOT_ANALYSED, Outcome.FAILED)

    def draw(
        self, case: Case, truth: tuple[Mask | Spot, ...] = (), found: tuple[Mask | Spot, ...] = ()
    ) -> None:
        """Keep what a picture of the case is drawn from."""
        if case.answer.stack is None:
            return
        self.drawn.append(
            Drawn(
                task=self.task,
                output=self.wanted.label,
                case=case.name,
                stack=case.answer.stack,
                about=None if self.wanted.spec.type is None else self.wanted.spec.concept,
                truth=truth,
                found=found,
            )
        )

    def problem(self, text: str) -> None:
        """Take note of a label that cannot be used."""
        self._problems[text] += 1

    @property
    def output(self) -> OutputName:
        """The output and its counterparts."""
        order = list(By)
        sources = sorted(self._sources, key=lambda one: (order.index(one[0]), one[1]))
        return OutputName(
            label=self.wanted.label,
            type=None if self.wanted.spec.type is None else self.wanted.spec.concept,
            truth="; ".join(dict.fromkeys(source for _, source in sources)),
            by=", ".join(dict.fromkeys(str(by) for by, _ in sources)),
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """Labels that could not be used, with how many cases have such a one."""
        return tuple(f"{text} ({counted(count, 'case')})." for text, count in sorted(self._problems.items()))

    def intervals(self, figures: Sequence[FigureOf], resampling: Resampling) -> tuple[Interval, ...]:
        """Make the interval of each figure, by patient."""
        return tuple(bootstrap_interval(self.patients, one, resampling) for one in figures)

    def warned(self) -> list[str]:
        """What any headline warns of: cases without an answer, and fewer patients than the data have."""
        told = []
        if self.unanswered:
            count = len(self.unanswered)
            told.append(f"Of {counted(count + self.count, 'case')} with a truth, {count} have no answer.")
        patients = len(set(self.patients))
        if patients < FEW_PATIENTS and not self.few_in_all:
            told.append(f"Only {counted(patients, 'patient')}: the figures may be far off.")
        return told


def mean_of(name: str, values: Sequence[float], reason: str) -> Figure:
    """The plain mean; None for the given reason where there is nothing."""
    if not values:
        return Figure(name=name, value=None, reason=reason)
    return Figure(name=name, value=sum(values) / len(values))

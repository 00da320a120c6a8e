"""One evaluation: an engine on labelled studies, all its figures, and what cannot be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from dicomnode.evaluate.comparison import Difference, McNemar
from dicomnode.evaluate.figures import counted
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.outcomes import (
    TASK_OF,
    CaseName,
    ClassificationResult,
    DetectionResult,
    RegressionResult,
    Result,
    SegmentationResult,
    Task,
)
from dicomnode.evaluate.readers.company import Company

SCHEMA: Final = 1

FEW_PATIENTS: Final = 30
"""With fewer a warning says so: one patient more or less moves a rate by 0.03."""

FEWEST_TO_TELL: Final = 6
"""With fewer patients no difference tells: if one engine were better for each of five, chance alone would do
that once in sixteen (2 / 2⁵); for each of six, once in thirty-two."""


class RunState(StrEnum):
    """What came of an engine on a case."""

    ANALYSED = "analysed"
    REFUSED = "refused"  # it answered "not analysed, because …"
    NOT_WANTED = "not-wanted"  # no series of the study is for this engine
    FAILED = "failed"  # the machine or a network broke


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRun:
    """One case and what came of it. code: row of the table of faults; reason: its sentence, or the rule."""

    case: CaseName
    state: RunState
    code: str = ""
    reason: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """Which engine: as its Provenance says. digest: SHA-256 of the package, 64 hex digits."""

    name: str
    version: str
    title: str
    use: str
    digest: str
    runtime: str = ""
    precision: str = ""
    device: str = ""

    @property
    def text(self) -> str:
        """Name, version and the start of the digest."""
        return f"{self.name} {self.version} ({self.digest[:12]})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """Which studies. part: of the split that was judged ("test"), "" for all of the data.

    parts: studies of each part of the split, () without one. synthetic: studies that say that nobody was
    imaged. set_aside: files that are of no study, by the code of the reason. labels: name of the CSV file.
    digest: SHA-256 over the studies and their labels: equal data, equal digest.
    """

    studies: int
    patients: int
    synthetic: int = 0
    part: str = ""
    parts: tuple[tuple[str, int], ...] = ()
    annotations: int = 0
    labels: str = ""
    set_aside: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "set_aside", MappingProxyType(dict(self.set_aside)))


class Verdict(StrEnum):
    """What a paired difference says of the engine against the other one."""

    BETTER = "better"
    WORSE = "worse"
    CHANCE = "it may be chance"
    UNKNOWN = "nothing can be said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A figure of both engines on the same cases: `first` is the other engine, `second` the one judged.

    higher_is_better: False of errors and distances. bearing: patients that the figure hangs on, as the sick
    for a recall; None where all do. differing: those of whom both engines do not say the same, None where not
    known. left_out: cases that only the other engine answered.
    """

    task: Task
    output: str
    difference: Difference
    higher_is_better: bool
    bearing: int | None = None
    differing: int | None = None
    left_out: int = 0

    @property
    def verdict(self) -> Verdict:
        """Better or worse where the interval of the difference leaves out 0, of six patients and more.

        Not better where cases that the other one answered are left out: they may be the hard ones. Nor where
        both say the same of all but five patients and fewer: that these five speak for it may be chance, and
        intervals of percentiles do not know it. To be worse takes less: it is a warning, better is a claim.
        """
        low, high = self.difference.interval.low, self.difference.interval.high
        patients = self.difference.interval.patients if self.bearing is None else self.bearing
        if low is None or high is None or patients < FEWEST_TO_TELL:
            return Verdict.UNKNOWN
        if low <= 0.0 <= high:
            return Verdict.CHANCE
        if (low > 0.0) != self.higher_is_better:
            return Verdict.WORSE
        if self.left_out:
            return Verdict.UNKNOWN
        few = self.differing is not None and self.differing < FEWEST_TO_TELL
        return Verdict.CHANCE if few else Verdict.BETTER


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCalls:
    """Which of both engines called the cases of a question what they are."""

    output: str
    test: McNemar


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Against another engine on the same studies: its own evaluation, and paired differences."""

    other: Evaluation
    differences: tuple[Compared, ...]
    calls: tuple[ComparedCalls, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """All that was found out; sets are never pooled: one output, one result.

    runs: every case with what came of it, none left out. alarms: sentences on the data and on outputs without
    any answer that nobody may overlook. unmatched: sentences on outputs and labels that have no counterpart.
    companies: outputs beside the readers of the data, where there are several. resampling: how intervals were
    drawn. made_at: time-zone aware, None in tests.
    """

    engine: EngineFacts
    data: DataFacts
    runs: tuple[CaseRun, ...]
    segmentations: tuple[SegmentationResult, ...] = ()
    detections: tuple[DetectionResult, ...] = ()
    classifications: tuple[ClassificationResult, ...] = ()
    regressions: tuple[RegressionResult, ...] = ()
    alarms: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    comparison: Comparison | None = None
    companies: tuple[Company, ...] = ()
    resampling: Resampling = field(default_factory=Resampling)
    node_version: str = ""
    made_at: datetime | None = None

    @property
    def results(self) -> tuple[Result, ...]:
        """All results in the order of a report: what is called, found, outlined, measured."""
        return (*self.classifications, *self.detections, *self.segmentations, *self.regressions)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What nobody may overlook: of the runs, then of each result, with its output."""
        told = list(self._general())
        for one in self.results:
            told += [f"{one.output.label}: {text}" for text in one.headline.warnings]
            told += [f"{one.output.label}: {said.text}" for said in one.headline.contradictions]
        return tuple(told)

    def count(self, state: RunState) -> int:
        """How many cases ended so."""
        return sum(run.state is state for run in self.runs)

    def _general(self) -> Sequence[str]:
        few = f"Only {counted(self.data.patients, 'patient')}: all figures may be far off."
        return (*self.alarms, *self._of_runs(), *([few] if self.data.patients < FEW_PATIENTS else []))

    def _of_runs(self) -> Sequence[str]:
        words = {RunState.REFUSED: "refused", RunState.NOT_WANTED: "not wanted", RunState.FAILED: "failed"}
        counts = [(self.count(state), word) for state, word in words.items()]
        without = [f"{count} {word}" for count, word in counts if count]
        if not without:
            return ()
        return (f"Of {counted(len(self.runs), 'case')}, these have no answer: {', '.join(without)}.",)

    def to_document(self) -> dict[str, Any]:
        """The JSON of the evaluation, schema 1; see `documents`."""
        from dicomnode.evaluate.documents import evaluation_document  # noqa: PLC0415 (it imports this file)

        return evaluation_document(self)


def task_of(result: Result) -> Task:
    """What kind of answer a result judges."""
    return TASK_OF[type(result)]

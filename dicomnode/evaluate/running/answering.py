"""What an engine says of a study, and who asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dicomnode.assemble import Stack, StudyFiles
from dicomnode.engine import EnginePackage
from dicomnode.evaluate.evaluation import CaseRun, RunState
from dicomnode.evaluate.outcomes import CaseName
from dicomnode.evaluate.truth import Labels
from dicomnode.values import Findings, Outcome, Progress, RemarkKind, Unreported


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What came of an engine on one stack of a study.

    stack: None where the engine wants none of the study. findings: None where there are none: then code and
    reason say why. seconds: that the analysis took. unreported: candidates that the engine does not report;
    None where nobody kept them.
    """

    stack: Stack | None
    findings: Findings | None
    state: RunState
    code: str = ""
    reason: str = ""
    seconds: float | None = None
    unreported: Unreported | None = None

    @classmethod
    def of(cls, stack: Stack, findings: Findings, seconds: float | None = None) -> Answer:
        """Make it of Findings: those that say "not analysed" are a refusal, with their reason."""
        if findings.outcome not in (Outcome.NOT_ANALYSED, Outcome.FAILED):
            return cls(stack=stack, findings=findings, state=RunState.ANALYSED, seconds=seconds)
        why = [one for one in findings.remarks if one.kind is RemarkKind.NOT_ANALYSED]
        state = RunState.FAILED if findings.outcome is Outcome.FAILED else RunState.REFUSED
        return cls(
            stack=stack,
            findings=findings,
            state=state,
            code=(why[0].code or "") if why else "",
            reason=why[0].text if why else "",
            seconds=seconds,
        )


class Answerer(Protocol):
    """Runs an engine on studies, as the node would."""

    @property
    def package(self) -> EnginePackage:
        """The engine that it runs."""

    def __call__(self, study: StudyFiles, progress: Progress) -> Sequence[Answer]:
        """Analyse each stack of a study that the engine takes: an answer each, at least one a study.

        What fails of one study is an answer that says so; it raises NodeError for what fails of all.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One answer beside what is said of it.

    labels: of the stack that was answered; of a case without an answer those of the first stack that labels
    speak of, so that a truth that nobody answered is not lost.
    """

    name: CaseName
    labels: Labels
    answer: Answer

    @property
    def findings(self) -> Findings | None:
        """What was found, None where nothing was answered."""
        return self.answer.findings

    @property
    def run(self) -> CaseRun:
        """What came of it."""
        one = self.answer
        return CaseRun(case=self.name, state=one.state, code=one.code, reason=one.reason, seconds=one.seconds)

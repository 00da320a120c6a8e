"""An engine that answers study after study as the node would, for those who judge its answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self

from dicomnode import __version__
from dicomnode.analyse import Analyst
from dicomnode.assemble import DecoderLimits, DecoderPool, Stack, StudyFiles
from dicomnode.device.cuda import ends_process
from dicomnode.engine import EnginePackage, RuntimeWish
from dicomnode.evaluate.evaluation import RunState
from dicomnode.evaluate.running import Answer
from dicomnode.faults import FILE_UNREADABLE, NodeError
from dicomnode.serve.analysing.analysis import Beside, analyse_stack
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.analysing.unanswered import not_analysed
from dicomnode.serve.deciding.dispatch import Choice, Dispatch, decide
from dicomnode.values import Picture, Progress, Verdict, Volume

_NO_SERIES: Final = "it holds no series of images"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweringPlan:
    """How an engine is run. wish: on what; occasion: dates and salt; decoding: what decoders may take.

    keeps_unreported: whether answers tell candidates that the engine does not report, for who judges it.
    watch: is shown what was decoded of a stack, so that nobody need decode it again.
    """

    threads: int
    occasion: Occasion
    wish: RuntimeWish = field(default_factory=RuntimeWish)
    decoding: DecoderLimits = field(default_factory=DecoderLimits)
    keeps_unreported: bool = False
    watch: Callable[[Stack, Volume | Picture], None] | None = None


class Answering:
    """An engine that is loaded once: the decisions, the decoders and the analyst of the node.

    Use it as a context. Raises NodeError as `Analyst`.
    """

    def __init__(self, package: EnginePackage, plan: AnsweringPlan) -> None:
        self.package = package
        self._plan = plan
        self._analyst = Analyst(package, threads=plan.threads, node_version=__version__, wish=plan.wish)
        self._analyst.keeps_unreported = plan.keeps_unreported
        self._decoders = DecoderPool(plan.decoding)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoders.close()
        self._analyst.close()

    def __call__(self, study: StudyFiles, progress: Progress) -> Sequence[Answer]:
        """Answer a study: for each stack that the engine takes what it found, or why it found nothing.

        What fails of one study is told as its answer. Raises NodeError about the disk, and about a device
        that is gone for good.
        """
        dispatch = decide(study, [self.package], self._decoders)
        stacks = [stack for series in study.series for stack in series.stacks]
        answers = [self._answer(choice, stacks, progress) for choice in dispatch.choices]
        for one in dispatch.dismissals:
            findings = not_analysed(one.package, one.stack, one.refusal, self._plan.occasion)
            answers.append(Answer.of(one.stack, findings))
        return answers or [_not_wanted(dispatch)]

    def _answer(self, choice: Choice, stacks: Sequence[Stack], progress: Progress) -> Answer:
        began = time.perf_counter()
        try:
            findings, images = analyse_stack(
                self._analyst,
                choice.stack,
                self._plan.occasion,
                progress,
                self._decoders,
                Beside(others=stacks),
            )
        except NodeError as error:
            if error.fault is FILE_UNREADABLE or ends_process(error):
                raise
            return Answer(
                stack=choice.stack,
                findings=None,
                state=RunState.FAILED,
                code=error.fault.code,
                reason=error.refusal.text,
            )
        answer = Answer.of(choice.stack, findings, time.perf_counter() - began)
        if self._plan.watch is not None and images is not None:
            self._plan.watch(choice.stack, images)
        return replace(answer, unreported=self._analyst.unreported) if self._plan.keeps_unreported else answer


def _not_wanted(dispatch: Dispatch) -> Answer:
    reason = _rule(dispatch.verdicts[0]) if dispatch.verdicts else _NO_SERIES
    return Answer(stack=None, findings=None, state=RunState.NOT_WANTED, reason=reason)


def _rule(verdict: Verdict) -> str:
    return f"it wants {verdict.rule}, found {verdict.found}"

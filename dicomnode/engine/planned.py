"""TensorRT for one engine: its plans come from the node's cache, opened when the first is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from dicomnode.engine.acceptance import Acceptance
from dicomnode.engine.manifest.tree import StepSpec
from dicomnode.engine.plans import KeptPlans, PlanCache
from dicomnode.engine.plans.compiled import seeded
from dicomnode.engine.precision import Calibration, site_calibration
from dicomnode.engine.runtimes import Capability, Network, Reason, Runtime, RuntimeWish, Session
from dicomnode.engine.runtimes.tensorrt import ReadyPlan, TensorRtRuntime
from dicomnode.faults import NETWORK_FAILED, PLAN_NOT_WRITTEN, NodeError

_log = structlog.get_logger("dicomnode.engine")


class PlanFailedError(NodeError):
    """A plan that was there does not run, not even to be warmed up. plan: its identity, as in results."""

    def __init__(self, failure: NodeError, plan: str) -> None:
        super().__init__(failure.fault, **failure.values)
        self.plan = plan


@dataclass(frozen=True, slots=True)
class PlannedRuntime:
    """A flavour of TensorRT that all engines share, probed once, with the plans of one of them."""

    shared: TensorRtRuntime
    steps: tuple[StepSpec, ...]
    cache: Path
    plan_key: str = ""
    calibration: Path | None = None

    @property
    def name(self) -> str:
        """As the settings and messages call it."""
        return self.shared.name

    def probe(self, threads: int = 0) -> Capability | Reason:
        """Try it, in a child, once in the life of this process."""
        return self.shared.probe(threads)

    def load(self, network: Network, capability: Capability) -> Session:
        """Load the plan of a network.

        Raises NodeError as `TensorRtRuntime.load` and `PlanCache` do: PlanFailedError where there was a plan
        and it does not run.
        """
        cache = PlanCache(self.cache, credential=self.plan_key)
        plans = KeptPlans(cache, self.steps, self._calibration)
        given: list[str] = []

        def remembered(network: Network, capability: Capability) -> ReadyPlan | Reason:
            plan = plans(network, capability)
            if isinstance(plan, ReadyPlan):
                given.append(plan.key)
            return plan

        try:
            return self.shared.with_plans(remembered).load(network, capability)
        except NodeError as error:
            if error.fault is not NETWORK_FAILED or not given:
                raise
            raise PlanFailedError(error, given[-1]) from error

    def _calibration(self, step: StepSpec) -> Calibration | None:
        """What a plan of 8 bits was calibrated with: the site's own inputs are part of what it is."""
        return seeded(step) if self.calibration is None else site_calibration(self.calibration, step.name)


def with_plans(
    runtimes: Sequence[Runtime], steps: Sequence[StepSpec], wish: RuntimeWish
) -> tuple[Runtime, ...]:
    """Give the runtimes that need plans those of an engine; without a folder of plans they have none."""
    if wish.plans is None:
        return tuple(runtimes)
    return tuple(
        PlannedRuntime(runtime, tuple(steps), wish.plans, wish.plan_key, wish.calibration)
        if isinstance(runtime, TensorRtRuntime)
        else runtime
        for runtime in runtimes
    )


def judge_plan(wish: RuntimeWish, acceptance: Acceptance) -> bool:
    """Tell the cache how a plan agreed: one that did may stand in for a later one, another serves no more.

    Returns False where that could not be written, as the log says then: it is told again another time. Raises
    NodeError as `PlanCache` does.
    """
    figures = {"worst": acceptance.worst, "subject": asdict(acceptance.subject)}
    return _judge(wish, acceptance.subject.plan, figures, passed=acceptance.passed)


def reject_plan(wish: RuntimeWish, plan: str, worst: str) -> None:
    """Tell the cache of a plan that could not be compared at all, and why; it serves no more."""
    _judge(wish, plan, {"worst": worst}, passed=False)


def _judge(wish: RuntimeWish, plan: str, figures: Mapping[str, Any], *, passed: bool) -> bool:
    if not plan or wish.plans is None:
        return True
    try:
        PlanCache(wish.plans, credential=wish.plan_key).judge(plan, passed=passed, figures=figures)
    except NodeError as error:
        if error.fault is not PLAN_NOT_WRITTEN:
            raise
        text = error.fault.text(**error.values)
        _log.warning("plan.not_judged", digest=plan, passed=passed, code=error.fault.code, text=text)
        return False
    return True

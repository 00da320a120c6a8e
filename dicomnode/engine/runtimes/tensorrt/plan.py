"""A plan on its way into a session, and where plans come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from dicomnode.engine.plans import PlanInUse
from dicomnode.engine.runtimes.contract import Capability, Network, Reason
from dicomnode.faults import Fault, NodeError


class SpoiledPlanError(NodeError):
    """TensorRT makes nothing of the bytes of a plan: no later try will either."""


def _nothing() -> None:
    return


def _leave_it(reason: str) -> None:
    """For a plan that nobody keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyPlan:
    """A plan that was verified by whoever keeps it: it is code, and loading it runs it.

    key: of the plan in its cache, for results. precision: of the ONNX that it was built from: "fp16".
    tf32: whether its fp32 convolutions may round. release: is called when the session lets go of it; discard:
    with the reason, after that, when TensorRT makes nothing of it, so that it is given to nobody else.
    """

    content: bytes = field(repr=False)
    key: str
    precision: str
    tf32: bool
    release: Callable[[], None] = field(default=_nothing, repr=False, compare=False)
    discard: Callable[[str], None] = field(default=_leave_it, repr=False, compare=False)


class PlanSource(Protocol):
    """Gives the plan of a network for a device, or says why there is none. It never builds one."""

    def __call__(self, network: Network, capability: Capability) -> ReadyPlan | Reason:
        """Return the plan. Raises nothing but NodeError: for a plan that must not be loaded."""


def no_plans(network: Network, capability: Capability) -> Reason:  # noqa: ARG001  a PlanSource
    """The source of who keeps no plans."""
    return Reason(capability.runtime, "no plans are kept here")


def ready_plan(held: PlanInUse, discard: Callable[[str], None] = _leave_it) -> ReadyPlan:
    """Make a plan of the cache ready for a session, which holds it until it is closed."""
    key = held.plan.key
    return ReadyPlan(
        content=held.plan.content,
        key=key.digest,
        precision=key.precision,
        tf32=bool(key.options.get("tf32")),
        release=held.lock.close,  # and not `held`, which has the plan's bytes
        discard=discard,
    )


def fault(row: Fault, network: Network, **texts: str) -> NodeError:
    """Make a failure of a plan: `texts` become one line each, without the full stop that the row has."""
    facts = {name: " ".join(text.split()).rstrip(".") for name, text in texts.items()}
    # "lung-ct 1.0.0" is the engine in messages, "lung-ct" what commands take
    return NodeError(
        row, engine=network.engine, name=network.engine.split(" ")[0], file=network.file, **facts
    )

"""TensorRT as a runtime: tried in a child process, loaded from a plan, never built on a study's way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final

from dicomnode.device import Device
from dicomnode.engine.runtimes.contract import Capability, Network, Reason
from dicomnode.engine.runtimes.probing import ask_child
from dicomnode.engine.runtimes.tensorrt.flavours import (
    TENSORRT,
    Flavour,
    bindings,
    installed,
    not_installed,
)
from dicomnode.engine.runtimes.tensorrt.plan import PlanSource, SpoiledPlanError, fault, no_plans
from dicomnode.engine.runtimes.tensorrt.session import TensorRtSession
from dicomnode.faults import PLAN_MISSING, RUNTIME_MISSING, NodeError

if TYPE_CHECKING:
    from dicomnode.device.cuda import CudaContext

_LIMIT_S: Final = (
    60.0  # the library is large: from a cold disk it takes seconds; a driver that hangs, for ever
)
_MODULE: Final = "dicomnode.engine.runtimes.tensorrt.probing"

Contexts = Callable[[Device], "CudaContext"]


def held_context(device: Device) -> CudaContext:
    """Return the CUDA context that this process holds of a device until it ends: one, for all its sessions.

    It belongs to the thread that comes here first.
    """
    return _held(device.uuid or device.index)


@cache
def _held(which: str | int) -> CudaContext:
    from dicomnode.device.cuda import CudaContext  # noqa: PLC0415  the room with pycuda

    return CudaContext(which)


class TensorRtRuntime:
    """One flavour of TensorRT. plans: where plans come from. contexts: gives the CUDA context of a device."""

    def __init__(
        self, flavour: Flavour = TENSORRT, plans: PlanSource = no_plans, contexts: Contexts = held_context
    ) -> None:
        self.flavour = flavour
        self._plans = plans
        self._contexts = contexts
        self._probed: Capability | None = None

    def with_plans(self, plans: PlanSource) -> TensorRtRuntime:
        """Return the same with plans from elsewhere, on the same CUDA contexts."""
        return TensorRtRuntime(self.flavour, plans, self._contexts)

    @property
    def name(self) -> str:
        """As the settings and messages call it: "tensorrt", "tensorrt-rtx"."""
        return self.flavour.name

    def probe(self, threads: int = 0) -> Capability | Reason:  # noqa: ARG002  a GPU has its own
        """Try it in a child, until that has gone well.

        Without a driver TensorRT ends the process that calls it. A failure may have gone when it is tried
        again: at a cold start the library is slow to load.
        """
        if not installed(self.flavour):
            return Reason(self.name, not_installed(self.flavour), installed=False)
        if self._probed is not None:
            return self._probed
        answer = ask_child(self.name, [sys.executable, "-m", _MODULE, self.name], _LIMIT_S)
        if isinstance(answer, Capability):
            self._probed = answer
        return answer

    def load(self, network: Network, capability: Capability) -> TensorRtSession:
        """Load the plan of a network and warm it up; it never builds one.

        Raises NodeError: PLAN_MISSING, PLAN_NOT_LOADED, RUNTIME_MISSING, NETWORK_FAILED when its first run
        fails, and as the CUDA context does.
        """
        plan = self._plans(network, capability)
        if isinstance(plan, Reason):
            raise fault(PLAN_MISSING, network, device=capability.device.name, reason=plan.text)
        trt = bindings(self.flavour)
        if isinstance(trt, Reason):
            plan.release()
            raise NodeError(RUNTIME_MISSING, engine=network.engine, reasons=f"{trt.runtime}: {trt.text}")
        try:
            session = TensorRtSession(trt, network, capability, plan, self._contexts(capability.device))
        except SpoiledPlanError as error:
            plan.release()
            plan.discard(str(error))
            raise
        except BaseException:
            plan.release()
            raise
        try:
            session.warm_up()
        except BaseException:
            session.close()
            raise
        return session

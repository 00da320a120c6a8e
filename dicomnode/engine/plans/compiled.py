"""Plans of the TensorRT family: the key of a network on a device, its order, and how a session gets it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dicomnode.device import Device
from dicomnode.engine.manifest.tree import StepSpec
from dicomnode.engine.plans.cache import PlanCache, PlanInUse
from dicomnode.engine.plans.key import GpuIdentity, PlanKey
from dicomnode.engine.plans.order import PlanOrder
from dicomnode.engine.plans.profiles import gate_shapes, profile_of
from dicomnode.engine.plans.record import PlanState
from dicomnode.engine.precision.calibration import Calibration
from dicomnode.engine.precision.conversion import conversion_of
from dicomnode.engine.runtimes.contract import Capability, Network, Reason
from dicomnode.engine.runtimes.tensorrt.flavours import TENSORRT_RTX, cuda_major, flavour_named
from dicomnode.engine.runtimes.tensorrt.options import BuildOptions, options_of
from dicomnode.engine.runtimes.tensorrt.plan import ReadyPlan, ready_plan

_BUILDER: Final = "dicomnode.engine.runtimes.tensorrt.builder:build"
_CALIBRATED: Final = ("int8", "fp8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """A flavour of TensorRT on a device.

    device: None for a plan that is bound to no device (RTX alone). precisions: that the device has; empty:
    not known.
    """

    flavour: str
    version: str
    device: Device | None
    cuda_runtime: str = ""
    precisions: tuple[str, ...] = ()


def compiler_of(capability: Capability) -> Compiler:
    """Return the compiler that a capability speaks of."""
    major = cuda_major(flavour_named(capability.runtime))
    return Compiler(
        flavour=capability.runtime,
        version=capability.version,
        device=capability.device,
        cuda_runtime="" if major is None else str(major),
        precisions=capability.precisions,
    )


def plan_order(
    engine: str,
    step: StepSpec,
    content: bytes,
    precision: str,
    compiler: Compiler,
    calibration: Calibration | None = None,
) -> PlanOrder:
    """Order the plan of a network.

    engine: name without its version. content: the network's verified bytes. calibration: None for the
    seeded inputs of the network's gate. Raises NodeError(PLAN_BUILD_FAILED) when engine.toml does not say
    how large its inputs are.
    """
    calibration = calibration or seeded(step)
    material = {
        **BuildOptions().material(),
        "profiles": [profile] if (profile := profile_of(step, content)) else [],
    }
    key = PlanKey(
        engine=engine,
        network=step.network or step.name,
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        precision=precision,
        flavour=compiler.flavour,
        version=compiler.version,
        gpu=None if compiler.device is None else gpu_of(compiler.device),
        driver="" if compiler.device is None else compiler.device.driver,
        cuda_runtime="" if compiler.device is None else compiler.cuda_runtime,
        conversion=conversion_of(precision, calibration if precision in _CALIBRATED else None),
        options=options_of(material).material(),
    )
    return PlanOrder(key=key, content=content, builder=_BUILDER, calibration=calibration)


def seeded(step: StepSpec) -> Calibration | None:
    """Return the seeded inputs of a network's gate; None when it has none."""
    shapes = gate_shapes(step)
    if step.gate is None or not shapes:
        return None
    return Calibration(shapes=shapes, low=step.gate.low, high=step.gate.high, seed=step.gate.seed)


def gpu_of(device: Device) -> GpuIdentity:
    """Return what a plan is bound to of a device."""
    return GpuIdentity(
        name=device.name,
        compute_capability=device.compute_capability or (0, 0),
        multiprocessors=getattr(device, "multiprocessors", 0),
        memory_bytes=device.memory_bytes,
    )


@dataclass(frozen=True, slots=True)
class KeptPlans:
    """A `PlanSource`: gives a session the plan of a network of one engine, and never builds.

    It gives the network's own plan where that was built and not rejected; else one that served before and
    may stand in; for TensorRT-RTX else one that is bound to no device.
    """

    cache: PlanCache
    steps: Sequence[StepSpec]
    calibrations: Callable[[StepSpec], Calibration | None] = field(default=seeded)

    def __call__(self, network: Network, capability: Capability) -> ReadyPlan | Reason:
        """Return the plan, held until the session closes, or why there is none."""
        step = next((one for one in self.steps if one.network == network.file), None)
        if step is None:
            return Reason(capability.runtime, f"the engine has no network {network.file}")
        compiler = compiler_of(capability)
        choices = [compiler]
        if compiler.flavour == TENSORRT_RTX.name:
            choices.append(replace(compiler, device=None))
        engine = network.engine.split(" ")[0]
        rejected = False
        for one in choices:
            order = plan_order(engine, step, network.content, network.precision, one, self.calibrations(step))
            held = self.cache.use(order.key)
            if held is not None and held.plan.record.state is not PlanState.REJECTED:
                return self._ready(held)
            if held is not None:
                rejected = True
                held.close()
            stand_in = self._stand_in(order.key)
            if stand_in is not None:
                return self._ready(stand_in)
        why = "its plan did not agree with the reference" if rejected else "no plan was built for it here"
        return Reason(capability.runtime, f"{why}: `dicomnode engine build {engine}`")

    def _ready(self, held: PlanInUse) -> ReadyPlan:
        key = held.plan.key
        return ready_plan(held, lambda reason: self.cache.discard(key, reason))

    def _stand_in(self, key: PlanKey) -> PlanInUse | None:
        older = self.cache.serving(key)
        return None if older is None else self.cache.use(older.key)

"""Which plans an engine wants here: of each network, for each compiler that there is, in each precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dicomnode.engine.forests import is_forest
from dicomnode.engine.package import EnginePackage
from dicomnode.engine.plans.compiled import Compiler, compiler_of, plan_order
from dicomnode.engine.plans.order import PlanOrder
from dicomnode.engine.precision.calibration import site_calibration
from dicomnode.engine.runtimes.contract import Capability, Reason
from dicomnode.engine.runtimes.tensorrt import (
    FLAVOURS,
    TENSORRT_RTX,
    Flavour,
    TensorRtRuntime,
    bindings,
)


def find_compilers(
    flavours: Sequence[Flavour] = FLAVOURS, *, without_device: bool = False
) -> tuple[list[Compiler], list[Reason]]:
    """Return what compiles plans here, and why the others do not; each is probed in a child process.

    without_device: TensorRT-RTX compiles where there is no GPU too, plans that are bound to none.
    """
    compilers: list[Compiler] = []
    reasons: list[Reason] = []
    for flavour in flavours:
        answer = TensorRtRuntime(flavour).probe()
        if isinstance(answer, Capability):
            compilers.append(compiler_of(answer))
            continue
        reasons.append(answer)
        if without_device and flavour is TENSORRT_RTX:
            library = bindings(flavour)
            if not isinstance(library, Reason):
                compilers.append(Compiler(flavour=flavour.name, version=library.__version__, device=None))
    return compilers, reasons


def orders_of(
    package: EnginePackage,
    compilers: Sequence[Compiler],
    precisions: Sequence[str] = (),
    calibration: Path | None = None,
) -> Iterator[PlanOrder]:
    """Give the orders of an engine's plans; of forests there are none.

    precisions: empty for those that engine.toml allows and the device has. calibration: folder of inputs
    for int8 and fp8. Raises NodeError as `plan_order` and `EnginePackage.network_bytes` do.
    """
    for step in package.manifest.networks:
        content = package.network_bytes(step)
        if is_forest(content):
            continue
        inputs = None if calibration is None else site_calibration(calibration, step.name)
        for compiler in compilers:
            able = [one for one in step.precisions if not compiler.precisions or one in compiler.precisions]
            for precision in precisions or able:
                yield plan_order(package.manifest.name, step, content, precision, compiler, inputs)

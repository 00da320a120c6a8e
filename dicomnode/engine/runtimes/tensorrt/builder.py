"""What the plan cache calls in its child process: `dicomnode.engine.runtimes.tensorrt.builder:build`."""

from __future__ import annotations

import sys

from dicomnode.engine.plans import BuildJob, Tell
from dicomnode.engine.runtimes.contract import Network, Reason
from dicomnode.engine.runtimes.tensorrt.build import build_plan
from dicomnode.engine.runtimes.tensorrt.flavours import TENSORRT, bindings, flavour_named
from dicomnode.engine.runtimes.tensorrt.options import options_of
from dicomnode.engine.runtimes.tensorrt.plan import fault
from dicomnode.engine.runtimes.tensorrt.progress import BuildWatch, Progress
from dicomnode.faults import PLAN_NOT_BUILT, RUNTIME_MISSING, NodeError


def build(job: BuildJob, content: bytes, tell: Tell) -> bytes:
    """Build the plan of a job (see `PlanBuilder`): TensorRT's log goes to stdout, its progress to `tell`.

    TensorRT itself measures on the GPU while it builds, and a call of it without a driver ends the process:
    the driver is asked first. TensorRT-RTX needs none. Raises NodeError as `build_plan` does, and
    RUNTIME_MISSING.
    """
    flavour = flavour_named(job.flavour)
    network = Network(engine=job.engine, file=job.file, content=content, precision=job.precision)
    trt = bindings(flavour)
    if isinstance(trt, Reason):
        raise NodeError(RUNTIME_MISSING, engine=job.engine, reasons=f"{trt.runtime}: {trt.text}")
    if flavour is TENSORRT:
        from dicomnode.device.cuda import probe_cuda  # noqa: PLC0415  the room with pycuda

        found = probe_cuda()
        if isinstance(found, str):
            raise fault(PLAN_NOT_BUILT, network, reasons=found)

    def progress(now: Progress) -> bool:
        tell(now.phase, now.part)
        return True

    def line(severity: str, text: str) -> None:
        sys.stdout.write(f"{severity}: {text}\n")
        sys.stdout.flush()

    return build_plan(trt, network, options_of(job.options), BuildWatch(progress=progress, line=line))

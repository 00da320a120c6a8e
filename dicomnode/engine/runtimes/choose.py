"""Which runtime runs a network: the best that works on this machine, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.engine.runtimes.contract import Capability, Reason, Runtime
from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime
from dicomnode.faults import RUNTIME_MISSING, NodeError

# Best first. ONNX Runtime on the CPU is the last, as it is always there.
RUNTIMES: Final[tuple[Runtime, ...]] = (OnnxRuntime(),)


def survey(threads: int = 0, runtimes: Sequence[Runtime] = RUNTIMES) -> list[Capability | Reason]:
    """Probe all runtimes, best first."""
    return [runtime.probe(threads) for runtime in runtimes]


def choose_runtime(
    engine: str,
    precisions: Sequence[str],
    threads: int = 0,
    runtimes: Sequence[Runtime] = RUNTIMES,
) -> tuple[Runtime, Capability]:
    """Return the first runtime that works here and has one of the precisions that a network may run in.

    Raises NodeError(RUNTIME_MISSING) with the reason for each when there is none.
    """
    reasons = []
    for runtime in runtimes:
        answer = runtime.probe(threads)
        if isinstance(answer, Reason):
            reasons.append(f"{answer.runtime}: {answer.text}")
        elif not set(answer.precisions) & set(precisions):
            reasons.append(f"{answer.runtime}: it has {', '.join(answer.precisions)} only")
        else:
            return runtime, answer
    raise NodeError(RUNTIME_MISSING, engine=engine, reasons="; ".join(reasons) or "none is installed")

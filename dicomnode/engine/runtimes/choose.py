"""Which runtimes may run a network here, best first, and why the others may not."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.engine.runtimes.contract import Capability, Reason, Runtime
from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime
from dicomnode.engine.runtimes.openvino import OpenVino
from dicomnode.engine.runtimes.probing import TriedInChild, probe
from dicomnode.engine.runtimes.tensorrt import TENSORRT, TENSORRT_RTX, TensorRtRuntime
from dicomnode.engine.runtimes.tensorrt.flavours import installed
from dicomnode.engine.runtimes.triton import TritonRuntime
from dicomnode.engine.runtimes.wish import RuntimeWish

# The measure for all others, in fp32, and always there
REFERENCE: Final = OnnxRuntime()
# Best first
RUNTIMES: Final[tuple[Runtime, ...]] = (
    TensorRtRuntime(TENSORRT),
    TensorRtRuntime(TENSORRT_RTX),
    OpenVino(),
    REFERENCE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A runtime that works here, and a precision that it and the network have."""

    runtime: Runtime
    capability: Capability
    precision: str

    @property
    def is_reference(self) -> bool:
        """Whether it is what the others are measured by."""
        return self.runtime.name == REFERENCE.name and self.precision == "fp32"


def survey(
    threads: int = 0, wish: RuntimeWish | None = None, runtimes: Sequence[Runtime] = RUNTIMES
) -> list[Capability | Reason]:
    """Probe all runtimes, best first."""
    wish = wish or RuntimeWish()
    return [probe(runtime, threads, wish.state) for runtime in with_server(runtimes, wish)]


def with_server(runtimes: Sequence[Runtime], wish: RuntimeWish) -> list[Runtime]:
    """Put the inference server, where the site has one, behind the GPU of this machine and before its CPU."""
    if wish.triton is None:
        return list(runtimes)
    of_gpu = [runtime.name in (TENSORRT.name, TENSORRT_RTX.name) for runtime in runtimes]
    behind = len(of_gpu) - of_gpu[::-1].index(True) if True in of_gpu else 0
    return [*runtimes[:behind], TritonRuntime(wish.triton), *runtimes[behind:]]


def candidates(
    precisions: Sequence[str],
    wish: RuntimeWish,
    threads: int = 0,
    runtimes: Sequence[Runtime] = RUNTIMES,
) -> Iterator[Candidate | Reason]:
    """Give what may run a network, in the order in which it is to be tried, and what may not, and why.

    precisions: of the network, best liked first. It probes as it goes: who takes the first pays for no other.
    """
    wanted = _precisions(precisions, wish)
    for runtime in _ordered(wish, with_server(runtimes, wish)):
        answer = _not_worth_it(runtime, wish) or probe(runtime, threads, wish.state)
        if isinstance(answer, Reason):
            yield answer
            continue
        shared = [precision for precision in wanted if precision in answer.precisions]
        if not wanted:
            yield Reason(runtime.name, f"engine.toml does not let the network run in {wish.precision}")
        elif not shared:
            has, may = ", ".join(answer.precisions), ", ".join(wanted)
            yield Reason(runtime.name, f"it has {has}, the network may run in {may}")
        for precision in shared:
            yield Candidate(runtime, answer, precision)


def _ordered(wish: RuntimeWish, runtimes: Sequence[Runtime]) -> list[Runtime]:
    """The one that is named first, and the others only where they may take over."""
    named = [runtime for runtime in runtimes if runtime.name == wish.runtime]
    others = [runtime for runtime in runtimes if runtime.name != wish.runtime]
    return named + (others if wish.others_allowed else [])


def _precisions(precisions: Sequence[str], wish: RuntimeWish) -> list[str]:
    """The one that is named, and the others only where they may take over."""
    named = [precision for precision in precisions if precision == wish.precision]
    others = [precision for precision in precisions if precision != wish.precision]
    return named + (others if wish.fallback or not wish.precision else [])


def _not_worth_it(runtime: Runtime, wish: RuntimeWish) -> Reason | None:
    """Pass a runtime over at once that would have to be tried and accepted anew by every process.

    That takes a second or two, as much as it saves on one study. Who names the runtime gets it.
    """
    if runtime.name in (REFERENCE.name, wish.runtime) or wish.state is not None:
        return None
    if not _installed(runtime):
        return None  # then its probe costs nothing, and says how to install it
    return Reason(runtime.name, "there is no state folder that keeps whether it was accepted")


def _installed(runtime: Runtime) -> bool:
    if isinstance(runtime, TensorRtRuntime):
        return installed(runtime.flavour)
    return not isinstance(runtime, TriedInChild) or importlib.util.find_spec(runtime.library) is not None

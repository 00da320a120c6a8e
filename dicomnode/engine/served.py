"""A session that was chosen, and all that was found on the way to it: its provenance tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from dicomnode.device import Buffer
from dicomnode.engine.acceptance import Acceptance
from dicomnode.engine.gate import GateCheck
from dicomnode.engine.memory import SessionMemory, session_memory
from dicomnode.engine.runtimes import Reason, RuntimeWish, Session, TensorSpec, best_batch_of, cuda_of

if TYPE_CHECKING:
    from dicomnode.device.cuda import CudaContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What was found on the way to a session. checks: of its gate; of the reference they may have failed."""

    checks: tuple[GateCheck, ...]
    acceptance: Acceptance | None = None
    passed_over: tuple[Reason, ...] = ()


class ServingSession:
    """A session, and how it came to be chosen, which its provenance tells (see `Session`)."""

    def __init__(self, session: Session, wish: RuntimeWish, tried: Tried) -> None:
        self._session = session
        details = {"runtime asked for": wish.runtime, **session.provenance}
        if tried.acceptance is not None:
            details["accepted with"] = tried.acceptance.worst
        for reason in tried.passed_over:
            key, text = (
                f"why not {reason.runtime}",
                reason.text if reason.installed else "it is not installed",
            )
            details[key] = f"{details[key]}; {text}" if key in details else text
        self._provenance = MappingProxyType(details)

    @property
    def runtime(self) -> str:
        """Name, version and kind of device."""
        return self._session.runtime

    @property
    def precision(self) -> str:
        """Of the arithmetic."""
        return self._session.precision

    @property
    def device(self) -> str:
        """Name of the device."""
        return self._session.device

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the network takes."""
        return self._session.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives."""
        return self._session.outputs

    @property
    def provenance(self) -> Mapping[str, str]:
        """What the runtime tells, what was asked for, and why no other runtime serves."""
        return self._provenance

    @property
    def cuda(self) -> CudaContext | None:
        """The CUDA context that it computes in; None on the CPU."""
        return cuda_of(self._session)

    @property
    def best_batch(self) -> int:
        """How many items it runs fastest at a time."""
        return best_batch_of(self._session)

    def memory_parts(self, shapes: Mapping[str, Sequence[int]]) -> SessionMemory:
        """Estimate the memory of a run in parts."""
        return session_memory(self._session, shapes)

    def infer(self, inputs: Mapping[str, Buffer]) -> dict[str, Buffer]:
        """Run the network once on buffers."""
        return self._session.infer(inputs)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the network once on arrays."""
        return self._session.run(inputs)

    def memory(self, shape: Sequence[int]) -> int:
        """Estimate the memory in bytes of a run."""
        return self._session.memory(shape)

    def close(self) -> None:
        """Let go of the network."""
        self._session.close()

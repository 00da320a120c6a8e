"""The contract of a runtime: tell what it can do here, load a network, run it, say what it was.

Whoever writes another runtime subclasses `RuntimeContract` in its tests and adds no assertions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from dicomnode.device import Buffer, Device
from dicomnode.faults import NETWORK_FAILED, NodeError

if TYPE_CHECKING:
    from dicomnode.device.cuda import CudaContext


@dataclass(frozen=True, slots=True)
class Capability:
    """What a runtime can do on this machine, tried and found good."""

    runtime: str
    version: str
    device: Device
    precisions: tuple[str, ...]

    @property
    def title(self) -> str:
        """As it stands in results: "onnxruntime 1.31.1 CPU"."""
        return f"{self.runtime} {self.version} {self.device.kind.upper()}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a runtime cannot be used on this machine. installed: whether its library is there at all."""

    runtime: str
    text: str
    installed: bool = True


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a network: None in `shape` is a length that may vary."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str  # as numpy calls it: "float32"

    def fits(self, shape: Sequence[int], dtype: str) -> bool:
        """Tell whether an array of this shape and type may be given."""
        return (
            dtype == self.dtype
            and len(shape) == len(self.shape)
            and all(want in (None, length) for want, length in zip(self.shape, shape, strict=True))
        )

    def __str__(self) -> str:
        lengths = ", ".join("any" if n is None else str(n) for n in self.shape)
        return f"{self.name} ({lengths}) {self.dtype}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A verified network on its way into a runtime.

    engine: for messages. content: the ONNX file as the package has it, in fp32. precision: what it shall run
    in, one of the capability's; a runtime that converts or compiles does so beforehand, and finds that here.
    """

    engine: str
    file: str
    content: bytes
    precision: str = "fp32"
    memory_bytes_per_voxel: float = 0.0


class Session(Protocol):
    """A network that is loaded and ready. Used by one thread at a time."""

    @property
    def runtime(self) -> str:
        """Name, version and kind of device: "onnxruntime 1.31.1 CPU"."""

    @property
    def precision(self) -> str:
        """Of the arithmetic: "fp32"."""

    @property
    def device(self) -> str:
        """Name of the device."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the network takes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives."""

    def infer(self, inputs: Mapping[str, Buffer]) -> dict[str, Buffer]:
        """Run it once on buffers by name, wherever they lie; a session moves only what it must.

        Inputs are not changed and not kept. Outputs lie where the session computes and are the caller's own,
        to close: no later run writes to them.
        Raises NodeError(NETWORK_FAILED) when names, shapes or types are not the network's, when the
        runtime fails, and after `close`.
        """

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Do the same from and to arrays on the host; the outputs may be written to."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """What else a result must tell of how it was computed, by short names: "driver", "plan", "tf32".

        "plan" is the identity of what was built for this machine: another one must be accepted anew.
        """

    def memory(self, shape: Sequence[int]) -> int:
        """Estimate the memory in bytes that a run on an input of this shape takes, weights included."""

    def close(self) -> None:
        """Let go of it; a second call does nothing."""


class Runtime(Protocol):
    """Something that runs networks."""

    @property
    def name(self) -> str:
        """As the settings and messages call it."""

    def probe(self, threads: int = 0) -> Capability | Reason:
        """Try whether it works here; never raises. threads 0: all that the process may use."""

    def load(self, network: Network, capability: Capability) -> Session:
        """Load a network; raises NodeError(NETWORK_FAILED) when the runtime refuses it."""


def cuda_of(session: Session) -> CudaContext | None:
    """Return the CUDA context that a session computes in, as its property `cuda` says; None on the CPU."""
    context: CudaContext | None = getattr(session, "cuda", None)
    return context


def best_batch_of(session: Session) -> int:
    """Return how many items a session runs fastest at a time, as its property `best_batch` says; else one.

    On a CPU more of them are no faster, and take more memory.
    """
    best: int = getattr(session, "best_batch", 1)
    return best


def arrays_of(outputs: Mapping[str, Buffer]) -> dict[str, NDArray[Any]]:
    """Take outputs down to the host as arrays that may be written to, and close their buffers."""
    arrays = {}
    for name, buffer in outputs.items():
        array = buffer.host()
        arrays[name] = array if array.flags.writeable else array.copy()
        buffer.close()
    return arrays


def check_inputs(engine: str, specs: Sequence[TensorSpec], inputs: Mapping[str, Buffer]) -> None:
    """Raise NodeError(NETWORK_FAILED) where the inputs are not the network's."""
    wanted = {spec.name: spec for spec in specs}
    if set(inputs) != set(wanted):
        error = f"it takes the inputs {sorted(wanted)}, it was given {sorted(inputs)}"
        raise NodeError(NETWORK_FAILED, engine=engine, error=error)
    for name, buffer in inputs.items():
        if not wanted[name].fits(buffer.shape, buffer.dtype.name):
            error = f"it takes {wanted[name]}, it was given {buffer.shape} {buffer.dtype.name}"
            raise NodeError(NETWORK_FAILED, engine=engine, error=error)

"""What the sessions have in common whose arrays lie on the host: the CPU's runtimes, and a remote server."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from dicomnode.device import Buffer, HostBuffer
from dicomnode.engine.runtimes.contract import Capability, Network, TensorSpec, check_inputs
from dicomnode.faults import NETWORK_FAILED, NodeError


class HostSession(ABC):
    """A network loaded in fp32 (see `Session`); a runtime sets `_inputs`, `_outputs` and has `_compute`."""

    _inputs: tuple[TensorSpec, ...]
    _outputs: tuple[TensorSpec, ...]

    def __init__(self, network: Network, capability: Capability) -> None:
        self._network = network
        self._capability = capability
        self._closed = False

    @property
    def runtime(self) -> str:
        """Name, version and kind of device."""
        return self._capability.title

    @property
    def precision(self) -> str:
        """Of the arithmetic; here always fp32."""
        return "fp32"

    @property
    def device(self) -> str:
        """Name of the CPU, or of the server."""
        return self._capability.device.name

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the network takes."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives."""
        return self._outputs

    @property
    def provenance(self) -> Mapping[str, str]:
        """Nothing more: name, version, device and precision say it all."""
        return {}

    def infer(self, inputs: Mapping[str, Buffer]) -> dict[str, Buffer]:
        """Run the network once; raises NodeError(NETWORK_FAILED)."""
        return {name: HostBuffer(array) for name, array in self._checked(inputs).items()}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the network once on arrays; raises NodeError(NETWORK_FAILED)."""
        return self._checked({name: HostBuffer(array) for name, array in inputs.items()})

    def memory(self, shape: Sequence[int]) -> int:
        """Weights, and what the manifest says that a voxel of the box takes (measured with ONNX Runtime)."""
        return len(self._network.content) + int(math.prod(shape) * self._network.memory_bytes_per_voxel)

    def close(self) -> None:
        """Let go of the network and its memory; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._let_go()

    @abstractmethod
    def _compute(self, inputs: Mapping[str, Buffer]) -> dict[str, NDArray[Any]]:
        """Run the network on inputs that fit; give arrays of the caller's own, which may be written to."""

    @abstractmethod
    def _let_go(self) -> None:
        """Give back what the library holds."""

    def _checked(self, inputs: Mapping[str, Buffer]) -> dict[str, NDArray[Any]]:
        if self._closed:
            raise self._failure("its session is closed")
        check_inputs(self._network.engine, self._inputs, inputs)
        return self._compute(inputs)

    def _failure(self, error: object) -> NodeError:
        engine = f"{self._network.engine} ({self._network.file})"
        return NodeError(NETWORK_FAILED, engine=engine, error=" ".join(str(error).split()))

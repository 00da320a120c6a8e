"""A runtime for tests: ONNX Runtime under another name, with its outputs spoiled as a test wants."""

from __future__ import annotations

from dicomnode.device import cpu_device
from dicomnode.engine.runtimes import REFERENCE, Capability, Network


class SpoiledRuntime:
    """`spoil` takes the outputs by name and gives what is to come out; `plan`: what it says it has built."""

    name = "spoiled"

    def __init__(self, spoil=lambda outputs: outputs, precisions=("fp32",), plan="") -> None:
        self._spoil = spoil
        self._precisions = precisions
        self._plan = plan
        self.loaded: list[Network] = []
        self.open = 0

    def probe(self, threads: int = 0) -> Capability:
        return Capability(self.name, "1.0", cpu_device(threads), self._precisions)

    def load(self, network: Network, capability: Capability):
        self.loaded.append(network)
        self.open += 1
        inner = REFERENCE.load(network, REFERENCE.probe(capability.device.threads))
        return _Spoiled(self, inner, network.precision)


class _Spoiled:
    def __init__(self, runtime, inner, precision) -> None:
        self._runtime, self._inner, self.precision = runtime, inner, precision
        self._is_open = True
        self.runtime, self.device = "spoiled 1.0 CPU", inner.device
        self.inputs, self.outputs = inner.inputs, inner.outputs
        self.infer, self.memory = inner.infer, inner.memory
        self.provenance = {"plan": runtime._plan} if runtime._plan else {}

    def run(self, inputs):
        return self._runtime._spoil(self._inner.run(inputs))

    def close(self) -> None:
        self._runtime.open -= self._is_open
        self._is_open = False
        self._inner.close()

"""OpenVINO on the CPU: the numbers of ONNX Runtime in fp32, in about half the time on 3D convolutions."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.device import Buffer, cpu_device
from dicomnode.engine.runtimes.contract import (
    Capability,
    Network,
    Reason,
    TensorSpec,
)
from dicomnode.engine.runtimes.host_session import HostSession
from dicomnode.engine.runtimes.probing import probe_in_child

_DEVICE: Final = "CPU"
_REPORTER: Final = "openvino_telemetry"
_DTYPES: Final = frozenset({"float32", "float16", "float64", "int64", "int32", "uint8", "bool"})
_ERRORS: Final = (RuntimeError, ValueError, TypeError, MemoryError)


def _library() -> Any:
    """Import openvino without its telemetry.

    `import openvino` (2026.4) itself looks up www.google-analytics.com, makes ~/intel and sends an event,
    with consent taken for granted where no file says otherwise; no variable of its own turns that off. It
    goes on without the module that sends, when there is none: so there is none in our processes. Raises
    ImportError where another program has imported it earlier.
    """
    if sys.modules.get(_REPORTER) is not None:
        raise ImportError("it was imported before dicomnode, and reports to its maker")
    sys.modules[_REPORTER] = None  # type: ignore[assignment]  # an import of it now says that there is none
    import openvino  # noqa: PLC0415  heavy: only a process that runs networks pays for it

    return openvino


class OpenVino:
    """OpenVINO with its CPU device alone."""

    name = "openvino"
    library = "openvino"
    distribution = "openvino"

    def probe(self, threads: int = 0) -> Capability | Reason:
        """Try it in a child: its kernels are made for the CPU that it finds, and that may go wrong."""
        return probe_in_child(self, threads)

    def try_here(self) -> Capability | Reason:
        """Import the library, compile a convolution for the CPU and run it."""
        try:
            library = _library()
        except (ImportError, OSError) as error:
            return Reason(self.name, f"it cannot be imported: {error}")
        try:
            if _DEVICE not in library.Core().available_devices:
                return Reason(self.name, "it has no CPU device here")
            found = float(_convolution(library).ravel()[0])
        except _ERRORS as error:
            return Reason(self.name, f"it does not work here: {_one_line(error)}")
        if found != _TAPS:
            return Reason(self.name, f"it gives {found:g} where {_TAPS:g} is right")
        return Capability(self.name, _version(library), cpu_device(), ("fp32",))

    def load(self, network: Network, capability: Capability) -> OpenVinoSession:
        """Load a network from its bytes; raises NodeError(NETWORK_FAILED) when the library refuses it."""
        return OpenVinoSession(network, capability)


class OpenVinoSession(HostSession):
    """A network loaded by OpenVINO.

    With lung-ct it takes a little less memory than ONNX Runtime (53 of 60 bytes a voxel), but keeps it until
    `close`.
    """

    def __init__(self, network: Network, capability: Capability) -> None:
        super().__init__(network, capability)
        library = _library()
        try:
            core = library.Core()
            model = core.read_model(network.content)
            self._compiled: Any = core.compile_model(model, _DEVICE, _options(capability.device.threads))
            self._request: Any = self._compiled.create_infer_request()
        except _ERRORS as error:
            raise self._failure(error) from error
        self._inputs = tuple(self._spec(port, _input_name(port)) for port in self._compiled.inputs)
        self._outputs = tuple(self._spec(port, _output_name(port)) for port in self._compiled.outputs)

    def _compute(self, inputs: Mapping[str, Buffer]) -> dict[str, NDArray[Any]]:
        given = {number: inputs[spec.name].host() for number, spec in enumerate(self._inputs)}
        try:
            # Never `infer`: with one thread (2026.4.1) it loses what fails inside, and gives out memory that
            # was never written, or dies. Waiting for an asynchronous run raises it.
            self._request.start_async(given, share_inputs=True)
            self._request.wait()
            # Copies: the request writes to its own tensors again at the next run
            found = [self._request.get_output_tensor(n).data.copy() for n in range(len(self._outputs))]
        except _ERRORS as error:
            raise self._failure(error) from error
        return {spec.name: array for spec, array in zip(self._outputs, found, strict=True)}

    def _let_go(self) -> None:
        self._request = self._compiled = None

    def _spec(self, port: Any, name: str) -> TensorSpec:
        dtype = np.dtype(port.element_type.to_dtype()).name
        if dtype not in _DTYPES:
            raise self._failure(f"{name} has the type {dtype}, which is not supported")
        # A range, such as "8 or more", counts as a length that may vary
        shape = tuple(n.get_length() if n.is_static else None for n in port.partial_shape)
        return TensorSpec(name, shape, dtype)


def _options(threads: int) -> dict[str, Any]:
    return {
        # Else bf16 is chosen by itself where the CPU has AMX, and other numbers come out
        "INFERENCE_PRECISION_HINT": "f32",
        "EXECUTION_MODE_HINT": "ACCURACY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Two processes that are pinned are pinned to the same cores
        "ENABLE_CPU_PINNING": False,
    }


def _input_name(port: Any) -> str:
    return str(port.node.get_friendly_name())


def _output_name(port: Any) -> str:
    """The name that the file gives the output: a tensor may have several, and be given out several times."""
    return str(port.node.get_friendly_name()).removesuffix("/sink_port_0")


def _version(library: Any) -> str:
    """The version as the package has it: "2026.4.1", of "2026.4.1-22982-e213a147257-releases/2026/4"."""
    return str(library.__version__).partition("-")[0]


_TAPS: Final = 27.0  # a kernel of 3 x 3 x 3 ones on a volume of ones


def _convolution(library: Any) -> NDArray[Any]:
    ops = library.opset13
    x = ops.parameter([1, 1, -1, -1, -1], np.float32, name="x")
    kernel = ops.constant(np.ones((1, 1, 3, 3, 3), np.float32))
    one = [1, 1, 1]
    model = library.Model([ops.convolution(x, kernel, one, [0, 0, 0], [0, 0, 0], one)], [x], "probe")
    compiled = library.Core().compile_model(model, _DEVICE, _options(1))
    request = compiled.create_infer_request()
    request.start_async([np.ones((1, 1, 8, 8, 8), np.float32)])
    request.wait()
    return np.array(request.get_output_tensor(0).data)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())

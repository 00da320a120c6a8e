"""ONNX Runtime on the CPU: the runtime that is always there, and the measure for all others (fp32)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from numpy.typing import NDArray

from dicomnode import ORT_IMPORTED_REPORTING
from dicomnode.device import Buffer, cpu_device
from dicomnode.engine.runtimes.contract import (
    Capability,
    Network,
    Reason,
    TensorSpec,
)
from dicomnode.engine.runtimes.host_session import HostSession

_PROVIDER: Final = "CPUExecutionProvider"
_DTYPES: Final = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}
_REPORTS: Final = (
    "it was imported before dicomnode and without ORT_DISABLE_TELEMETRY=1, so that it reports to its maker"
)
_ERRORS_ONLY: Final = 3  # severity of its own log; what fails reaches us as an exception


def import_onnxruntime() -> Any:
    """Import onnxruntime. Its telemetry is off: `dicomnode` has said so before any room could import it.

    Raises ImportError where another program has imported it earlier and without that word.
    """
    if ORT_IMPORTED_REPORTING:
        raise ImportError(_REPORTS)
    import onnxruntime  # noqa: PLC0415  heavy: only a process that runs networks pays for it

    return onnxruntime


class OnnxRuntime:
    """ONNX Runtime with the CPU provider alone."""

    name = "onnxruntime"

    def probe(self, threads: int = 0) -> Capability | Reason:
        """Import the library, in this process as it needs no driver, and look for its CPU provider."""
        try:
            library = import_onnxruntime()
        except ModuleNotFoundError as error:
            return Reason(self.name, f"it is not installed ({error})", installed=False)
        except (ImportError, OSError) as error:
            return Reason(self.name, f"it cannot be imported: {error}")
        if _PROVIDER not in library.get_available_providers():
            return Reason(self.name, "this build of it has no CPU provider")
        return Capability(self.name, library.__version__, cpu_device(threads), ("fp32",))

    def load(self, network: Network, capability: Capability) -> OnnxSession:
        """Load a network from its bytes; raises NodeError(NETWORK_FAILED) when the library refuses it."""
        return OnnxSession(network, capability)


class OnnxSession(HostSession):
    """A network loaded by ONNX Runtime (see `Session`)."""

    def __init__(self, network: Network, capability: Capability) -> None:
        library = import_onnxruntime()
        super().__init__(network, capability)
        self._errors = error_types(library)
        try:
            self._session: Any = library.InferenceSession(
                network.content, sess_options=_options(library, capability), providers=[_PROVIDER]
            )
        except self._errors as error:
            raise self._failure(str(error)) from error
        self._inputs = self._specs(self._session.get_inputs())
        self._outputs = self._specs(self._session.get_outputs())

    def _compute(self, inputs: Mapping[str, Buffer]) -> dict[str, NDArray[Any]]:
        names = [spec.name for spec in self._outputs]
        try:
            results = self._session.run(names, {name: buffer.host() for name, buffer in inputs.items()})
        except self._errors as error:
            raise self._failure(str(error)) from error
        return dict(zip(names, results, strict=True))

    def _let_go(self) -> None:
        self._session = None

    def _specs(self, nodes: Sequence[Any]) -> tuple[TensorSpec, ...]:
        specs = []
        for node in nodes:
            if node.type not in _DTYPES:
                raise self._failure(f"{node.name} has the type {node.type}, which is not supported")
            # A name or None instead of a number is a length that may vary
            shape = tuple(n if isinstance(n, int) else None for n in node.shape)
            specs.append(TensorSpec(node.name, shape, _DTYPES[node.type]))
        return tuple(specs)


def _options(library: Any, capability: Capability) -> Any:
    options = library.SessionOptions()
    options.intra_op_num_threads = capability.device.threads
    options.inter_op_num_threads = 1
    options.execution_mode = library.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    # The arena keeps freed blocks: on a box of 208 x 192 x 256 voxels of lung-ct the peak was 819 MB with it
    # and 456 MB without (1.31.1, one thread), and it was not faster.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    # Bytes that begin as its own format does are not taken for that: only ONNX was looked through
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Threads that wait in a loop take the cores that receiving and the other worker need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def error_types(library: Any) -> tuple[type[Exception], ...]:
    """Return what the library raises: its own exceptions derive from Exception alone, and grow in number."""
    names = vars(library.capi.onnxruntime_pybind11_state).values()
    own = [kind for kind in names if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError, ValueError, TypeError, MemoryError)

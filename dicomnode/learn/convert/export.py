"""From a network in torch to ONNX, believed only after both have given the same numbers.

The tracing exporter of torch is used (`dynamo=False`): it needs no package beside torch, writes plain
operators of the opset that all runtimes of this node read, and keeps an instance normalisation one operator.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.engine.gate import seeded_input
from dicomnode.engine.manifest.tree import GateSpec
from dicomnode.engine.runtimes.contract import Network, Reason
from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime
from dicomnode.faults import EXPORT_DIFFERS, NETWORK_FAILED, NOT_CONVERTIBLE, TRAIN_MISSING, NodeError

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET: Final = 17  # the last with every operator that TensorRT 10, OpenVINO and ONNX Runtime all have
LARGEST_ONNX_BYTES: Final = 2**31 - 1  # a protobuf message ends there
# Largest difference between torch and ONNX Runtime, as a part of the largest number (at least 1)
TOLERANCE: Final = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An input of a network: its shape with the batch first, and the range that values are tried from.

    free: axes beside the batch that may have another length, by multiples of `longer`.
    """

    shape: tuple[int, ...]
    low: float = -1.0
    high: float = 1.0
    free: tuple[int, ...] = ()
    longer: int = 16

    def larger(self, batch: int, steps: int) -> tuple[int, ...]:
        """Return the shape for so many of a batch, its free axes so many steps longer."""
        rest = [n + steps * self.longer if axis in self.free else n for axis, n in enumerate(self.shape)]
        return (batch, *rest[1:])


def torch_library(source: str) -> Any:
    """Import torch; NodeError(TRAIN_MISSING) where it is not installed. source: what wants it."""
    try:
        import torch  # noqa: PLC0415  heavy: only who converts or trains pays for it
    except ImportError as error:
        raise NodeError(TRAIN_MISSING, what=source, package="torch", error=error) from error
    return torch


def export_onnx(
    network: nn.Module,
    inputs: Mapping[str, Example],
    outputs: Sequence[str],
    *,
    source: str,
    opset: int = OPSET,
) -> bytes:
    """Return the ONNX file of a network that was compared with it; raises as `written_onnx` and `compare`."""
    content = written_onnx(network, inputs, outputs, source=source, opset=opset)
    compare(content, network, inputs, outputs, source=source)
    return content


def written_onnx(
    network: nn.Module,
    inputs: Mapping[str, Example],
    outputs: Sequence[str],
    *,
    source: str,
    opset: int = OPSET,
) -> bytes:
    """Return the ONNX file of a network: float32, its batch free, other lengths those of the examples.

    inputs: by name, in the order of `forward`; outputs: names, in their order. source: for messages. Weights
    lie inside the file. Where an input has free axes, those of the outputs are free too. The network is set
    to evaluation. Raises NodeError(NOT_CONVERTIBLE) when torch cannot write it or it is too large.
    """
    torch = torch_library(source)
    network = network.eval().float().cpu()
    tensors = tuple(torch.zeros(one.shape) for one in inputs.values())
    axes: dict[str, dict[int, str]] = {
        name: {0: "n", **{axis: f"length_{axis}" for axis in one.free}} for name, one in inputs.items()
    }
    free = sorted({axis for one in inputs.values() for axis in one.free})
    axes |= {name: {0: "n", **{axis: f"length_{axis}" for axis in free}} for name in outputs}
    return _written(torch, network, tensors, axes, source=source, opset=opset)


def _written(
    torch: Any,
    network: nn.Module,
    tensors: tuple[Tensor, ...],
    axes: Mapping[str, Mapping[int, str]],
    *,
    source: str,
    opset: int,
) -> bytes:
    """Run the exporter. axes: names of the free axes of each input, then of each output."""
    names = list(axes)
    content = BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # It tells that another exporter has become the default, and of shapes, which are fixed on purpose
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                tensors,
                content,
                dynamo=False,
                opset_version=opset,
                input_names=names[: len(tensors)],
                output_names=names[len(tensors) :],
                dynamic_axes={name: dict(free) for name, free in axes.items()},
            )
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        reason = f"torch cannot write it as ONNX: {_first_line(error)}"
        raise NodeError(NOT_CONVERTIBLE, source=source, reason=reason) from error
    if len(content.getvalue()) > LARGEST_ONNX_BYTES:
        reason = f"as ONNX it has {len(content.getvalue())} bytes, more than 2 GiB"
        raise NodeError(NOT_CONVERTIBLE, source=source, reason=reason)
    return content.getvalue()


def compare(
    content: bytes,
    network: nn.Module,
    inputs: Mapping[str, Example],
    outputs: Sequence[str],
    *,
    source: str,
) -> float:
    """Run both on seeded inputs and return the largest difference: one and two of a batch, longer free axes.

    Raises NodeError(EXPORT_DIFFERS) when it is above `TOLERANCE` of the largest number (at least of 1), or
    when something is not a number.
    """
    torch = torch_library(source)
    runtime = OnnxRuntime()
    capability = runtime.probe()
    if isinstance(capability, Reason):
        raise NodeError(NETWORK_FAILED, engine=source, error=capability.text)
    session = runtime.load(Network(engine=source, file="network.onnx", content=content), capability)
    largest = 0.0
    try:
        longer = any(one.free for one in inputs.values())
        for batch, steps in ((1, 0), (2, 0), *(((1, 1),) if longer else ())):
            given = {name: _seeded(one, batch, steps) for name, one in inputs.items()}
            with torch.no_grad():
                answer = network(*(torch.from_numpy(array) for array in given.values()))
            wanted = [answer] if isinstance(answer, torch.Tensor) else list(answer)
            found = session.run(given)
            for name, one in zip(outputs, wanted, strict=True):
                largest = max(largest, _difference(name, one.numpy(), found[name], source))
    finally:
        session.close()
    return largest


def _seeded(one: Example, batch: int, steps: int) -> NDArray[np.float32]:
    spec = GateSpec(shape=one.larger(batch, steps), low=one.low, high=one.high, seed=batch)
    return seeded_input(spec)


def _difference(name: str, wanted: NDArray[Any], found: NDArray[Any], source: str) -> float:
    if wanted.shape != found.shape:
        difference = f"{name} is {found.shape} and not {wanted.shape}"
        raise NodeError(EXPORT_DIFFERS, source=source, difference=difference)
    apart = float(np.abs(wanted.astype(np.float64) - found.astype(np.float64)).max(initial=0.0))
    limit = TOLERANCE * max(1.0, float(np.abs(wanted).max(initial=0.0)))
    if not apart <= limit:  # not a number is no agreement
        difference = f"{name} differs by {apart:.3g}, {limit:.3g} are allowed"
        raise NodeError(EXPORT_DIFFERS, source=source, difference=difference)
    return apart


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__

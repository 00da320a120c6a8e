"""From a file with a network in torch to ONNX, by way of a limited child: see `torch_child`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dicomnode.learn.convert.child import LIMIT_S, command_of, converted

COMMAND: Final = command_of("dicomnode.learn.convert.torch_child")


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchInput:
    """An input of a network: its shape with the batch first, and the range that values are tried from.

    free: axes beside the batch that may have another length.
    """

    shape: tuple[int, ...]
    low: float = -1.0
    high: float = 1.0
    free: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchNetwork:
    """A network to be converted. source: for messages. content: of the file, weights or TorchScript.

    build: name and plain arguments of one of MONAI's networks that the weights are of; None for TorchScript.
    """

    source: str
    content: bytes
    inputs: Mapping[str, TorchInput]
    outputs: Sequence[str] = ()
    build: tuple[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeNetwork:
    """An ONNX file that gives what torch gives. outputs: their shapes by name, on the example's input."""

    content: bytes
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def to_onnx(
    network: TorchNetwork, *, limit_s: float = LIMIT_S, command: Sequence[str] = COMMAND
) -> MadeNetwork:
    """Convert a network in a limited child.

    Raises NodeError: BUNDLE_UNSAFE, CHECKPOINT_UNFIT, NOT_CONVERTIBLE, EXPORT_DIFFERS, TRAIN_MISSING as the
    child found it, CONVERSION_DIED when it came to an end.
    """
    build = network.build
    request = {
        "network": {"name": build[0], "arguments": dict(build[1])} if build else None,
        "inputs": {
            name: {"shape": one.shape, "low": one.low, "high": one.high, "free": one.free}
            for name, one in network.inputs.items()
        },
        "outputs": list(network.outputs),
    }
    answer, content = converted(network.source, request, network.content, command, limit_s)
    shapes = {name: tuple(shape) for name, shape in answer["outputs"].items()}
    return MadeNetwork(content=content, outputs=shapes)

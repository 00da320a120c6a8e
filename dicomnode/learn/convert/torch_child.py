"""Turns a network in torch into ONNX: the child of `torch_network`, under the limits of `child`.

Weights are read as tensors and plain values alone. TorchScript, which is a small language, has its operators
looked at before it is read: reading an archive already runs parts of it.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from dicomnode.learn.convert.child import THREADS, Answer, first_line, serve

if TYPE_CHECKING:
    from torch import nn

    from dicomnode.learn.convert.export import Example

# What a TorchScript archive is written in, and what of it reaches beyond tensors
_FOREIGN: Final = re.compile(r"\bops\.(?!aten\b|prim\b)(\w+)")
_BEYOND: Final = re.compile(r"\b(?:torch|ops\.\w+)\.(from_file|save|load|set_num_threads|warn)\s*\(")
_LARGEST_CODE_BYTES: Final = 50_000_000
# Wrappers that training leaves around the names of weights
_WRAPPERS: Final = ("module.", "_orig_mod.")
_STATES: Final = ("state_dict", "model", "network", "network_weights")


def convert(request: Mapping[str, Any], content: bytes) -> Answer:
    """Build or read the network, run it once, and write it as ONNX."""
    from dicomnode.learn.convert.export import Example, export_onnx, torch_library  # noqa: PLC0415

    source = request["source"]
    torch = torch_library(source)
    torch.set_num_threads(THREADS)
    inputs = {
        name: Example(shape=tuple(one["shape"]), low=one["low"], high=one["high"], free=tuple(one["free"]))
        for name, one in request["inputs"].items()
    }
    network = (
        _script(torch, content, source)
        if request["network"] is None
        else _with_weights(torch, _built(request["network"], source), content, source)
    )
    network = network.eval().float()
    outputs = _tried(torch, network, inputs, source)
    names = request["outputs"][: len(outputs)] or [f"output_{n}" for n in range(len(outputs))]
    names += [f"output_{n}" for n in range(len(names), len(outputs))]
    made = export_onnx(network, inputs, names, source=source)
    return {"outputs": dict(zip(names, outputs, strict=True))}, made


def _tried(torch: Any, network: nn.Module, inputs: Mapping[str, Example], source: str) -> list[list[int]]:
    """Run it once; return the shapes of its outputs."""
    from dicomnode.faults import NOT_CONVERTIBLE, NodeError  # noqa: PLC0415

    given = [torch.zeros(one.shape) for one in inputs.values()]
    try:
        with torch.no_grad():
            found = network(*given)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        shapes = ", ".join(str(one.shape) for one in inputs.values())
        reason = f"it does not run on an input of {shapes}: {first_line(error)}"
        raise NodeError(NOT_CONVERTIBLE, source=source, reason=reason) from error
    outputs = [found] if isinstance(found, torch.Tensor) else found
    if not isinstance(outputs, list | tuple) or not all(isinstance(one, torch.Tensor) for one in outputs):
        reason = f"its output is a {type(found).__name__}, not one tensor or several"
        raise NodeError(NOT_CONVERTIBLE, source=source, reason=reason)
    return [list(one.shape) for one in outputs]


# ── weights and their network ──


def _built(network: Mapping[str, Any], source: str) -> nn.Module:
    """Build one of MONAI's networks from its name and plain arguments."""
    from dicomnode.faults import NOT_CONVERTIBLE, NodeError  # noqa: PLC0415
    from dicomnode.learn.convert.monai_networks import build  # noqa: PLC0415

    try:
        return build(network["name"], network["arguments"])
    except (
        TypeError,
        ValueError,
        RuntimeError,
        KeyError,
        IndexError,
        AttributeError,
        ZeroDivisionError,
    ) as error:
        reason = f"MONAI does not build its {network['name']}: {first_line(error)}"
        raise NodeError(NOT_CONVERTIBLE, source=source, reason=reason) from error


def _with_weights(torch: Any, network: nn.Module, content: bytes, source: str) -> nn.Module:
    from pickle import UnpicklingError  # noqa: PLC0415  the name of its error, nothing is unpickled by it

    from dicomnode.faults import BUNDLE_UNSAFE, CHECKPOINT_UNFIT, NodeError  # noqa: PLC0415

    try:
        state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        wanted = re.search(r"(?:GLOBAL|global|class|function) ([\w.]+)", str(error))
        reason = "beside tensors and plain values its weights want " + (
            wanted[1] if wanted else "what torch does not read from weights alone"
        )
        raise NodeError(BUNDLE_UNSAFE, path=source, reason=reason) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"torch cannot read it: {first_line(error)}"
        raise NodeError(CHECKPOINT_UNFIT, path=source, problem=problem) from error
    try:
        network.load_state_dict(_state(torch, state), strict=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise NodeError(CHECKPOINT_UNFIT, path=source, problem=_mismatch(error)) from error
    return network


def _state(torch: Any, found: Any) -> Any:
    """Return the table of tensors in a checkpoint: itself, or what stands under a known key of it."""
    for name in _STATES:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
            break
    if not isinstance(found, dict):
        raise TypeError("it holds no table of weights")
    tensors = {str(name): one for name, one in found.items() if isinstance(one, torch.Tensor)}
    for wrapper in _WRAPPERS:
        if tensors and all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): one for name, one in tensors.items()}
    return tensors


def _mismatch(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[1:2] or lines)[:200].rstrip(". ")


# ── TorchScript ──


def _script(torch: Any, content: bytes, source: str) -> nn.Module:
    """Read a TorchScript archive whose text knows operators of torch on tensors alone."""
    from dicomnode.faults import BUNDLE_UNSAFE, NOT_CONVERTIBLE, NodeError  # noqa: PLC0415

    found = _reaches_out(content)
    if found is not None:
        reason = f"its TorchScript calls {found}, which is no business of a network"
        raise NodeError(BUNDLE_UNSAFE, path=source, reason=reason)
    try:
        module: nn.Module = torch.jit.load(BytesIO(content), map_location="cpu")
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        reason = f"torch cannot read it as TorchScript: {first_line(error)}"
        raise NodeError(NOT_CONVERTIBLE, source=source, reason=reason) from error
    return module


def _reaches_out(content: bytes) -> str | None:
    """Return what the code of an archive calls beyond tensors; None where there is nothing of it."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = [one for one in archive.infolist() if "/code/" in one.filename]
            if sum(one.file_size for one in members) > _LARGEST_CODE_BYTES:
                return f"more than {_LARGEST_CODE_BYTES} bytes of code"
            texts = [archive.read(one).decode("utf-8", errors="replace") for one in members]
    except (zipfile.BadZipFile, RuntimeError, EOFError, NotImplementedError):
        return None  # torch says what it is not
    for text in texts:
        for pattern in (_BEYOND, _FOREIGN):
            found = pattern.search(text)
            if found is not None:
                return found[0].rstrip("( ")
    return None


if __name__ == "__main__":
    serve(convert)

"""A look at an ONNX file that is to become an engine: what it says, whether it can serve, and how it behaves.

Shapes in a file are often names, or missing. So the network is tried, in a limited child, on small inputs;
what came out says more than what is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomnode.engine.adding.graph import OnnxGraph, Port, read_graph
from dicomnode.engine.adding.trial import (
    Given,
    Limits,
    Refused,
    Shapes,
    TrialOrder,
    Tried,
    trial_failure,
    try_network,
)
from dicomnode.engine.onnx_file import LARGEST_MESSAGE_BYTES, UnsafeNetworkError, check_onnx, whole_onnx
from dicomnode.faults import ANSWER_WRONG, NETWORK_UNFIT, NodeError

ROW: Final = "nf"  # axes of an input that is a row of numbers
_RUNS_ON: Final = ("float32", "float16", "float64", "int64", "int32", "uint8", "bool")
_MOST_CHANNELS: Final = 16  # a longer second axis is one of space
# Sides that are tried along k, j, i (unequal first: a turned axis is seen), then along j, i
_SIDES: Final = {
    3: ((32, 48, 64), (64, 64, 64), (64, 96, 128), (96, 96, 96), (128, 128, 128)),
    2: ((96, 128), (128, 128), (224, 224), (256, 256), (512, 512)),
}
_MULTIPLES: Final = (1, 2, 4, 8, 16, 32)
_FRAMES: Final = 8

Sides = Mapping[str, int]
"""Length of each axis by its letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An input of the network: its axes by letter (`ROW` of numbers), and the lengths that are fixed.

    sure: whether its shape leaves no doubt about the axes.
    """

    port: Port
    axes: str
    sure: bool

    @property
    def fixed(self) -> Mapping[str, int]:
        """Lengths that may not vary, by letter."""
        shape = self.port.shape or ()
        return {axis: n for axis, n in zip(self.axes, shape, strict=False) if isinstance(n, int)}

    @property
    def is_row(self) -> bool:
        """Whether it is a row of numbers and no image."""
        return self.axes == ROW

    @property
    def space(self) -> str:
        """Letters of its axes of space, in the order k, j, i."""
        return "".join(axis for axis in "kji" if axis in self.axes)

    @property
    def channels(self) -> int:
        """Channels, 1 where there is no axis of them or it may vary."""
        return self.fixed.get("c", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A network that was looked at, and ran.

    content: the file, with the tensors inside that lay elsewhere. sides: of the first input when it ran.
    multiple: what the sides must be a multiple of. tried: what came out.
    """

    file: Path
    content: bytes
    graph: OnnxGraph
    entries: tuple[Entry, ...]
    sides: Sides
    multiple: int
    tried: Tried

    @property
    def image(self) -> Entry | None:
        """The first input that is an image; None for a network of numbers alone."""
        return next((one for one in self.entries if not one.is_row), None)

    @property
    def outputs(self) -> Sequence[Given]:
        """What came out."""
        return self.tried.outputs


def look(path: Path, limits: Limits, axes: str | None = None) -> Looked:
    """Read an ONNX file and try it; axes: of the inputs that have so many, where somebody said them.

    Raises NodeError(NETWORK_UNFIT, TRIAL_FAILED, ANSWER_WRONG).
    """
    content = read_network(path)
    graph = read_graph(content)
    _refuse_unfit(path, graph)
    entries = tuple(_entry(path, port, axes) for port in graph.inputs)
    _refuse_unfit_axes(graph, axes)
    entries = tuple(sorted(entries, key=lambda one: one.is_row))
    tried, multiple = _try(path, content, entries, limits)
    first = entries[0]
    sides = dict(zip(first.axes, tried.shapes[first.port.name], strict=True))
    return Looked(
        file=path,
        content=content,
        graph=graph,
        entries=entries,
        sides=sides,
        multiple=multiple,
        tried=tried,
    )


# ── the file ──


def read_network(path: Path) -> bytes:
    """Read an ONNX file, with the tensors that lie in files beside it put inside.

    Raises NodeError(NETWORK_UNFIT) for what is none, is too large, or wants files from elsewhere.
    """
    try:
        content = _bytes(path)
        outside = read_graph(content).outside
        data = {name: _beside(path, name) for name in outside}
        check_onnx(content, data)
        return whole_onnx(content, data)
    except UnsafeNetworkError as error:
        raise _unfit(path, str(error), _what_to_do(str(error))) from error
    except OSError as error:
        advice = "Give the path of a file that you may read."
        raise _unfit(path, error.strerror or str(error), advice) from error


def _bytes(path: Path) -> bytes:
    size = path.stat().st_size
    if size > LARGEST_MESSAGE_BYTES:
        raise UnsafeNetworkError(f"it has {size} bytes, more than 2 GiB")
    return path.read_bytes()


def _beside(path: Path, name: str) -> bytes:
    """Read a file that holds tensors; it lies beside the network, and no name leads elsewhere."""
    where = path.parent / name
    if not name or Path(name).is_absolute() or path.parent.resolve() not in where.resolve().parents:
        raise UnsafeNetworkError(f"tensors of it lie in {name!r}, which is not in its folder")
    if not where.is_file():
        raise UnsafeNetworkError(f"tensors of it lie in {name!r}, which is not beside it")
    return _bytes(where)


def _what_to_do(reason: str) -> str:
    if "not beside it" in reason:
        return "Put that file where the network is: an export with external data has two files or more."
    if "lie in" in reason:
        return "Use only networks from a source that you trust; export it with its data inside, or beside it."
    if "2 GiB" in reason:
        return "Such networks are not run here: export it in half precision, or a smaller one."
    if "nested" in reason:
        return "No exporter writes such a file: do not use it."
    return "Copy or export it again: an ONNX file is what torch.onnx.export and its like write."


# ── whether it can serve ──


def _refuse_unfit(path: Path, graph: OnnxGraph) -> None:
    for reason, advice in _problems(graph):
        raise _unfit(path, reason, advice)


def _problems(graph: OnnxGraph) -> Iterator[tuple[str, str]]:
    names = [port.name for port in (*graph.inputs, *graph.outputs)]
    again = next((name for name in names if names.count(name) > 1), None)
    if again is not None:
        yield f"two of its inputs and outputs have the name {again!r}", "Export it with a name for each."
    if not graph.inputs:
        yield "it has no input", "Export the network with its input, not what it gave once."
    for port in graph.inputs:
        yield from _input_problems(port)
    for port in graph.outputs:
        if port.dtype and port.dtype not in _RUNS_ON:
            advice = "Export it without that output (skl2onnx: zipmap=False, or only the probabilities)."
            yield f"its output {port} is no tensor of numbers that runs here", advice


def _input_problems(port: Port) -> Iterator[tuple[str, str]]:
    if port.dtype not in _RUNS_ON:
        advice = f"Export it with an input in float32; here run {', '.join(_RUNS_ON)}."
        yield f"its input {port} is of a type that does not run here", advice
    if port.shape is not None and 0 in port.shape:
        advice = "Export it with the length that it is meant for, or one that may vary (dynamic axes)."
        yield f"its input {port} has an axis of no length", advice
    if port.shape is not None and len(port.shape) < 2:
        advice = "Export it so that it takes (batch, channels, slices, rows, columns), or (batch, features)."
        yield f"its input {port} has no axes of space", advice


def _refuse_unfit_axes(graph: OnnxGraph, axes: str | None) -> None:
    """Refuse an answer that goes with no input."""
    lengths = [len(port.shape or ()) for port in graph.inputs]
    if axes is not None and len(axes) not in lengths:
        expected = f"one letter for each axis of an input: {'; '.join(map(str, graph.inputs))}"
        raise NodeError(ANSWER_WRONG, key="axes", value=f'"{axes}"', expected=expected)


def _entry(path: Path, port: Port, answer: str | None) -> Entry:
    if port.shape is None:
        advice = "Export it with the shape of its input; lengths that may vary can have names in it."
        raise _unfit(path, f"its input {port.name} does not say how many axes it has", advice)
    if answer is not None and len(answer) == len(port.shape):
        return Entry(port=port, axes=answer, sure=True)
    axes, sure = _axes(port.shape)
    if not axes:
        advice = (
            "The node gives volumes (batch, channels, slices, rows, columns), slices (batch, channels, rows, "
            'columns) and rows of numbers (batch, features); if it is one of these, say so: --set axes="nji".'
        )
        raise _unfit(path, f"its input {port} has no axes of space that can be told", advice)
    return Entry(port=port, axes=axes, sure=sure)


def _axes(shape: tuple[int | str | None, ...]) -> tuple[str, bool]:
    """Guess the axes of an input by its shape, and whether that is sure; "" where nothing can be guessed."""
    few = [isinstance(n, int) and n <= _MOST_CHANNELS for n in shape]
    guesses = {
        2: [(True, ROW, True)],
        # Rows and columns are longer than any list of channels; tokens of a transformer are no image
        3: [(not any(isinstance(n, int) and n <= 2 * _MOST_CHANNELS for n in shape[1:]), "nji", False)],
        4: [(few[1:2] == [True], "ncji", True), (few[3:] == [True], "njic", True), (True, "nkji", False)],
        5: [
            (shape[2:3] in {(1,), (3,)} and not few[1], "ntcji", False),
            (few[4:] == [True] and not few[1], "nkjic", True),
            (True, "nckji", True),
        ],
    }
    return next(((axes, sure) for fits, axes, sure in guesses.get(len(shape), []) if fits), ("", False))


# ── how it behaves ──


def _try(path: Path, content: bytes, entries: Sequence[Entry], limits: Limits) -> tuple[Tried, int]:
    """Run it on the first of some sizes that it takes; then find what its sides must be a multiple of."""
    groups = [_candidates(entries)]
    free = [axis for axis in entries[0].space if axis not in entries[0].fixed]
    if free:
        groups.append([_shapes(entries, dict.fromkeys(free, 32 + more)) for more in _MULTIPLES])
    order = TrialOrder(file=path.name, groups=groups, low=0.0, high=1.0)
    tried, *of_sides = try_network(content, order, limits)
    if isinstance(tried, Refused):
        raise trial_failure(path.name, tried.errors[0] if tried.errors else "it took no input", limits)
    multiple = 1
    if of_sides and isinstance(of_sides[0], Tried):
        shape = of_sides[0].shapes[entries[0].port.name]
        multiple = dict(zip(entries[0].axes, shape, strict=True))[free[0]] - 32
    elif of_sides:
        multiple = _MULTIPLES[-1]
    return tried, multiple


def _candidates(entries: Sequence[Entry]) -> list[Shapes]:
    space = entries[0].space
    if len(space) not in _SIDES:
        return [_shapes(entries, {})]
    made = [_shapes(entries, dict(zip(space, sides, strict=True))) for sides in _SIDES[len(space)]]
    return list({str(one): one for one in made}.values())


def _shapes(entries: Sequence[Entry], sides: Mapping[str, int]) -> Shapes:
    free = {"n": 1, "c": 1, "t": _FRAMES, "f": 1, **sides}
    return {
        one.port.name: tuple(one.fixed.get(axis, free.get(axis, 32)) for axis in one.axes) for one in entries
    }


def _unfit(path: Path, reason: str, advice: str) -> NodeError:
    return NodeError(NETWORK_UNFIT, path=path.name, reason=reason, advice=advice)

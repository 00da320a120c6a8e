"""The shapes that a plan must take: from what engine.toml says of windows, and the ONNX of its inputs.

Windows of an engine have one size, so only the batch varies; a network that sees a whole box gets a range,
and is made fast for the usual box that engine.toml names (`typical_kji`), else for that of the gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.engine.manifest.tree import StepSpec
from dicomnode.engine.onnx_wire import UnsafeNetworkError
from dicomnode.engine.onnx_wire import fields as fields_of
from dicomnode.faults import PLAN_BUILD_FAILED, NodeError

# Windows that go through at once: the plan is made fast for the first number, and takes the second
_BATCH_BEST: Final = 4
_BATCH_LARGEST: Final = 8
# Voxels along an axis of a whole box. 384³ x 32 channels are below the 2³¹ elements that TensorRT allows a
# tensor; at 1.25 mm it is a box of 480 mm. In the plane there is room for the largest radiographs.
_WHOLE_LARGEST: Final = {3: 384, 2: 4096, 1: 65536}
# So of a whole batch
_VOXELS_LARGEST: Final = 384**3
Lengths = tuple[int, int, int]
"""The smallest, the best and the largest."""

_DEFAULT_AXES: Final = "nckji"
_SPACE: Final = "kji"
_ROW_AXES: Final = "nc"

# onnx.proto3: Model.graph; Graph.initializer, .input; ValueInfo.name, .type; Type.tensor_type; …
_GRAPH, _INITIALIZER, _INPUT = 7, 5, 11
_INT64_END: Final = 1 << 63
_TENSOR_NAME, _NAME, _TYPE, _TENSOR_TYPE, _SHAPE, _DIMENSION, _LENGTH = 8, 1, 2, 1, 2, 1, 1


@dataclass(frozen=True, slots=True)
class OnnxInput:
    """An input of a network; None in `shape` is a length that may vary."""

    name: str
    shape: tuple[int | None, ...]


def onnx_inputs(content: bytes) -> tuple[OnnxInput, ...]:
    """Read the inputs of an ONNX file without a library for it; raises UnsafeNetworkError."""
    graph = _child(memoryview(content), _GRAPH)
    weights, inputs = set(), []
    for number, _, value in fields_of(graph):
        if number == _INITIALIZER and isinstance(value, memoryview):
            weights.add(bytes(_child(value, _TENSOR_NAME)).decode())
        elif number == _INPUT and isinstance(value, memoryview):
            inputs.append(OnnxInput(bytes(_child(value, _NAME)).decode(), _shape(value)))
    # Before IR 4 the weights were listed among the inputs
    return tuple(one for one in inputs if one.name not in weights)


def _shape(value: memoryview) -> tuple[int | None, ...]:
    shape = _child(_child(_child(value, _TYPE), _TENSOR_TYPE), _SHAPE)
    lengths: list[int | None] = []
    for number, _, dimension in fields_of(shape):
        if number == _DIMENSION and isinstance(dimension, memoryview):
            found = [length for field, _, length in fields_of(dimension) if field == _LENGTH]
            length = found[0] if found and isinstance(found[0], int) else 0
            # Some exporters write -1 for "any": as a varint that is a number beyond int64
            lengths.append(length if 0 < length < _INT64_END else None)
    return tuple(lengths)


def _child(message: memoryview, wanted: int) -> memoryview:
    for number, _, value in fields_of(message):
        if number == wanted and isinstance(value, memoryview):
            return value
    return memoryview(b"")


def profile_of(step: StepSpec, content: bytes) -> list[list[object]]:
    """Return the ranges of a network's inputs, as `BuildOptions.material` has them; [] if none varies.

    Raises NodeError(PLAN_BUILD_FAILED) where the manifest does not say how long an axis can be.
    """
    try:
        inputs = onnx_inputs(content)
    except UnsafeNetworkError as error:
        raise _failed(step, str(error)) from error
    if all(None not in one.shape for one in inputs):
        return []
    batches = 1 if sees_boxes(step, [one.shape for one in inputs]) else 2
    lengths = {one.name: _lengths(step, one) for one in inputs if None in one.shape}
    # The items of a batch are those of every input: how many fit follows from the largest
    voxels = max(
        math.prod(
            most
            for letter, (_, _, most) in zip(_axes(step, one), lengths[one.name], strict=True)
            if letter in _SPACE
        )
        for one in inputs
        if one.name in lengths
    )
    return [
        _range(step, one, lengths[one.name], _batch(_known(step, one)[0] or 1, voxels, batches))
        for one in inputs
        if one.name in lengths
    ]


def sees_boxes(step: StepSpec, shapes: Sequence[Sequence[int | None]]) -> bool:
    """Whether a network sees whole boxes of any size, one at a time. shapes: of its inputs.

    It is accepted with boxes of two sizes; any other with one size, and with two in a batch.
    """
    return step.window.whole and all(
        len(shape) > len(_SPACE) and set(shape[-len(_SPACE) :]) == {None} for shape in shapes
    )


def _range(step: StepSpec, one: OnnxInput, lengths: Sequence[Lengths], batch: Lengths) -> list[object]:
    """Return the range of one input, whose batch is `batch` where it may vary."""
    free = _axes(step, one)[0] == "n" and one.shape[0] is None
    triples = [batch, *lengths[1:]] if free else lengths
    low, best, high = ([triple[which] for triple in triples] for which in range(3))
    return [one.name, low, best, high]


def _lengths(step: StepSpec, one: OnnxInput) -> list[Lengths]:
    """Return the smallest, the best and the largest length of each axis of an input."""
    axes = _axes(step, one)
    spatial = sum(letter in _SPACE for letter in axes)
    return [
        (length, length, length) if length is not None else _varying(step, one, letter, gate, spatial)
        for letter, length, gate in zip(axes, one.shape, _known(step, one), strict=True)
    ]


def _axes(step: StepSpec, one: OnnxInput) -> str:
    """Return the axes of an input; numbers of attributes and features are a row for each item."""
    feed = step.inputs.get(one.name)
    axes = feed.axes if feed is not None else _DEFAULT_AXES
    if len(one.shape) == len(_ROW_AXES):
        return _ROW_AXES
    if len(axes) != len(one.shape):
        raise _failed(step, f"input {one.name} has {len(one.shape)} axes, engine.toml says {len(axes)}")
    return axes


def _varying(step: StepSpec, one: OnnxInput, letter: str, gate: int | None, spatial: int) -> Lengths:
    """Return the smallest, the best and the largest length of an axis that may vary; "n" is seen to after."""
    if letter == "n":
        return 1, 1, 1
    if letter in _SPACE and step.window.size_kji is not None:
        length = dict(zip(_SPACE, step.window.size_kji, strict=True))[letter]
        return min(length, gate or length), length, max(length, gate or length)
    if letter in _SPACE or letter == "t":
        largest = _WHOLE_LARGEST[max(spatial, 1)]
        smallest = max(step.crop.multiple if step.crop is not None else 1, 1)
        usual = dict(zip(_SPACE, step.typical_kji or (), strict=False)).get(letter) or gate or smallest
        return smallest, min(max(usual, smallest), largest), max(largest, gate or 1)
    if gate is not None:
        return gate, gate, gate
    raise _failed(step, f"the length of axis {letter} of input {one.name} is not known")


def _batch(gate: int, voxels: int, batches: int) -> Lengths:
    """Return the smallest, the best and the largest batch. voxels: of the largest item."""
    fit = max(_VOXELS_LARGEST // max(voxels, 1), 1)
    return 1, max(min(_BATCH_BEST, fit), gate), max(min(_BATCH_LARGEST, fit), batches * gate)


def _known(step: StepSpec, one: OnnxInput) -> tuple[int | None, ...]:
    """Return the shape that the gate has for an input; of None where it has none."""
    shape = step.gate.for_input(one.name).shape if step.gate is not None else ()
    return shape if len(shape) == len(one.shape) else (None,) * len(one.shape)


def _failed(step: StepSpec, reason: str) -> NodeError:
    return NodeError(PLAN_BUILD_FAILED, plan=step.network or step.name, reason=reason, log="engine.toml")


def gate_shapes(step: StepSpec) -> Mapping[str, tuple[int, ...]]:
    """Shapes of the gate's inputs by name; under "" that of a network with one."""
    if step.gate is None:
        return {}
    return {**({"": step.gate.shape} if step.gate.shape else {}), **step.gate.shapes}

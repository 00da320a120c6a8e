"""The inputs and outputs of an engine, and the shapes that its profiles take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.engine.runtimes.contract import TensorSpec
from dicomnode.engine.runtimes.tensorrt import api
from dicomnode.engine.runtimes.tensorrt.flavours import Trt

Shape = tuple[int, ...]

# Names of trt.DataType → numpy; bf16 and the 8-bit floats stay inside a network: numpy has none of them
_DTYPES: Final = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT64": "int64",
    "INT32": "int32",
    "INT8": "int8",
    "UINT8": "uint8",
    "BOOL": "bool",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRange:
    """What a profile takes of one input."""

    smallest: Shape
    best: Shape
    largest: Shape

    def takes(self, shape: Sequence[int]) -> bool:
        """Tell whether the shape lies within."""
        return len(shape) == len(self.smallest) and all(
            low <= length <= high
            for low, length, high in zip(self.smallest, shape, self.largest, strict=True)
        )


Profile = Mapping[str, ProfileRange]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensors:
    """What an engine takes and gives. profiles: by input, in the engine's order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    profiles: tuple[Profile, ...]

    @property
    def fixed(self) -> bool:
        """Tell whether items have one shape in each profile, as windows have: at most their number varies."""
        return all(
            one.smallest[1:] == one.largest[1:] for profile in self.profiles for one in profile.values()
        )

    def profile_for(self, shapes: Mapping[str, Sequence[int]], now: int) -> int | None:
        """Return the profile that takes these shapes: the active one where it does, else the first."""
        order = [now, *(index for index in range(len(self.profiles)) if index != now)]
        for index in order:
            if all(self.profiles[index][name].takes(shape) for name, shape in shapes.items()):
                return index
        return None

    def shapes_with(self, shape: Sequence[int]) -> dict[str, Shape]:
        """Return shapes of all inputs: this one for each that takes it, for the others their best.

        It goes by the first profile that has such an input. Without one it is given to all, to be refused.
        """
        given = tuple(shape)
        for profile in self.profiles:
            shapes = {name: given if one.takes(given) else one.best for name, one in profile.items()}
            if given in shapes.values():
                return shapes
        return {spec.name: given for spec in self.inputs}

    def ranges(self) -> str:
        """The shapes that are taken, in words."""
        return " or ".join(
            ", ".join(f"{name} {one.smallest} to {one.largest}" for name, one in profile.items())
            for profile in self.profiles
        )


def not_supported(trt: Trt, engine: api.ICudaEngine) -> str:
    """Say which input or output of an engine cannot be given or taken, and what to do; empty: none."""
    for name in _names(engine):
        if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
            return f"{name} carries a shape, which is not supported: export with fixed shapes there"
        kind = engine.get_tensor_dtype(name).name
        if kind not in _DTYPES:
            return f"{name} has the type {kind}, which is not supported: export it as FLOAT"
    return ""


def tensors_of(trt: Trt, engine: api.ICudaEngine) -> Tensors:
    """Read them off an engine, of which everything is supported."""
    names = _names(engine)
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    return Tensors(
        inputs=tuple(_spec(engine, name) for name in inputs),
        outputs=tuple(_spec(engine, name) for name in names if name not in inputs),
        profiles=tuple(
            {name: _range(engine, name, index) for name in inputs}
            for index in range(engine.num_optimization_profiles)
        ),
    )


def _names(engine: api.ICudaEngine) -> list[str]:
    return [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]


def lengths(shape: api.Dims) -> Shape:
    """Return the lengths of the axes; -1: not known."""
    return tuple(shape[axis] for axis in range(len(shape)))


def _spec(engine: api.ICudaEngine, name: str) -> TensorSpec:
    shape = lengths(engine.get_tensor_shape(name))
    dtype = _DTYPES[engine.get_tensor_dtype(name).name]
    return TensorSpec(name, tuple(None if length < 0 else length for length in shape), dtype)


def _range(engine: api.ICudaEngine, name: str, profile: int) -> ProfileRange:
    smallest, best, largest = (lengths(one) for one in engine.get_tensor_profile_shape(name, profile))
    return ProfileRange(smallest=smallest, best=best, largest=largest)

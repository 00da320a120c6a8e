"""What engine.toml can say: one frozen tree, units in the names (design: "The engine package").

Data say everything: which series an engine wants, how its input is prepared, its chain of steps, and what
its results mean. Nothing here reads a file: `dicomnode.engine.manifest.read` does, and finds all problems
at once. Fields are named as the keys of engine.toml; `[[input]]` is the tuple `input`.
"""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal

from dicomnode.engine.manifest.inputs import Feed, InputSpec, Preference, Requirement
from dicomnode.engine.manifest.interpretation import CentreHeat, Head
from dicomnode.engine.manifest.outputs import OutputSpec
from dicomnode.engine.manifest.vocabulary import POSITIVES, PROPORTION, SOME, CodeSpec, Scalar, table
from dicomnode.settings.keys import NAME, NOT_EMPTY, NOT_NEGATIVE, POSITIVE, Rule, key, needed

__all__ = [
    "SCHEMA",
    "CentreHeat",
    "CodeSpec",
    "Crop",
    "Fingerprint",
    "GateSpec",
    "InputSpec",
    "Manifest",
    "OutputSpec",
    "Precision",
    "Preference",
    "Requirement",
    "Scalar",
    "StepSpec",
    "Window",
]

SCHEMA: Final = 1

Precision = Literal["fp32", "fp16", "bf16", "int8", "fp8"]

# A name inside the folder: no separator, no "..", nothing hidden
_FILE = Rule(
    "the name of a .onnx file in the engine's folder",
    lambda text: re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.onnx", text) is not None,
)
STEP_OR_HEAD: Final = Rule(
    'the name of a step, or "step/head"',
    lambda text: all(NAME.holds(part) for part in text.split("/")) and text.count("/") <= 1,
)
_DIGEST = Rule("64 hexadecimal digits", lambda text: re.fullmatch(r"[0-9a-f]{64}", text) is not None)
_VERSION = Rule(
    "a version such as 1.0.0", lambda text: re.fullmatch(r"[0-9]+(\.[0-9]+){1,3}", text) is not None
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """The box of the volume that a network sees.

    of: the step whose mask it surrounds. multiple: sides are padded up to a multiple of it, at the end of
    each axis, with `pad` (the volume's unit); masks and maps of an earlier step are padded with 0.
    """

    of: str = needed("Name of an earlier step.", NAME)
    margin_mm: float = key(0.0, "Added on each side, where there is volume.", NOT_NEGATIVE)
    multiple: int = key(1, "Sides are padded to a multiple of it.", POSITIVE)
    pad: float = key(0.0, "Value of what is padded.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How a network goes over its box: "whole" (size_kji is None), or in windows that overlap."""

    size_kji: tuple[int, int, int] | None = key(None, "Voxels of a window along k, j, i.", POSITIVES)
    overlap: float = key(
        0.5, "Part of a window that the next one sees again.", Rule("0 to 0.9", lambda n: 0 <= n <= 0.9)
    )
    blend: Literal["gaussian", "constant"] = key("gaussian", "Weights within a window.")
    rule: Literal["even", "monai", "nnunet"] = key(
        "even",
        "Where windows begin and how they weigh: the node's own rule, or that of the framework the network "
        "comes from.",
    )
    sigma: float = key(0.125, 'Width of blend = "gaussian", as a part of a window.', POSITIVE)
    pad: Literal["constant", "edge", "reflect", "wrap"] = key(
        "constant", "What lies around a box that is smaller than a window (rules monai and nnunet)."
    )
    pad_value: float = key(0.0, 'Value of pad = "constant"; by the rule even, of a volume without a crop.')
    mirror: tuple[Literal["k", "j", "i"], ...] = key(
        (), "Axes that a window is also seen flipped along, in all combinations; the mean counts."
    )
    batch: int | None = key(
        None,
        "Windows that go through the network at a time; its first axis must be free. Unless given, as many "
        "as its runtime is fastest with.",
        POSITIVE,
    )

    @property
    def whole(self) -> bool:
        """Whether the box goes through in one piece."""
        return self.size_kji is None

    @property
    def once(self) -> bool:
        """Whether the network runs a single time: the box in one piece, and not flipped."""
        return self.whole and not self.mirror


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What one output of a network must be on the seeded input of the gate.

    probes: values at evenly spaced places of the flattened output, so that a turned axis is seen.
    """

    output: str = needed("Name of the output.", NOT_EMPTY)
    mean: float = needed("Mean.")
    std: float = needed("Standard deviation.", NOT_NEGATIVE)
    smallest: float = needed("Smallest value.")
    largest: float = needed("Largest value.")
    probes: tuple[float, ...] = needed("Values at evenly spaced places.", SOME)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSpec:
    """[step.gate]: the input that a session is tried with before it serves, and what must come out.

    The input is seeded noise with a ball in it, between `low` and `high`: see `dicomnode.engine.gate`.
    relative_l2, max_abs, dice: limits that tighten those of the node for the precision.
    """

    shape: tuple[int, ...] = key((), "Shape of the input tensor.", POSITIVES)
    shapes: Mapping[str, tuple[int, ...]] = table(
        "Shape of each input by its name, for a network with several."
    )
    low: float = needed("Smallest value of the input.")
    high: float = needed("Largest value of the input.")
    seed: int = key(1, "Seed of the noise.", NOT_NEGATIVE)
    tolerance: float = key(1e-3, "Largest difference from each number below.", POSITIVE)
    relative_l2: float | None = key(
        None, "Largest relative L2 difference from the reference runtime.", POSITIVE
    )
    max_abs: float | None = key(
        None, "Largest difference of one number from the reference runtime.", POSITIVE
    )
    dice: float | None = key(None, "Least Dice against the reference runtime.", PROPORTION)
    expect: tuple[Fingerprint, ...] = key((), "What must come out.")

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", MappingProxyType(dict(self.shapes)))

    def for_input(self, name: str) -> GateSpec:
        """Return the gate with the shape of this input of the network in `shape`."""
        return replace(self, shape=self.shapes.get(name, self.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec(Head):
    """[[step]]: a named algorithm of the node, or a network of the package.

    name: what later steps and outputs call it; by default the algorithm, or the network's file without
    ".onnx". parameters: of the algorithm, which checks them. inputs: by the names of the network's inputs;
    without it the network's only input is the first [[input]] as one channel. An algorithm that gives a row
    of numbers (radiomics) has interpret = "features", in `crop` the step whose mask it measures (without it:
    all of the image), and in [step.features] the `names` that are wanted of all it knows. One that looks for
    lesions (blobs) has interpret = "lesions", and in `crop` the step whose mask it looks in. One that
    compares (lungs_compared, lungs_checked) has in `of` two earlier steps: the one whose mask it takes over,
    and a network with interpret = "map" that sees the same otherwise; the first only tells what differs, the
    second takes dense lung in that the network alone sees.
    A step with `each` runs once for each lesion that an earlier step gave (centre_heat, boxes, lesions); it
    gives features, classes or a regression, which stand with that lesion. An algorithm measures the mask of
    the lesion, rows of other steps with the same `each` are those of the lesion, and a network that sees
    images has `crop` of the step that `each` names: the box around the lesion.
    """

    name: str = key(
        "", "What later steps and outputs call it.", Rule("a name", lambda t: not t or NAME.holds(t))
    )
    algorithm: str | None = key(None, "Name of an algorithm of the node.", NAME)
    each: str | None = key(
        None, "Earlier step, or step/head, for each of whose lesions it runs.", STEP_OR_HEAD
    )
    of: tuple[str, ...] = key((), "Earlier steps that the algorithm compares.", SOME)
    parameters: Mapping[str, Scalar] = table("Numbers that the algorithm takes.")
    network: str | None = key(None, "File of the network.", _FILE)
    sha256: str | None = key(None, "SHA-256 of that file.", _DIGEST)
    data: Mapping[str, str] = table("Files beside the network that hold tensors of it: name = SHA-256.")
    inputs: Mapping[str, Feed] = table("What each input of the network is made of.")
    resample_mm: tuple[float, float, float] | None = key(
        None,
        "Spacing along k, j, i that the network sees the inputs in, where they are prepared to another one.",
        POSITIVES,
    )
    crop: Crop | None = key(None, "The box of the volume that the network sees.")
    window: Window = field(
        default_factory=Window,
        metadata={"doc": 'How it goes over the box: "whole", or windows that overlap.'},
    )
    head: tuple[Head, ...] = key((), "What the outputs mean, of a network with several heads.")
    precisions: tuple[Precision, ...] = key(
        ("fp32",), "Precisions the network may run in, best liked first.", SOME
    )
    memory_bytes_per_voxel: float = key(0.0, "Memory that a voxel of the box takes, measured.", NOT_NEGATIVE)
    typical_kji: tuple[int, int, int] | None = key(
        None,
        "Voxels of a usual box along k, j, i, of a network that sees it whole: plans are tuned for it.",
        POSITIVES,
    )
    gate: GateSpec | None = key(None, "What the network is tried with before it serves.")

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        object.__setattr__(self, "data", MappingProxyType(dict(self.data)))
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))
        if not self.name:
            name = self.algorithm or (self.network or "").removesuffix(".onnx")
            object.__setattr__(self, "name", name)

    @property
    def heads(self) -> tuple[Head, ...]:
        """What reads the network's outputs: its heads, or the step itself."""
        return self.head or (self,)

    def head_named(self, name: str) -> Head:
        """Return the head that an [[output]] names ("": the only one); KeyError when there is none."""
        for head in self.heads:
            if name in ("", head.name):
                return head
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All of engine.toml."""

    schema: int = needed("Version of this file's form.", Rule("1", lambda n: n == SCHEMA))
    name: str = needed("Name of the engine; that of its folder.", NAME)
    version: str = needed("Version of the engine.", _VERSION)
    title: str = needed("What it is, for people.", NOT_EMPTY)
    use: str = needed("Intended use; stands in every result.", NOT_EMPTY)
    demonstration: str | None = key(
        None,
        "Of an engine that shows how something is done and is of no use otherwise: why, in sentences. They "
        'stand in every result, and the names of its series begin with "Demonstration". So must its title.',
        NOT_EMPTY,
    )
    input: tuple[InputSpec, ...] = needed("What it needs; the first is the series that results go on.", SOME)
    step: tuple[StepSpec, ...] = needed("What it does, in this order.", SOME)
    output: tuple[OutputSpec, ...] = needed("What it gives.", SOME)

    @property
    def networks(self) -> tuple[StepSpec, ...]:
        """The steps that are networks."""
        return tuple(step for step in self.step if step.network is not None)

    def step_named(self, name: str) -> StepSpec:
        """Return the step of that name; KeyError when there is none (`read` has checked all references)."""
        for step in self.step:
            if step.name == name:
                return step
        raise KeyError(name)

    @property
    def volumes(self) -> tuple[InputSpec, ...]:
        """The inputs that are series, the first of them first."""
        return tuple(one for one in self.input if one.kind != "tags")

    @property
    def beside(self) -> tuple[InputSpec, ...]:
        """The further inputs that are series of the same study as the first one."""
        return tuple(one for one in self.volumes[1:] if one.prior is None)

    @property
    def priors(self) -> tuple[InputSpec, ...]:
        """The inputs that are series of an earlier study of the patient."""
        return tuple(one for one in self.volumes[1:] if one.prior is not None)

    @property
    def compared(self) -> InputSpec | None:
        """The prior that all steps run on for its lesions; None where there is none."""
        return next((one for one in self.priors if one.is_compared), None)

    def head_at(self, name: str) -> Head:
        """Return the head of "step", or of "step/head"; KeyError when there is none."""
        step, _, head = name.partition("/")
        return self.step_named(step).head_named(head)

    def each_of(self, output: OutputSpec) -> str | None:
        """Return the step whose lesions an output is said of, one by one; None: it is of the study."""
        return self.step_named(output.step).each

    def of_head(self, step: str, head: str = "") -> tuple[OutputSpec, ...]:
        """Return the outputs that a head of a step gives, in their order."""
        owner = self.step_named(step).head_named(head)
        return tuple(
            one
            for one in self.output
            if one.step == step and self.step_named(step).head_named(one.head) is owner
        )

    def channel_of(self, output: OutputSpec) -> int:
        """Return the class or channel that an output is: its own, or its place among those of its head."""
        if output.channel is not None:
            return output.channel
        head = self.step_named(output.step).head_named(output.head)
        if head.interpret == "anomaly":  # one score and one map
            return 0
        place = self.of_head(output.step, output.head).index(output)
        return place + 1 if head.interpret == "labels" else place

"""What engine.toml can say: one frozen tree, units in the names (design: "The engine package").

Data say everything: which series an engine wants, how its input is prepared, its chain of steps, and what
its results mean. Nothing here reads a file: `dicomnode.engine.read` does, and finds all problems at once.
Fields are named as the keys of engine.toml; `[[input]]` is the tuple `input`.
"""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from dicomnode.engine.preparation import Preparation
from dicomnode.settings.schema import NAME, NOT_EMPTY, NOT_NEGATIVE, POSITIVE, Rule, key, needed
from dicomnode.values.codes import LEFT, RIGHT, Code

SCHEMA: Final = 1

Scalar = str | int | float | bool
Precision = Literal["fp32", "fp16", "bf16", "int8", "fp8"]
Laterality = Literal["left", "right"]
Interpret = Literal["centre_heat", "labels", "sigmoid"]
Measure = Literal[
    "volume_ml",
    "volume_mm3",
    "mean_hu",
    "sd_hu",
    "laa950_percent",
    "long_axis_mm",
    "short_axis_mm",
    "equivalent_diameter_mm",
]

# A name inside the folder: no separator, no "..", nothing hidden
_FILE = Rule(
    "the name of a .onnx file in the engine's folder",
    lambda text: re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.onnx", text) is not None,
)
_DIGEST = Rule("64 hexadecimal digits", lambda text: re.fullmatch(r"[0-9a-f]{64}", text) is not None)
_VERSION = Rule(
    "a version such as 1.0.0", lambda text: re.fullmatch(r"[0-9]+(\.[0-9]+){1,3}", text) is not None
)
_PROPORTION = Rule("0 to 1", lambda n: 0 <= n <= 1)
_POSITIVES = Rule("numbers above 0", lambda numbers: all(n > 0 for n in numbers))
_COLOUR = Rule("three numbers, 0 to 255", lambda numbers: all(0 <= n <= 255 for n in numbers))
_SOME = Rule("at least one", lambda items: len(items) > 0)
_ONE = Rule("exactly one in this version", lambda items: len(items) == 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSpec:
    """A coded concept as engine.toml writes it: { scheme = "SCT", code = "39607008", meaning = "Lung" }."""

    scheme: str = needed("Coding scheme.", Rule("1 to 16 characters", lambda t: 0 < len(t) <= 16))
    code: str = needed("Code value.", Rule("1 to 16 characters", lambda t: 0 < len(t) <= 16))
    meaning: str = needed("Code meaning, for people.", Rule("1 to 64 characters", lambda t: 0 < len(t) <= 64))

    @property
    def coded(self) -> Code:
        """The same as a value."""
        return Code(self.code, self.scheme, self.meaning)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A rule that a series must hold: one of `tag`, `fact`, and one comparison.

    tag: keyword of a DICOM attribute of the first instance. fact: a name that `SeriesFacts` documents.
    Of an attribute with several values one that holds is enough.
    """

    tag: str | None = key(None, "DICOM keyword of an attribute.")
    fact: str | None = key(None, "Name of a fact of the series.")
    equals: Scalar | None = key(None, "The value.")
    one_of: tuple[Scalar, ...] | None = key(None, "The values that are right.", _SOME)
    matches: str | None = key(None, "Regular expression that is found in the value.")
    present: Literal[True] | None = key(None, "There is a value.")
    absent: Literal[True] | None = key(None, "There is no value.")
    at_least: float | None = key(None, "Smallest number.")
    at_most: float | None = key(None, "Largest number.")
    contains: str | None = key(None, "A word that is among the values; an unknown value is taken for now.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What makes one series better than another: one of `tag`, `fact`, one comparison, and its weight."""

    tag: str | None = key(None, "DICOM keyword of an attribute.")
    fact: str | None = key(None, "Name of a fact of the series.")
    smaller: Literal[True] | None = key(None, "The smaller the better.")
    larger: Literal[True] | None = key(None, "The larger the better.")
    equals: Scalar | None = key(None, "The value that is better.")
    matches: str | None = key(None, "Regular expression found in a value that is better.")
    weight: float = key(1.0, "How much it counts beside the others.", POSITIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """[[input]]: a series that the engine needs, and how it is made ready."""

    name: str = needed("Name of the input, for the steps.", NAME)
    kind: Literal["volume"] = needed("What is made of the series.")
    require: tuple[Requirement, ...] = needed("Rules; the first that fails is what `why` prints.", _SOME)
    prefer: tuple[Preference, ...] = key((), "What makes one series better than another.")
    prepare: tuple[Preparation, ...] = key((), "What is done to it, in this order.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """The box of the volume that a network sees.

    of: the step whose mask it surrounds. multiple: sides are padded up to a multiple of it, at the end of
    each axis, with `pad` (the volume's unit).
    """

    of: str = needed("Name of an earlier step.", NAME)
    margin_mm: float = key(0.0, "Added on each side, where there is volume.", NOT_NEGATIVE)
    multiple: int = key(1, "Sides are padded to a multiple of it.", POSITIVE)
    pad: float = key(0.0, "Value of what is padded.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How a network goes over its box: "whole" (size_kji is None), or in windows that overlap."""

    size_kji: tuple[int, int, int] | None = key(None, "Voxels of a window along k, j, i.", _POSITIVES)
    overlap: float = key(
        0.5, "Part of a window that the next one sees again.", Rule("0 to 0.9", lambda n: 0 <= n <= 0.9)
    )
    blend: Literal["gaussian", "constant"] = key("gaussian", "Weights within a window.")

    @property
    def whole(self) -> bool:
        """Whether the box goes through in one pass."""
        return self.size_kji is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreHeat:
    """[step.centre_heat]: how a network's maps become candidates.

    heat, size: names of outputs on a grid of `stride` voxels, logit of "a centre is here" and natural
    logarithm of the diameter in mm. mask: name of the output on the full grid, logit of "lesion".
    Cell c of a coarse map covers the voxels stride·c … stride·c + stride − 1 along each axis.
    """

    heat: str = key("heat", "Output with the logits of centres.", NOT_EMPTY)
    size: str = key("logd", "Output with the logarithm of the diameter in mm.", NOT_EMPTY)
    mask: str = key("mask", "Output with the logits of the mask.", NOT_EMPTY)
    stride: int = key(2, "Voxels a cell of the coarse maps covers along each axis.", POSITIVE)
    within_mm: float = key(
        0.0, "A centre lies at most so far outside the mask that `crop` names.", NOT_NEGATIVE
    )
    heat_at_least: float = key(0.03, "Local maxima of heat below it are no candidates.", _PROPORTION)
    suppress_mm: float = key(
        4.0, "Of two centres closer than this, or than half the larger diameter, the hotter stays.", POSITIVE
    )
    score: Literal["heat", "sqrt(heat * mask_support)"] = key("heat", "How the score is made.")
    support_part: float = key(
        0.7, "mask_support: mean over the sphere of so much of the radius.", _PROPORTION
    )
    threshold: float = key(0.5, "Candidates below this score are counted, not reported.", _PROPORTION)
    mask_logit: float = key(0.0, "Logit at which the mask ends.")
    mask_reach_diameters: float = key(0.8, "The mask ends at so many diameters from the centre …", POSITIVE)
    mask_reach_mm: float = key(2.0, "… and so many mm more.", NOT_NEGATIVE)
    at_most: int = key(10, "Most candidates reported, by score.", POSITIVE)


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
    probes: tuple[float, ...] = needed("Values at evenly spaced places.", _SOME)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSpec:
    """[step.gate]: the input that a session is tried with before it serves, and what must come out.

    The input is seeded noise with a ball in it, between `low` and `high`: see `dicomnode.engine.gate`.
    """

    shape: tuple[int, ...] = needed("Shape of the input tensor.", _POSITIVES)
    low: float = needed("Smallest value of the input.")
    high: float = needed("Largest value of the input.")
    seed: int = key(1, "Seed of the noise.", NOT_NEGATIVE)
    tolerance: float = key(1e-3, "Largest difference from each number below.", POSITIVE)
    expect: tuple[Fingerprint, ...] = key((), "What must come out.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """[[step]]: a named algorithm of the node, or a network of the package.

    name: what later steps and outputs call it; by default the algorithm, or the network's file without
    ".onnx". parameters: of the algorithm, which checks them.
    """

    name: str = key(
        "", "What later steps and outputs call it.", Rule("a name", lambda t: not t or NAME.holds(t))
    )
    algorithm: str | None = key(None, "Name of an algorithm of the node.", NAME)
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    network: str | None = key(None, "File of the network.", _FILE)
    sha256: str | None = key(None, "SHA-256 of that file.", _DIGEST)
    crop: Crop | None = key(None, "The box of the volume that the network sees.")
    window: Window = field(default_factory=Window)
    interpret: Interpret | None = key(None, "What the network's outputs mean.")
    centre_heat: CentreHeat | None = key(None, 'Parameters of interpret = "centre_heat".')
    precisions: tuple[Precision, ...] = key(
        ("fp32",), "Precisions the network may run in, best liked first.", _SOME
    )
    memory_bytes_per_voxel: float = key(0.0, "Memory that a voxel of the box takes, measured.", NOT_NEGATIVE)
    gate: GateSpec | None = key(None, "What the network is tried with before it serves.")

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        if not self.name:
            name = self.algorithm or (self.network or "").removesuffix(".onnx")
            object.__setattr__(self, "name", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """[[output]]: a kind of segment that the engine gives, and what it means.

    segment: stem of the label ("lung" gives "lung-left", "nodule" gives "nodule-1"). step: whose result it
    is. laterality: the side it is (for a step that gives both). tracking: Tracking Identifier in the
    report; {number} counts lesions from 1. measure: in this order in the report.
    """

    segment: str = needed("Stem of the label.", NAME)
    step: str = needed("Name of the step that gives it.", NAME)
    kind: Literal["anatomy", "lesion", "tissue"] = needed("What it stands for.")
    laterality: Laterality | None = key(None, "The side it is.")
    category: CodeSpec = needed("Segmented property category (CID 7150).")
    type: CodeSpec = needed("Segmented property type (CID 7151 …).")
    site: CodeSpec | None = key(None, "Organ that it lies in.")
    tracking: str = needed("Tracking Identifier; {number} for lesions.", NOT_EMPTY)
    colour_rgb: tuple[int, int, int] = key((255, 160, 0), "Colour it is shown in.", _COLOUR)
    measure: tuple[Measure, ...] = key((), "What is measured of it.")

    @property
    def laterality_code(self) -> Code | None:
        """The side as a coded concept (CID 244)."""
        return {"left": LEFT, "right": RIGHT, None: None}[self.laterality]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All of engine.toml."""

    schema: int = needed("Version of this file's form.", Rule("1", lambda n: n == SCHEMA))
    name: str = needed("Name of the engine; that of its folder.", NAME)
    version: str = needed("Version of the engine.", _VERSION)
    title: str = needed("What it is, for people.", NOT_EMPTY)
    use: str = needed("Intended use; stands in every result.", NOT_EMPTY)
    input: tuple[InputSpec, ...] = needed("What it needs.", _ONE)
    step: tuple[StepSpec, ...] = needed("What it does, in this order.", _SOME)
    output: tuple[OutputSpec, ...] = needed("What it gives.", _SOME)

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

"""What engine.toml can say of what comes out: [[output]] tables, each of one kind.

The kind of an [[output]] is the one key of `KINDS` that it has: its value is the label of what is given.
"""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from dicomnode.engine.manifest.vocabulary import COLOUR, PROPORTION, RANGE, CodeSpec
from dicomnode.settings.keys import NAME, NOT_EMPTY, NOT_NEGATIVE, POSITIVE, Rule, key, needed
from dicomnode.values.codes import LEFT, RIGHT, Code

Laterality = Literal["left", "right"]
Measure = Literal[
    "volume_ml",
    "volume_mm3",
    "mean_hu",
    "sd_hu",
    "laa950_percent",
    "perc15_hu",
    "long_axis_mm",
    "short_axis_mm",
    "equivalent_diameter_mm",
]
VOLUMES: Final[tuple[Measure, ...]] = ("volume_mm3", "volume_ml")
"""Measures that a change of volume is told by."""


@dataclass(frozen=True, slots=True)
class OutputKind:
    """Which keys an [[output]] of a kind must have and may have, beside `step`, `head` and its own."""

    needs: tuple[str, ...]
    may: tuple[str, ...] = ()


_FOUND: Final = ("site", "channel")
KINDS: Final[Mapping[str, OutputKind]] = MappingProxyType(
    {
        "segment": OutputKind(
            ("kind", "category", "type", "tracking"),
            ("laterality", "colour_rgb", "measure", "largest", "calibrated", "score", *_FOUND),
        ),
        "region": OutputKind(("type", "tracking"), ("calibrated", "score", *_FOUND)),
        "classification": OutputKind(("type",), ("attribute", "threshold", "calibrated", "channel")),
        "measurement": OutputKind(
            ("type", "unit"),
            ("channel", "scale", "offset", "plausible", "interval_channels", "interval_percent"),
        ),
        "map": OutputKind(("type", "unit"), ("channel",)),
        "image": OutputKind((), ("type", "unit")),
        "features": OutputKind(()),
    }
)
# What the heads of a network, and the algorithms of the node, can give
GIVEN_BY: Final[Mapping[str | None, tuple[str, ...]]] = MappingProxyType(
    {
        None: ("segment",),
        "centre_heat": ("segment",),
        "labels": ("segment",),
        "sigmoid": ("segment",),
        "map": ("map",),
        "boxes": ("region",),
        "classes": ("classification",),
        "sequence": ("classification",),
        "regression": ("measurement",),
        "anomaly": ("classification", "measurement", "map"),
        "features": ("features",),
        "image": ("image",),
        "lesions": ("segment",),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """[output.score]: which answer of a step with `each` becomes the score of a lesion, and selects it.

    Lesions of a lower score are counted, not reported; so are those that the step gave no answer of.
    """

    of: str = needed("Name of a step with each, which gives the classes of these lesions.", NAME)
    channel: int = needed("Number of the class whose probability is the score, from 0.", NOT_NEGATIVE)
    threshold: float = key(0.5, "Lesions below this score are counted, not reported.", PROPORTION)
    at_most: int = key(10, "Most lesions reported, by score.", POSITIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """[[output]]: one thing that the engine gives, and what it means.

    Exactly one of segment, region, classification, measurement, map, image, features says what it is.
    segment: stem of the label ("lung" gives "lung-left", "nodule" gives "nodule-1"). step, head: whose
    result it is. channel: number of the class or channel, from 0; by default the outputs of a head are
    counted in their order (of `labels` from 1, as 0 is background). laterality: the side it is (for a step
    that gives both). tracking: Tracking Identifier in the report; {number} counts lesions from 1. measure:
    in this order in the report. Of a step with `each` a classification, measurement or features stand with
    each of the lesions.
    """

    segment: str | None = key(None, "Voxels: stem of the label.", NAME)
    region: str | None = key(None, "Boxes: stem of the label.", NAME)
    classification: str | None = key(None, "A class with its probability: its label.", NAME)
    measurement: str | None = key(None, "A number with its unit: its label.", NAME)
    map: str | None = key(None, "A map of numbers: its label.", NAME)
    image: str | None = key(None, "A volume made of the input: its label.", NAME)
    features: str | None = key(None, "A vector of features: its label.", NAME)
    step: str = needed("Name of the step that gives it.", NAME)
    head: str = key("", "Name of the head of that step; needed if it has several.")
    channel: int | None = key(None, "Number of the class or channel, from 0.", NOT_NEGATIVE)
    kind: Literal["anatomy", "lesion", "tissue"] | None = key(None, "What a segment stands for.")
    laterality: Laterality | None = key(None, "The side it is.")
    category: CodeSpec | None = key(None, "Segmented property category (CID 7150).")
    type: CodeSpec | None = key(
        None,
        "What it is: segmented property type (CID 7151 …), finding, class, or concept of the number.",
    )
    attribute: CodeSpec | None = key(
        None,
        "Of a class of lesions: of what it is a value. Of those of one attribute the present one is told, "
        "and none as undetermined.",
    )
    site: CodeSpec | None = key(None, "Organ that it lies in.")
    tracking: str | None = key(None, "Tracking Identifier; {number} for lesions.", NOT_EMPTY)
    colour_rgb: tuple[int, int, int] = key((255, 160, 0), "Colour it is shown in.", COLOUR)
    measure: tuple[Measure, ...] = key(
        (), "What is measured of a segment; axes on its largest slice, in the plane of the series."
    )
    largest: int | None = key(
        None,
        "So many connected parts of a segment are kept, those with the most voxels; voxels touch by faces, "
        "edges or corners.",
        POSITIVE,
    )
    threshold: float = key(0.5, "Probability from which a class is present.", PROPORTION)
    calibrated: bool = key(
        False,
        "Whether its score is a calibrated probability: of a hundred with 70 %, about 70 are right. Reports "
        "name it so then, and else a score.",
    )
    score: Score | None = key(None, "Of lesions: the class that their score is the probability of.")
    unit: CodeSpec | None = key(None, "Unit of the numbers (UCUM); of an image by default that of the input.")
    scale: float = key(
        1.0, "Multiplies the network's number …", Rule("a number other than 0", lambda n: n != 0)
    )
    offset: float = key(0.0, "… before this is added, to come to the unit.")
    plausible: tuple[float, float] | None = key(
        None, "Smallest and largest plausible value; others are given with a remark.", RANGE
    )
    interval_channels: tuple[int, int] | None = key(
        None, "Channels with the lower and the upper end of the interval."
    )
    interval_percent: float = key(
        95.0, "Part of the cases that the interval holds.", Rule("0 to 100", lambda n: 0 < n < 100)
    )

    @property
    def what(self) -> str:
        """Which kind of result it is: "segment", "classification" … ("" where the table names none)."""
        return next((name for name in KINDS if getattr(self, name) is not None), "")

    @property
    def label(self) -> str:
        """The label, or its stem."""
        return str(getattr(self, self.what, ""))

    @property
    def concept(self) -> Code:
        """`type` as a value; ValueError without one (`read` has checked that it is there where needed)."""
        return _there(self.type, "type")

    @property
    def property_category(self) -> Code:
        """`category` as a value; ValueError without one (as `concept`)."""
        return _there(self.category, "category")

    @property
    def laterality_code(self) -> Code | None:
        """The side as a coded concept (CID 244)."""
        return {"left": LEFT, "right": RIGHT, None: None}[self.laterality]


def _there(spec: CodeSpec | None, name: str) -> Code:
    if spec is None:
        raise ValueError(f"the [[output]] has no {name}")
    return spec.coded

"""What engine.toml can say of what goes in: [[input]] tables, and how a network's inputs are filled."""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from dicomnode.engine.manifest.preparation import Preparation
from dicomnode.engine.manifest.vocabulary import SOME, Scalar, table
from dicomnode.settings.schema import NAME, POSITIVE, Rule, key, needed

Axes = Literal[
    "nckji",
    "ncijk",
    "nkjic",
    "nijkc",
    "nkji",
    "nijk",
    "ncji",
    "ncij",
    "njic",
    "nijc",
    "nji",
    "nij",
    "ntcji",
    "ntcij",
    "nctji",
    "nctij",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A rule that a series must hold: one of `tag`, `fact`, and one comparison.

    tag: keyword of a DICOM attribute of the first instance. fact: a name that `SeriesFacts` documents.
    Of an attribute with several values one that holds is enough.
    """

    tag: str | None = key(None, "DICOM keyword of an attribute.")
    fact: str | None = key(None, "Name of a fact of the series.")
    equals: Scalar | None = key(None, "The value.")
    one_of: tuple[Scalar, ...] | None = key(None, "The values that are right.", SOME)
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
class TagNumber:
    """A number made of an attribute of the first input: (value − mean) / sd.

    The value is that of a numeric attribute; of an age (VR AS) in years, also from Patient's Birth Date
    and Study Date where the age itself is not sent; of a text the number that `values` gives it.
    """

    tag: str = needed("DICOM keyword of the attribute.")
    values: Mapping[str, float] = table(
        "Number of each text that the attribute can have: { M = 1.0, F = 0.0 }."
    )
    default: float | None = key(
        None, "Value where the attribute has none; without it the study is not analysed."
    )
    mean: float = key(0.0, "Taken from the value.")
    sd: float = key(1.0, "Divides what is left.", POSITIVE)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """[[input]]: a series that the engine needs, and how it is made ready, or numbers from its attributes.

    The first input is the series that results go back on. Further volumes must share its Frame of
    Reference; they are resampled onto the grid that the first one was prepared on, and then prepared.
    """

    name: str = needed("Name of the input, for the steps.", NAME)
    kind: Literal["volume", "tags", "picture", "cine"] = needed(
        'What is made of the series: "volume", or "tags" for numbers from its attributes.'
    )
    require: tuple[Requirement, ...] = key((), "Rules; the first that fails is what `why` prints.")
    prefer: tuple[Preference, ...] = key((), "What makes one series better than another.")
    prepare: tuple[Preparation, ...] = key((), "What is done to it, in this order.")
    outside: float = key(0.0, "Of a further volume: value where it does not reach, in its unit.")
    tags: tuple[TagNumber, ...] = key((), 'Of kind "tags": the numbers, in the order of the vector.')


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One input of a network: where its numbers come from, and the order of its axes.

    of: names of [[input]] tables or of earlier steps. Volumes, masks of segments, maps and images become
    channels in this order; tags and feature vectors become one row (1, n). axes: n batch, c channels,
    t slices as a sequence, k, j, i as everywhere; without k and t each slice is one of the batch.
    """

    of: tuple[str, ...] = needed("Names of inputs or earlier steps, in the order of the channels.", SOME)
    axes: Axes = key("nckji", "Axes of the tensor, in the order of the network.")
    neighbours: int = key(
        0,
        "So many slices below and above each go along as channels (2.5D), the edge held.",
        Rule("0 to 16", lambda n: 0 <= n <= 16),
    )

"""What engine.toml can say of what goes in: [[input]] tables, and how a network's inputs are filled."""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from dicomnode.engine.manifest.picture import PictureSpec
from dicomnode.engine.manifest.preparation import Preparation
from dicomnode.engine.manifest.vocabulary import SOME, Scalar, table
from dicomnode.settings.keys import NAME, POSITIVE, Rule, key, needed

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
class PriorSpec:
    """[input.prior]: the input is of an earlier study of the same patient, the latest that holds its rules.

    Archives that are asked for it are named by [[query]] of dicomnode.toml. Where none comes, a network sees
    a volume in which there is `outside` alone, and the results say why. With compare no network sees it: the
    first input's `prepare` and all steps run on it as they do on the first input, and of each lesion the
    results say how it changed. Then it is the only further volume, and its own `prepare` is empty.
    """

    months_at_most: float = key(36.0, "An older study is none.", POSITIVE)
    required: bool = key(False, "Whether a study without a prior is not analysed.")
    compare: bool = key(
        False,
        "Whether the steps run on the prior as they do on the first input: its lesions are paired with those "
        "found now, and the results say how each changed.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """[[input]]: a series that the engine needs, and how it is made ready, or numbers from its attributes.

    The first input is the series that results go back on. Further volumes must share its Frame of
    Reference, or say how they are registered; they are resampled onto the grid that the first one was
    prepared on, and then prepared. A prior is registered always: between two studies a patient moves.
    A further volume with beside_first is another channel of one image (nnU-Net, MONAI): it is put onto the
    grid of the first input's series, and both go through their `prepare` together. Entries that change the
    grid stand in both lists, alike and in the same order; those that change values are each volume's own.
    crop_foreground takes the box of what counts in any of them. Steps name it in `of`, as any other input.
    Further pictures are views beside the first one: each goes through its own `prepare`, which must bring
    them to one size.
    """

    name: str = needed("Name of the input, for the steps.", NAME)
    kind: Literal["volume", "tags", "picture", "cine"] = needed(
        'What is made of the series: "volume", "picture" for an image that is no slice, "cine" for frames in '
        'time; or "tags" for numbers from its attributes.'
    )
    require: tuple[Requirement, ...] = key((), "Rules; the first that fails is what `why` prints.")
    prefer: tuple[Preference, ...] = key((), "What makes one series better than another.")
    series: Literal["best", "all"] = key(
        "best", "Of the first input: best: the series with the highest score; all: each that holds the rules."
    )
    ties: Literal["first", "all", "none"] = key(
        "first",
        "Of the first input: what is taken of several that are equally good; first: the one of the lowest "
        "UID; all; none: the study is not analysed, and says so.",
    )
    prepare: tuple[Preparation, ...] = key((), "What is done to it, in this order.")
    outside: float = key(0.0, "Of a further volume: value where it does not reach, in its unit.")
    register: Literal["none", "rigid", "affine"] = key(
        "none",
        "Of a further volume of another Frame of Reference: how it is laid over the first one; none: a study "
        "with such a one is not analysed.",
    )
    prior: PriorSpec | None = key(None, "Of a further volume: it is of an earlier study of the patient.")
    beside_first: bool = key(
        False,
        "Of a further volume: it is put onto the grid of the first input's series and stacked behind it, as "
        "another channel of one image; what changes the grid is done to both at once.",
    )
    picture: PictureSpec | None = key(None, "Of a picture or cine: its colours, values and orientation.")
    tags: tuple[TagNumber, ...] = key((), 'Of kind "tags": the numbers, in the order of the vector.')

    @property
    def is_compared(self) -> bool:
        """Whether it is a prior that the steps run on, for its lesions."""
        return self.prior is not None and self.prior.compare

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture or cine, which has no place in patient space."""
        return self.kind in {"picture", "cine"}

    @property
    def how(self) -> PictureSpec:
        """How a picture or cine is taken."""
        return self.picture or PictureSpec()

    @property
    def channels(self) -> int:
        """How many channels it gives a network; of tags they are numbers."""
        return self.how.channels if self.is_picture else 1


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

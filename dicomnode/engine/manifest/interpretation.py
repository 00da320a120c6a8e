"""What engine.toml can say of a network's outputs: one table of parameters for each `interpret`."""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from dicomnode.engine.manifest.vocabulary import PROPORTION, SOME
from dicomnode.settings.keys import NAME, NOT_EMPTY, NOT_NEGATIVE, POSITIVE, Rule, key, needed

Interpret = Literal[
    "centre_heat",
    "labels",
    "sigmoid",
    "map",
    "boxes",
    "classes",
    "sequence",
    "regression",
    "anomaly",
    "features",
    "image",
    "lesions",
]
Between = Literal["numbers", "probabilities", "classes"]
ThickSlices = Literal["same", "nearest"]
Activation = Literal["softmax", "sigmoid", "none"]

_ASCENDING = Rule(
    "at least two numbers that rise",
    lambda n: len(n) > 1 and all(a <= b for a, b in pairwise(n)) and n[0] < n[-1],
)
_BETWEEN_DOC = (
    "What is interpolated onto the grid of the images: the network's numbers, their probabilities, or (by "
    "the nearest voxel) the classes."
)
_THICK_DOC = (
    "nearest: across the one axis whose spacing, of the network's grid or the images', is over 3 times the "
    "smallest, the nearest plane is taken (nnU-Net)."
)
_INSIDE = Rule("between 0 and 1", lambda n: 0 < n < 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreHeat:
    """[step.centre_heat]: how a network's maps become candidates.

    heat, size: names of outputs on a grid of `stride` voxels, logit of "a centre is here" and natural
    logarithm of the diameter. mask: name of the output on the full grid, logit of "lesion".
    Cell c of a coarse map covers the voxels stride·c … stride·c + stride − 1 along each axis; of a network
    that sees slices apart one voxel along k. Of a picture without spacing, mm are pixels of the picture.
    """

    heat: str = key("heat", "Output with the logits of centres.", NOT_EMPTY)
    size: str = key("logd", "Output with the logarithm of the diameter.", NOT_EMPTY)
    size_in: Literal["mm", "voxels"] = key(
        "mm", "What that diameter is in; voxels: of the grid that the network sees, of pictures of any size."
    )
    mask: str = key("mask", "Output with the logits of the mask.", NOT_EMPTY)
    stride: int = key(2, "Voxels a cell of the coarse maps covers along each axis.", POSITIVE)
    within_mm: float = key(
        0.0, "A centre lies at most so far outside the mask that `crop` names …", NOT_NEGATIVE
    )
    within_diameters: float = key(
        0.0,
        "… or so many of its own diameters: a mass at the wall has its middle where its mask has none.",
        NOT_NEGATIVE,
    )
    heat_at_least: float = key(
        0.03,
        "Local maxima of heat below it are no candidates.",
        Rule("0 or more, and below 1", lambda n: 0 <= n < 1),
    )
    suppress_mm: float = key(
        4.0, "Of two centres closer than this, or than half the larger diameter, the hotter stays.", POSITIVE
    )
    score: Literal["heat", "sqrt(heat * mask_support)"] = key("heat", "How the score is made.")
    support_part: float = key(0.7, "mask_support: mean over the sphere of so much of the radius.", PROPORTION)
    threshold: float = key(0.5, "Candidates below this score are counted, not reported.", PROPORTION)
    mask_logit: float = key(0.0, "Logit at which the mask ends.")
    outlined: bool = key(
        False, "A centre within whose radius nothing of the mask reaches mask_logit is no candidate."
    )
    dense_part: float | None = key(
        None,
        "Of a lesion of which at least so much is above half, the mask ends where the image falls to half "
        "between what is dense of it and what lies 2 to 6 mm around; left out: at mask_logit, all of them.",
        PROPORTION,
    )
    dense_logit: float = key(0.0, "… as far as its logit is above this, which keeps walls and vessels out.")
    mask_reach_diameters: float = key(0.8, "The mask ends at so many diameters from the centre …", POSITIVE)
    mask_reach_mm: float = key(2.0, "… and so many mm more.", NOT_NEGATIVE)
    at_most: int = key(10, "Most candidates reported, by score.", POSITIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """[step.labels]: how classes, one a voxel, come from the network's grid onto that of the images."""

    interpolate: Between = key("numbers", _BETWEEN_DOC)
    thick_slices: ThickSlices = key("same", _THICK_DOC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmoid:
    """[step.sigmoid]: maps that may overlap. exclusive: nnU-Net's regions, the later channel wins."""

    threshold: float = key(0.5, "Probability above which a voxel belongs to the class.", _INSIDE)
    values: Literal["logits", "probabilities"] = key("logits", "What the network gives.")
    exclusive: bool = key(
        False,
        "true: a voxel belongs to the last of its classes only (regions_class_order of nnU-Net).",
    )
    interpolate: Between = key("numbers", _BETWEEN_DOC)
    thick_slices: ThickSlices = key("same", _THICK_DOC)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapHow:
    """[step.map]: a map that is kept as numbers."""

    activation: Activation = key("none", "What makes the network's numbers into what is kept.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """[step.boxes]: lists of boxes with a score, as detection networks give them.

    boxes: (boxes, 6) or (1, boxes, 6). scores: (boxes,) or (boxes, classes); classes: (boxes,) numbers of
    classes, where scores has one column. Class numbers are the `channel` of an [[output]].
    """

    boxes: str = key("boxes", "Output with six numbers a box.", NOT_EMPTY)
    scores: str = key("scores", "Output with the scores.", NOT_EMPTY)
    classes: str | None = key(None, "Output with the number of the class of each box.", NOT_EMPTY)
    form: Literal["corners", "interleaved", "centre_size"] = key(
        "corners",
        "Six numbers: corners: low then high corner; interleaved: low and high of each axis; "
        "centre_size: centre, then lengths.",
    )
    axes: Literal["kji", "ijk"] = key("kji", "Order of the axes within the six numbers.")
    unit: Literal["voxels", "normalised"] = key("voxels", "normalised: 0 to 1 over the network's input.")
    origin: Literal["face", "centre"] = key(
        "face", "Where 0 lies: at the outer face of the first voxel, or at its centre."
    )
    activation: Activation = key("none", "What makes the scores into probabilities.")
    threshold: float = key(0.5, "Boxes below this score are counted, not reported.", PROPORTION)
    iou: float = key(
        0.2, "Of two boxes of a class that share more (intersection over union), the surer stays.", PROPORTION
    )
    at_most: int = key(20, "Most boxes reported of each class, by score.", POSITIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """[step.classes]: one number a class for the whole box. softmax: one of them; sigmoid: any of them."""

    activation: Activation = key("softmax", "What makes the network's numbers into probabilities.")
    temperature: float = key(1.0, "Divides the logits: calibration by temperature scaling.", POSITIVE)
    names: tuple[str, ...] = key((), "Names of all classes in the order of the channels, for people.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceHow:
    """[step.sequence]: numbers for each slice (or frame), and one for all of them.

    The output that is read has (1, t), (1, t, classes) or, of a network that takes a slice at a time,
    (t, classes). study: output (1, classes) for the whole; without it the frames are pooled.
    """

    activation: Activation = key("sigmoid", "What makes the network's numbers into probabilities.")
    temperature: float = key(1.0, "Divides the logits: calibration by temperature scaling.", POSITIVE)
    study: str | None = key(None, "Output with the numbers for the whole sequence.", NOT_EMPTY)
    pool: Literal["max", "mean", "top"] = key(
        "max", "How frames become one probability; top: mean of the `top_part` with the most."
    )
    top_part: float = key(0.1, "Part of the frames that `top` takes, at least one.", _INSIDE)
    names: tuple[str, ...] = key((), "Names of all classes in the order of the channels, for people.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """[step.anomaly]: how far a case is from normal ones.

    The score is a number that the network gives, or made of a map: one that it gives, or the absolute
    difference between its input and its reconstruction. normals: quantiles of the scores of normal cases,
    evenly spaced from the smallest to the largest.
    """

    score: str | None = key(None, "Output with the score.", NOT_EMPTY)
    map: str | None = key(None, "Output with the map of anomaly.", NOT_EMPTY)
    reconstruction: str | None = key(None, "Output with the reconstruction of the input.", NOT_EMPTY)
    pool: Literal["mean", "max", "top"] = key("mean", "How a map becomes a score.")
    top_part: float = key(0.01, "Part of the voxels that `top` takes.", _INSIDE)
    normals: tuple[float, ...] = needed("Quantiles of the scores of normal cases, rising.", _ASCENDING)
    quantile: float = key(0.95, "A score above so large a part of the normal ones is abnormal.", _INSIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """[step.features]: a vector of numbers, for later steps and for the findings."""

    names: tuple[str, ...] = key((), "Name of each number; by default f0, f1 …", SOME)
    pool: Literal["mean", "max"] = key("mean", "How a map becomes one number a channel.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHow:
    """[step.image]: a volume made of the input: denoised, enhanced, super-resolved."""

    scale: float = key(1.0, "Multiplies the network's numbers …")
    offset: float = key(0.0, "… before this is added, to come to the unit of the image.")
    residual: bool = key(
        False, "true: the network gives what is added to its input, before scale and offset."
    )
    limits: tuple[float, float] | None = key(
        None,
        "Smallest and largest value kept, in the unit of the image.",
        Rule("smallest, largest", lambda pair: pair[0] < pair[1]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """[[step.head]]: what one output, or one group of outputs, of a network means.

    A step with a single head is its own: the same keys stand in [[step]].
    """

    name: str = key("", "What [[output]] tables call it.", Rule("a name", lambda t: not t or NAME.holds(t)))
    interpret: Interpret | None = key(None, "What the network's outputs mean.")
    output: str | None = key(None, "Output of the network that is read; needed if it has several.", NOT_EMPTY)
    centre_heat: CentreHeat | None = key(None, 'Parameters of interpret = "centre_heat".')
    labels: Labels | None = key(None, 'Parameters of interpret = "labels".')
    sigmoid: Sigmoid | None = key(None, 'Parameters of interpret = "sigmoid".')
    map: MapHow | None = key(None, 'Parameters of interpret = "map".')
    boxes: Boxes | None = key(None, 'Parameters of interpret = "boxes".')
    classes: Classes | None = key(None, 'Parameters of interpret = "classes".')
    sequence: SequenceHow | None = key(None, 'Parameters of interpret = "sequence".')
    anomaly: Anomaly | None = key(None, 'Parameters of interpret = "anomaly".')
    features: Features | None = key(None, 'Parameters of interpret = "features".')
    image: ImageHow | None = key(None, 'Parameters of interpret = "image".')


PARAMETER_TABLES = (
    "centre_heat",
    "labels",
    "sigmoid",
    "map",
    "boxes",
    "classes",
    "sequence",
    "anomaly",
    "features",
    "image",
)
# Without these an output cannot be read: their defaults would be a guess
NEEDED_TABLES = ("centre_heat", "boxes", "anomaly")

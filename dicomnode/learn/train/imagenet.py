"""Weights of torchvision's networks for pictures, under the names that our networks give the same tensors.

A user's file, such as one that was learned on ImageNet: our two-dimensional networks are the same networks,
and give the same features with it. The first convolution takes other channels than red, green and blue:
for one channel its weights are summed over the three, so that a grey picture gives what it would give as
three equal channels; for others the three are repeated and scaled by their number, as timm does (Wightman,
PyTorch Image Models). What tells the classes is drawn anew.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from torch import Tensor

_COLOURS: Final = 3
_PICTURE_AXES: Final = 4  # of the weights of a convolution in two dimensions


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How a network of ours has its tensors from a file of torchvision.

    first: our first convolution. needed: beginning of the names that the file must have, but for `anew`,
    which is drawn. ours: torchvision's name → ours. file: what torchvision calls the network.
    """

    first: str
    anew: str
    file: str
    needed: str = ""
    ours: Callable[[str], str] = str


def _densenet(name: str) -> str:
    # Published files say norm.1, torchvision's present network norm1, MONAI's layers.norm1
    name = re.sub(r"(denselayer\d+)\.(norm|relu|conv)\.?([12])\.", r"\1.layers.\2\3.", name)
    return re.sub(r"^classifier\.", "class_layers.out.", name)


_REPEATS: Final = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage of EfficientNet-B0
_STARTS: Final = (0, *accumulate(_REPEATS))
_ENDS: Final = {
    "features.0.0": "_conv_stem",
    "features.0.1": "_bn0",
    "features.8.0": "_conv_head",
    "features.8.1": "_bn1",
    "classifier.1": "_fc",
}
_PARTS: Final = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), None, ("_project_conv", "_bn2"))
_SQUEEZE: Final = {"fc1": "_se_reduce", "fc2": "_se_expand"}


def _efficientnet(name: str) -> str:
    module, _, tensor = name.rpartition(".")
    if module in _ENDS:
        return f"{_ENDS[module]}.{tensor}"
    found = re.fullmatch(r"features\.([1-7])\.(\d+)\.block\.(\d)\.(0|1|fc1|fc2)", module)
    if found is None:
        return name
    stage, number, part = (int(one) for one in found.groups()[:3])
    place = part + (stage == 1)  # the first stage widens nothing: its blocks begin a part later
    names = _PARTS[place] if place < len(_PARTS) else None
    own = _SQUEEZE.get(found[4]) if names is None else names[int(found[4])]
    return f"_blocks.{stage - 1}.{_STARTS[stage - 1] + number}.{own}.{tensor}"


def _deeplab(name: str) -> str:
    return name if name.startswith(("backbone.", "classifier.", "aux_classifier.")) else f"backbone.{name}"


_NAMINGS: Final[Mapping[str, Naming]] = {
    "resnet18": Naming(first="conv1.weight", anew="fc.", file="resnet18"),
    "resnet50": Naming(first="conv1.weight", anew="fc.", file="resnet50"),
    "densenet121": Naming(
        first="features.conv0.weight", anew="class_layers.out.", file="densenet121", ours=_densenet
    ),
    "efficientnet_b0": Naming(
        first="_conv_stem.weight", anew="_fc.", file="efficientnet_b0", ours=_efficientnet
    ),
    "vgg16": Naming(first="features.0.weight", anew="head.", file="vgg16_bn"),
    "deeplabv3": Naming(
        first="backbone.conv1.weight",
        anew="classifier.4.",
        file="resnet50 or deeplabv3_resnet50",
        needed="backbone.",
        ours=_deeplab,
    ),
}


def named_as_ours(network: str, state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Return a file's tensors by our names, without what is drawn anew; None: it is none of torchvision's.

    Which it is, its first convolution tells: it looks at pictures, in two dimensions.
    """
    naming = _NAMINGS.get(network)
    if naming is None:
        return None
    named = {naming.ours(name): one for name, one in state.items()}
    first = named.get(naming.first)
    if first is None or first.ndim != _PICTURE_AXES or first.shape[1] != _COLOURS:
        return None
    return {name: one for name, one in named.items() if not name.startswith(naming.anew)}


def fitted(
    network: str, state: dict[str, Tensor], own: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], str]:
    """Fit what `named_as_ours` gave to a network of ours; return it with "", or with why it cannot be.

    own: tensors of the network, by name.
    """
    naming = _NAMINGS[network]
    wanted = own[naming.first]
    if wanted.ndim != _PICTURE_AXES:
        return state, "it is of a network for pictures, and this one sees volumes"
    made = {**state, naming.first: _with_channels(state[naming.first], wanted.shape[1])}
    lacking = [
        name
        for name, one in own.items()
        if name.startswith(naming.needed)
        and not name.startswith(naming.anew)
        and not name.endswith("num_batches_tracked")
        and (name not in made or made[name].shape != one.shape)
    ]
    if lacking:
        return made, f"it is not of {naming.file}: it lacks {len(lacking)} tensors, such as {lacking[0]}"
    return made, ""


def _with_channels(weight: Tensor, channels: int) -> Tensor:
    """Give a first convolution (n, 3, j, i) another number of channels."""
    if channels == _COLOURS:
        return weight
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, math.ceil(channels / _COLOURS), 1, 1)[:, :channels]
    return repeated * (_COLOURS / channels)

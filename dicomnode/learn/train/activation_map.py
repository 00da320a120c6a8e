"""A class activation map as a second output of a classifier: where it saw what spoke for a class.

Of a network that ends in a mean over its last feature maps and one linear layer, the logit of a class is the
mean of a map: that layer applied to each place (Zhou et al., Learning Deep Features for Discriminative
Localization, CVPR 2016). It costs one convolution of 1 × 1, is exact, and every runtime can do it.

A softmax hears differences alone: a network may say "opacity" by lowering "no opacity". So the map of a class
has the mean of the maps of the others taken off. Its mean is the logit of the class less the mean logit of
the others; of two classes that is the logarithm of the odds (before the temperature).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from dicomnode.learn.train.job import Meaning

OUTPUT: Final = "evidence"
CLASS_HEAD: Final = "classes"
CLASS_ACTIVATION: Final = {"scheme": "DCM", "code": "130402", "meaning": "Class activation"}  # CID 7180
_NO_UNIT: Final = {"scheme": "UCUM", "code": "1", "meaning": "no units"}
_POOLS: Final = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_ALIKE: Final = 1e-4  # of the largest number, at least of 1
_LINE: Final = (
    "Where the network saw what spoke for a class is given as a map (class activation, Zhou et al. 2016). It "
    "explains the network, not the disease: it is coarse, and no outline."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The end of a network: the mean over feature maps, and the linear layer behind it."""

    pool: nn.Module
    linear: nn.Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A network with its outputs and what they mean, with or without the map."""

    network: nn.Module
    outputs: Sequence[str]
    meaning: Meaning


def with_activation_map(
    network: nn.Module, meaning: Meaning, outputs: Sequence[str], shape: Sequence[int]
) -> Mapped:
    """Give a network that tells classes the map as a second output, where it has one.

    shape: of its input, (1, channels, k, j, i) or (1, channels, j, i). A network of another task or another
    ending comes back as it was.
    """
    how = meaning.step.get("classes", {})
    if meaning.step.get("interpret") != "classes" or how.get("activation", "softmax") != "softmax":
        return Mapped(network=network, outputs=outputs, meaning=meaning)
    ending = ending_of(network, shape)
    if ending is None:
        return Mapped(network=network, outputs=outputs, meaning=meaning)
    return Mapped(
        network=WithActivationMap(network, ending),
        outputs=(*outputs, OUTPUT),
        meaning=_two_heads(meaning, outputs[0]),
    )


def ending_of(network: nn.Module, shape: Sequence[int]) -> Ending | None:
    """Return the end of a network, tried on seeded numbers; None where its logits are not means of maps.

    None, too, where the map would have a single place: it says nothing of where.
    """
    pools = [one for one in network.modules() if isinstance(one, _POOLS) and _is_one(one.output_size)]
    linears = [one for one in network.modules() if isinstance(one, nn.Linear)]
    if not pools or not linears or linears[-1].out_features < 2:
        return None
    ending = Ending(pool=pools[-1], linear=linears[-1])
    draw = torch.Generator().manual_seed(0)
    given = torch.randn(tuple(shape), generator=draw)
    tried = WithActivationMap(network, ending).eval()
    with torch.no_grad():
        try:
            logits, evidence = tried(given)
        except (RuntimeError, KeyError):  # the layers are not one behind the other
            return None
    wanted = contrasts(logits, axis=1)
    found = evidence.flatten(2).mean(dim=2)
    alike = evidence[0, 0].numel() > 1 and bool(
        (found - wanted).abs().max() <= _ALIKE * max(1.0, float(wanted.abs().max()))
    )
    return ending if alike else None


def contrasts(values: Tensor, axis: int) -> Tensor:
    """Return each of several values less the mean of the others, along an axis."""
    count = values.shape[axis]
    return (values * count - values.sum(dim=axis, keepdim=True)) / (count - 1)


class WithActivationMap(nn.Module):
    """Gives the row of a network and the map of each class: (n, classes), (n, classes, places …)."""

    def __init__(self, network: nn.Module, ending: Ending) -> None:
        super().__init__()
        self.network = network
        self.pool = ending.pool
        weight = contrasts(ending.linear.weight.detach(), axis=0)
        bias: Tensor | None = getattr(ending.linear, "bias", None)
        taken = torch.zeros(len(weight)) if bias is None else contrasts(bias.detach(), axis=0)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", taken)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Run it, and look at what goes into the mean."""
        seen: dict[str, Tensor] = {}

        def look(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            seen["features"] = given[0]

        watching = self.pool.register_forward_pre_hook(look)
        try:
            row = self.network(images)
        finally:
            watching.remove()
        features = seen["features"]
        places = features.ndim - 2
        kernel = self.get_buffer("weight").reshape(*self.get_buffer("weight").shape, *(1,) * places)
        convolve: Any = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)[places - 1]
        return row, convolve(features, kernel, self.get_buffer("bias"))


def _is_one(size: Any) -> bool:
    return size == 1 or (isinstance(size, tuple) and set(size) == {1})


def _two_heads(meaning: Meaning, row: str) -> Meaning:
    """Part the step into a head for the classes and one for the map; each class that is told has its map."""
    own = {"interpret": "classes", "classes": meaning.step["classes"]}
    rest = {name: one for name, one in meaning.step.items() if name not in own}
    heads = [
        {"name": CLASS_HEAD, "output": row, **own},
        {"name": OUTPUT, "output": OUTPUT, "interpret": "map"},
    ]
    told = [dict(one) | {"head": CLASS_HEAD} for one in meaning.outputs]
    maps = [_map_of(one) for one in meaning.outputs]
    return Meaning(step={**rest, "head": heads}, outputs=[*told, *maps], lines=(*meaning.lines, _LINE))


def _map_of(output: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "map": f"{output['classification']}-{OUTPUT}",
        "step": output["step"],
        "head": OUTPUT,
        "channel": output["channel"],
        "type": dict(CLASS_ACTIVATION),
        "unit": dict(_NO_UNIT),
    }

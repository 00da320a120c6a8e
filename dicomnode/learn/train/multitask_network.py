"""One encoder, a map and rows: the blocks of MONAI, read at their deepest level as well as at their end.

Rows come from the features of both: of the deepest level, and of those that the map is made of, so that a row
may use what outlines have taught. The mean of each tells how much, the maximum whether at all: a small lesion
is not lost among what is healthy. Norms go over groups of channels and not
over each alone, as DynUNet's would: those take away how strong a feature is, which a row is made of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from dicomnode.faults import NETWORK_UNBUILT, NodeError
from dicomnode.learn.train.networks import begin_silent, build
from dicomnode.learn.train.recipe import SHARED, Recipe
from dicomnode.learn.train.shapes import Shape

_GROUPS: Final = 8
_KERNEL: Final = 3


class UpAdd(nn.Module):
    """One level up in MONAI's SegResNet: larger, the level beside added, a block."""

    def __init__(self, larger: nn.Module, block: nn.Module) -> None:
        super().__init__()
        self.larger = larger
        self.block = block

    def forward(self, deeper: Tensor, beside: Tensor) -> Tensor:
        """Return the level."""
        found: Tensor = self.block(self.larger(deeper) + beside)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """A U-Net taken apart. down: each makes the next level of the one before; up: (deeper, level beside).

    features: channels of the deepest level and of the last one together.
    """

    down: Sequence[nn.Module]
    up: Sequence[nn.Module]
    last: nn.Module
    features: int


class Shared(nn.Module):
    """Images (n, c, …) → (map (n, structures, …), row (n, widths[0]), row (n, widths[1]) …)."""

    def __init__(self, blocks: Blocks, widths: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(blocks.down)
        self.decoder = nn.ModuleList(blocks.up)
        self.last = blocks.last
        begin_silent(self.last)
        self.widths = tuple(widths)
        self.dropout = nn.Dropout(dropout)
        # One layer for all rows, the last one: it is the head that `--freeze all-but-head` leaves free
        self.rows = nn.Linear(2 * blocks.features, sum(widths))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Go down, and up again."""
        levels = [image]
        for down in self.encoder:
            levels.append(down(levels[-1]))
        found = deepest = levels.pop()
        for up in self.decoder:
            found = up(found, levels.pop())
        pooled = torch.cat([pool(one) for one in (deepest, found) for pool in (_mean, _most)], dim=1)
        rows = self.rows(self.dropout(pooled)).split(self.widths, dim=1)
        return (self.last(found), *rows)


def _mean(features: Tensor) -> Tensor:
    return features.mean(tuple(range(2, features.ndim)))


def _most(features: Tensor) -> Tensor:
    return features.amax(tuple(range(2, features.ndim)))


def multitask_network(
    recipe: Recipe, shape: Shape, channels: int, structures: int, widths: Sequence[int]
) -> nn.Module:
    """Build the network of a recipe with random weights. widths: numbers of each row.

    Raises NodeError(NETWORK_UNBUILT) where a map is asked of a network without one, or the other way round,
    and as `build`.
    """
    if bool(structures) != (recipe.net in SHARED):
        what = f"with outlines it is {' or '.join(SHARED)}, without them a network that gives rows"
        raise NodeError(NETWORK_UNBUILT, network=recipe.net, reason=what)
    if not structures:
        network = build(recipe, shape, channels, sum(widths))
        # Its weights keep the names that they have in a classifier: `--init` takes one of the other
        network.register_forward_hook(lambda _, __, row: row.split(tuple(widths), dim=1))
        return network
    blocks = _segresnet if recipe.net == "segresnet" else _dynunet
    return Shared(blocks(recipe, shape, channels, structures), widths, recipe.dropout)


def _segresnet(recipe: Recipe, shape: Shape, channels: int, structures: int) -> Blocks:
    network: Any = build(recipe, shape, channels, structures)
    dropout = [] if network.dropout_prob is None else [network.dropout]
    first, *deeper = network.down_layers
    ups = zip(network.up_samples, network.up_layers, strict=True)
    return Blocks(
        down=[nn.Sequential(network.convInit, *dropout, first), *deeper],
        up=[UpAdd(larger, block) for larger, block in ups],
        last=network.conv_final,
        features=network.init_filters + (network.init_filters << len(deeper)),
    )


def _dynunet(recipe: Recipe, shape: Shape, channels: int, structures: int) -> Blocks:
    from monai.networks import nets  # noqa: PLC0415  heavy: only who trains pays for it

    dims = len(shape.axes)
    widths = [recipe.width << level for level in range(len(shape.strides) + 1)]
    try:
        network: Any = nets.DynUNet(  # type: ignore[attr-defined, unused-ignore]
            spatial_dims=dims,
            in_channels=channels,
            out_channels=structures,
            kernel_size=[(_KERNEL,) * dims] * len(widths),
            strides=[(1,) * dims, *shape.own_strides],
            upsample_kernel_size=list(shape.own_strides),
            filters=widths,
            dropout=recipe.dropout or None,
            norm_name=("GROUP", {"num_groups": math.gcd(_GROUPS, recipe.width), "affine": True}),
            res_block=True,
        )
    except ValueError as error:
        raise NodeError(NETWORK_UNBUILT, network=recipe.net, reason=str(error).rstrip(". ")) from error
    return Blocks(
        down=[network.input_block, *network.downsamples, network.bottleneck],
        up=list(network.upsamples),
        last=network.output_block,
        features=widths[0] + widths[-1],
    )

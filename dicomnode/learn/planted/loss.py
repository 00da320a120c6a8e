"""What is lost on centres, sizes and masks of a batch; what is ignored counts nowhere.

Heat: penalty-reduced focal loss (Zhou, Wang and Krähenbühl, Objects as Points, 2019). Mask: cross-entropy in
which a nodule's voxels weigh ten times, so that its edge is at the logit ln 10, and Dice of the whole batch
(Milletari, V-Net, 2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

NODULE_WEIGHT: Final = 10.0
MASK_LOGIT: Final = math.log(NODULE_WEIGHT)
"""Where the mask ends: weighted voxels move the border from 0 to here."""

_SIZE_WEIGHT, _ENTROPY_WEIGHT, _DICE_WEIGHT = 0.5, 8.0, 0.5
_SOFT_EDGE: Final = 0.1  # of the smooth L1, in log diameters
_DICE_VOXELS: Final = 20.0  # that a batch without nodules has as many of
_CENTRE: Final = 0.999


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """Of a batch, float32 (n, 1, …): mask and ignore of voxels; heat, size and sized of cells."""

    mask: Tensor
    ignore: Tensor
    heat: Tensor
    size: Tensor
    sized: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What is lost, weighted, part by part."""

    heat: Tensor
    size: Tensor
    entropy: Tensor
    dice: Tensor

    @property
    def whole(self) -> Tensor:
        """What is learned from."""
        return self.heat + self.size + self.entropy + self.dice


def lost(found: tuple[Tensor, Tensor, Tensor], target: Target) -> Parts:
    """Compare what a network said with a target."""
    heat, size, mask = found
    known = 1.0 - target.ignore
    cells = (functional.avg_pool3d(known, 2) > _CENTRE).float()
    sized = target.sized * cells
    apart = functional.smooth_l1_loss(size, target.size, reduction="none", beta=_SOFT_EDGE) * sized
    weights = known * (1.0 + (NODULE_WEIGHT - 1.0) * target.mask)
    entropy = functional.binary_cross_entropy_with_logits(mask, target.mask, reduction="none") * weights
    said, true = torch.sigmoid(mask) * known, target.mask * known
    both = 2.0 * (said * true).sum() + _DICE_VOXELS
    return Parts(
        heat=_heat(heat, target.heat, cells),
        size=_SIZE_WEIGHT * apart.sum() / sized.sum().clamp(min=1.0),
        entropy=_ENTROPY_WEIGHT * entropy.mean(),
        dice=_DICE_WEIGHT * (1.0 - both / (said.sum() + true.sum() + _DICE_VOXELS)),
    )


def _heat(heat: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    centre = (truth >= _CENTRE).float() * known
    other = (1.0 - truth) ** 4 * (1.0 - centre) * known
    said = torch.sigmoid(heat)
    missed = -functional.logsigmoid(heat) * (1.0 - said) ** 2 * centre
    alarms = -functional.logsigmoid(-heat) * said**2 * other
    return (missed.sum() + alarms.sum()) / centre.sum().clamp(min=1.0)

"""Losses that let what nobody has labelled alone: it gives no gradient, and no share in any mean.

Maps are one channel a structure with logits, so that structures may overlap and a study may know some of
them only. Sources: Dice, Milletari et al., V-Net (2016), over the batch; focal, Lin et al. (2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import IGNORED, Sample

_SMOOTH: Final = 1.0
_HEAVIEST: Final = 10.0  # of a weight: what is rarer than one in a hundred counts as that
NOBODY_SAID: Final = -1  # of a class


class MapLoss:
    """Dice and cross entropy (or focal) of logits (n, structures, …) against uint8 targets of that shape.

    weights: of the voxels that belong to each structure. Where a target is IGNORED nothing counts;
    a structure of which a batch knows nothing has no Dice.
    """

    def __init__(self, weights: Sequence[float], gamma: float | None) -> None:
        self.weights = tuple(weights)
        self.gamma = gamma

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean over what is known; 0 with a gradient of 0 where nothing is."""
        logits = logits.float()
        known = (target != IGNORED).to(logits.dtype)
        truth = (target == 1).to(logits.dtype)
        return self._entropy(logits, truth, known) + self._dice(logits, truth, known)

    def _entropy(self, logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        shape = (1, len(self.weights)) + (1,) * (logits.ndim - 2)
        weight = torch.tensor(self.weights, dtype=logits.dtype, device=logits.device).reshape(shape)
        each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none", pos_weight=weight)
        if self.gamma is not None:
            surely = torch.sigmoid(torch.where(truth > 0, logits, -logits))
            each = each * (1.0 - surely) ** self.gamma
        return (each * known).sum() / known.sum().clamp(min=1.0)

    def _dice(self, logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        over = (0, *range(2, logits.ndim))
        found = torch.sigmoid(logits) * known
        both = (found * truth).sum(over)
        sizes = found.sum(over) + (truth * known).sum(over)
        dice = 1.0 - (2.0 * both + _SMOOTH) / (sizes + _SMOOTH)
        told = (known.sum(over) > 0).to(logits.dtype)
        return (dice * told).sum() / told.sum().clamp(min=1.0)


class ClassLoss:
    """Cross entropy (or focal) of logits (n, classes) against int64 classes (n,), NOBODY_SAID left alone."""

    def __init__(self, weights: Sequence[float], gamma: float | None) -> None:
        self.weights = tuple(weights)
        self.gamma = gamma

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted mean over the cases that are known."""
        logits = logits.float()
        known = target != NOBODY_SAID
        truth = target.clamp(min=0)
        logs = functional.log_softmax(logits, dim=1).gather(1, truth[:, None])[:, 0]
        weight = torch.tensor(self.weights, dtype=logits.dtype, device=logits.device)[truth] * known
        each = -logs if self.gamma is None else -logs * (1.0 - logs.exp()) ** self.gamma
        return (each * weight).sum() / weight.sum().clamp(min=1e-6)


class NumberLoss:
    """Huber loss of numbers (n, numbers) against standardised float32 targets; NaN is left alone."""

    def __call__(self, numbers: Tensor, target: Tensor) -> Tensor:
        """Return the mean over what is known."""
        numbers = numbers.float()
        known = torch.isfinite(target)
        each = functional.smooth_l1_loss(numbers, torch.nan_to_num(target), reduction="none")
        return (each * known).sum() / known.sum().clamp(min=1)


def map_loss(recipe: Recipe, training: Sequence[Sample]) -> MapLoss:
    """Return the loss of a recipe for maps, weighted by the training part."""
    gamma = recipe.focal_gamma if recipe.loss == "focal" else None
    return MapLoss(structure_weights(recipe, training), gamma)


def structure_weights(recipe: Recipe, training: Sequence[Sample]) -> tuple[float, ...]:
    """Weigh the voxels of each structure: the root of how many others there are for one of them, at most 10.

    The whole ratio would make every small structure too large; its root is what lies between.
    """
    count: int = training[0].target.shape[0]
    if recipe.class_weights == "none":
        return (1.0,) * count
    inside, outside = np.zeros(count), np.zeros(count)
    for sample in training:
        for n in range(count):
            inside[n] += np.count_nonzero(sample.target[n] == 1)
            outside[n] += np.count_nonzero(sample.target[n] == 0)
    ratio = np.sqrt(outside / np.maximum(inside, 1.0))
    weights: NDArray[np.float64] = np.clip(np.round(ratio, 4), 1.0, _HEAVIEST)
    return tuple(float(one) for one in weights)


def class_weights(recipe: Recipe, classes: Sequence[int], count: int) -> tuple[float, ...]:
    """Weigh classes by how rare they are among the training cases: their mean over the cases is 1."""
    if recipe.class_weights == "none":
        return (1.0,) * count
    found = np.bincount([one for one in classes if one >= 0], minlength=count)
    whole = float(found.sum())
    return tuple(round(min(whole / (count * max(int(n), 1)), _HEAVIEST), 4) for n in found)

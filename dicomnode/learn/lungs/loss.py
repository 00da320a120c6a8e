"""What is wrong with an answer: entropy of each voxel, hard ones most, and overlap of each lung."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

PARTS: Final = ("entropy", "dice")

_DENSE_HU: Final = -400.0
_NEAR: Final = 13  # voxels across: what is dense within 24 mm of a lung may be taken for one
_DENSE_WEIGHT: Final = 4.0
_LEAST: Final = 50.0  # voxels: a lung that is hardly there does not count as much as a whole one


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """Parts of the loss, and what is to become less."""

    entropy: Tensor
    dice: Tensor

    @property
    def whole(self) -> Tensor:
        """Their sum."""
        return self.entropy + self.dice


def lost(logits: Tensor, hu: Tensor, sides: Tensor) -> Lost:
    """Compare logits (n, 3, k, j, i) with the truth. hu: (n, 1, k, j, i). sides: (n, k, j, i) int64."""
    lung = (sides > 0).float()[:, None]
    near = lung
    for axis in range(3):  # one axis after the other: a cube costs a hundred times as much
        cube = [_NEAR if axis == one else 1 for one in range(3)]
        near = functional.max_pool3d(near, cube, stride=1, padding=[one // 2 for one in cube])
    weight = 1.0 + _DENSE_WEIGHT * near * (hu > _DENSE_HU)
    each = functional.cross_entropy(logits, sides, reduction="none")[:, None]
    entropy = 10.0 * (each * weight).mean()  # most voxels are far from any lung, and easy
    found = torch.softmax(logits, dim=1)[:, 1:]
    truth = functional.one_hot(sides, logits.shape[1])[..., 1:].permute(0, 4, 1, 2, 3).float()
    both = (found * truth).sum(dim=(0, 2, 3, 4))
    size = found.sum(dim=(0, 2, 3, 4)) + truth.sum(dim=(0, 2, 3, 4))
    dice = 1.0 - ((2.0 * both + _LEAST) / (size + _LEAST)).mean()
    return Lost(entropy, dice)

"""A network that sees images and numbers at once: what it made of the images meets the numbers at its end."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from dicomnode.learn.train.networks import build
from dicomnode.learn.train.plan import Plan
from dicomnode.learn.train.recipe import Recipe

_FEATURES: Final = 32  # that the images become
_HIDDEN: Final = 32


class Fused(nn.Module):
    """(n, c, …) and (n, numbers) → (n, outputs).

    While it trains, the numbers lie behind the channels of the images, each as an image of one value: so one
    tensor goes through the loop. In ONNX they are an input of their own.
    """

    def __init__(self, images: nn.Module, channels: int, numbers: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.images = images
        self.channels = channels
        self.meeting = nn.Sequential(
            nn.Linear(_FEATURES + numbers, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(_HIDDEN, outputs),
        )

    def forward(self, image: Tensor, numbers: Tensor | None = None) -> Tensor:
        """Return the row."""
        if numbers is None:
            numbers = image[:, self.channels :].flatten(2)[:, :, 0]
            image = image[:, : self.channels]
        row: Tensor = self.meeting(torch.cat([torch.tanh(self.images(image)), numbers], dim=1))
        return row


def fused_network(recipe: Recipe, plan: Plan, outputs: int) -> nn.Module:
    """Build the network of a recipe; of a plan with numbers one that they meet the images in."""
    if not plan.numbers:
        return build(recipe, plan.shape, plan.channels, outputs)
    images = build(recipe, plan.shape, plan.channels, _FEATURES)
    return Fused(images, plan.channels, plan.numbers, outputs, recipe.dropout)

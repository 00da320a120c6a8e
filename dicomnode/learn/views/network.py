"""A small network that answers all questions of a picture, and says where it saw what spoke for a defect.

Blocks of 3 × 3 convolutions with a way beside them (He et al., CVPR 2016), a mean over the last maps, one
linear layer. The logits of a question are then means of maps, exactly (Zhou et al., CVPR 2016).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from dicomnode.learn.views.questions import QUESTIONS

SIDE: Final = 128
"""Pixels of a picture, along both sides."""

_WIDTHS: Final = (16, 32, 64, 96, 128)
_HALVED: Final = (1, 2)  # blocks; a map of 8 × 8 is coarse enough


class Block(nn.Module):
    """Two convolutions, the first of which may halve the picture, and the way beside them."""

    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(taken, given, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(given)
        self.second = nn.Conv2d(given, given, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(given)
        same = stride == 1 and taken == given
        self.beside: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(taken, given, 1, stride, bias=False), nn.BatchNorm2d(given))
        )

    def forward(self, given: Tensor) -> Tensor:
        """Return the next maps."""
        found = torch.relu(self.first_norm(self.first(given)))
        return torch.relu(self.second_norm(self.second(found)) + self.beside(given))


class ViewNet(nn.Module):
    """Pictures (n, 1, SIDE, SIDE), 0 to 1 → logits (n, answers), those of all questions in a row."""

    def __init__(self) -> None:
        super().__init__()
        stem, *widths = _WIDTHS
        self.stem = nn.Sequential(
            nn.Conv2d(1, stem, 5, 2, 2, bias=False), nn.BatchNorm2d(stem), nn.ReLU(), nn.MaxPool2d(2)
        )
        blocks = []
        taken = stem
        for number, width in enumerate(widths):
            blocks.append(Block(taken, width, 2 if number in _HALVED else 1))
            taken = width
        self.blocks = nn.Sequential(*blocks)
        self.answers = nn.Linear(taken, sum(len(one.answers) for one in QUESTIONS))

    def maps(self, pictures: Tensor) -> Tensor:
        """Return the last maps, (n, channels, SIDE / 16, SIDE / 16)."""
        found: Tensor = self.blocks(self.stem(pictures - 0.5))
        return found

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.answers(self.maps(pictures).mean(dim=(2, 3)))
        return logits


def rows_of(logits: Tensor) -> tuple[Tensor, ...]:
    """Part logits into a row for each question."""
    return tuple(torch.split(logits, [len(one.answers) for one in QUESTIONS], dim=1))

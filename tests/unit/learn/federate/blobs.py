"""A small lesson: bright blobs in noise, and a network of three layers that outlines them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dicomnode.learn.federate import TorchSite
from dicomnode.learn.train.loop import Score, seed_torch
from dicomnode.learn.train.recipe import Recipe

SIDE = 16


def blob(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture and its outline, (row, column) float32 each."""
    draw = np.random.default_rng(seed)
    row, column = np.indices((SIDE, SIDE))
    centre, radius = draw.uniform(5, 11, 2), draw.uniform(2.5, 4.5)
    outline = (row - centre[0]) ** 2 + (column - centre[1]) ** 2 <= radius**2
    picture = outline * 1.0 + draw.normal(0.0, 0.4, outline.shape)
    return picture.astype(np.float32), outline.astype(np.float32)


@dataclass(eq=False)
class Blobs:
    """All pictures in one batch, `steps` times an epoch; judged by Dice on `held_out`."""

    seeds: Sequence[int]
    held_out: Sequence[int]
    steps: int = 1

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        del epoch, step
        return self._of(self.seeds)

    def loss(self, found: Tensor, target: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(found, target)

    def score(self, network: nn.Module, device: torch.device) -> Score:
        pictures, outlines = self._of(self.held_out)
        found = network(pictures.to(device)).cpu() > 0
        both = (found & (outlines > 0)).sum()
        return Score(value=float(2 * both / (found.sum() + outlines.sum())), figures={})

    def _of(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        pairs = [blob(seed) for seed in seeds]
        pictures, outlines = (torch.from_numpy(np.stack(part))[:, None] for part in zip(*pairs, strict=True))
        return pictures, outlines


def network() -> nn.Module:
    seed_torch(1)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 1, 1)
    )


def recipe(**more) -> Recipe:
    given = {"task": "segment", "learning_rate": 0.01, "weight_decay": 0.0, "precision": "fp32", "seed": 3}
    return Recipe(**{**given, **more})


def site(
    folder: Path, seeds: Sequence[int], *, held_out: Sequence[int] = (900,), steps: int = 1, **more
) -> TorchSite:
    lesson = Blobs(seeds, held_out, steps)
    return TorchSite(
        recipe=recipe(**more),
        network=network(),
        lesson=lesson,
        samples=len(seeds),
        validated=len(held_out),
        folder=folder,
        of="one recipe",
    )

"""What is learned of whole studies: classes and numbers, from inputs of one size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dicomnode.learn.train.augment import Augmenter
from dicomnode.learn.train.lessons import steps_of
from dicomnode.learn.train.loop import Score
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import Sample
from dicomnode.learn.train.sampling import balanced_order, order_of

Judge = Callable[[NDArray[np.float64]], Score]
"""Scores rows of numbers (cases, outputs) of the validation part, in its order."""


@dataclass(kw_only=True, eq=False)
class RowLesson:
    """Learns rows of numbers. targets: of the training samples, as the loss wants them, (n, …).

    classes: of the training samples, where each class shall come equally often; () for any order.
    """

    recipe: Recipe
    is_flat: bool
    training: Sequence[Sample]
    validation: Sequence[Sample]
    targets: NDArray[np.generic]
    classes: Sequence[int]
    loss_of: Callable[[Tensor, Tensor], Tensor]
    judge: Judge
    augment: Augmenter
    steps: int = 0

    def __post_init__(self) -> None:
        self.steps = steps_of(self.recipe, len(self.training))

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Draw, and change, the studies of a step."""
        recipe = self.recipe
        needed = self.steps * recipe.batch
        if self.classes and recipe.sampling == "balanced":
            order = balanced_order(self.classes, recipe.seed, epoch, needed)
        else:
            order = order_of(len(self.training), recipe.seed, epoch, needed)
        chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
        inputs = []
        for n, number in enumerate(chosen, start=step * recipe.batch):
            given = np.asarray(self.training[number].inputs)
            inputs.append(self.augment(given, None, (recipe.seed, epoch, n))[0])
        return tensor_of(inputs, flat=self.is_flat), torch.from_numpy(np.array(self.targets[chosen]))

    def loss(self, found: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the rows."""
        return self.loss_of(found, target)

    def score(self, network: nn.Module, device: torch.device) -> Score:
        """Judge the rows of the validation part."""
        return self.judge(rows_of(network, self.validation, device, flat=self.is_flat))


def tensor_of(inputs: Sequence[NDArray[np.float32]], *, flat: bool) -> Tensor:
    """Return (n, c, k, j, i), or (n, c, j, i) of flat ones."""
    stacked = np.stack(inputs).astype(np.float32, copy=False)
    return torch.from_numpy(np.ascontiguousarray(stacked[:, :, 0] if flat else stacked))


def rows_of(
    network: nn.Module, samples: Sequence[Sample], device: torch.device, *, flat: bool
) -> NDArray[np.float64]:
    """Run a network, which is set to evaluation, on samples one by one; float64 (cases, outputs)."""
    rows = []
    with torch.no_grad():
        for sample in samples:
            given = tensor_of([np.array(sample.inputs)], flat=flat).to(device)
            rows.append(network(given).float().cpu().numpy()[0].astype(np.float64))
    return np.stack(rows)

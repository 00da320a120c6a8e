"""The loss of several questions: each in units of what one who knows nothing loses, so that none rules.

What is not known teaches nothing: a question that nobody of a batch has answered adds 0 without a gradient.

Weights that are learned beside the network (Kendall, Gal and Cipolla, Multi-task learning using uncertainty
to weigh losses, CVPR 2018) are not taken: they need thousands of steps to settle, and then favour what a
small data set is learned by heart of first. Here each loss begins near 1 and the recipe may weigh it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dicomnode.learn.train.losses import NOBODY_SAID, ClassLoss, MapLoss, NumberLoss, class_weights, map_loss
from dicomnode.learn.train.multitask_cases import MAP
from dicomnode.learn.train.questions import Question, Standard
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import Sample


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One question. chance: what is lost without knowing anything. weight: of the recipe."""

    name: str
    loss: Callable[[Tensor, Tensor], Tensor]
    chance: float
    weight: float = 1.0


class MultitaskLoss:
    """(map, row, …) against packed targets → the weighted mean of the parts, in units of chance.

    parts: of the map first, where there is one. A packed target is float32 (n, rows + voxels of the map):
    numbers as they are standardised, classes by their place, NaN where nobody has said.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self.has_map = bool(parts) and isinstance(parts[0].loss, MapLoss)
        self._whole = math.fsum(part.weight for part in parts)

    def __call__(self, found: Sequence[Tensor], target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        total = target.new_zeros(())
        for part, one, truth in zip(self.parts, found, self.truths(found, target), strict=True):
            total = total + part.weight / (self._whole * part.chance) * part.loss(one, truth)
        return total

    def truths(self, found: Sequence[Tensor], target: Tensor) -> list[Tensor]:
        """Unpack the target: a truth for each part, as its loss wants it."""
        rows = len(self.parts) - self.has_map
        truths = [target[:, rows:].reshape(found[0].shape)] if self.has_map else []
        for number, part in enumerate(self.parts[self.has_map :]):
            column = target[:, number]
            if isinstance(part.loss, ClassLoss):
                unknown = torch.full_like(column, float(NOBODY_SAID))
                truths.append(torch.where(torch.isnan(column), unknown, column).long())
            else:
                truths.append(column[:, None])
        return truths


def multitask_loss(
    recipe: Recipe, training: Sequence[Sample], questions: Sequence[Question], standards: Sequence[Standard]
) -> MultitaskLoss:
    """Return the loss of a recipe, weighted by the training part."""
    gamma = recipe.focal_gamma if recipe.loss == "focal" else None
    weights = recipe.loss_weights or {}
    parts = []
    if len(training[0].target):
        # At a probability of one half a voxel loses log 2, and Dice about 1
        chance = math.log(2.0) * _missed(0.5, gamma) + 1.0
        parts.append(
            Part(name=MAP, loss=map_loss(recipe, training), chance=chance, weight=weights.get(MAP, 1.0))
        )
    for number, (question, standard) in enumerate(zip(questions, standards, strict=True)):
        answers = [sample.answers[number] for sample in training]
        loss: Callable[[Tensor, Tensor], Tensor]
        if question.is_number:
            loss, chance = NumberLoss(), _chance_of_numbers(answers, standard)
        else:
            count = len(question.labels)
            classes = [NOBODY_SAID if math.isnan(one) else int(one) for one in answers]
            loss = ClassLoss(class_weights(recipe, classes, count), gamma)
            chance = math.log(count) * _missed(1.0 / count, gamma)
        weight = weights.get(question.column, 1.0)
        parts.append(Part(name=question.column, loss=loss, chance=chance, weight=weight))
    return MultitaskLoss(parts)


def _missed(probability: float, gamma: float | None) -> float:
    """Return how much focal looks at what has this probability; 1 without it."""
    return 1.0 if gamma is None else float((1.0 - probability) ** gamma)


def _chance_of_numbers(answers: Sequence[float], standard: Standard) -> float:
    """Return what is lost by always saying the mean."""
    known = np.array([one for one in answers if not math.isnan(one)], dtype=np.float64)
    if not known.size:
        return 1.0
    apart = np.abs(known - standard.centre) / standard.spread
    huber = np.where(apart < 1.0, 0.5 * apart**2, apart - 0.5)
    return max(float(huber.mean()), 1e-3)

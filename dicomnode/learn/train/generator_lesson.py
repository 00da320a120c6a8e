"""What a generator learns: to tell what is noise in an image, however much of it there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dicomnode.learn.train.generator_network import packed
from dicomnode.learn.train.lessons import steps_of
from dicomnode.learn.train.loop import Score
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import Sample
from dicomnode.learn.train.sampling import balanced_order, generator, order_of

SCORE: Final = "minus the mean squared error of what is noise"
_JUDGED: Final = 64  # images of the validation part that judge an epoch
_LEVELS_OF_NOISE: Final = 4  # at which each of them judges
_NOISE, _VALIDATION = 11, 12  # what a generator of random numbers is drawn for

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One image that is learned from: of a sample, number k of its slices; label: its number."""

    sample: Sample
    k: int
    label: int

    @property
    def values(self) -> Float32:
        """Values (c, j, i), −1 to 1."""
        return np.array(self.sample.inputs[:, self.k], dtype=np.float32)


@dataclass(kw_only=True, eq=False)
class NoiseLesson:
    """Learns what is noise in an image, at steps drawn from (seed, epoch, number of the image)."""

    recipe: Recipe
    steps_back: Any
    training: Sequence[Image]
    validation: Sequence[Image]
    balanced: bool
    steps: int = 0

    def __post_init__(self) -> None:
        self.steps = steps_of(self.recipe, len(self.training))

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Return noisy images, with step and class, and the velocities that are to be found."""
        recipe = self.recipe
        needed = self.steps * recipe.batch
        if self.balanced:
            order = balanced_order([one.label for one in self.training], recipe.seed, epoch, needed)
        else:
            order = order_of(len(self.training), recipe.seed, epoch, needed)
        numbers = range(step * recipe.batch, (step + 1) * recipe.batch)
        draws = [generator(recipe.seed, _NOISE, epoch, n) for n in numbers]
        steps = [int(one.integers(recipe.noise_steps)) for one in draws]
        return self._noisy([self.training[order[n]] for n in numbers], steps, draws)

    def loss(self, found: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error."""
        return functional.mse_loss(found.float(), target)

    def score(self, network: nn.Module, device: torch.device) -> Score:
        """Return minus the error on the validation part: the same steps and noise in every epoch."""
        total = self.recipe.noise_steps
        steps = [int((n + 0.5) * total / _LEVELS_OF_NOISE) for n in range(_LEVELS_OF_NOISE)]
        errors = []
        for number, image in enumerate(self.validation):
            draws = [generator(self.recipe.seed, _VALIDATION, number, n) for n in range(_LEVELS_OF_NOISE)]
            given, target = self._noisy([image] * _LEVELS_OF_NOISE, steps, draws)
            errors.append(float(self.loss(network(given.to(device)).cpu(), target)))
        error = float(np.mean(errors))
        return Score(value=-error, figures={"squared error": error})

    def _noisy(
        self, images: Sequence[Image], steps: Sequence[int], draws: Sequence[np.random.Generator]
    ) -> tuple[Tensor, Tensor]:
        values = torch.from_numpy(np.stack([one.values for one in images]))
        noise = np.stack([draw.standard_normal(values.shape[1:], dtype=np.float32) for draw in draws])
        at, drawn = torch.tensor(steps), torch.from_numpy(noise)
        noisy = self.steps_back.add_noise(values, drawn, at)
        labels = torch.tensor([one.label for one in images])
        return packed(noisy, at, labels), self.steps_back.get_velocity(values, drawn, at)


def images_of(samples: Sequence[Sample]) -> list[Image]:
    """Return the images of samples, in their order."""
    return [
        Image(sample, k, int(sample.target[0])) for sample in samples for k in range(sample.inputs.shape[1])
    ]


def evenly(images: Sequence[Image]) -> list[Image]:
    """Return some of them, evenly taken: enough to judge by."""
    if not images:
        return []
    return [images[n] for n in np.unique(np.linspace(0, len(images) - 1, _JUDGED).round().astype(int))]

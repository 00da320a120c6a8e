"""One site: it trains on its own studies by the loop of `dicomnode train`; arrays leave it, no images."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dicomnode.faults import DIVERGED, NodeError
from dicomnode.learn.federate.arrays import Arrays, Contribution
from dicomnode.learn.federate.messages import Who
from dicomnode.learn.train.loop import Lesson, Score, fit, seed_torch
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.run_folder import RunFolder


@dataclass(kw_only=True, eq=False)
class TorchSite:
    """A site of a network and a lesson. samples: of its training part; of: digest that all sites share.

    epochs: of a round of FedAvg. folder: for the states of its rounds; the last one stays.
    """

    recipe: Recipe
    network: nn.Module
    lesson: Lesson
    samples: int
    validated: int
    folder: Path
    of: str = ""
    epochs: int = 1
    device: str = "cpu"

    def who(self) -> Who:
        """Return names of tensors, counts, and the digest that all sites share."""
        names = tuple(self.network.state_dict())
        return Who(of=self.of, names=names, samples=self.samples, validated=self.validated)

    def weights(self) -> Arrays:
        """Return the weights of the network as it is."""
        return arrays_of(self.network.state_dict())

    def train(self, weights: Arrays, number: int) -> Contribution:
        """Train by the loop from these weights; the best of the round's epochs counts (one: that one)."""
        self._take(weights)
        before = (number - 1) * self.epochs
        local = replace(
            self.recipe,
            epochs=self.epochs,
            patience=self.epochs,
            schedule="constant",
            folds=0,
            seed=self.recipe.seed + number,
        )
        folder = self.folder / "round"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run = RunFolder(folder=folder, of=f"round {number}")
        lesson = _Later(self.lesson, before)
        learned = fit(local, self.network, lesson, run, device=torch.device(self.device))
        loss = math.fsum(row.loss for row in learned.rows) / len(learned.rows)
        return Contribution(arrays=arrays_of(learned.weights), samples=self.samples, loss=loss, of=self.of)

    def gradient(self, weights: Arrays, number: int) -> Contribution:
        """Return the mean gradient of the batches of one epoch, nothing clipped.

        Running means have none: they go as the batches moved them. Raises NodeError(DIVERGED).
        """
        self._take(weights)
        network, device = self.network.to(self.device), torch.device(self.device)
        network.train()
        seed_torch(self.recipe.seed, number)
        network.zero_grad(set_to_none=True)
        losses = []
        for step in range(self.lesson.steps):
            inputs, target = self.lesson.batch(number - 1, step)
            loss = self.lesson.loss(network(inputs.to(device)), target.to(device)) / self.lesson.steps
            loss.backward()  # type: ignore[no-untyped-call, unused-ignore]  # of torch
            losses.append(float(loss.detach()))
        network.eval()
        mean = math.fsum(losses)
        if not math.isfinite(mean):
            raise NodeError(DIVERGED, epoch=number)
        # In the order of the weights: a parameter without a gradient is not moved
        state, values = network.state_dict(), frozenset(name for name, _ in network.named_buffers())
        found = {name: one.grad for name, one in network.named_parameters() if one.grad is not None}
        sent = {
            name: found.get(name, one if name in values else torch.zeros_like(one))
            for name, one in state.items()
        }
        arrays = arrays_of(sent)
        self._take(weights)  # running means moved
        kept = values & set(state)
        return Contribution(arrays=arrays, samples=self.samples, loss=mean, of=self.of, values=kept)

    def judge(self, weights: Arrays) -> tuple[float, int]:
        """Return the score of the lesson."""
        self._take(weights)
        network = self.network.to(self.device)
        network.eval()
        with torch.no_grad():
            score = self.lesson.score(network, torch.device(self.device))
        return score.value, self.validated

    def _take(self, weights: Arrays) -> None:
        self.network.load_state_dict(tensors_of(weights))


@dataclass(slots=True)
class _Later:
    """A lesson whose epochs have gone on: each round draws other patches."""

    lesson: Lesson
    before: int
    steps: int = 0

    def __post_init__(self) -> None:
        self.steps = self.lesson.steps

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        return self.lesson.batch(epoch + self.before, step)

    def loss(self, found: Tensor, target: Tensor) -> Tensor:
        return self.lesson.loss(found, target)

    def score(self, network: nn.Module, device: torch.device) -> Score:
        return self.lesson.score(network, device)


def arrays_of(weights: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Give tensors as arrays of their own."""
    return {name: one.detach().cpu().numpy().copy() for name, one in weights.items()}


def tensors_of(arrays: Arrays) -> dict[str, Tensor]:
    """Give arrays as tensors of their own."""
    return {name: torch.from_numpy(np.array(one)) for name, one in arrays.items()}

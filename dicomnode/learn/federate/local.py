"""What a site must be able to do, whatever it trains with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dicomnode.learn.federate.arrays import Arrays, Contribution
from dicomnode.learn.federate.messages import Who


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRound:
    """A round as a site saw it. loss: of its own training; score: of the common weights on its validation."""

    number: int
    loss: float
    score: float


class LocalTrainer(Protocol):
    """What a site must be able to do; whoever leads sees nothing else of it."""

    def who(self) -> Who:
        """Return what is told before any weight travels."""
        ...

    def weights(self) -> Arrays:
        """Return the weights to begin with."""
        ...

    def train(self, weights: Arrays, number: int) -> Contribution:
        """Train from these weights for a round; number: of the round, from 1."""
        ...

    def gradient(self, weights: Arrays, number: int) -> Contribution:
        """Return the mean gradient at these weights."""
        ...

    def judge(self, weights: Arrays) -> tuple[float, int]:
        """Return the score of these weights on the site's own validation part, and of how many samples."""
        ...

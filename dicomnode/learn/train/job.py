"""What each task brings to a training: its cases, its lesson, its tables of engine.toml, its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from torch import nn

from dicomnode.engine import EnginePackage
from dicomnode.evaluate import Interval
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.loop import Lesson
from dicomnode.learn.train.plan import Plan
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import Sample
from dicomnode.values import Progress, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A figure on studies that were held out, measured as in service. cases: how many it is of."""

    name: str
    cases: int
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What the network gives, for engine.toml and the card.

    step: keys of the [[step]] beside network, window, gate. outputs: the [[output]] tables. lines: sentences
    for the card.
    """

    step: Mapping[str, Any]
    outputs: Sequence[Mapping[str, Any]]
    lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the held-out part said. missed: cases that could not be judged, each with the reason."""

    figures: tuple[HeldOut, ...] = ()
    missed: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = field(default=())


class Learning(Protocol):
    """What is learned in one training, before it is split into parts."""

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        ...

    @property
    def cases(self) -> Sequence[Case]:
        """What is learned from, all parts."""
        ...

    @property
    def score_name(self) -> str:
        """What a validation's score is, in words."""
        ...

    @property
    def left_out(self) -> Sequence[Refusal]:
        """What of the labels is no case."""
        ...

    @property
    def output_names(self) -> Sequence[str]:
        """Of the network, in the file that is exported."""
        ...

    @property
    def flips(self) -> Sequence[str]:
        """Axes that augmentation may flip."""
        ...

    def stratum_of(self, case: Case) -> str:
        """Return what a case is like: alike ones shall be in all parts."""
        ...

    def plan(self, training: Sequence[Case], progress: Progress) -> Plan:
        """Decide how cases are prepared, from the training part alone."""
        ...

    def sample(self, case: Case, plan: Plan) -> Sample | Refusal:
        """Prepare a case; raises NodeError as the preparation does."""
        ...

    def content(self, case: Case) -> Sequence[bytes | str]:
        """Return what of the truth decides a sample, for the cache."""
        ...

    def network(self, plan: Plan) -> nn.Module:
        """Build the network, with random weights."""
        ...

    def lesson(self, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan) -> Lesson:
        """Return what is learned."""
        ...


class Job(Learning, Protocol):
    """One training of one task that becomes an engine."""

    def meaning(
        self, network: nn.Module, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan
    ) -> Meaning:
        """Say what the trained network gives; may calibrate it on the validation part."""
        ...

    def judge(self, package: EnginePackage, cases: Sequence[Case], made_at: datetime, threads: int) -> Judged:
        """Run the engine on cases that were held out, as in service, and compare."""
        ...

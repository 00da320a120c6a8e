"""The training of nodules: batches that are drawn ahead, with a look for its mistakes on the way.

Each step draws from (seed, step) alone; see `dicomnode.learn.drawn.state` for what goes on to equal weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from dicomnode.faults import RUN_DIFFERS, NodeError
from dicomnode.learn.drawn.state import (
    STAGE,
    Habit,
    Learned,
    Lost,
    Row,
    State,
    Stop,
    Tell,
    Watch,
    first_weights,
    go,
    taken_up,
)
from dicomnode.learn.drawn.workers import Workers
from dicomnode.learn.planted.batches import Batch, BatchOrder, batches
from dicomnode.learn.planted.loss import Target, lost
from dicomnode.learn.planted.network import NoduleNetwork
from dicomnode.learn.train.run_folder import RunFolder

__all__ = ["PARTS", "STAGE", "Course", "Learned", "Lesson", "Row", "Stop", "Tell", "learn"]

PARTS: Final = ("heat", "size", "entropy", "dice")
_WEIGHTS: Final = 7  # what a generator is drawn for
_LEAST_RATE: Final = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How it learns. batch: patches a step. mine: after which steps it looks for its mistakes."""

    seed: int = 0
    steps: int = 20_000
    batch: int = 6
    learning_rate: float = 3e-3
    warm_up: int = 60
    keep_every: int = 100
    mine: tuple[int, ...] = ()

    def rate(self, step: int) -> float:
        """Learning rate of a step, from its number alone: up from 0, then down along a cosine."""
        warm = min(1.0, (step + 1) / max(self.warm_up, 1))
        return self.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / self.steps)) + _LEAST_RATE

    def mined_before(self, step: int) -> int | None:
        """The last step up to this one after which was mined."""
        return max((one for one in self.mine if one <= step), default=None)

    def habit(self, parts: tuple[str, ...], **more: Any) -> Habit:
        """Return how a network of that loss learns on this course."""
        return Habit(steps=self.steps, rate=self.rate, parts=parts, kept_every=self.keep_every, **more)

    def first(self, make: Callable[[], nn.Module], device: torch.device) -> nn.Module:
        """Make a network of three dimensions with the first weights of this course."""
        network = first_weights(make, self.seed * 1000 + _WEIGHTS)
        return network.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]


Mine = Callable[[nn.Module, int], bytes]
"""What a network, set to evaluation, mistakes for nodules after so many steps, as a file."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What it learns from, and who is asked and told. place: where it runs, for the card."""

    worlds: tuple[Path, ...]
    workers: Workers
    mine: Mine
    watch: Watch
    device: torch.device
    place: str = ""


def learn(course: Course, lesson: Lesson, run: RunFolder) -> Learned:
    """Train, from the state that is in `run` on if there is one.

    Raises NodeError: PLANTED_DIVERGED, PLANTED_WORKER_ENDED; RUN_DIFFERS and RUN_NOT_WRITTEN of the folder.
    """
    network = course.first(NoduleNetwork, lesson.device)
    state = taken_up(network, course.habit(PARTS), run, lesson.place)
    stopped = False
    while state.step < course.steps and not stopped:
        stopped = _until_mining(course, state, lesson, run)
    return state.learned()


def _until_mining(course: Course, state: State, lesson: Lesson, run: RunFolder) -> bool:
    """Train up to the next mining, or to the end; tell whether it was stopped."""
    mined = _mined(course, state, lesson, run)
    end = min((one for one in course.mine if one > state.step), default=course.steps)
    order = BatchOrder(
        worlds=lesson.worlds, mined=mined, seed=course.seed, step=state.step, size=course.batch
    )
    drawn = batches(lesson.workers, order, range(state.step, min(end, course.steps)))
    return go(state, drawn, lambda network, batch: lost_on(network, batch, lesson.device), lesson.watch, run)


def _mined(course: Course, state: State, lesson: Lesson, run: RunFolder) -> Path | None:
    """Return the file of what was mined last; what is missing is mined now, by the weights of that step."""
    at = course.mined_before(state.step)
    if at is None:
        return None
    # Of this training alone: a file of an earlier one in the same folder would teach others' mistakes
    name = f"mined-{run.of[:16]}-{at}.npz"
    path = run.folder / name
    if not path.exists():
        if state.step != at:
            raise NodeError(RUN_DIFFERS, run=run.folder, what=f"{name} is gone")
        run.write(name, lesson.mine(state.mean, at))
    return path


def lost_on(network: nn.Module, batch: Batch, device: torch.device) -> Lost:
    """Return what a network loses on a batch."""
    hu = torch.from_numpy(batch.hu).to(device, memory_format=torch.channels_last_3d)
    parts = lost(network(hu), _target(batch, device))
    return {name: getattr(parts, name) for name in PARTS}, parts.whole


def _target(batch: Batch, device: torch.device) -> Target:
    def of(array: Any) -> Tensor:
        return torch.from_numpy(array).to(device).float()

    return Target(
        mask=of(batch.mask),
        ignore=of(batch.ignore),
        heat=of(batch.heat),
        size=of(batch.size),
        sized=of(batch.sized),
    )

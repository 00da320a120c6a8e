"""The training of lung masks: what is drawn for a step follows from (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from dicomnode.learn.drawn.kept import taken
from dicomnode.learn.drawn.state import Learned, Lost, Watch, go, taken_up
from dicomnode.learn.lungs.loss import PARTS, lost
from dicomnode.learn.lungs.network import LungNetwork
from dicomnode.learn.lungs.scans import shown
from dicomnode.learn.lungs.worlds import Coarse, open_world
from dicomnode.learn.planted.training import Course
from dicomnode.learn.train.run_folder import RunFolder

_DRAWN: Final = 11  # what a generator is drawn for
_REAL: Final = 0.15  # of what is shown, where there are real scans
_TOLD_EVERY: Final = 25  # steps
_SLOWEST: Final = 0.99  # of the moving mean of the weights, about 100 steps


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What it learns from, and who is asked and told. place: where it runs, for the card."""

    worlds: Sequence[Path]
    watch: Watch
    device: torch.device
    place: str = ""


def learn(course: Course, lesson: Lesson, run: RunFolder) -> Learned:
    """Train, from the state that is in `run` on if there is one.

    Raises NodeError: PLANTED_DIVERGED; RUN_DIFFERS and RUN_NOT_WRITTEN of the folder.
    """
    habit = course.habit(PARTS, slowest=_SLOWEST, told_every=_TOLD_EVERY)
    state = taken_up(course.first(LungNetwork, lesson.device), habit, run, lesson.place)
    if state.step < course.steps:
        worlds = [taken(open_world, path) for path in lesson.worlds]
        drawn = (_batch(worlds, course, step) for step in range(state.step, course.steps))
        go(state, drawn, partial(_lost, device=lesson.device), lesson.watch, run)
    return state.learned()


def _lost(network: nn.Module, batch: tuple[Tensor, Tensor], device: torch.device) -> Lost:
    hu, sides = (one.to(device) for one in batch)
    parts = lost(network(hu.contiguous(memory_format=torch.channels_last_3d)), hu, sides)
    return {name: getattr(parts, name) for name in PARTS}, parts.whole


def _batch(worlds: Sequence[Coarse], course: Course, step: int) -> tuple[Tensor, Tensor]:
    """Draw the batch of a step: hu (n, 1, k, j, i), sides (n, k, j, i)."""
    scans = []
    for number in range(step * course.batch, (step + 1) * course.batch):
        rng = np.random.default_rng((course.seed, _DRAWN, number))
        scans.append(shown(_chosen(worlds, rng), rng))
    hu = torch.from_numpy(np.stack([one.hu for one in scans])[:, None])
    return hu, torch.from_numpy(np.stack([one.sides for one in scans])).long()


def _chosen(worlds: Sequence[Coarse], rng: np.random.Generator) -> Coarse:
    """Choose a world: a few real ones are shown as often as there are many of nobody."""
    wants_real = rng.uniform() < _REAL
    some = [one for one in worlds if one.is_real == wants_real] or worlds
    return some[int(rng.integers(len(some)))]

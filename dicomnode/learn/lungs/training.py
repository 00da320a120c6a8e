"""The training: so many steps, counted and never timed; its state is kept whole, so that it can go on.

What is drawn for a step follows from (seed, step) alone, and only one thread of a CPU adds in one order: the
same course and worlds give the same weights there, bit by bit, whether it ran through or was stopped.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from dicomnode.faults import PLANTED_DIVERGED, RUN_DIFFERS, NodeError
from dicomnode.learn.lungs.loss import PARTS, lost
from dicomnode.learn.lungs.network import LungNetwork
from dicomnode.learn.lungs.scans import shown
from dicomnode.learn.lungs.worlds import Coarse, open_world
from dicomnode.learn.planted.training import Course, Learned, Row, Stop, Tell
from dicomnode.learn.train.run_folder import RunFolder

_WEIGHTS, _DRAWN = 7, 11  # what a generator is drawn for
_REAL: Final = 0.15  # of what is shown, where there are real scans
_TOLD_EVERY: Final = 25  # steps
_LARGEST_GRADIENT: Final = 5.0
_WEIGHT_DECAY: Final = 1e-4
_SLOWEST: Final = 0.99  # of the moving mean of the weights, about 100 steps
_BEGINNING: Final = 20.0  # steps in which the mean is hardly one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What it learns from, and who is asked and told. stop: is asked after each step whether to end there."""

    worlds: Sequence[Path]
    stop: Stop
    tell: Tell
    device: torch.device


def learn(course: Course, lesson: Lesson, run: RunFolder) -> Learned:
    """Train, from the state that is in `run` on if there is one.

    Raises NodeError: PLANTED_DIVERGED; RUN_DIFFERS and RUN_NOT_WRITTEN of the folder.
    """
    state = _State(course, lesson.device)
    kept = run.read_state()
    if kept is not None:
        state.take(kept)
    worlds = [_opened(path, run) for path in lesson.worlds]
    stopped = False
    while state.step < course.steps and not stopped:
        state.go(worlds)
        if state.step % _TOLD_EVERY == 0 or state.step == course.steps:
            lesson.tell(state.row())
        if state.step % course.keep_every == 0:
            run.write_state(state.told())
        stopped = lesson.stop() and state.step < course.steps
    run.write_state(state.told())
    return Learned(network=state.mean.eval(), step=state.step, rows=tuple(state.rows), stopped=stopped)


def _opened(path: Path, run: RunFolder) -> Coarse:
    world = open_world(path)
    if world is None:
        raise NodeError(RUN_DIFFERS, run=run.folder, what=f"{path.name} is gone")
    return world


class _State:
    """What changes from step to step; all of it is kept."""

    def __init__(self, course: Course, device: torch.device) -> None:
        self.course, self.device = course, device
        torch.manual_seed(course.seed * 1000 + _WEIGHTS)
        self.network = LungNetwork().to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.mean = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=course.learning_rate, weight_decay=_WEIGHT_DECAY
        )
        self.step = 0
        self.rows: list[Row] = []
        self.sums, self.since = dict.fromkeys(PARTS, 0.0), 0

    def told(self) -> dict[str, Any]:
        """Return what is kept."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rows": [[row.step, row.learning_rate, dict(row.lost)] for row in self.rows],
            "sums": dict(self.sums),
            "since": self.since,
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go back to what was kept."""
        self.step = kept["step"]
        self.network.load_state_dict(kept["network"])
        self.mean.load_state_dict(kept["mean"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.rows = [Row(step=step, learning_rate=rate, lost=parts) for step, rate, parts in kept["rows"]]
        self.sums, self.since = dict(kept["sums"]), kept["since"]

    def row(self) -> Row:
        """Return the means since the last row."""
        means = {name: total / max(self.since, 1) for name, total in self.sums.items()}
        row = Row(step=self.step, learning_rate=self.course.rate(self.step - 1), lost=means)
        self.rows.append(row)
        self.sums, self.since = dict.fromkeys(PARTS, 0.0), 0
        return row

    def go(self, worlds: Sequence[Coarse]) -> None:
        """Do a step."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.course.rate(self.step)
        self.network.train()
        hu, sides = (one.to(self.device) for one in _batch(worlds, self.course, self.step))
        logits = self.network(hu.contiguous(memory_format=torch.channels_last_3d))
        parts = lost(logits, hu, sides)
        values = {name: float(getattr(parts, name).detach()) for name in PARTS}
        if not all(map(math.isfinite, values.values())):
            raise NodeError(PLANTED_DIVERGED, step=self.step + 1)
        self.optimiser.zero_grad(set_to_none=True)
        parts.whole.backward()  # type: ignore[no-untyped-call]  # of torch
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        self.optimiser.step()
        self.step += 1
        self._follow()
        for name, value in values.items():
            self.sums[name] += value
        self.since += 1

    def _follow(self) -> None:
        """Move the mean of the weights, and of the statistics of the norms: both are what is exported."""
        keep = min(_SLOWEST, self.step / (self.step + _BEGINNING))
        pairs = zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True)
        with torch.no_grad():
            for mean, now in pairs:
                if mean.dtype.is_floating_point:
                    mean.mul_(keep).add_(now, alpha=1.0 - keep)
                else:
                    mean.copy_(now)


def _batch(worlds: Sequence[Coarse], course: Course, step: int) -> tuple[torch.Tensor, torch.Tensor]:
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

"""The training: so many steps, counted and never timed; its state is kept whole, so that it can go on.

Each step draws from (seed, step) alone. On one thread of a CPU the same course and worlds give the same
weights, bit by bit, whether it ran through or was killed and went on; a GPU and several threads add in other
orders.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from dicomnode.faults import PLANTED_DIVERGED, RUN_DIFFERS, NodeError
from dicomnode.learn.planted.batches import Batch, BatchOrder, batches
from dicomnode.learn.planted.loss import Target, lost
from dicomnode.learn.planted.network import NoduleNetwork
from dicomnode.learn.planted.workers import Workers
from dicomnode.learn.train.run_folder import RunFolder

STAGE: Final = "training step"
PARTS: Final = ("heat", "size", "entropy", "dice")
_WEIGHTS: Final = 7  # what a generator is drawn for
_TOLD_EVERY: Final = 50  # steps
_LEAST_RATE: Final = 1e-5
_LARGEST_GRADIENT: Final = 5.0
_WEIGHT_DECAY: Final = 1e-4
_SLOWEST: Final = 0.995  # of the moving mean of the weights, about 200 steps
_BEGINNING: Final = 20.0  # steps in which the mean is hardly one


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Means over the steps since the row before. lost: by part."""

    step: int
    learning_rate: float
    lost: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """The network with the mean of its last weights. step: how far it came. stopped: before its last step."""

    network: nn.Module
    step: int
    rows: tuple[Row, ...]
    stopped: bool


Mine = Callable[[nn.Module, int], bytes]
"""What a network, set to evaluation, mistakes for nodules after so many steps, as a file."""

Stop = Callable[[], bool]
Tell = Callable[[Row], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What it learns from, and who is asked and told. stop: is asked after each step whether to end there."""

    worlds: tuple[Path, ...]
    workers: Workers
    mine: Mine
    stop: Stop
    tell: Tell
    device: torch.device


def learn(course: Course, lesson: Lesson, run: RunFolder) -> Learned:
    """Train, from the state that is in `run` on if there is one.

    Raises NodeError: PLANTED_DIVERGED, PLANTED_WORKER_ENDED; RUN_DIFFERS and RUN_NOT_WRITTEN of the folder.
    """
    state = _State(course, lesson.device)
    kept = run.read_state()
    if kept is not None:
        state.take(kept)
    stopped = False
    while state.step < course.steps and not stopped:
        stopped = _until_mining(state, lesson, run)
    run.write_state(state.told())
    return Learned(
        network=state.mean, step=state.step, rows=tuple(state.rows), stopped=state.step < course.steps
    )


def _until_mining(state: _State, lesson: Lesson, run: RunFolder) -> bool:
    """Train up to the next mining, or to the end; tell whether it was stopped."""
    course = state.course
    mined = _mined(state, lesson, run)
    end = min((one for one in course.mine if one > state.step), default=course.steps)
    order = BatchOrder(
        worlds=lesson.worlds, mined=mined, seed=course.seed, step=state.step, size=course.batch
    )
    drawn: Iterator[Batch] = batches(lesson.workers, order, range(state.step, min(end, course.steps)))
    for batch in drawn:
        _step(state, batch)
        if state.step % _TOLD_EVERY == 0 or state.step == course.steps:
            state.tell(lesson.tell)
        if state.step % course.keep_every == 0 or state.step == end:
            run.write_state(state.told())
        if lesson.stop() and state.step < course.steps:
            return True
    return False


def _mined(state: _State, lesson: Lesson, run: RunFolder) -> Path | None:
    """Return the file of what was mined last; what is missing is mined now, by the weights of that step."""
    at = state.course.mined_before(state.step)
    if at is None:
        return None
    name = f"mined-{at}.npz"
    path = run.folder / name
    if not path.exists():
        if state.step != at:
            raise NodeError(RUN_DIFFERS, run=run.folder, what=f"{name} is gone")
        run.write(name, lesson.mine(state.mean, at))
    return path


class _State:
    """What changes from step to step; all of it is kept."""

    def __init__(self, course: Course, device: torch.device) -> None:
        self.course, self.device = course, device
        torch.manual_seed(course.seed * 1000 + _WEIGHTS)
        self.network = NoduleNetwork().to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.mean = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=course.learning_rate, weight_decay=_WEIGHT_DECAY
        )
        self.step = 0
        self.rows: list[Row] = []
        self.sums, self.since = dict.fromkeys(PARTS, 0.0), 0

    def told(self) -> dict[str, Any]:
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
        self.step = kept["step"]
        self.network.load_state_dict(kept["network"])
        self.mean.load_state_dict(kept["mean"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.rows = [Row(step=step, learning_rate=rate, lost=parts) for step, rate, parts in kept["rows"]]
        self.sums, self.since = dict(kept["sums"]), kept["since"]

    def tell(self, tell: Tell) -> None:
        means = {name: total / max(self.since, 1) for name, total in self.sums.items()}
        row = Row(step=self.step, learning_rate=self.course.rate(self.step - 1), lost=means)
        self.rows.append(row)
        self.sums, self.since = dict.fromkeys(PARTS, 0.0), 0
        tell(row)


def _step(state: _State, batch: Batch) -> None:
    for group in state.optimiser.param_groups:
        group["lr"] = state.course.rate(state.step)
    state.network.train()
    hu = torch.from_numpy(batch.hu).to(state.device, memory_format=torch.channels_last_3d)
    parts = lost(state.network(hu), _target(batch, state.device))
    values = {name: float(getattr(parts, name).detach()) for name in PARTS}
    if not all(map(math.isfinite, values.values())):
        raise NodeError(PLANTED_DIVERGED, step=state.step + 1)
    state.optimiser.zero_grad(set_to_none=True)
    parts.whole.backward()  # type: ignore[no-untyped-call]  # of torch
    nn.utils.clip_grad_norm_(state.network.parameters(), _LARGEST_GRADIENT)
    state.optimiser.step()
    state.step += 1
    _follow(state)
    for name, value in values.items():
        state.sums[name] += value
    state.since += 1


def _follow(state: _State) -> None:
    """Move the mean of the weights, and of the statistics of the norms: both are what is exported."""
    keep = min(_SLOWEST, state.step / (state.step + _BEGINNING))
    with torch.no_grad():
        for mean, now in zip(
            state.mean.state_dict().values(), state.network.state_dict().values(), strict=True
        ):
            if mean.dtype.is_floating_point:
                mean.mul_(keep).add_(now, alpha=1.0 - keep)
            else:
                mean.copy_(now)


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

"""The steps of a network: counted and never timed; all that the next one depends on is kept.

What is learned from in a step follows from its number alone. On one thread of a CPU the same orders give the
same weights, bit by bit, whether a training ran through or was killed and went on; a GPU and several threads
add in other orders.
"""

from __future__ import annotations

import copy
import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from dicomnode.faults import PLANTED_DIVERGED, RUN_DIFFERS, NodeError
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.values import Progress, no_progress

STAGE: Final = "training step"

Batch = TypeVar("Batch")
Lost = tuple[Mapping[str, Tensor], Tensor]
"""What was lost, part by part, and what is to become less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How a network learns. rate: of learning, by the number of the step; parts: of what is lost.

    slowest: part of the moving mean of the weights that stays in a step; beginning: steps in which the mean
    is hardly one.
    """

    steps: int
    rate: Callable[[int], float]
    parts: tuple[str, ...]
    decay: float = 1e-4
    largest_gradient: float = 5.0
    slowest: float = 0.995
    beginning: float = 20.0
    told_every: int = 50
    kept_every: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Means over the steps since the row before. lost: by part."""

    step: int
    learning_rate: float
    lost: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """The network with the mean of its last weights. step: how far it came. stopped: before its last step.

    seconds: of the clock that it was given, over all that it was gone on with; None: they were not kept.
    places: machine, device and threads, each that took part.
    """

    network: nn.Module
    step: int
    rows: tuple[Row, ...]
    stopped: bool
    seconds: float | None = None
    places: tuple[str, ...] = ()


Stop = Callable[[], bool]
Tell = Callable[[Row], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who is told, and asked. stop: after each step, whether to end there. clock: seconds of a training."""

    tell: Tell = lambda _: None
    stop: Stop = lambda: False
    clock: Callable[[], float] = lambda: 0.0
    progress: Progress = no_progress


def first_weights(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Make a network whose first weights follow from a seed; torch's own generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


class State:
    """What changes from step to step; all of it is kept."""

    def __init__(self, network: nn.Module, habit: Habit) -> None:
        self.habit, self.network = habit, network
        self.mean = copy.deepcopy(network).eval()
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=habit.rate(0), weight_decay=habit.decay)
        self.step = 0
        self.seconds: float | None = 0.0
        self.places: list[str] = []
        self.rows: list[Row] = []
        self.sums, self.since = dict.fromkeys(habit.parts, 0.0), 0

    def told(self) -> dict[str, Any]:
        """Return what is kept."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "places": list(self.places),
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rows": [[row.step, row.learning_rate, dict(row.lost)] for row in self.rows],
            "sums": dict(self.sums),
            "since": self.since,
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go back to what was kept."""
        self.step, self.seconds = kept["step"], kept.get("seconds")
        self.places = list(kept.get("places", ()))
        self.network.load_state_dict(kept["network"])
        self.mean.load_state_dict(kept["mean"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.rows = [Row(step=step, learning_rate=rate, lost=parts) for step, rate, parts in kept["rows"]]
        self.sums, self.since = dict(kept["sums"]), kept["since"]

    def row(self) -> Row:
        """Return the means since the last row, and begin another."""
        means = {name: total / max(self.since, 1) for name, total in self.sums.items()}
        row = Row(step=self.step, learning_rate=self.habit.rate(self.step - 1), lost=means)
        self.rows.append(row)
        self.sums, self.since = dict.fromkeys(self.habit.parts, 0.0), 0
        return row

    def learn(self, batch: Batch, lost: Callable[[nn.Module, Batch], Lost]) -> None:
        """Do a step. Raises NodeError(PLANTED_DIVERGED)."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.habit.rate(self.step)
        self.network.train()
        parts, whole = lost(self.network, batch)
        values = {name: float(parts[name].detach()) for name in self.habit.parts}
        if not all(map(math.isfinite, values.values())):
            raise NodeError(PLANTED_DIVERGED, step=self.step + 1)
        self.optimiser.zero_grad(set_to_none=True)
        whole.backward()  # type: ignore[no-untyped-call]  # of torch
        nn.utils.clip_grad_norm_(self.network.parameters(), self.habit.largest_gradient)
        self.optimiser.step()
        self.step += 1
        self._follow()
        for name, value in values.items():
            self.sums[name] += value
        self.since += 1

    def learned(self) -> Learned:
        """Return what came of it."""
        stopped = self.step < self.habit.steps
        return Learned(
            network=self.mean.eval(),
            step=self.step,
            rows=tuple(self.rows),
            stopped=stopped,
            seconds=self.seconds,
            places=tuple(self.places),
        )

    def _follow(self) -> None:
        """Move the mean of the weights, and of the statistics of the norms: both are what is exported."""
        keep = min(self.habit.slowest, self.step / (self.step + self.habit.beginning))
        pairs = zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True)
        with torch.no_grad():
            for mean, now in pairs:
                if mean.dtype.is_floating_point:
                    mean.mul_(keep).add_(now, alpha=1.0 - keep)
                else:
                    mean.copy_(now)


def taken_up(network: nn.Module, habit: Habit, run: RunFolder, place: str = "") -> State:
    """Return the state that is kept in `run`, or a new one; NodeError(RUN_DIFFERS). place: where it runs."""
    state, kept = State(network, habit), run.read_state()
    if kept is not None:
        try:
            state.take(kept)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise NodeError(RUN_DIFFERS, run=run.folder, what="its state is of another version") from error
    if state.step < habit.steps and place not in state.places:
        state.places.append(place)
    return state


def go(
    state: State,
    batches: Iterable[Batch],
    lost: Callable[[nn.Module, Batch], Lost],
    watch: Watch,
    run: RunFolder,
) -> bool:
    """Learn from batches, one a step, until they end; return whether it was asked to stop before.

    The state is kept now and then and in the end. Raises NodeError: PLANTED_DIVERGED, RUN_NOT_WRITTEN.
    """
    stopped, last = False, watch.clock()
    for batch in batches:
        state.learn(batch, lost)
        now = watch.clock()
        state.seconds, last = None if state.seconds is None else state.seconds + now - last, now
        if state.step % state.habit.told_every == 0 or state.step == state.habit.steps:
            watch.tell(state.row())
        if state.step % state.habit.kept_every == 0:
            run.write_state(state.told())
        watch.progress(STAGE, state.step, state.habit.steps)
        stopped = watch.stop() and state.step < state.habit.steps
        if stopped:
            break
    run.write_state(state.told())
    return stopped


def curves_csv(rows: Sequence[Row]) -> bytes:
    """Return a line for each row: step, learning_rate, and what was lost on each part."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = list(rows[0].lost) if rows else []
    writer.writerow(["step", "learning_rate", *parts])
    for row in rows:
        writer.writerow([row.step, f"{row.learning_rate:.6g}", *(f"{row.lost[name]:.6g}" for name in parts)])
    return out.getvalue().encode()

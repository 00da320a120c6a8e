"""The training loop: seeded, resumable, stopped in time; what is learned comes as a `Lesson`.

Every epoch draws from (seed, epoch) alone, and the state after each is kept whole: a training that was killed
goes on as if it had not been. On one thread of a CPU the same recipe and data give the same weights, bit by
bit; a GPU and several threads add in other orders.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from dicomnode.faults import DIVERGED, NodeError
from dicomnode.learn.train.networks import teach
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.sampling import generator
from dicomnode.values import Progress, no_progress

STAGE: Final = "training epoch"
_TORCH: Final = 4  # what a generator is drawn for
_POLY: Final = 0.9
_LARGEST_GRADIENT: Final = 12.0  # norm, as in nnU-Net
_BETTER: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What the validation said: the larger the better, and what else goes into the curves."""

    value: float
    figures: Mapping[str, float]


class Lesson(Protocol):
    """What is learned: where batches come from, what is lost, and how good a network is."""

    steps: int

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Return inputs and targets on the CPU."""
        ...

    def loss(self, found: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        ...

    def score(self, network: nn.Module, device: torch.device) -> Score:
        """Judge a network, which is set to evaluation, on the validation part."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One epoch in the curves. score: of the validation."""

    epoch: int
    learning_rate: float
    loss: float
    score: float
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """The weights of the best epoch, and how it went. stopped: why it ended before its last epoch, or ""."""

    weights: Mapping[str, Tensor]
    best_epoch: int
    best_score: float
    rows: tuple[Row, ...]
    stopped: str
    device: str
    precision: str


Stop = Callable[[int], bool]
"""Is asked after each epoch, by its number, whether to end there."""


def never(epoch: int) -> bool:  # noqa: ARG001  a Stop
    """Go on."""
    return False


def pick_device(wish: str) -> torch.device:
    """Return the device: "auto" takes a GPU that torch can use, else the CPU."""
    if wish != "auto":
        return torch.device(wish)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def quiet_machine(threads: int) -> Iterator[None]:
    """Run with so many threads and cuDNN's fixed choices; as it was afterwards."""
    before = (torch.get_num_threads(), torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
    torch.set_num_threads(max(threads, 1))
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before[1:]


def seed_torch(seed: int, *parts: int) -> None:
    """Set torch's generators (dropout, first weights) for one purpose."""
    torch.manual_seed(int(generator(seed, _TORCH, *parts).integers(2**63)))


def fit(  # noqa: PLR0913  each is a fact of its own
    recipe: Recipe,
    network: nn.Module,
    lesson: Lesson,
    run: RunFolder,
    *,
    device: torch.device,
    progress: Progress = no_progress,
    stop: Stop = never,
) -> Learned:
    """Train a network; the state in `run` is gone on from, if there is one.

    Raises NodeError: DIVERGED when the loss or the score is no number, RUN_DIFFERS and RUN_NOT_WRITTEN of the
    folder.
    """
    network.to(device)
    state = _State(recipe, network, device)
    kept = run.read_state()
    if kept is not None:
        state.take(kept)
    progress(STAGE, state.epoch, recipe.epochs)
    stopped = _stops(recipe, state)
    while state.epoch < recipe.epochs and not stopped:
        _epoch(state, lesson)
        run.write_state(state.told())
        progress(STAGE, state.epoch, recipe.epochs)
        stopped = _stops(recipe, state)
        if stop(state.epoch):
            stopped = "it was told to stop"
    network.load_state_dict(dict(state.best))
    return Learned(
        weights=state.best,
        best_epoch=state.best_epoch,
        best_score=state.best_score,
        rows=tuple(state.rows),
        stopped=stopped,
        device=str(device),
        precision="mixed" if state.mixed else "fp32",
    )


def ended_state(recipe: Recipe, network: nn.Module, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the state of a training that has ended elsewhere: `fit` gives the network's weights as they are.

    rows: how it went, at least one; the last is the best.
    """
    state = _State(recipe, network, torch.device("cpu"))
    state.epoch, state.rows = recipe.epochs, list(rows)
    state.best_epoch, state.best_score = rows[-1].epoch, rows[-1].score
    return state.told()


def _stops(recipe: Recipe, state: _State) -> str:
    since = state.epoch - state.best_epoch
    if state.rows and state.epoch < recipe.epochs and since >= recipe.patience:
        return f"the validation was not better for {since} epochs"
    return ""


class _State:
    """What changes from epoch to epoch; all of it is kept."""

    def __init__(self, recipe: Recipe, network: nn.Module, device: torch.device) -> None:
        self.recipe, self.network, self.device = recipe, network, device
        self.mixed = recipe.precision != "fp32" and device.type == "cuda"
        free = [one for one in network.parameters() if one.requires_grad]
        self.optimiser: torch.optim.Optimizer
        if recipe.optimiser == "sgd":
            self.optimiser = torch.optim.SGD(
                free, lr=recipe.learning_rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
            )
        else:
            self.optimiser = torch.optim.AdamW(
                free, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
            )
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.mixed)
        self.epoch = 0
        self.best: Mapping[str, Tensor] = _on_host(network)
        self.best_epoch, self.best_score = 0, -math.inf
        self.rows: list[Row] = []

    def told(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": dict(self.best),
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            "rows": [
                [row.epoch, row.learning_rate, row.loss, row.score, dict(row.figures)] for row in self.rows
            ],
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        self.epoch = kept["epoch"]
        self.network.load_state_dict(kept["network"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.scaler.load_state_dict(kept["scaler"])
        self.best, self.best_epoch = kept["best"], kept["best_epoch"]
        self.best_score = kept["best_score"]
        self.rows = [
            Row(epoch=epoch, learning_rate=rate, loss=loss, score=score, figures=figures)
            for epoch, rate, loss, score, figures in kept["rows"]
        ]


def _on_host(network: nn.Module) -> dict[str, Tensor]:
    return {name: copy.deepcopy(one.detach().cpu()) for name, one in network.state_dict().items()}


def _rate(recipe: Recipe, epoch: int) -> float:
    """Learning rate of an epoch, from its number alone."""
    part = epoch / recipe.epochs
    if recipe.schedule == "cosine":
        return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * part))
    if recipe.schedule == "poly":
        return float(recipe.learning_rate * (1.0 - part) ** _POLY)
    return recipe.learning_rate


def _epoch(state: _State, lesson: Lesson) -> None:
    recipe, network = state.recipe, state.network
    rate = _rate(recipe, state.epoch)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    seed_torch(recipe.seed, state.epoch)
    teach(network)
    losses = [_step(state, lesson, step) for step in range(lesson.steps)]
    network.eval()
    with torch.no_grad():
        score = lesson.score(network, state.device)
    if not math.isfinite(score.value):  # nothing is better than NaN, so that it would stay the best
        raise NodeError(DIVERGED, epoch=state.epoch + 1)
    state.epoch += 1
    if score.value > state.best_score + _BETTER or not state.rows:
        state.best, state.best_epoch, state.best_score = _on_host(network), state.epoch, score.value
    state.rows.append(
        Row(
            epoch=state.epoch,
            learning_rate=rate,
            loss=math.fsum(losses) / len(losses),
            score=score.value,
            figures=dict(score.figures),
        )
    )


def _step(state: _State, lesson: Lesson, step: int) -> float:
    inputs, target = lesson.batch(state.epoch, step)
    inputs, target = inputs.to(state.device), target.to(state.device)
    state.optimiser.zero_grad(set_to_none=True)
    with torch.autocast(state.device.type, dtype=torch.float16, enabled=state.mixed):
        found = state.network(inputs)
    loss = lesson.loss(found, target)
    if state.recipe.l1:
        free = [one for one in state.network.parameters() if one.requires_grad]
        loss = loss + state.recipe.l1 * torch.stack([one.abs().sum() for one in free]).sum()
    value = float(loss.detach())
    if not math.isfinite(value):
        raise NodeError(DIVERGED, epoch=state.epoch + 1)
    state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call, unused-ignore]  # of torch
    state.scaler.unscale_(state.optimiser)
    nn.utils.clip_grad_norm_(state.network.parameters(), _LARGEST_GRADIENT)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    return value

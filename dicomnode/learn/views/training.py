"""Learns from films that are drawn while it learns: none comes twice, a seed gives the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from dicomnode.faults import PLANTED_DIVERGED, NodeError
from dicomnode.learn.views.films import Film, draw_film
from dicomnode.learn.views.network import SIDE, ViewNet, rows_of
from dicomnode.learn.views.others import draw_other
from dicomnode.learn.views.patients import Patient
from dicomnode.learn.views.questions import NOT_ASKED
from dicomnode.phantom.lattice import Float32
from dicomnode.values import Progress, no_progress

STAGE: Final = "training"
OTHERS: Final = 0.28  # of all pictures are none of a chest

_DRAWN: Final = 83  # what a generator is drawn for
_RATE: Final = 3e-3
_WARM_UP: Final = 40  # steps
_DECAY: Final = 1e-3
_CLIP: Final = 3.0
_KEPT: Final = 0.99  # of the mean of weights, at each step
_TOLD: Final = 20  # steps
_WEIGHTS: Final = (1.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How it learns."""

    seed: int
    steps: int
    batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was lost on each question, a mean over the steps since the row before."""

    step: int
    lost: tuple[float, ...]


Tell = Callable[[Row], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who is told how far it is. clock: in seconds, of the time that a training takes."""

    tell: Tell
    clock: Callable[[], float]
    progress: Progress = no_progress


def draw_picture(patients: Sequence[Patient], key: Sequence[int], pixels: int) -> Film:
    """Draw a picture; key: whole numbers that say which."""
    rng = np.random.default_rng([_DRAWN, *key])
    patient = patients[int(rng.integers(0, len(patients)))]
    draw = draw_other if rng.uniform() < OTHERS else draw_film
    return draw(patient, rng, pixels)


def fitted(picture: Float32) -> Float32:
    """Scale the values as engine.toml's percentile does, and lay a picture into the middle of a square."""
    low, high = np.percentile(picture, (0.5, 99.5))
    if not high > low:
        return np.zeros((SIDE, SIDE), dtype=np.float32)
    square = np.zeros((SIDE, SIDE), dtype=np.float32)
    j, i = (min(n, SIDE) for n in picture.shape)
    top, left = (SIDE - j) // 2, (SIDE - i) // 2
    square[top : top + j, left : left + i] = np.clip((picture[:j, :i] - low) / (high - low), 0.0, 1.0)
    return square


class Learner:
    """A network on its way, with all that its next step depends on: taken up again it goes on as before."""

    def __init__(self, course: Course) -> None:
        torch.manual_seed(course.seed)
        self.course = course
        self.network = ViewNet()
        self.mean = ViewNet()
        self.mean.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=_RATE, weight_decay=_DECAY)
        self.step = 0
        self.rows: list[Row] = []
        self.seconds = 0.0  # of the clock that `learn` was given

    def state(self) -> dict[str, Any]:
        """Return what is kept."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rows": [(row.step, list(row.lost)) for row in self.rows],
        }

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Go on from what was kept."""
        self.step, self.seconds = state["step"], state["seconds"]
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rows = [Row(step=step, lost=tuple(lost)) for step, lost in state["rows"]]

    def learn(self, films: Sequence[Film]) -> list[float]:
        """Take a step; return what was lost on each question. Raises NodeError(PLANTED_DIVERGED)."""
        self.network.train()
        losses = losses_of(self.network(_inputs(films)), films)
        total = sum((weight * loss for weight, loss in zip(_WEIGHTS, losses, strict=True)), torch.zeros(()))
        if not bool(torch.isfinite(total)):
            raise NodeError(PLANTED_DIVERGED, step=self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = _RATE * _part(self.step, self.course.steps)
        self.optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]  # of torch
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimiser.step()
        _follow(self.mean, self.network, self.step)
        self.step += 1
        return [float(one.detach()) for one in losses]


def learn(
    patients: Sequence[Patient],
    learner: Learner,
    keep: Callable[[Learner], None],
    watch: Watch,
) -> ViewNet:
    """Train on one core, and keep what was learned now and then. Raises NodeError(PLANTED_DIVERGED)."""
    course = learner.course
    last = watch.clock()
    since: list[list[float]] = []
    while learner.step < course.steps:
        key = (course.seed, learner.step)
        films = [draw_picture(patients, (*key, n), SIDE) for n in range(course.batch)]
        since.append(learner.learn(films))
        if learner.step % _TOLD == 0 or learner.step == course.steps:
            learner.rows.append(Row(step=learner.step, lost=tuple(np.mean(since, axis=0).tolist())))
            since = []
            now = watch.clock()
            learner.seconds, last = learner.seconds + now - last, now
            keep(learner)
            watch.tell(learner.rows[-1])
        watch.progress(STAGE, learner.step, course.steps)
    return learner.mean.eval()


def _part(step: int, steps: int) -> float:
    """Return the part of the rate: it rises from nothing, and falls as a cosine."""
    if step < _WARM_UP:
        return (step + 1) / _WARM_UP
    return 0.5 * (1.0 + float(np.cos(np.pi * (step - _WARM_UP) / max(1, steps - _WARM_UP))))


def _follow(mean: ViewNet, network: ViewNet, step: int) -> None:
    """Keep a mean of the weights (Polyak); at the beginning it follows faster."""
    kept = min(_KEPT, (step + 1) / (step + 10))
    with torch.no_grad():
        own = mean.state_dict()
        for name, values in network.state_dict().items():
            if values.is_floating_point():
                own[name].mul_(kept).add_(values, alpha=1.0 - kept)
            else:
                own[name].copy_(values)


def losses_of(logits: Tensor, films: Sequence[Film]) -> list[Tensor]:
    """Return what is lost on each question; a question that nobody of the batch is asked loses nothing."""
    answers = torch.tensor([film.truth.answers for film in films])
    losses = []
    for number, row in enumerate(rows_of(logits)):
        asked = answers[:, number] != NOT_ASKED
        lost = nn.functional.cross_entropy(row[asked], answers[asked, number], reduction="sum")
        losses.append(lost / max(1, int(asked.sum())))
    return losses


def _inputs(films: Sequence[Film]) -> Tensor:
    return torch.from_numpy(np.stack([fitted(film.picture) for film in films])[:, None])

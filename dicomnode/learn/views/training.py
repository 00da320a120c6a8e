"""Learns from films that are drawn while it learns: none comes twice, a seed gives the same weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from dicomnode.learn.drawn.state import Habit, Learned, Lost, Watch, first_weights, go, taken_up
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.views.films import Film, draw_film
from dicomnode.learn.views.network import SIDE, ViewNet, rows_of
from dicomnode.learn.views.others import draw_other
from dicomnode.learn.views.patients import Patient
from dicomnode.learn.views.questions import NOT_ASKED, QUESTIONS
from dicomnode.phantom.lattice import Float32

OTHERS: Final = 0.28  # of all pictures are none of a chest

_DRAWN: Final = 83  # what a generator is drawn for
_RATE: Final = 3e-3
_WARM_UP: Final = 40  # steps
_DECAY: Final = 1e-3
_CLIP: Final = 3.0
_KEPT: Final = 0.99  # of the mean of weights, at each step
_BEGINNING: Final = 9.0  # steps in which that is hardly a mean
_TOLD: Final = 20  # steps
_WEIGHTS: Final = (1.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How it learns."""

    seed: int
    steps: int
    batch: int


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


def habit_of(course: Course) -> Habit:
    """Return how the network learns on a course."""
    return Habit(
        steps=course.steps,
        rate=lambda step: _RATE * _part(step, course.steps),
        parts=tuple(one.name for one in QUESTIONS),
        decay=_DECAY,
        largest_gradient=_CLIP,
        slowest=_KEPT,
        beginning=_BEGINNING,
        told_every=_TOLD,
        kept_every=_TOLD,
    )


def learn(
    course: Course, patients: Callable[[], Sequence[Patient]], watch: Watch, run: RunFolder, place: str = ""
) -> Learned:
    """Train, from the state that is in `run` on if there is one. patients: are asked for when needed.

    Raises NodeError: PLANTED_DIVERGED, RUN_DIFFERS, RUN_NOT_WRITTEN.
    """
    state = taken_up(first_weights(ViewNet, course.seed), habit_of(course), run, place)
    if state.step < course.steps:
        some = patients()
        films = (
            [draw_picture(some, (course.seed, step, n), SIDE) for n in range(course.batch)]
            for step in range(state.step, course.steps)
        )
        go(state, films, lost_on, watch, run)
    return state.learned()


def lost_on(network: nn.Module, films: Sequence[Film]) -> Lost:
    """Return what a network loses on films, by question."""
    losses = losses_of(network(_inputs(films)), films)
    whole = sum((weight * loss for weight, loss in zip(_WEIGHTS, losses, strict=True)), torch.zeros(()))
    return {one.name: loss for one, loss in zip(QUESTIONS, losses, strict=True)}, whole


def _part(step: int, steps: int) -> float:
    """Return the part of the rate: it rises from nothing, and falls as a cosine."""
    if step < _WARM_UP:
        return (step + 1) / _WARM_UP
    return 0.5 * (1.0 + float(np.cos(np.pi * (step - _WARM_UP) / max(1, steps - _WARM_UP))))


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

"""Drawing with a generator that was just trained, and how good and how new what it draws is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.generate.generator_copies import (
    Known,
    Nearest,
    UInt8,
    discrepancy,
    distances,
    kernel_width,
    reduced_of,
)
from dicomnode.learn.train.generator_lesson import Image, evenly
from dicomnode.learn.train.generator_network import Drawer
from dicomnode.learn.train.sampling import generator
from dicomnode.values import Progress

STAGE: Final = "drawing images"
DRAWN: Final = 32
"""Images that are drawn for the card."""

_FIRST, _CONTROL = 13, 14  # what random numbers are drawn for

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How far samples are from images that were held out: squared maximum mean discrepancies.

    drawn, training, noise: of what was drawn; of training images, as many, the best that can be; and of
    noise with their mean and spread. None where nothing is held out, or one image alone. images: how many of
    each; held_out: how many those are, patients: of how many.
    """

    images: int
    held_out: int
    patients: int
    drawn: float | None = None
    training: float | None = None
    noise: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """What was drawn for the card, as it came. values: (c, j, i) each. nearest: training image of each.

    held_out: of each image that was held out the distance to the nearest training image.
    """

    values: Sequence[Float32]
    labels: Sequence[int]
    nearest: Sequence[Nearest]
    held_out: Sequence[float]
    likeness: Likeness


def look(
    drawer: Drawer,
    training: Sequence[Image],
    held_out: Sequence[Image],
    known: Known,
    seed: int,
    progress: Progress,
) -> Looked:
    """Draw images of all labels in turn, and compare them with what was learned from and what was not.

    known: all of `training`.
    """
    labels = sorted({one.label for one in training})
    shape = training[0].values.shape
    values, chosen = [], []
    for number in range(DRAWN):
        progress(STAGE, number, DRAWN)
        noise = generator(seed, _FIRST, number).standard_normal(shape, dtype=np.float32)
        chosen.append(labels[number % len(labels)])
        values.append(drawer(noise, chosen[-1]))
    progress(STAGE, DRAWN, DRAWN)
    drawn = [reduced_of(one) for one in values]
    real = [reduced_of(one.values) for one in evenly(held_out)]
    return Looked(
        values=values,
        labels=chosen,
        nearest=[known.nearest(one) for one in drawn],
        held_out=[float(one) for one in distances(np.stack(real), known.reduced).min(axis=1)] if real else [],
        likeness=_likeness(drawn, real, training, held_out, seed),
    )


def _likeness(
    drawn: Sequence[UInt8],
    real: Sequence[UInt8],
    training: Sequence[Image],
    held_out: Sequence[Image],
    seed: int,
) -> Likeness:
    patients = len({one.sample.patient for one in held_out})
    found = Likeness(images=len(drawn), held_out=len(real), patients=patients)
    if len(real) < 2 or len(training) < 2:
        return found
    some = [training[n] for n in np.unique(np.linspace(0, len(training) - 1, len(drawn)).astype(int))]
    learned = [reduced_of(one.values) for one in some]
    mean, spread = _greys(some)
    shape = some[0].values.shape
    noise = [
        reduced_of(generator(seed, _CONTROL, n).normal(mean, spread, shape).astype(np.float32))
        for n in range(len(drawn))
    ]
    width = kernel_width(real, learned)
    return Likeness(
        images=len(drawn),
        held_out=len(real),
        patients=patients,
        drawn=discrepancy(drawn, real, width),
        training=discrepancy(learned, real, width),
        noise=discrepancy(noise, real, width),
    )


def _greys(images: Sequence[Image]) -> tuple[float, float]:
    values = np.stack([one.values for one in images])
    return float(values.mean()), float(values.std())

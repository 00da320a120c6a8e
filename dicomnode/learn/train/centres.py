"""Centres that a detector gives while it trains: which lesions they hit, and the threshold that follows.

Volumes (k, j, i) in mm; pictures (1, j, i), whose mm are pixels of what the network sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.evaluate import KnownLesion, StudyOutcome, froc
from dicomnode.learn.train.detector import HEAT_STEPS, LOG_STEPS, STRIDE
from dicomnode.learn.train.samples import IGNORED, UInt8

CANDIDATES: Final = 0.1
"""Heat of a local maximum that is a candidate; below it there is none, in training and in service."""

CORNERS: Final = ndimage.generate_binary_structure(3, 3)
"""Voxels of one lesion touch by faces, edges and corners, as in an evaluation."""

ONE_A_STUDY: Final = 1.0
"""False alarms a study at which an epoch's sensitivity is told."""

_UNTRIED: Final = 0.5  # threshold of a network that hits nothing
_LEAST_REACH: Final = 2.0  # voxels: a centre lies in the middle of a cell of two

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """Centre (k, j, i) in voxels, diameter in mm of the ball (of a picture the disc) as large; 0: unknown."""

    centre: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Operating:
    """Where centres begin to be findings. threshold: of the heat, 0 … 1. f1: of the centres from it up."""

    threshold: float
    f1: float


def lesions_of(mask: NDArray[np.bool_], spacing_kji_mm: Spacing) -> list[Lesion]:
    """Return the connected parts of a mask (k, j, i)."""
    parts, count = ndimage.label(mask, structure=CORNERS)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    centres = ndimage.center_of_mass(mask, parts, range(1, count + 1)) if count else []
    return [
        Lesion(
            centre=(float(k), float(j), float(i)),
            diameter_mm=_diameter(int(n), spacing_kji_mm, flat=mask.shape[0] == 1),
        )
        for (k, j, i), n in zip(centres, sizes, strict=True)
    ]


def _diameter(voxels: int, spacing_kji_mm: Spacing, *, flat: bool) -> float:
    k_mm, j_mm, i_mm = spacing_kji_mm
    if flat:
        return float(np.sqrt(4.0 * voxels * j_mm * i_mm / np.pi))
    return float((6.0 * voxels * k_mm * j_mm * i_mm / np.pi) ** (1 / 3))


def lesions_in(target: UInt8) -> list[Lesion]:
    """Return the lesions of a target (3, k, j, i): mask, heat, logarithm of the diameter.

    A diameter is known as finely as the target has it: within 2 percent.
    """
    found = []
    for k, j, i in np.argwhere(target[1] == HEAT_STEPS):
        log = int(target[2, k, j, i])
        size = 0.0 if log == IGNORED else float(np.exp(log / LOG_STEPS))
        found.append(Lesion(centre=(float(k), float(j), float(i)), diameter_mm=size))
    return found


def outcome_of(
    heat: NDArray[np.floating], lesions: Sequence[Lesion], spacing_kji_mm: Spacing
) -> StudyOutcome:
    """Match the local maxima of a map of heat with the lesions of a study.

    heat: probabilities (k, j, i) on cells of two voxels, of a picture (1, j, i). A centre hits a lesion
    within its radius, at least two voxels: finer than its cell it cannot be. What lies on no lesion is a
    false alarm, of studies without any lesion, too.
    """
    peaks = (heat == ndimage.maximum_filter(heat, size=3)) & (heat >= CANDIDATES)
    scores = heat[peaks].astype(np.float64)
    flat = heat.shape[0] == 1
    stride = np.array([1 if flat else STRIDE, STRIDE, STRIDE])
    at = np.argwhere(peaks) * stride + (stride - 1) / 2.0
    spacing = np.array(spacing_kji_mm)
    least = _LEAST_REACH * float(spacing[1:].max() if flat else spacing.max())
    best: list[float | None] = []
    on_nothing = np.ones(len(scores), dtype=bool)
    for one in lesions:
        apart = np.linalg.norm((at - np.array(one.centre)) * spacing, axis=1)
        near = apart <= max(one.diameter_mm / 2.0, least)
        best.append(float(scores[near].max()) if near.any() else None)
        on_nothing &= ~near
    return StudyOutcome(
        lesions=tuple(
            KnownLesion(diameter_mm=one.diameter_mm, score=score)
            for one, score in zip(lesions, best, strict=True)
        ),
        false_alarms=tuple(float(score) for score in scores[on_nothing]),
    )


def average_precision_of(outcomes: Sequence[StudyOutcome]) -> float:
    """Return the precision at each lesion's score, 0 of one that no centre hits, as the mean over lesions.

    It needs no threshold, and one lucky centre among many is worth little: an epoch is judged by it. False
    alarms of healthy studies count as those of the sick. 0 without lesions.
    """
    curve = froc(outcomes)
    if not curve.lesions:
        return 0.0
    precision = curve.found / np.maximum(curve.found + curve.false_alarms, 1)
    more = np.diff(curve.found, prepend=0)
    return float((more * precision).sum() / curve.lesions)


def sensitivity_at_one(outcomes: Sequence[StudyOutcome]) -> float:
    """Return the share of lesions found with at most one false alarm a study, healthy studies counted; 0 up.

    0 without lesions.
    """
    [at_one] = froc(outcomes, (ONE_A_STUDY,)).at_rates
    return at_one.value or 0.0


def margin_of(outcomes: Sequence[StudyOutcome]) -> float:
    """Return how much hotter lesions are than what is hottest beside them: -1 … 1, 0 without lesions.

    The mean of the lesions' scores, 0 of one that no centre hits, less the mean over all studies of the
    hottest false alarm. It goes on to tell epochs apart where all lesions are found and nothing else is.
    """
    scores = [one.score or 0.0 for study in outcomes for one in study.lesions]
    if not scores:
        return 0.0
    alarms = [max(study.false_alarms, default=0.0) for study in outcomes]
    return float(np.mean(scores) - np.mean(alarms))


def operating_point(outcomes: Sequence[StudyOutcome]) -> Operating:
    """Return the threshold with the best F1 of the centres; of equals the one that finds more lesions.

    It lies halfway down to the next score that would change something, so that neither side is at its edge.
    """
    curve = froc(outcomes)
    if not curve.lesions or not curve.found.any():
        return Operating(threshold=_UNTRIED, f1=0.0)
    f1 = 2.0 * curve.found / (curve.lesions + curve.found + curve.false_alarms)
    best = int(np.flatnonzero(f1 == f1.max())[-1])
    below = float(curve.thresholds[best + 1]) if best + 1 < len(curve.thresholds) else CANDIDATES
    threshold = (float(curve.thresholds[best]) + below) / 2.0
    return Operating(threshold=round(max(threshold, CANDIDATES), 4), f1=float(f1[best]))

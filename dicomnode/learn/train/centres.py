"""Centres that a detector gives while it trains: which lesions they hit, and the threshold that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.evaluate import KnownLesion, StudyOutcome, froc
from dicomnode.learn.train.detector import STRIDE

CANDIDATES: Final = 0.1
"""Heat of a local maximum that is a candidate; below it there is none, in training and in service."""

CORNERS: Final = ndimage.generate_binary_structure(3, 3)
"""Voxels of one lesion touch by faces, edges and corners, as in an evaluation."""

_UNTRIED: Final = 0.5  # threshold of a network that hits nothing
_LEAST_REACH: Final = 2.0  # voxels: a centre lies in the middle of a cell of two

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One connected part: centre (k, j, i) in voxels, diameter in mm of the sphere of its volume."""

    centre: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Operating:
    """Where centres begin to be findings. threshold: of the heat, 0 … 1. f1: of the centres from it up."""

    threshold: float
    f1: float


def lesions_of(mask: NDArray[np.bool_], voxel_mm3: float) -> list[Lesion]:
    """Return the connected parts of a mask."""
    parts, count = ndimage.label(mask, structure=CORNERS)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    centres = ndimage.center_of_mass(mask, parts, range(1, count + 1)) if count else []
    return [
        Lesion(
            centre=(float(k), float(j), float(i)), diameter_mm=float((6.0 * n * voxel_mm3 / np.pi) ** (1 / 3))
        )
        for (k, j, i), n in zip(centres, sizes, strict=True)
    ]


def outcome_of(
    heat: NDArray[np.floating], target: NDArray[np.generic], spacing_kji_mm: Spacing
) -> StudyOutcome:
    """Match the local maxima of a map of heat with the lesions of a study.

    heat: probabilities on cells of two voxels. target: mask, 0, 1 or IGNORED, on voxels. A centre hits a
    lesion within its radius, at least two voxels: finer than its cell it cannot be.
    """
    truth = np.asarray(target) == 1
    lesions = lesions_of(truth, float(np.prod(spacing_kji_mm)))
    peaks = (heat == ndimage.maximum_filter(heat, size=3)) & (heat >= CANDIDATES)
    scores = heat[peaks].astype(np.float64)
    at = np.argwhere(peaks) * STRIDE + (STRIDE - 1) / 2.0
    spacing = np.array(spacing_kji_mm)
    best: list[float | None] = []
    on_nothing = np.ones(len(scores), dtype=bool)
    for one in lesions:
        apart = np.linalg.norm((at - np.array(one.centre)) * spacing, axis=1)
        near = apart <= max(one.diameter_mm / 2.0, _LEAST_REACH * float(spacing.max()))
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

    It needs no threshold, and one lucky centre among many is worth little: an epoch is judged by it. 0
    without lesions.
    """
    curve = froc(outcomes)
    if not curve.lesions:
        return 0.0
    precision = curve.found / np.maximum(curve.found + curve.false_alarms, 1)
    more = np.diff(curve.found, prepend=0)
    return float((more * precision).sum() / curve.lesions)


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

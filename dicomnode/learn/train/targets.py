"""What a detector learns of a case: mask, heat around centres and sizes, on the voxels of its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.train.centres import Lesion, Spacing, lesions_of
from dicomnode.learn.train.detector import HEAT_STEPS, LOG_STEPS
from dicomnode.learn.train.samples import IGNORED, UInt8

_SPREAD: Final = 0.2  # of the diameter: standard deviation of the heat around a centre
_LEAST_SPREAD: Final = 0.8  # voxels
_COLD: Final = 4.0  # standard deviations: beyond there is no heat
_WARM: Final = 0.5  # cells with more heat tell the size
_AROUND: Final = 1.5  # radii around a lesion without an outline of which nobody said what is in it
_UNSURE: Final = 2.0  # radii, where the size is a guess, too

Box = tuple[slice, slice, slice]


def centre_target(
    mask: UInt8, spacing_kji_mm: Spacing, drawn: Sequence[Lesion] = (), usual_mm: float = 10.0
) -> UInt8:
    """Return (3, k, j, i): the mask, heat around centres, and the logarithm of the diameter around them.

    mask: 0, 1 or IGNORED, (k, j, i). drawn: lesions that have no outline: their voxels, and what lies close
    around, are IGNORED in the mask. usual_mm: diameter of one whose size is not known; it tells no size then.
    The voxel nearest to a centre has all the heat.
    """
    known = np.array(mask, dtype=np.uint8)
    heat = np.zeros(mask.shape, dtype=np.float32)
    logs = np.full(mask.shape, IGNORED, dtype=np.uint8)
    every = [*lesions_of(mask == 1, spacing_kji_mm), *drawn]
    for one in every:
        box, own = _bump(mask.shape, one, one.diameter_mm or usual_mm, spacing_kji_mm)
        hotter = own > heat[box]
        heat[box][hotter] = own[hotter]
        sized = hotter & (own > _WARM)
        logs[box][sized] = _log_of(one.diameter_mm) if one.diameter_mm else IGNORED
    warm = np.minimum(np.rint(heat * HEAT_STEPS), HEAT_STEPS - 1).astype(np.uint8)
    warm[mask == IGNORED] = IGNORED
    for one in every:
        warm[_nearest(one, mask.shape)] = HEAT_STEPS
    for one in drawn:
        _forget(known, one, usual_mm, spacing_kji_mm)
    return np.stack([known, warm, logs])


def _log_of(diameter_mm: float) -> int:
    return int(np.clip(round(float(np.log(max(diameter_mm, 1.0))) * LOG_STEPS), 0, HEAT_STEPS))


def _nearest(one: Lesion, shape: tuple[int, ...]) -> tuple[int, int, int]:
    k, j, i = (min(max(round(at), 0), side - 1) for at, side in zip(one.centre, shape, strict=True))
    return k, j, i


def _bump(
    shape: tuple[int, ...], one: Lesion, size_mm: float, spacing_kji_mm: Spacing
) -> tuple[Box, NDArray[np.float32]]:
    """Return the box where a lesion gives heat, and its heat in it, 1 at the voxel nearest to its centre."""
    spread = [max(_SPREAD * size_mm / mm, _LEAST_SPREAD) for mm in spacing_kji_mm]
    box, apart = _apart(shape, _nearest(one, shape), spread, _COLD)
    return box, np.exp(-0.5 * apart**2).astype(np.float32)


def _forget(known: UInt8, one: Lesion, usual_mm: float, spacing_kji_mm: Spacing) -> None:
    """Nobody has said which voxels a lesion has that was only pointed at: its ball is IGNORED."""
    radii = _AROUND if one.diameter_mm else _UNSURE
    radius_mm = radii * (one.diameter_mm or usual_mm) / 2.0
    reach = [max(radius_mm / mm, 1.0) for mm in spacing_kji_mm]
    box, apart = _apart(known.shape, one.centre, reach, 1.0)
    known[box][(apart <= 1.0) & (known[box] != 1)] = IGNORED


def _apart(
    shape: tuple[int, ...], centre: Sequence[float], unit: Sequence[float], most: float
) -> tuple[Box, NDArray[np.float64]]:
    """Return the box within `most` units of a place, and how many units its voxels are away from it."""
    parts, squares = [], []
    for axis, (side, at, one) in enumerate(zip(shape, centre, unit, strict=True)):
        low, high = max(int(np.floor(at - most * one)), 0), min(int(np.ceil(at + most * one)) + 1, side)
        parts.append(slice(low, max(high, low)))
        away = ((np.arange(low, max(high, low)) - at) / one) ** 2
        squares.append(away.reshape([-1 if n == axis else 1 for n in range(3)]))
    return (parts[0], parts[1], parts[2]), np.sqrt(squares[0] + squares[1] + squares[2])

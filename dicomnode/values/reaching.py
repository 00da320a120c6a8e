"""When a score reaches a threshold: in the numbers that networks give.

A threshold is written in decimals (0.7), a network gives float32, and 0.7 as float32 is 0.69999999.
Calibrated trees give few different scores, and the very one that a threshold was read off must be called.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_FLOAT32_ROUNDS: Final = 2.0**-24  # of a number, at most; more of those that are too small or too large


def least_reaching(threshold: float) -> float:
    """Return the smallest score that reaches a threshold: itself, or itself as float32 where that is less."""
    with np.errstate(over="ignore"):  # 1e39 is no float32
        of_network = float(np.float32(threshold))
    is_the_same = abs(of_network - threshold) <= _FLOAT32_ROUNDS * abs(threshold)
    return min(threshold, of_network) if is_the_same else threshold


def reaches(score: float, threshold: float) -> bool:
    """Tell whether a score is at least a threshold; a float32 is so where it is the nearest to it."""
    return score >= least_reaching(threshold)


def just_above(score: float) -> float:
    """Return the lowest threshold that a score does not reach, in float64 or float32."""
    above = float(np.nextafter(score, np.inf))
    if least_reaching(above) > score:
        return above
    return float(np.nextafter(np.float32(score), np.float32(np.inf)))

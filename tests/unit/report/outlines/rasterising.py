"""Filling outlines again, by rules that share nothing with how they were drawn.

Of each pixel's centre: how often a line from it to the left crosses the outlines. By the even-odd rule it
lies inside where that is odd; by the winding rule where upwards and downwards crossings differ in number.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def filled(rings: Iterable[np.ndarray], shape: tuple[int, int], rule: str = "even-odd") -> np.ndarray:
    """bool (rows, columns). rings: (n, 2) column, row, the first pixel's centre at 0, 0."""
    counts = np.zeros(shape, dtype=int)
    columns = np.arange(shape[1])
    for ring in rings:
        (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
        for row in range(shape[0]):
            met = (np.minimum(y0, y1) <= row) & (row < np.maximum(y0, y1))
            rise = y1[met] - y0[met]
            at = x0[met] + (row - y0[met]) * (x1[met] - x0[met]) / rise
            times = np.ones(len(at), dtype=int) if rule == "even-odd" else np.sign(rise).astype(int)
            counts[row] += times @ (columns > at[:, None])
    return counts % 2 == 1 if rule == "even-odd" else counts != 0

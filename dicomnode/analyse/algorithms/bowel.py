"""Bowel and stomach below a diaphragm too thin to be seen: gas that hangs on a lung by a neck."""

from __future__ import annotations

from typing import Final

import numpy as np

from dicomnode.analyse.algorithms.shapes import components, grown_back, inner_squares
from dicomnode.analyse.grids import Bool, Float32, box_of

_NECKS: Final = (1, 2)  # voxels of radius that a neck is cut through at
_LEAST_VOXELS: Final = 60  # about half a millilitre at 2 mm
_DARKER_HU: Final = 40.0  # gas is darker than lung, also than an emphysematous one


def without_bowel(lung: Bool, hu: Float32) -> Bool:
    """Return `lung` (bool, k j i, k to the head) without pieces that are gas and reach below it.

    A piece is taken off when a slight erosion cuts it from the lung, it is clearly darker than the lung,
    and it reaches lower: the splenic flexure of the colon behind a diaphragm thinner than a voxel.
    """
    box = box_of(lung, margin=1)
    if box is None:
        return lung
    squares = inner_squares(lung[box], max(_NECKS))
    for radius in _NECKS:
        seeds = _seeds(squares > radius * radius, hu[box])
        if seeds is not None:
            kept = np.zeros_like(lung)
            kept[box], _ = grown_back(seeds, squares, radius)
            return kept
    return lung


def _seeds(eroded: Bool, hu: Float32) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]] | None:
    """Mark the lung with 1 and bowel with 2; None where there is no bowel."""
    labels, counts = components(eroded)
    if not counts.any():
        return None
    main = int(counts.argmax())
    is_main = labels == main
    usual = np.median(hu[is_main])
    lowest = np.flatnonzero(is_main.any(axis=(1, 2)))[0]
    seeds = is_main.astype(np.int8)
    for label in np.flatnonzero(counts >= _LEAST_VOXELS):
        piece = labels == label
        if label == main or np.median(hu[piece]) > usual - _DARKER_HU:
            continue
        if np.flatnonzero(piece.any(axis=(1, 2)))[0] < lowest:
            seeds[piece] = 2
    return seeds if (seeds == 2).any() else None

"""Air within the body: what remains when couch, blankets and the room are taken away."""

from __future__ import annotations

from typing import Final

import numpy as np

from dicomnode.analyse.algorithms.shapes import (
    Counts,
    Labels,
    chosen,
    components,
    dilated,
    eroded,
    filled_slices,
    largest,
)
from dicomnode.analyse.grids import Bool, Float32, box_of

AIR_BELOW_HU: Final = -400.0  # half way from lung to soft tissue
TISSUE_ABOVE_HU: Final = -300.0
_OPENING_MM: Final = 2.5  # takes off couch, head rest and blankets, which touch the skin

_MINIMUM_ML: Final = 15.0  # of a piece of lung
_MINIMUM_SHARE: Final = 0.05  # of the largest piece
_PURE_AIR_HU: Final = -990.0  # a space whose mean is below holds no tissue at all: stomach, bowel, a bag
_OPEN_LUNG_ML: Final = 150.0  # of enclosed air that goes on to the outside: less is a fold of skin
_TISSUE_IN_AIR_HU: Final = -960.0  # its mean: also an emphysematous lung is denser


def body_of(hu: Float32, mm: float) -> Bool:
    """Return the body with all that it encloses in a slice; empty when there is no tissue.

    hu: (k, j, i), axes to head, back and left, isotropic with `mm`. A hollow couch is air enclosed in
    tissue-like walls, as a lung is: without this step it is taken for one.
    """
    reach = max(1, round(_OPENING_MM / mm))
    # Beyond the images the body goes on: their edge is not eroded
    core = largest(eroded(hu > TISSUE_ABOVE_HU, reach))
    body = np.zeros_like(core)
    box = box_of(core, margin=reach + 1)
    if box is not None:
        body[box] = filled_slices(dilated(core[box], reach + 1))
    return body


def air_of(hu: Float32) -> tuple[Labels, Counts]:
    """Label what is as dark as air or lung, in the body and outside of it."""
    return components(hu < AIR_BELOW_HU)


def inner_air(hu: Float32, body: Bool, air: tuple[Labels, Counts], mm: float) -> Bool:
    """Return what of `air` lies in the body; air that goes on to the sides of the field of view is outside.

    But lung stays inside although the trachea leads out: through an open mouth, or where the images end in
    air. It is what each slice encloses and what is not air alone, as the space below an arm is.
    """
    labels, counts = air
    outside = np.zeros(len(counts), dtype=bool)
    for face in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        outside[face] = True
    inside = chosen(labels, ~outside) & body
    enclosed, counts = components(chosen(labels, outside) & body)
    large = counts * mm**3 / 1000.0 > _OPEN_LUNG_ML
    if not large.any():
        return inside
    sums = np.bincount(enclosed.ravel(), weights=hu.ravel(), minlength=len(counts))
    return inside | chosen(enclosed, large & (sums / np.maximum(counts, 1) > _TISSUE_IN_AIR_HU))


def lung_like(hu: Float32, air: Bool, mm: float) -> Bool:
    """Return the pieces of `air` that are large enough, and not air alone."""
    labels, counts = components(air)
    if not counts.any():
        return np.zeros_like(air)
    millilitres = counts * mm**3 / 1000.0
    sums = np.bincount(labels.ravel(), weights=hu.ravel(), minlength=len(counts))
    mean = sums / np.maximum(counts, 1)
    large = (millilitres > _MINIMUM_ML) & (counts > _MINIMUM_SHARE * counts.max())
    return chosen(labels, large & (mean > _PURE_AIR_HU))

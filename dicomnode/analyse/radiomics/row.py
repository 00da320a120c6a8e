"""All features of a region as one row: the same names in the same order, in training and in service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.analyse.grids import Bool, box_of, cropped
from dicomnode.analyse.radiomics import edges, intensity, runs, shape, texture
from dicomnode.analyse.radiomics.sampled import Sampled, levels_of
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Float64

VERSION: Final = 1
"""Counted up whenever a number may change: a head is right on the features it was trained on only."""

BIN_WIDTH: Final = 25.0
"""Of grey levels, in the unit of the image, unless it is said: usual of CT in HU."""

LEAST_VOXELS: Final = 8
"""A smaller region has no texture to speak of, and a shape that is that of its voxels."""

_FAMILIES: Final = (
    (intensity.UNITS, intensity.intensity),
    (shape.UNITS, shape.shape),
    (texture.UNITS, texture.texture),
    (runs.UNITS, runs.runs),
    (edges.UNITS, edges.edges),
)
_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {name: unit for units, _ in _FAMILIES for name, unit in units.items()}
)
NAMES: Final[tuple[str, ...]] = tuple(_UNITS)
"""Names of all features, in the order of a row."""

_MARGIN: Final = 2  # voxels around a region: the gradient at its edge sees one


class TooLittleError(ValueError):
    """A region of which features cannot be made; says why, as a sentence's end."""


def row_of_region(
    image: Prepared, mask: Bool, bin_width: float = BIN_WIDTH, names: Sequence[str] = NAMES
) -> Float64:
    """Measure a region: float64 (names,), finite, in the order of `names`.

    mask: bool (k, j, i) on the grid of the image. Families without a name that is wanted are not computed.
    Raises TooLittleError, and KeyError for a name that is none.
    """
    region = _sampled(image, mask, bin_width)
    wanted = set(names)
    found: dict[str, float] = {}
    for units, measured in _FAMILIES:
        if wanted & set(units):
            try:
                found |= measured(region)
            except ValueError as error:
                raise TooLittleError(str(error)) from error
    row = np.array([found[name] for name in names], dtype=np.float64)
    if not np.isfinite(row).all():
        wrong = ", ".join(name for name, value in zip(names, row, strict=True) if not np.isfinite(value))
        raise TooLittleError(f"it has no {wrong}")
    return row


def units_of(names: Sequence[str], unit: str) -> tuple[str, ...]:
    """Return the units of features of an image in `unit` (UCUM), such as "HU"."""
    return tuple(_UNITS[name].format(unit=unit) for name in names)


def chosen_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the features that are wanted: those named, else all."""
    return tuple(names) or NAMES


def _sampled(image: Prepared, mask: Bool, bin_width: float) -> Sampled:
    count = int(np.count_nonzero(mask))
    if count < LEAST_VOXELS:
        raise TooLittleError(f"it has {count} voxels, and {LEAST_VOXELS} are needed")
    box = box_of(mask, margin=_MARGIN)
    if box is None:
        raise TooLittleError("it is empty")
    voxels = np.asarray(image.voxels[box], dtype=np.float64)
    inside = mask[box]
    if not np.isfinite(voxels).all():
        raise TooLittleError("there are voxels that are no number")
    try:
        levels = levels_of(voxels, inside, bin_width)
    except ValueError as error:
        raise TooLittleError(str(error)) from error
    return Sampled(voxels=voxels, mask=inside, levels=levels, grid=cropped(image.grid, box))

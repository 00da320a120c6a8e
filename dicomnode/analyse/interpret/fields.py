"""Numbers on a grid: maps that are kept, and volumes made of the input."""

from __future__ import annotations

import math

import numpy as np

from dicomnode.analyse.grids import Float32
from dicomnode.analyse.interpret.activation import probabilities
from dicomnode.analyse.interpret.contract import Field, Outputs, Reading, UnreadableError
from dicomnode.engine import Head, ImageHow, MapHow
from dicomnode.values import Grid


def map_(outputs: Outputs, head: Head) -> Reading:
    """Keep a map, one channel or several; a coarse one on its coarse grid."""
    how = head.map or MapHow()
    values = outputs.map_of(head.output)
    if how.activation != "none":
        values = probabilities(values, how.activation, axis=0).astype(np.float32)
    return Reading(field=field_of(outputs, values))


def image(outputs: Outputs, head: Head) -> Reading:
    """Keep a volume that the network made of its input, in the unit of the image.

    A residual is added to the input as the network saw it; `scale` and `offset` take their sum to the unit.
    """
    how = head.image or ImageHow()
    values = outputs.map_of(head.output)
    if how.residual:
        values = values + only_seen(outputs, values)
    made = values * np.float32(how.scale) + np.float32(how.offset)
    if how.limits is not None:
        low, high = (np.float32(limit) for limit in how.limits)
        made = np.clip(made, low, high)
    return Reading(field=field_of(outputs, made))


def only_seen(outputs: Outputs, like: Float32) -> Float32:
    """Return what went into the network, if that can be compared with `like`; raises UnreadableError."""
    if len(outputs.seen) != 1:
        raise UnreadableError(f"the network has the inputs {sorted(outputs.seen)}, one volume is needed")
    (given,) = outputs.seen.values()
    if given.shape != like.shape:
        raise UnreadableError(f"the output has the shape {like.shape}, the input {given.shape}")
    return given


def field_of(outputs: Outputs, values: Float32) -> Field:
    """Place (channels, k, j, i) over the box and cut the padding off; raises UnreadableError."""
    if not np.isfinite(values).all():
        raise UnreadableError("the network gave what is not a number")
    grid = scaled_grid(outputs.grid, values.shape[1:])
    inside = outputs.inside or outputs.grid.shape_kji
    k, j, i = (
        min(math.ceil(size * cells / whole), cells)
        for size, cells, whole in zip(inside, values.shape[1:], outputs.grid.shape_kji, strict=True)
    )
    cut = np.ascontiguousarray(values[:, :k, :j, :i], dtype=np.float32)
    return Field(cut, Grid((k, j, i), grid.affine_lps, grid.frame_of_reference_uid))


def scaled_grid(grid: Grid, shape: tuple[int, ...]) -> Grid:
    """Return the grid of `shape` cells that covers the same as `grid`, face to face."""
    steps = [whole / cells for whole, cells in zip(grid.shape_kji, shape, strict=True)]
    affine = grid.affine_lps.copy()
    affine[:3, 3] = grid.to_lps_mm([(step - 1.0) / 2.0 for step in steps])
    for column, step in enumerate(reversed(steps)):
        affine[:3, column] *= step
    k, j, i = shape
    return Grid((k, j, i), affine, grid.frame_of_reference_uid)

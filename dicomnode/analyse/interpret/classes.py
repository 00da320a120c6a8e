"""Segments from a map with a channel a class: `labels` (one class a voxel) and `sigmoid` (any of them).

The kinds of segment are the [[output]] tables of the head in their order, each with its channel. Of `labels`
channel 0 is background and the first kind is channel 1 unless it says otherwise; of `sigmoid` the first kind
is channel 0. By default values are interpolated in the source grid and compared there; a network that was
validated another way says so: probabilities are interpolated, or the classes themselves are taken over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage
from scipy.special import logit

from dicomnode.analyse.grids import Bool, Box, Float32, align, box_of, box_onto, sample
from dicomnode.analyse.interpret.activation import probabilities
from dicomnode.analyse.interpret.contract import Outputs, Reading, Region, Shape, UnreadableError
from dicomnode.analyse.preparations.regrid import thick_axis
from dicomnode.engine import Head, Labels, Sigmoid
from dicomnode.values import Grid, Mask

_SLAB: Final = 16  # source slices at a time: many classes must not cost many full arrays
ALL_AXES: Final = (0, 1, 2)
_CORNERS: Final = ndimage.generate_binary_structure(3, 3)  # voxels touch by faces, edges and corners

Decide = Callable[[Float32, int], Bool]
"""Values (channels, k, j, i) and a channel → its voxels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Way:
    """How the map of a head comes onto the source grid, and what a voxel is then.

    values: (channels, k, j, i) that are interpolated. some: voxels of the network's grid of any wanted class.
    nearest: axes of the source along which the nearest plane is taken.
    """

    values: Float32
    channels: tuple[int, ...]
    some: Bool
    decide: Decide
    nearest: tuple[int, ...]
    only_inside: bool = False


def labels(outputs: Outputs, head: Head) -> Reading:
    """Give each voxel the class with the largest number."""
    how = head.labels or Labels()
    channels = outputs.channels or tuple(range(1, outputs.wanted + 1))
    values = _whole_map(outputs, head, channels)
    if how.interpolate == "probabilities":
        values = probabilities(values, "softmax", axis=0).astype(np.float32)
    classes = values.argmax(axis=0)
    some = np.isin(classes, channels) if channels else classes > 0
    if how.interpolate == "classes":
        decided = np.array([classes == channel for channel in channels])
        return _taken_over(outputs, channels, some, decided)
    return _read(
        outputs,
        _Way(
            values=values,
            channels=channels,
            some=some,
            decide=lambda sampled, channel: sampled.argmax(axis=0) == channel,
            nearest=thick(outputs.grid, outputs.source, how.thick_slices),
        ),
    )


def sigmoid(outputs: Outputs, head: Head) -> Reading:
    """Give each voxel all classes whose probability is above the threshold; classes may overlap.

    exclusive: of several classes the one with the highest channel, as nnU-Net makes labels of its regions.
    """
    how = head.sigmoid or Sigmoid()
    channels = outputs.channels or tuple(range(outputs.wanted))
    values = _whole_map(outputs, head, channels)
    logits = how.values == "logits"
    if logits and how.interpolate == "probabilities":
        values, logits = probabilities(values, "sigmoid").astype(np.float32), False
    least = np.float32(logit(how.threshold) if logits else how.threshold)
    some = np.asarray((values[list(channels) or slice(None)] > least).any(axis=0))

    def decide(sampled: Float32, channel: int) -> Bool:
        hit: Bool = sampled[channel] > least
        if how.exclusive:
            hit = hit & ~(sampled[channel + 1 :] > least).any(axis=0)
        return hit

    if how.interpolate == "classes":
        decided = np.array([decide(values, channel) for channel in channels])
        return _taken_over(outputs, channels, some, decided)
    nearest = thick(outputs.grid, outputs.source, how.thick_slices)
    return _read(outputs, _Way(values=values, channels=channels, some=some, decide=decide, nearest=nearest))


def _whole_map(outputs: Outputs, head: Head, channels: tuple[int, ...]) -> Float32:
    values = outputs.map_of(head.output)
    if values.shape[0] <= max(channels, default=0):
        needed = max(channels) + 1
        raise UnreadableError(f"the output has {values.shape[0]} channels, engine.toml needs {needed}")
    if values.shape[1:] != outputs.grid.shape_kji:
        raise UnreadableError(f"the output has the shape {values.shape[1:]}, not that of the input")
    return values


def thick(grid: Grid, source: Grid, thick_slices: str) -> tuple[int, ...]:
    """Return the axis of the source across thick slices, where planes are not interpolated along it."""
    if thick_slices == "same":
        return ()
    own = grid.spacing_kji_mm
    turned = [own[axis] for axis in align(grid, source).axes]
    axis = thick_axis(turned, source.spacing_kji_mm)
    return () if axis is None else (axis,)


def _taken_over(outputs: Outputs, channels: tuple[int, ...], some: Bool, decided: Bool) -> Reading:
    """Take the nearest voxel's classes (kinds, k, j, i); what lies outside of the box is background."""
    order = {channel: kind for kind, channel in enumerate(channels)}
    way = _Way(
        values=decided.astype(np.float32),
        channels=channels,
        some=some,
        decide=lambda sampled, channel: sampled[order[channel]] > 0.5,
        nearest=ALL_AXES,
        only_inside=True,
    )
    return _read(outputs, way)


def _read(outputs: Outputs, way: _Way) -> Reading:
    region = Region(way.some, outputs.grid)
    box = box_of(way.some, margin=1) if way.channels else None
    if box is None:
        return Reading(region=region)
    target = box_onto(box, outputs.grid, outputs.source)
    shape = tuple(part.stop - part.start for part in target)
    if min(shape) < 1:
        return Reading(region=region)
    found = [np.zeros(shape, dtype=bool) for _ in way.channels]
    for start in range(0, shape[0], _SLAB):
        stop = min(start + _SLAB, shape[0])
        part: Box = (slice(target[0].start + start, target[0].start + stop), target[1], target[2])
        sampled = np.stack(
            [sample(one, outputs.grid, outputs.source, part, way.nearest) for one in way.values]
        )
        inside = _inside(outputs.grid, outputs.source, part) if way.only_inside else np.True_
        for channel, voxels in zip(way.channels, found, strict=True):
            voxels[start:stop] = way.decide(sampled, channel) & inside
    limits = outputs.largest or (None,) * len(found)
    kept = [largest_parts(one, most) for one, most in zip(found, limits, strict=True)]
    origin = (target[0].start, target[1].start, target[2].start)
    masks = [Mask.from_crop(voxels, outputs.source.shape_kji, origin) for voxels in kept]
    return Reading(
        shapes=tuple(Shape(mask=mask, kind=kind) for kind, mask in enumerate(masks) if not mask.is_empty),
        region=region,
    )


def _inside(grid: Grid, source: Grid, box: Box) -> Bool:
    """Tell which voxels of `source` within `box` have their centre between the outer faces of `grid`."""
    k, j, i = inside_along(grid, source, box)
    inside: Bool = k[:, None, None] & j[:, None] & i
    return inside


def inside_along(grid: Grid, source: Grid, box: Box) -> tuple[Bool, Bool, Bool]:
    """Tell it along k, j and i: a voxel is inside where it is along each of them."""
    how = align(grid, source)
    sizes = [grid.shape_kji[axis] for axis in how.axes]
    positions = [
        offset + scale * np.arange(part.start, part.stop)
        for offset, scale, part in zip(how.offset, how.scale, box, strict=True)
    ]
    k, j, i = ((at >= -0.5) & (at < size - 0.5) for at, size in zip(positions, sizes, strict=True))
    return k, j, i


def largest_parts(voxels: Bool, most: int | None) -> Bool:
    """Keep the `most` connected parts with the most voxels; of equal ones the one that begins first."""
    if most is None:
        return voxels
    parts, count = ndimage.label(voxels, structure=_CORNERS)
    if count <= most:
        return voxels
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    first = np.full(count + 1, voxels.size)
    flat = parts.ravel()
    held = np.flatnonzero(flat)
    first[flat[held[::-1]]] = held[::-1]
    order = np.lexsort((first[1:], -sizes))[:most]
    return np.isin(parts, order + 1)

"""Segments from a map with a channel a class: `labels` (one class a voxel) and `sigmoid` (any of them).

The kinds of segment are the [[output]] tables of the head in their order, each with its channel. Of `labels`
channel 0 is background and the first kind is channel 1 unless it says otherwise; of `sigmoid` the first kind
is channel 0. By default values are interpolated in the source grid and compared there; a network that was
validated another way says so: probabilities are interpolated, or the classes themselves are taken over.

Channels are taken onto the source grid one at a time, a few slices at a time: sixty classes take no more
memory than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import logit

from dicomnode.analyse.grids import (
    Bool,
    Box,
    Float32,
    align,
    box_of,
    box_onto,
    inside_box,
    mapped,
    sampling,
)
from dicomnode.analyse.interpret.activation import probabilities
from dicomnode.analyse.interpret.contract import (
    Index,
    Outputs,
    Reading,
    Region,
    Shape,
    UnreadableError,
    without_padding,
)
from dicomnode.analyse.preparations.regrid import thick_axis
from dicomnode.engine import Activation, Head, Labels, Sigmoid
from dicomnode.values import Grid, Mask

_SLAB: Final = 16  # source slices at a time
ALL_AXES: Final = (0, 1, 2)
_CORNERS: Final = ndimage.generate_binary_structure(3, 3)  # voxels touch by faces, edges and corners

Numbers = NDArray[np.uint16]
Decide = Callable[[Iterable[Float32]], Numbers]
"""The channels of a map one after the other, (k, j, i) each → 1 + the channel of each voxel; 0 is none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Map:
    """A map of classes on the network's grid, and how it comes onto the source grid.

    values: (channels, k, j, i), without padding; `grid` is theirs. channels: of each kind of segment.
    between: what is interpolated, see `Labels.interpolate`. nearest: axes of the source along which the
    nearest plane is taken. largest: how many parts of each kind are kept.
    """

    values: Float32
    channels: tuple[int, ...]
    grid: Grid
    source: Grid
    nearest: tuple[int, ...]
    largest: tuple[int | None, ...]
    between: str

    def slabs(self, target: Box) -> Iterator[tuple[slice, _Slab]]:
        """Cut `target` of the source grid into a few slices at a time; with where each lies in `target`."""
        depth = target[0].stop - target[0].start
        for start in range(0, depth, _SLAB):
            stop = min(start + _SLAB, depth)
            part = (slice(target[0].start + start, target[0].start + stop), target[1], target[2])
            yield slice(start, stop), _Slab(self, part)

    def target(self, some: Bool) -> Box | None:
        """Return the box of the source around `some` of the network's grid, one voxel wider there."""
        box = box_of(some, margin=1)
        if box is None:
            return None
        target = box_onto(box, self.grid, self.source)
        return target if all(part.stop > part.start for part in target) else None

    def shape(self, kind: int, voxels: Bool, origin: Index) -> Shape | None:
        """Return what was found of a kind, its largest parts; None where there is nothing."""
        kept = largest_parts(voxels, self.largest[kind])
        mask = Mask.from_crop(kept, self.source.shape_kji, origin)
        return None if mask.is_empty else Shape(mask=mask, kind=kind)


class _Slab:
    """Some slices of the source grid, and how the network's grid comes onto them."""

    def __init__(self, of: _Map, part: Box) -> None:
        self._how, self._along = sampling(of.grid, of.source, part, of.nearest)
        self._inside = inside_box(of.grid, of.source, part) if of.between == "classes" else None

    def sampled(self, values: NDArray[np.generic]) -> Float32:
        """Interpolate one channel."""
        return mapped(np.transpose(values, self._how.axes), *self._along)

    def taken_over(self, decided: NDArray[np.generic]) -> NDArray[np.uint16]:
        """Take what was decided for the nearest voxel; outside of the network's box it is 0."""
        found = self.sampled(decided).astype(np.uint16)  # whole numbers stay what they are
        return found if self._inside is None else found * self._inside


def labels(outputs: Outputs, head: Head) -> Reading:
    """Give each voxel the class with the largest number."""
    how = head.labels or Labels()
    channels = outputs.channels or tuple(range(1, outputs.wanted + 1))
    read = _map_of(outputs, head, channels, how)
    if how.interpolate == "probabilities":
        read = replace(read, values=_plane_by_plane(read.values, "softmax"))
    wanted = np.zeros(len(read.values) + 1, dtype=bool)
    wanted[[channel + 1 for channel in channels] or slice(2, None)] = True
    return _one_a_voxel(read, wanted[first_of_largest(read.values)], first_of_largest)


def sigmoid(outputs: Outputs, head: Head) -> Reading:
    """Give each voxel all classes whose probability is above the threshold; classes may overlap.

    exclusive: of several classes the one with the highest channel, as nnU-Net makes labels of its regions.
    """
    how = head.sigmoid or Sigmoid()
    channels = outputs.channels or tuple(range(outputs.wanted))
    read = _map_of(outputs, head, channels, how)
    logits = how.values == "logits"
    if logits and how.interpolate == "probabilities":
        read, logits = replace(read, values=_plane_by_plane(read.values, "sigmoid")), False
    least = np.float32(logit(how.threshold) if logits else how.threshold)
    if not how.exclusive:
        return _each_for_itself(read, least)
    return _one_a_voxel(read, _any_above(read, least), lambda given: _last_above(given, least))


def _map_of(outputs: Outputs, head: Head, channels: tuple[int, ...], how: Labels | Sigmoid) -> _Map:
    """Return the map of a head without its padding, where nothing can be found; raises UnreadableError."""
    values = outputs.map_of(head.output)
    if values.shape[0] <= max(channels, default=0):
        needed = max(channels) + 1
        raise UnreadableError(f"the output has {values.shape[0]} channels, engine.toml needs {needed}")
    if values.shape[1:] != outputs.grid.shape_kji:
        raise UnreadableError(f"the output has the shape {values.shape[1:]}, not that of the input")
    grid = without_padding(outputs.grid, outputs.inside)
    k, j, i = grid.shape_kji
    classes = how.interpolate == "classes"
    return _Map(
        values=values[:, :k, :j, :i],
        channels=channels,
        grid=grid,
        source=outputs.source,
        nearest=ALL_AXES if classes else thick(grid, outputs.source, how.thick_slices),
        largest=outputs.largest or (None,) * len(channels),
        between=how.interpolate,
    )


def _plane_by_plane(values: Float32, activation: Activation) -> Float32:
    """Make probabilities of logits (channels, k, j, i), whose float64 is that of one plane."""
    made = np.empty(values.shape, dtype=np.float32)
    for k in range(values.shape[1]):
        made[:, k] = probabilities(values[:, k], activation, axis=0)
    return made


# ── one class a voxel ──


def first_of_largest(given: Iterable[Float32]) -> Numbers:
    """Return 1 + the channel with the largest number, of equal ones the first: argmax, one at a time."""
    rest = iter(given)
    best = next(rest).copy()
    which = np.ones(best.shape, dtype=np.uint16)
    for channel, values in enumerate(rest, start=1):
        higher = values > best
        np.copyto(best, values, where=higher)
        which[higher] = channel + 1
    return which


def _last_above(given: Iterable[Float32], least: np.float32) -> Numbers:
    """Return 1 + the last channel above `least`; 0: there is none."""
    rest = iter(given)
    which = (next(rest) > least).astype(np.uint16)
    for channel, values in enumerate(rest, start=1):
        which[values > least] = channel + 1
    return which


def _one_a_voxel(read: _Map, some: Bool, decide: Decide) -> Reading:
    """Decide each voxel of the source grid once, and cut the masks out of that.

    some: voxels of the network's grid that are of any wanted class. decide: gives numbers of classes.
    """
    region = Region(some, read.grid)
    target = read.target(some) if read.channels else None
    if target is None:
        return Reading(region=region)
    kinds = np.zeros(len(read.values) + 1, dtype=np.uint16)  # 1 + the kind of each number of a class
    kinds[[channel + 1 for channel in read.channels]] = np.arange(1, len(read.channels) + 1)
    native = kinds[decide(read.values)] if read.between == "classes" else None
    found = np.empty([part.stop - part.start for part in target], dtype=np.uint16)
    for where, slab in read.slabs(target):
        if native is not None:
            found[where] = slab.taken_over(native)
        else:
            found[where] = kinds[decide(slab.sampled(values) for values in read.values)]
    shapes = []
    for kind, part in enumerate(ndimage.find_objects(found, max_label=len(read.channels))):
        if part is not None:
            k, j, i = (whole.start + one.start for whole, one in zip(target, part, strict=True))
            shapes.append(read.shape(kind, found[part] == kind + 1, (k, j, i)))
    return Reading(shapes=tuple(one for one in shapes if one is not None), region=region)


# ── any classes a voxel ──


def _any_above(read: _Map, least: np.float32) -> Bool:
    """Tell which voxels of the network's grid are of any wanted class."""
    some = np.zeros(read.grid.shape_kji, dtype=bool)
    for channel in read.channels or range(len(read.values)):
        some |= read.values[channel] > least
    return some


def _each_for_itself(read: _Map, least: np.float32) -> Reading:
    """Decide each class in the box of the source grid around its own voxels."""
    shapes = []
    for kind, channel in enumerate(read.channels):
        values = read.values[channel]
        above = values > least
        target = read.target(above)
        if target is None:
            continue
        voxels = np.empty([part.stop - part.start for part in target], dtype=bool)
        for where, slab in read.slabs(target):
            if read.between == "classes":
                voxels[where] = slab.taken_over(above) > 0
            else:
                voxels[where] = slab.sampled(values) > least
        shapes.append(read.shape(kind, voxels, (target[0].start, target[1].start, target[2].start)))
    region = Region(_any_above(read, least), read.grid)
    return Reading(shapes=tuple(one for one in shapes if one is not None), region=region)


# ── between the grids ──


def thick(grid: Grid, source: Grid, thick_slices: str) -> tuple[int, ...]:
    """Return the axis of the source across thick slices, where planes are not interpolated along it."""
    if thick_slices == "same":
        return ()
    own = grid.spacing_kji_mm
    turned = [own[axis] for axis in align(grid, source).axes]
    axis = thick_axis(turned, source.spacing_kji_mm)
    return () if axis is None else (axis,)


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

"""`labels` and `sigmoid` where the map lies: what comes down is the packed bits of each mask, and its box.

The same decisions as `classes`, in the same order of sums, on planes of the network's grid: whole maps, or a
few planes after the other where windows are summed up by slabs. Fields stay in the order of the network's
axes while they are taken onto the source grid; only what was decided, one byte a voxel, is turned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import Final

import numpy as np
from scipy.special import logit

from dicomnode.analyse.device_path.held import Held
from dicomnode.analyse.device_path.moves import box_out_of, channels_joined, mapped_along, planes_of
from dicomnode.analyse.device_path.onto import Onto, Piece, Span
from dicomnode.analyse.grids import Bool, Box, box_onto, inside_along
from dicomnode.analyse.interpret.classes import ALL_AXES, thick
from dicomnode.analyse.interpret.contract import (
    Index,
    Reading,
    Region,
    Shape,
    UnreadableError,
    without_padding,
)
from dicomnode.device import Buffer
from dicomnode.device.kernels import BoxKji, Kernels
from dicomnode.engine import Head, Labels, Sigmoid
from dicomnode.values import Grid, Mask

_MOST: Final = {"labels": 256, "sigmoid": 255}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be found in a map: see `interpret.contract.Outputs`, of which this is what a device needs.

    inside: voxels of `grid` that are no padding, None: all. region: whether a later step asks where something
    was found.
    """

    grid: Grid
    source: Grid
    count: int
    channels: tuple[int, ...] = ()
    largest: tuple[int | None, ...] = ()
    inside: Index | None = None
    region: bool = False


def runs_on_device(head: Head, channels: int | None) -> bool:
    """Tell whether a device reads the outputs of this head. channels: of its map; None: not known."""
    most = _MOST.get(head.interpret or "")
    return most is not None and (channels is None or channels <= most)


@dataclass(slots=True, eq=False)
class _Layer:
    """What was decided, one byte a voxel: by planes, with the first plane of each.

    group: the one channel whose values decide, or all of them (None). labels: of the kinds of segment.
    """

    group: int | None
    labels: tuple[int, ...]
    parts: list[tuple[int, Buffer]] = field(default_factory=list)


class DecidedOnDevice(Held):
    """Reads a map (channels, k, j, i) that comes in planes, from the first on; then tells what was found."""

    def __init__(self, kernels: Kernels, wanted: Wanted, head: Head, piece_bytes: int) -> None:
        """piece_bytes: of values that are taken onto the source grid at a time."""
        super().__init__()
        self._padded = wanted.grid.shape_kji  # what comes; in the padding nothing can be found
        wanted = replace(wanted, grid=without_padding(wanted.grid, wanted.inside))
        self._kernels, self._wanted, self._head = kernels, wanted, head
        self._piece_bytes = piece_bytes
        how: Labels | Sigmoid = (
            (head.labels or Labels()) if head.interpret == "labels" else head.sigmoid or Sigmoid()
        )
        self._between = how.interpolate
        self._least, self._exclusive, self._activation = _threshold_of(how)
        first = 1 if isinstance(how, Labels) else 0
        self._channels = wanted.channels or tuple(range(first, first + wanted.count))
        nearest = (
            ALL_AXES if how.interpolate == "classes" else thick(wanted.grid, wanted.source, how.thick_slices)
        )
        self._onto = Onto(wanted.grid, wanted.source, tuple(nearest))
        self._native: list[_Layer] = []
        self._found: list[_Layer] = []
        self._tail: tuple[int, Buffer] | None = None
        self._target: Box | None = None
        self._seen = 0
        self._some: list[BoxKji] = []  # of the network's grid, where anything wanted lies
        self._region: Bool | None = np.zeros(wanted.grid.shape_kji, dtype=bool) if wanted.region else None
        self._shapes: dict[int, Shape] = {}

    def take(self, first: int, values: Buffer) -> None:
        """Read planes `first` … of the map, float32 (channels, planes, j, i); they stay the caller's.

        Raises UnreadableError where the map has too few channels or is not on the grid of the input.
        """
        self._check(values)
        if not self._native:
            self._native, self._found = self._layers(values.shape[0])
        depth = self._wanted.grid.shape_kji[0]
        if first >= depth:
            return
        for layer in self._native:
            self._look(layer, first, values)
        self._seen = min(first + values.shape[1], depth)
        at_once = values.shape[1] == self._padded[0]
        self._target = self._target_box() if at_once else self._full_target()
        if self._target is not None and self._channels:
            self._sample(first, values, at_once=at_once)

    def finish(self) -> Reading:
        """Tell what was found; UnreadableError where planes are missing."""
        if self._seen != self._wanted.grid.shape_kji[0]:
            raise UnreadableError(f"{self._seen} planes came of a map of {self._padded}")
        target = self._target_box()
        if target is not None:
            for layer in self._found:
                self._settle(layer, target)
        region = Region(self._region, self._wanted.grid) if self._region is not None else None
        return Reading(shapes=tuple(self._shapes[kind] for kind in sorted(self._shapes)), region=region)

    # ── deciding ──

    def _layers(self, count: int) -> tuple[list[_Layer], list[_Layer]]:
        """Return what is decided in the network's grid, to see where anything lies, and in the source's."""
        if self._head.interpret == "labels":
            some = self._channels or tuple(range(1, count))
            return [_Layer(None, some)], [_Layer(None, self._channels)]
        native = [_Layer(channel, (1,)) for channel in self._channels or range(count)]
        if self._exclusive:
            return native, [_Layer(None, tuple(channel + 1 for channel in self._channels))]
        return native, [_Layer(channel, (1,)) for channel in self._channels]

    def _kind_of(self, layer: _Layer, label: int) -> int:
        if layer.group is not None:
            return self._channels.index(layer.group)
        return self._channels.index(label - 1 if self._exclusive else label)

    def _decided(self, layer: _Layer, values: Buffer) -> Buffer:
        """Decide: values of the layer's group, float32 (channels, k, j, i) → uint8 (k, j, i)."""
        if layer.group is not None:
            return self._kernels.threshold(self._kernels.part(values, 0), self._least)
        if self._exclusive:
            return self._kernels.last_above(values, self._least)
        return self._kernels.argmax(values)

    def _look(self, layer: _Layer, first: int, values: Buffer) -> None:
        """Note where something lies in the network's grid; where numbers are made first, in pieces."""
        group = self._of_group(layer, values)
        depth, rows, columns = self._wanted.grid.shape_kji
        count = min(values.shape[1], depth - first)
        for start, stop in self._pieces(count, group.nbytes) if self._activation else [(0, count)]:
            with Held() as held:
                here = group
                if self._activation:
                    here = held.keep(planes_of(self._kernels, group, start, stop))
                    here = held.keep(self._active(here))
                decided = held.keep(self._decided(layer, here))
                inside = ((0, stop - start), (0, rows), (0, columns))
                if decided.shape != (stop - start, rows, columns):
                    decided = held.keep(self._kernels.crop(decided, inside))
                for label in layer.labels:
                    self._note(decided, label, first + start)

    def _note(self, decided: Buffer, label: int, first: int) -> None:
        box = self._kernels.extent(decided, label)
        if box is None:
            return
        (low, high), j, i = box
        self._some.append(((first + low, first + high), j, i))
        if self._region is not None:
            with Held() as held:
                bits = held.keep(self._kernels.pack_bits(decided, box, label)).host()
            k, rows, columns = decided.shape
            self._region[first : first + k] |= Mask((k, rows, columns), box, bits).to_array()

    def _of_group(self, layer: _Layer, values: Buffer) -> Buffer:
        if layer.group is None:
            return values
        part = self._kernels.part(values, layer.group)
        return self._kernels.reshaped(part, (1, *part.shape))

    def _active(self, values: Buffer) -> Buffer:
        return (
            self._kernels.softmax(values) if self._activation == "softmax" else self._kernels.sigmoid(values)
        )

    # ── onto the source grid ──

    def _target_box(self) -> Box | None:
        """Return the box of the source around what was found in the network's grid, one voxel wider there."""
        if not self._some or not self._channels:
            return None
        k, j, i = (
            slice(
                max(min(box[axis][0] for box in self._some) - 1, 0),
                min(max(box[axis][1] for box in self._some) + 1, size),
            )
            for axis, size in enumerate(self._wanted.grid.shape_kji)
        )
        return self._within((k, j, i))

    def _full_target(self) -> Box | None:
        k, j, i = (slice(0, size) for size in self._wanted.grid.shape_kji)
        return self._within((k, j, i))

    def _within(self, box: Box) -> Box | None:
        """Return what `box` of the network's grid is in the source; None: nothing of it."""
        target = box_onto(box, self._wanted.grid, self._wanted.source)
        if self._between == "classes":
            flags = inside_along(self._wanted.grid, self._wanted.source, target)
            parts = [np.flatnonzero(along) for along in flags]
            if not all(part.size for part in parts):
                return None
            k, j, i = (
                slice(one.start + int(part[0]), one.start + int(part[-1]) + 1)
                for one, part in zip(target, parts, strict=True)
            )
            target = (k, j, i)
        return target if all(part.stop > part.start for part in target) else None

    def _sample(self, first: int, values: Buffer, *, at_once: bool) -> None:
        """Decide the planes of the source whose neighbours are all there, and keep what is needed still.

        at_once: these are all planes, so each layer comes down before the next one takes memory.
        """
        if self._target is None:
            return
        begin, here = first, values
        if self._tail is not None:
            begin, tail = self._tail
            here = self.keep(channels_joined(self._kernels, [tail, values]))
            self.drop(tail)
            self._tail = None
        maps = self._onto.maps(self._target)
        rows, needed = maps.ready(self._seen, done=self._rows_done())
        for layer in self._found:
            group = self._of_group(layer, here)
            for start, stop in rows:
                size = 4 * group.shape[0] * prod(self._onto.planes(self._target))
                for low, high in self._pieces(stop - start, size * (stop - start)):
                    piece = maps.piece(start + low, start + high)
                    decided = self._piece_decided(layer, group, begin, piece)
                    layer.parts.append((start + low, self.keep(decided)))
            if at_once:
                self._settle(layer, self._target)
        if needed is not None and needed < self._seen:
            kept = planes_of(self._kernels, here, needed - begin, self._seen - begin)
            self._tail = (needed, self.keep(kept))
        if here is not values:
            self.drop(here)

    def _rows_done(self) -> set[int]:
        if not self._found:
            return set()
        layer = self._found[0]
        return {row for start, part in layer.parts for row in range(start, start + part.shape[0])}

    def _piece_decided(self, layer: _Layer, values: Buffer, begin: int, piece: Piece) -> Buffer:
        """Take some planes onto the source grid, in the order of the network's axes, and decide them."""
        with Held() as held:
            (k0, k1), j, i = piece.used
            box = ((k0 - begin, k1 - begin), j, i)
            here = values
            if box != tuple((0, length) for length in values.shape[1:]):
                here = held.keep(box_out_of(self._kernels, values, box))
            if self._activation:
                here = held.keep(self._active(here))
            for axis in piece.order:
                along = piece.maps[axis]
                if not along.is_identity:
                    before, here = here, held.keep(mapped_along(self._kernels, here, axis, along))
                    if before is not values:
                        held.drop(before)
            return self._decided(layer, here)

    def _settle(self, layer: _Layer, target: Box) -> None:
        """Take down what a layer holds in `target`, and let go of it; nothing where that was done."""
        if not layer.parts or self._target is None:
            return
        voxels = self._in_source_order(layer, self._target, target)
        for label in layer.labels:
            kind = self._kind_of(layer, label)
            mask = self._mask(voxels, label, target, (self._wanted.largest or (None,) * (kind + 1))[kind])
            if mask is not None:
                self._shapes[kind] = Shape(mask=mask, kind=kind)
        self.drop(voxels)

    def _in_source_order(self, layer: _Layer, sampled: Box, target: Box) -> Buffer:
        """Put the planes of a layer together, in the order of the source's axes, cut to `target`."""
        parts = [part for _, part in sorted(layer.parts, key=lambda one: one[0])]
        layer.parts.clear()
        whole = self._instead(parts, self._kernels.join(parts)) if len(parts) > 1 else parts[0]
        axes = self._onto.how.axes
        if axes != ALL_AXES:
            whole = self._instead([whole], self._kernels.turn(whole, axes, (False, False, False)))
        if sampled == target:
            return whole
        k, j, i = (
            (want.start - have.start, want.stop - have.start)
            for want, have in zip(target, sampled, strict=True)
        )
        return self._instead([whole], self._kernels.crop(whole, (k, j, i)))

    def _instead(self, old: list[Buffer], new: Buffer) -> Buffer:
        """Keep a buffer in the place of others."""
        for one in old:
            self.drop(one)
        return self.keep(new)

    # ── what comes down ──

    def _mask(self, voxels: Buffer, label: int, target: Box, most: int | None) -> Mask | None:
        """Pack the voxels of a label, the largest parts of them; None where there is none."""
        with Held() as held:
            if most is not None:
                kept = self._largest(held, voxels, label, most)
                if kept is not None:
                    voxels, label = kept, 1
            box = self._kernels.extent(voxels, label)
            if box is None:
                return None
            bits = held.keep(self._kernels.pack_bits(voxels, box, label)).host()
        k, j, i = (
            (part.start + low, part.start + high) for part, (low, high) in zip(target, box, strict=True)
        )
        return Mask(self._wanted.source.shape_kji, (k, j, i), bits)

    def _largest(self, held: Held, voxels: Buffer, label: int, most: int) -> Buffer | None:
        """Keep the `most` largest parts, of equal ones those that begin first; None: all stay."""
        parts, count = self._kernels.components(voxels, label, corners=True)
        held.keep(parts)
        if count <= most:
            return None
        sizes = self._kernels.sizes(parts, count)
        chosen = np.zeros(count + 1, dtype=np.bool_)
        chosen[np.argsort(-sizes[1:], kind="stable")[:most] + 1] = True  # numbered as they begin
        return held.keep(self._kernels.chosen(parts, chosen))

    # ── sizes ──

    def _check(self, values: Buffer) -> None:
        channels, _, j, i = values.shape
        if channels <= max(self._channels, default=0):
            needed = max(self._channels) + 1
            raise UnreadableError(f"the output has {channels} channels, engine.toml needs {needed}")
        if (j, i) != self._padded[1:]:
            raise UnreadableError(f"the output has planes of {(j, i)}, not that of the input")
        most = _MOST[self._head.interpret or ""]
        if channels > most and (self._head.interpret == "labels" or self._exclusive):
            raise UnreadableError(f"the output has {channels} channels, of which a device tells {most} apart")

    def _pieces(self, count: int, nbytes: int) -> Iterator[Span]:
        """Cut `count` planes that take so many bytes in all into pieces that are small enough."""
        planes = max(self._piece_bytes * count // max(nbytes, 1), 1)
        for start in range(0, count, planes):
            yield start, min(start + planes, count)


def _threshold_of(how: Labels | Sigmoid) -> tuple[float, bool, str]:
    """Return the least value that is above, whether the last class wins, and what makes probabilities."""
    probabilities = how.interpolate == "probabilities"
    if isinstance(how, Labels):
        return 0.0, False, "softmax" if probabilities else ""
    logits = how.values == "logits"
    activation = "sigmoid" if logits and probabilities else ""
    least = logit(how.threshold) if logits and not probabilities else how.threshold
    return float(np.float32(least)), how.exclusive, activation

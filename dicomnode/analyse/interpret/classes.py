"""Segments from a map with a channel a class: `labels` (one class a voxel) and `sigmoid` (any of them).

The step's kinds of segment are its [[output]] tables in their order. Of `labels` channel 0 is background
and the first kind is channel 1; of `sigmoid` the first kind is channel 0. Values are logits; they are
interpolated in the source grid and compared there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from dicomnode.analyse.grids import Bool, Box, Float32, box_of, box_onto, sample
from dicomnode.analyse.interpret.contract import Outputs, Reading, Region, Shape, UnreadableError
from dicomnode.engine import StepSpec
from dicomnode.values import Mask

_SLAB: Final = 16  # source slices at a time: many classes must not cost many full arrays

Decide = Callable[[Float32, int], Bool]
"""Logits (channels, k, j, i) and the number of a kind → its voxels."""


def labels(outputs: Outputs, step: StepSpec) -> Reading:
    """Give each voxel the class with the largest logit."""
    del step
    logits = _only_map(outputs, outputs.wanted + 1)
    classes = logits.argmax(axis=0)
    return _read(outputs, logits, classes > 0, lambda values, kind: values.argmax(axis=0) == kind + 1)


def sigmoid(outputs: Outputs, step: StepSpec) -> Reading:
    """Give each voxel all classes whose probability is above one half; classes may overlap."""
    del step
    logits = _only_map(outputs, outputs.wanted)
    some = np.asarray((logits[: outputs.wanted] > 0).any(axis=0))
    return _read(outputs, logits, some, lambda values, kind: values[kind] > 0)


def _only_map(outputs: Outputs, channels: int) -> Float32:
    if len(outputs.maps) != 1:
        raise UnreadableError(f"the network has the outputs {sorted(outputs.maps)}, not one")
    ((name, logits),) = outputs.maps.items()
    if logits.shape[0] < channels:
        raise UnreadableError(f"output {name!r} has {logits.shape[0]} channels, engine.toml needs {channels}")
    if logits.shape[1:] != outputs.grid.shape_kji:
        raise UnreadableError(f"output {name!r} has the shape {logits.shape[1:]}, not that of the input")
    return logits


def _read(outputs: Outputs, logits: Float32, some: Bool, decide: Decide) -> Reading:
    region = Region(some, outputs.grid)
    box = box_of(some, margin=1)
    if box is None:
        return Reading(region=region)
    target = box_onto(box, outputs.grid, outputs.source)
    shape = tuple(part.stop - part.start for part in target)
    if min(shape) < 1:
        return Reading(region=region)
    found = [np.zeros(shape, dtype=bool) for _ in range(outputs.wanted)]
    for start in range(0, shape[0], _SLAB):
        stop = min(start + _SLAB, shape[0])
        part: Box = (slice(target[0].start + start, target[0].start + stop), target[1], target[2])
        values = np.stack([sample(one, outputs.grid, outputs.source, part) for one in logits])
        for kind, voxels in enumerate(found):
            voxels[start:stop] = decide(values, kind)
    origin = (target[0].start, target[1].start, target[2].start)
    masks = [Mask.from_crop(voxels, outputs.source.shape_kji, origin) for voxels in found]
    return Reading(
        shapes=tuple(Shape(mask=mask, kind=kind) for kind, mask in enumerate(masks) if not mask.is_empty),
        region=region,
    )

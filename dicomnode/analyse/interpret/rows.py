"""Numbers for the whole box: classes, regression, features; and for each slice of it: sequences."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.interpret.activation import probabilities
from dicomnode.analyse.interpret.contract import Outputs, Reading, UnreadableError
from dicomnode.analyse.interpret.fields import field_of
from dicomnode.engine import Classes, Features, Head, SequenceHow
from dicomnode.values import Float64, Remark, RemarkKind

_ACROSS: Final = (
    "Scores of single slices are not given: the slices that the network sees run another way than those of "
    "the series."
)


def classes(outputs: Outputs, head: Head) -> Reading:
    """Give each class its probability: of one row of numbers, calibrated by the temperature."""
    how = head.classes or Classes()
    found = probabilities(outputs.row(head.output), how.activation, how.temperature)
    _check_names(how.names, found.size)
    return Reading(probabilities=found, names=how.names)


def regression(outputs: Outputs, head: Head) -> Reading:
    """Give the numbers of one row as they are; each [[output]] scales its own."""
    return Reading(values=outputs.row(head.output))


def features(outputs: Outputs, head: Head) -> Reading:
    """Give a row of features: of one row of numbers, or of a map, pooled over its voxels without padding."""
    how = head.features or Features()
    values = outputs.single(head.output)
    shape = [length for length in values.shape if length != 1]
    if len(shape) > 1:
        field = field_of(outputs, outputs.map_of(head.output)).values.astype(np.float64)
        pool = np.mean if how.pool == "mean" else np.max
        row = pool(field.reshape(field.shape[0], -1), axis=1)
    else:
        row = outputs.row(head.output)
    if not np.isfinite(row).all():
        raise UnreadableError("the network gave what is not a number")
    _check_names(how.names, row.size)
    names = how.names or tuple(f"f{n}" for n in range(row.size))
    return Reading(row=np.asarray(row, dtype=np.float32), names=names)


def sequence(outputs: Outputs, head: Head) -> Reading:
    """Give each slice its probabilities, and all of them together one a class.

    Slices of the box that show the same slice of the source count as one, by their largest probability;
    padding is no slice. Slices that run another way than those of the source have no scores of their own.
    """
    how = head.sequence or SequenceHow()
    depth = (outputs.inside or outputs.grid.shape_kji)[0]
    numbers = _frames(outputs.single(head.output), outputs.grid.shape_kji[0])[:depth]
    of_frames = probabilities(numbers, how.activation, how.temperature)
    _check_names(how.names, of_frames.shape[1])
    if how.study is not None:
        together = probabilities(outputs.row(how.study), how.activation, how.temperature)
        if together.size != of_frames.shape[1]:
            raise UnreadableError(
                f"output {how.study!r} has {together.size} classes, the frames have {of_frames.shape[1]}"
            )
    else:
        together = _pooled(of_frames, how)
    if not _runs_along_slices(outputs):
        remark = Remark(kind=RemarkKind.LIMIT, text=_ACROSS)
        return Reading(probabilities=together, names=how.names, remarks=(remark,))
    return Reading(probabilities=together, names=how.names, frames=_of_source(outputs, of_frames))


def _frames(values: NDArray[Any], depth: int) -> NDArray[Any]:
    """Bring (1, t), (1, t, classes), (t, classes) or (t,) to (t, classes)."""
    squeezed = values[0] if values.ndim > 1 and values.shape[0] == 1 and depth != 1 else values
    squeezed = squeezed.reshape(depth, -1) if squeezed.shape[:1] == (depth,) else squeezed
    if squeezed.ndim == 3 and squeezed.shape[:2] == (1, depth):
        squeezed = squeezed[0]
    if squeezed.ndim != 2 or squeezed.shape[0] != depth:
        raise UnreadableError(
            f"the output has the shape {values.shape}, not one row for each of {depth} slices"
        )
    return squeezed


def _pooled(frames: Float64, how: SequenceHow) -> Float64:
    if how.pool == "mean":
        return np.asarray(frames.mean(axis=0))
    if how.pool == "max":
        return np.asarray(frames.max(axis=0))
    return pooled_top(frames, how.top_part)


def pooled_top(values: Float64, part: float) -> Float64:
    """Return the mean of the largest `part` of the rows, at least one, for each column."""
    count = max(1, math.ceil(part * len(values)))
    return np.asarray(np.sort(values, axis=0)[-count:].mean(axis=0))


def _runs_along_slices(outputs: Outputs) -> bool:
    """Tell whether k of the box runs along k of the source, and not along its rows or columns."""
    here, there = outputs.source.to_index_kji(outputs.grid.to_lps_mm([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    apart_mm = np.abs(there - here) * outputs.source.spacing_kji_mm
    return bool(apart_mm.argmax() == 0)


def _of_source(outputs: Outputs, frames: Float64) -> tuple[tuple[int, Float64], ...]:
    """Say which slice of the source each row is of: the nearest to the middle of the box's slice."""
    _, j, i = outputs.inside or outputs.grid.shape_kji
    index = np.array([(k, (j - 1) / 2.0, (i - 1) / 2.0) for k in range(len(frames))])
    places = outputs.source.to_index_kji(outputs.grid.to_lps_mm(index))[:, 0]
    slices = np.clip(np.rint(places), 0, outputs.source.shape_kji[0] - 1).astype(int)
    best: dict[int, Float64] = {}
    for k, row in zip(slices.tolist(), frames, strict=True):
        best[k] = np.maximum(best[k], row) if k in best else row
    return tuple(sorted(best.items(), key=lambda pair: pair[0]))


def _check_names(names: tuple[str, ...], count: int) -> None:
    if names and len(names) != count:
        raise UnreadableError(f"engine.toml names {len(names)} channels, the network has {count}")


__all__ = ["classes", "features", "pooled_top", "regression", "sequence"]

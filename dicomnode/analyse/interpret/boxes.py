"""Boxes from a detection network's lists: decoded, put together from all windows, and each kept once.

Boxes are (n, 3) low and (n, 3) high corners along k, j, i, in voxels of the box that the network goes over,
where voxel v covers v … v + 1; that they are in mm in the end is the grid's doing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.interpret.activation import probabilities
from dicomnode.analyse.interpret.contract import (
    MOST_BELOW,
    Below,
    FoundBox,
    Outputs,
    Pass,
    Reading,
    UnreadableError,
)
from dicomnode.analyse.interpret.counted import more_than_reported, none_reaches
from dicomnode.engine import Boxes, Head
from dicomnode.values import Float64, Grid, PointLps, Remark, least_reaching


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Boxes as rows: corners, class number and score; sorted by score, the surest first."""

    low: Float64
    high: Float64
    channel: NDArray[np.int64]
    score: Float64

    def taken(self, rows: NDArray[np.intp] | list[int]) -> Found:
        """Return these rows."""
        return Found(self.low[rows], self.high[rows], self.channel[rows], self.score[rows])


def boxes(outputs: Outputs, head: Head) -> Reading:
    """Decode the boxes of all passes; of those above the threshold keep the surest of each place."""
    how = head.boxes
    if how is None:
        raise UnreadableError("engine.toml has no [step.boxes]")
    channels = outputs.channels or tuple(range(outputs.wanted))
    found = _within(_sorted([_decoded(one, how) for one in outputs.passes]), outputs)
    wanted = found.taken(np.flatnonzero(np.isin(found.channel, channels)))
    above = wanted.taken(np.flatnonzero(wanted.score >= least_reaching(how.threshold)))
    kept: list[FoundBox] = []
    remarks: list[Remark] = []
    for channel in dict.fromkeys(channels):
        of_class = above.taken(np.flatnonzero(above.channel == channel))
        surest = suppressed(of_class, how.iou)
        kept += [_placed(surest, row, outputs.grid) for row in range(min(len(surest.score), how.at_most))]
        if len(surest.score) > how.at_most:
            many = len(surest.score), how.threshold, how.at_most
            remarks.append(more_than_reported(*many, "box", scored_later=outputs.scored_later))
    return Reading(
        boxes=tuple(kept),
        remarks=tuple(remarks),
        none_found=_none_found(wanted.score, how.threshold),
        below=_below(wanted, channels, how, outputs.grid) if outputs.unreported else None,
    )


def _below(wanted: Found, channels: Sequence[int], how: Boxes, grid: Grid) -> Below:
    """Return what would be reported were there no threshold, without what is; a place is a box's middle."""
    places: list[tuple[int, PointLps, float]] = []
    down_to = 0.0
    for channel in dict.fromkeys(channels):
        surest = suppressed(wanted.taken(np.flatnonzero(wanted.channel == channel)), how.iou)
        above = int(np.count_nonzero(surest.score >= least_reaching(how.threshold)))
        reported = min(above, how.at_most)
        for row in range(reported, min(len(surest.score), MOST_BELOW)):
            box = _placed(surest, row, grid)
            x, y, z = ((a + b) / 2.0 for a, b in zip(box.low_lps_mm, box.high_lps_mm, strict=True))
            places.append((channel, (x, y, z), box.score))
        if len(surest.score) > MOST_BELOW:
            down_to = max(down_to, float(surest.score[MOST_BELOW - 1]))
    return Below(places=tuple(places), down_to=down_to)


def _decoded(one: Pass, how: Boxes) -> Found:
    """Decode what one run of the network gave."""
    numbers = _list(one, how.boxes)
    flat = one.shape[0] == 1  # of one slice, or a picture, boxes may do without k
    if numbers.ndim != 2 or numbers.shape[1] not in ((4, 6) if flat else (6,)):
        raise UnreadableError(f"output {how.boxes!r} has the shape {numbers.shape}, not (boxes, 6)")
    low, high = _corners(numbers, how)
    if how.unit == "normalised":
        low, high = low * one.shape[-low.shape[1] :], high * one.shape[-low.shape[1] :]
    elif how.origin == "centre":
        low, high = low + 0.5, high + 0.5
    if low.shape[1] == 2:
        low, high = np.insert(low, 0, 0.0, axis=1), np.insert(high, 0, 1.0, axis=1)
    scores, channel = _scores(one, how, len(numbers))
    if scores.ndim == 2:  # every box with every class
        classes = scores.shape[1]
        low, high = np.repeat(low, classes, axis=0), np.repeat(high, classes, axis=0)
        channel, scores = np.tile(np.arange(classes), len(numbers)), scores.ravel()
    start = np.array(one.start, dtype=np.float64)
    return Found(low + start, high + start, channel, scores)


def _list(one: Pass, name: str) -> Float64:
    if name not in one.outputs:
        raise UnreadableError(f"the network has no output {name!r}, it has {sorted(one.outputs)}")
    values = one.outputs[name].astype(np.float64)
    if not np.isfinite(values).all():
        raise UnreadableError(f"output {name!r} has what is not a number")
    return values[0] if values.ndim == 3 and values.shape[0] == 1 else values


def _corners(numbers: Float64, how: Boxes) -> tuple[Float64, Float64]:
    """Bring six numbers to low and high corners along k, j, i, whichever came first; four to j, i."""
    axes = numbers.shape[1] // 2
    if how.form == "interleaved":
        first, second = numbers[:, 0::2], numbers[:, 1::2]
    else:
        first, second = numbers[:, :axes], numbers[:, axes:]
    if how.form == "centre_size":
        first, second = first - second / 2.0, first + second / 2.0
    if how.axes == "ijk":
        first, second = first[:, ::-1], second[:, ::-1]
    return np.minimum(first, second), np.maximum(first, second)


def _scores(one: Pass, how: Boxes, count: int) -> tuple[Float64, NDArray[np.int64]]:
    """Return scores (boxes,) with the class of each, or (boxes, classes)."""
    raw = _list(one, how.scores)
    if raw.shape[0] != count and raw.shape[:2] == (1, count):
        raw = raw[0]
    if raw.shape[:1] != (count,) or raw.ndim > 2:
        raise UnreadableError(f"output {how.scores!r} has the shape {raw.shape} for {count} boxes")
    if how.activation == "softmax" and raw.ndim != 2:  # along one axis it would go over the boxes
        raise UnreadableError(
            f"output {how.scores!r} has the shape {raw.shape}: a softmax needs a score for each class"
        )
    scores = probabilities(raw, how.activation)
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    if how.classes is None:
        return scores, np.zeros(count, dtype=np.int64)
    classes: NDArray[Any] = np.asarray(_list(one, how.classes)).ravel()
    if classes.shape != (count,) or scores.ndim != 1:
        raise UnreadableError(
            f"output {how.classes!r} has {classes.size} classes and {how.scores!r} the shape {scores.shape} "
            f"for {count} boxes"
        )
    return scores, np.rint(classes).astype(np.int64)


def _sorted(parts: Sequence[Found]) -> Found:
    """Put the parts together, the surest first; equal scores keep their order."""
    low, high = (np.concatenate([getattr(one, name) for one in parts]) for name in ("low", "high"))
    channel, score = (np.concatenate([getattr(one, name) for one in parts]) for name in ("channel", "score"))
    return Found(low, high, channel, score).taken(np.argsort(-score, kind="stable"))


def _within(found: Found, outputs: Outputs) -> Found:
    """Cut boxes down to what is no padding, and drop those of which nothing is left."""
    end = np.array(outputs.inside or outputs.grid.shape_kji, dtype=np.float64)
    low, high = np.clip(found.low, 0.0, end), np.clip(found.high, 0.0, end)
    cut = Found(low, high, found.channel, found.score)
    return cut.taken(np.flatnonzero((high > low).all(axis=1)))


def suppressed(found: Found, iou: float) -> Found:
    """Keep a box if it shares at most `iou` (intersection over union) with each surer one that is kept."""
    sizes = np.prod(found.high - found.low, axis=1)
    kept: list[int] = []
    for row in range(len(found.score)):
        shared = np.minimum(found.high[kept], found.high[row]) - np.maximum(found.low[kept], found.low[row])
        both = np.prod(np.clip(shared, 0.0, None), axis=1)
        if (both <= iou * (sizes[kept] + sizes[row] - both)).all():
            kept.append(row)
    return found.taken(kept)


def _placed(found: Found, row: int, grid: Grid) -> FoundBox:
    """Return the smallest box along the patient's axes that holds this one (the same unless oblique)."""
    faces = np.stack([found.low[row], found.high[row]]) - 0.5  # voxel v covers v − ½ … v + ½ of an index
    corners = np.array([[faces[a, 0], faces[b, 1], faces[c, 2]] for a, b, c in product((0, 1), repeat=3)])
    points = grid.to_lps_mm(corners)
    low, high = (tuple(float(v) for v in edge) for edge in (points.min(axis=0), points.max(axis=0)))
    return FoundBox(
        low_lps_mm=(low[0], low[1], low[2]),
        high_lps_mm=(high[0], high[1], high[2]),
        channel=int(found.channel[row]),
        score=float(found.score[row]),
    )


def _none_found(scores: Float64, threshold: float) -> str:
    below = scores[scores < least_reaching(threshold)]
    return none_reaches(threshold, below.size, float(below.max()) if below.size else 0.0, "box")

"""Steps that scale values, on the CPU: float32, plane by plane, one array for the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.analyse.preparations.lines import LINES, Line
from dicomnode.analyse.preparations.measured import HostMeasured, mask_over
from dicomnode.analyse.resample import Prepared
from dicomnode.engine.manifest.preparation_values import Landmarks
from dicomnode.values import Progress, no_progress

Step = Callable[[Prepared, Any, Progress], Prepared]


def scaling(name: str) -> Step:
    """Return the step that finds its line by its name and draws the values along it."""

    def run(image: Prepared, how: Any, _progress: Progress) -> Prepared:
        mask = mask_over(image, getattr(how, "over", "all"))
        line = LINES[name](how, HostMeasured(image.voxels, mask))
        return Prepared(along(image, line, mask), image.grid)

    return run


def along(image: Prepared, line: Line, mask: Bool | None = None) -> Float32:
    """Return (value − shift) · factor + offset within the limits; values outside `mask` as they are."""
    result = np.empty(image.voxels.shape, dtype=np.float32)
    for k, plane in enumerate(image.voxels):
        values = result[k]
        np.subtract(plane, np.float32(line.shift), out=values, dtype=np.float32)
        values *= np.float32(line.factor)
        values += np.float32(line.offset)
        if line.low is not None or line.high is not None:
            np.clip(values, _float32(line.low), _float32(line.high), out=values)
        if mask is not None:
            np.copyto(values, plane, where=~mask[k], casting="same_kind")
    return result


def _float32(limit: float | None) -> np.float32 | None:
    return None if limit is None else np.float32(limit)


def clip(image: Prepared, limits: tuple[float, float], progress: Progress = no_progress) -> Prepared:
    """Limit values to `limits`, smallest and largest, in the volume's unit; int16 stays so where it can.

    CT: padding of −2048 HU and less rings at the edge of the reconstruction circle unless it is clipped
    at −1024 HU before resampling.
    """
    voxels = image.voxels
    if voxels.dtype == np.int16:
        if not all(float(limit).is_integer() for limit in limits):
            return clip(Prepared(voxels.astype(np.float32), image.grid), limits, progress)
        ends = np.iinfo(np.int16)
        low, high = (int(np.clip(value, ends.min, ends.max)) for value in limits)
        return Prepared(np.clip(voxels, np.int16(low), np.int16(high)), image.grid)
    return Prepared(np.clip(voxels, np.float32(limits[0]), np.float32(limits[1])), image.grid)


def landmarks(image: Prepared, how: Landmarks, _progress: Progress) -> Prepared:
    """Take the percentiles of the volume to the values of the learned scale, linear between them."""
    mask = mask_over(image, how.over)
    found = HostMeasured(image.voxels, mask).percentiles(how.percentiles)
    result = np.empty(image.voxels.shape, dtype=np.float32)
    for k, plane in enumerate(image.voxels):
        result[k] = np.interp(plane.astype(np.float64), found, how.values)
        if mask is not None:
            np.copyto(result[k], plane, where=~mask[k], casting="same_kind")
    return Prepared(result, image.grid)

"""The same entries of `prepare`, carried out by the arithmetic of a device: a volume goes up once.

Plans, grids and lines are those of the CPU path; only who moves the voxels differs. What a device does not
do (splines, percentiles, filters) is done before the volume goes up: `split` says where that is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from scipy import sparse

from dicomnode.analyse.grids import AxisMap, cropped
from dicomnode.analyse.preparations.geometry import (
    Margins,
    centre_box,
    foreground_box,
    margins_of,
    turn_of,
)
from dicomnode.analyse.preparations.lines import LINES, Line
from dicomnode.analyse.preparations.regrid import (
    Plans,
    letterbox_margins,
    letterbox_plans,
    spacing_plans,
)
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.spacing import allowed, axis_to_count, planned
from dicomnode.device import Buffer
from dicomnode.device.kernels import AxisWeights, Kernels
from dicomnode.engine import Preparation
from dicomnode.engine.manifest.preparation_geometry import (
    CropCentre,
    CropForeground,
    Letterbox,
    Pad,
    Resample,
    Resize,
)
from dicomnode.values import Grid

# With which of its choices an entry runs on a device, where not with all
_CHOICES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "resample": {"interpolation": ("linear",), "thick_slices": ("same",)},
        "resize": {"interpolation": ("linear", "area")},
        "letterbox": {"interpolation": ("linear",)},
        "scale_minmax": {"over": ("all",)},
        "z_score": {"over": ("all", "nonzero")},
    }
)


def _written(choices: Mapping[str, Sequence[str]]) -> str:
    quoted = {key: " or ".join(f'"{value}"' for value in values) for key, values in choices.items()}
    return ", ".join(f"{key} = {values}" for key, values in quoted.items())


DEVICE_CHOICES: Final[Mapping[str, str]] = MappingProxyType(
    {name: _written(choices) for name, choices in _CHOICES.items()}
)
"""The same as engine.toml writes it, for its reference page."""


@dataclass(frozen=True, slots=True, eq=False)
class DeviceImage:
    """Voxels (k, j, i) that lie on a device, int16 or float32, and their grid."""

    voxels: Buffer
    grid: Grid


def runs_on_device(entry: Preparation) -> bool:
    """Tell whether a device does this entry, with the choices that it makes."""
    choices = _CHOICES.get(entry.name, {})
    return entry.name in ON_DEVICE and all(
        getattr(entry.declared, key) in values for key, values in choices.items()
    )


def split(entries: Sequence[Preparation]) -> tuple[tuple[Preparation, ...], tuple[Preparation, ...]]:
    """Return the entries to be done on the CPU, and those after them that a device does all of."""
    first = max((n + 1 for n, entry in enumerate(entries) if not runs_on_device(entry)), default=0)
    return tuple(entries[:first]), tuple(entries[first:])


def prepare_on_device(kernels: Kernels, image: Prepared, entries: Sequence[Preparation]) -> DeviceImage:
    """Bring an image up and do `entries` there, all of which must run on a device (ValueError).

    Returns float32 (k, j, i), the caller's to close. Raises NodeError(PREPARATION_FAILED) as the CPU does.
    """
    foreign = [entry.name for entry in entries if not runs_on_device(entry)]
    if foreign:
        raise ValueError(f"no device does {', '.join(foreign)}: see split")
    here = DeviceImage(kernels.upload(np.ascontiguousarray(image.voxels)), image.grid)
    for entry in entries:
        here = _follow(here, ON_DEVICE[entry.name](kernels, here, entry.declared))
    return _follow(here, DeviceImage(_float32(kernels, here.voxels), here.grid))


def _follow(before: DeviceImage, after: DeviceImage) -> DeviceImage:
    if after.voxels is not before.voxels:
        before.voxels.close()
    return after


def _float32(kernels: Kernels, voxels: Buffer) -> Buffer:
    """Return float32 voxels: these, or a copy of them."""
    return voxels if voxels.dtype == np.float32 else kernels.scale_clip(voxels, low=-np.inf, high=np.inf)


def _orient(kernels: Kernels, image: DeviceImage, code: str) -> DeviceImage:
    turn = turn_of(image.grid, code)
    return DeviceImage(kernels.turn(image.voxels, turn.axes, turn.flipped), turn.grid)


def _mapped(kernels: Kernels, voxels: Buffer, maps: Sequence[AxisMap]) -> Buffer:
    """Apply maps along k, j and i, in the order of the CPU: i, then j, then k."""
    here = voxels
    for axis in (2, 1, 0):
        if maps[axis].is_identity:
            continue
        values = _float32(kernels, here)
        new = kernels.axis_map(values, weights_of(maps[axis]), axis)
        for old in {id(one): one for one in (here, values) if one is not voxels}.values():
            old.close()
        here = new
    return here


def weights_of(one: AxisMap) -> AxisWeights:
    """Return a map along an axis as a device takes it; sums run in the same order."""
    matrix = one.matrix
    return AxisWeights(
        row_starts=matrix.indptr.astype(np.int32),
        columns=matrix.indices.astype(np.int32),
        weights=matrix.data.astype(np.float32),
        length=int(matrix.shape[1]),
    )


def _regrid(kernels: Kernels, image: DeviceImage, plans: Plans, maps: Sequence[AxisMap]) -> DeviceImage:
    return DeviceImage(_mapped(kernels, image.voxels, maps), planned(image.grid, plans))


def _resample_mm(kernels: Kernels, image: DeviceImage, spacing: tuple[float, float, float]) -> DeviceImage:
    return _resample(kernels, image, Resample(spacing_kji_mm=spacing))


def _resample(kernels: Kernels, image: DeviceImage, how: Resample) -> DeviceImage:
    plans = spacing_plans(image.grid, how.spacing_from(image.grid.spacing_kji_mm), how.align)
    planned(image.grid, plans)  # refuses what is too large before the maps are made
    return _regrid(kernels, image, plans, [plan.linear(blur=how.blur) for plan in plans])


def _resize(kernels: Kernels, image: DeviceImage, how: Resize) -> DeviceImage:
    k, j, i = (
        axis_to_count(size, count, how.align)
        for size, count in zip(image.grid.shape_kji, how.shape_kji, strict=True)
    )
    planned(image.grid, (k, j, i))
    area = how.interpolation == "area"
    maps = [plan.area() if area else plan.linear(blur=how.blur) for plan in (k, j, i)]
    return _regrid(kernels, image, (k, j, i), maps)


def _letterbox(kernels: Kernels, image: DeviceImage, how: Letterbox) -> DeviceImage:
    plans = letterbox_plans(image.grid, how.shape_ji)
    inner = _regrid(kernels, image, plans, [plan.linear(blur=how.blur) for plan in plans])
    margins = letterbox_margins(inner.grid, how.shape_ji)
    box = [
        (-before, size + after) for (before, after), size in zip(margins, inner.grid.shape_kji, strict=True)
    ]
    done = _cut(kernels, inner, box, how.value)
    return done if inner.voxels is image.voxels else _follow(inner, done)


def _crop_foreground(kernels: Kernels, image: DeviceImage, how: CropForeground) -> DeviceImage:
    values = _float32(kernels, image.voxels)
    rules = [(values, how.above)] if how.above is not None else [(values, 0.0), (None, 0.0)]
    boxes = []
    for given, above in rules:
        source = given or kernels.scale_clip(values, slope=-1.0, low=-np.inf, high=np.inf)
        mask = kernels.threshold(source, above)
        boxes.append(kernels.extent(mask))
        mask.close()
        if given is None:
            source.close()
    if values is not image.voxels:
        values.close()
    found = [box for box in boxes if box is not None]
    if not found:
        return image
    low = [min(box[axis][0] for box in found) for axis in range(3)]
    high = [max(box[axis][1] for box in found) for axis in range(3)]
    k, j, i = (slice(a, b) for a, b in zip(low, high, strict=True))
    box = foreground_box((k, j, i), image.grid.shape_kji, how)
    return _cut(kernels, image, [(part.start, part.stop) for part in box], how.value)


def _crop_centre(kernels: Kernels, image: DeviceImage, how: CropCentre) -> DeviceImage:
    box = centre_box(image.grid.shape_kji, how)
    return _cut(kernels, image, [(part.start, part.stop) for part in box], 0.0)


def _pad(kernels: Kernels, image: DeviceImage, how: Pad) -> DeviceImage:
    sizes = image.grid.shape_kji
    margins = margins_of(sizes, how)
    box = _widened(sizes, margins)
    if how.mode == "constant":
        return _cut(kernels, image, box, how.value or 0.0)
    allowed(*(stop - start for start, stop in box))
    taken = [np.pad(np.arange(n), margin, mode=how.mode) for n, margin in zip(sizes, margins, strict=True)]
    maps = [taking(columns, size) for columns, size in zip(taken, sizes, strict=True)]
    return DeviceImage(_mapped(kernels, image.voxels, maps), _box_grid(image.grid, box))


def _widened(sizes: Sequence[int], margins: Margins) -> list[tuple[int, int]]:
    return [(-before, size + after) for (before, after), size in zip(margins, sizes, strict=True)]


def taking(columns: Any, size: int) -> AxisMap:
    """Return the map that takes old voxels as they are, each for a new one."""
    rows = np.arange(len(columns))
    return AxisMap(sparse.csr_array((np.ones(len(columns)), (rows, columns)), shape=(len(columns), size)))


def _cut(kernels: Kernels, image: DeviceImage, box: Sequence[tuple[int, int]], value: float) -> DeviceImage:
    """Cut `box` out, which may reach beyond the image; there stands `value`."""
    sizes = image.grid.shape_kji
    if all(start == 0 and stop == size for (start, stop), size in zip(box, sizes, strict=True)):
        return image
    k, j, i = (stop - start for start, stop in box)
    allowed(k, j, i)
    grid = _box_grid(image.grid, box)
    if all(start >= 0 and stop <= size for (start, stop), size in zip(box, sizes, strict=True)):
        return DeviceImage(kernels.crop(image.voxels, (box[0], box[1], box[2])), grid)
    values = _float32(kernels, image.voxels)
    shift = np.column_stack([np.eye(3), [float(start) for start, _ in box]])
    voxels = kernels.trilinear(values, shift, (k, j, i), outside=value)  # at whole indices: as they are
    if values is not image.voxels:
        values.close()
    return DeviceImage(voxels, grid)


def _box_grid(grid: Grid, box: Sequence[tuple[int, int]]) -> Grid:
    k, j, i = (slice(start, stop) for start, stop in box)
    return cropped(grid, (k, j, i))


def _clip(kernels: Kernels, image: DeviceImage, limits: tuple[float, float]) -> DeviceImage:
    return DeviceImage(kernels.scale_clip(image.voxels, low=limits[0], high=limits[1]), image.grid)


class _DeviceMeasured:
    """What the lines ask for, measured by the device when they ask."""

    def __init__(self, kernels: Kernels, values: Buffer, *, only_nonzero: bool) -> None:
        self._kernels, self._values, self._only_nonzero = kernels, values, only_nonzero

    def extremes(self) -> tuple[float, float]:
        found = self._kernels.statistics(self._values, only_nonzero=self._only_nonzero)
        return found.smallest, found.largest

    def moments(self) -> tuple[float, float]:
        found = self._kernels.statistics(self._values, only_nonzero=self._only_nonzero)
        return found.mean, found.std

    def percentiles(self, percents: Sequence[float]) -> list[float]:
        raise ValueError(f"no device measures percentiles, asked for {list(percents)}")


def _scaling(name: str) -> Callable[[Kernels, DeviceImage, Any], DeviceImage]:
    def run(kernels: Kernels, image: DeviceImage, how: Any) -> DeviceImage:
        only_nonzero = getattr(how, "over", "all") == "nonzero"
        values = _float32(kernels, image.voxels)
        measured = _DeviceMeasured(kernels, values, only_nonzero=only_nonzero)
        done = _along(kernels, values, LINES[name](how, measured), only_nonzero=only_nonzero)
        if values is not image.voxels and values is not done:
            values.close()
        return DeviceImage(done, image.grid)

    return run


def _along(kernels: Kernels, values: Buffer, line: Line, *, only_nonzero: bool) -> Buffer:
    low = -np.inf if line.low is None else line.low
    high = np.inf if line.high is None else line.high
    if line.factor <= 0.0:
        intercept = line.offset - line.shift * line.factor
        return kernels.scale_clip(values, slope=line.factor, intercept=intercept, low=low, high=high)
    scaled = kernels.z_score(values, mean=line.shift, std=1.0 / line.factor, only_nonzero=only_nonzero)
    if line.offset == 0.0 and line.low is None and line.high is None:
        return scaled
    done = kernels.scale_clip(scaled, intercept=line.offset, low=low, high=high)
    scaled.close()
    return done


ON_DEVICE: Final[Mapping[str, Callable[[Kernels, DeviceImage, Any], DeviceImage]]] = MappingProxyType(
    {
        "orient": _orient,
        "resample_mm": _resample_mm,
        "resample": _resample,
        "resize": _resize,
        "letterbox": _letterbox,
        "crop_foreground": _crop_foreground,
        "crop_centre": _crop_centre,
        "pad": _pad,
        "clip": _clip,
        **{name: _scaling(name) for name in LINES if name != "percentile"},
    }
)
"""What a device does for an entry of a name; `runs_on_device` says with which of its choices."""

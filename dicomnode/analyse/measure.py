"""What is measured of a segment: in the source grid, on the source's own voxels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.analyse.axes import Axes, axes_of
from dicomnode.analyse.concepts import CONCEPTS
from dicomnode.values import Float64, Mask, Measurement, PointLps, Volume

OF_THE_KERNEL: Final = (
    "laa950_percent",
    "perc15_hu",
)  # the noise of a sharp kernel or thin slices moves them
IN_HU: Final = ("mean_hu", "sd_hu", *OF_THE_KERNEL)  # of volumes in other units these would be wrong
_LOW_HU: Final = -950.0
_SOLID_HU: Final = -300.0
_CORE_PART: Final = 0.5  # of the radius of the sphere of equal volume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """A segment, measured: centroid in LPS mm, the values asked for, and axes where one was asked for."""

    centre_lps_mm: PointLps
    measurements: tuple[Measurement, ...]
    axes: Axes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """What the measures are made from: values of the voxels (1-D), their number and size, and the axes."""

    values: Float64
    voxel_mm3: float
    axes: Axes | None

    @property
    def volume_mm3(self) -> float:
        return self.values.size * self.voxel_mm3


def _axis(sample: _Sample, name: str) -> float:
    if sample.axes is None:
        raise ValueError(f"{name} is asked for without axes")
    return float(getattr(sample.axes, name))


_MEASURES: Final[Mapping[str, Callable[[_Sample], float]]] = MappingProxyType(
    {
        "volume_ml": lambda one: one.volume_mm3 / 1000.0,
        "volume_mm3": lambda one: one.volume_mm3,
        "mean_hu": lambda one: float(one.values.mean()),
        "sd_hu": lambda one: float(one.values.std()),
        "laa950_percent": lambda one: 100.0 * float((one.values < _LOW_HU).mean()),
        "perc15_hu": lambda one: float(np.percentile(one.values, 15.0)),
        "long_axis_mm": lambda one: _axis(one, "long_mm"),
        "short_axis_mm": lambda one: _axis(one, "short_mm"),
        "equivalent_diameter_mm": lambda one: sphere_diameter_mm(one.volume_mm3),
    }
)
_WITH_AXES: Final = frozenset({"long_axis_mm", "short_axis_mm"})


def measure(mask: Mask, volume: Volume, names: Sequence[str]) -> Measured:
    """Measure what is in `mask` of `volume`: `names` as in engine.toml, in their order.

    Definitions: volume = voxels × volume of a voxel; equivalent diameter = that of a sphere of this volume;
    SD is that of the voxels themselves (divided by n); axes as in `axes_of`. ValueError for an empty mask.
    """
    if mask.is_empty:
        raise ValueError("an empty mask has no measurements")
    grid = volume.grid
    crop = mask.crop()
    values = volume.voxels[mask.slices_kji][crop].astype(np.float64)
    axes = axes_of(mask, grid) if _WITH_AXES.intersection(names) else None
    sample = _Sample(values, grid.voxel_mm3, axes)
    measurements = tuple(
        Measurement(
            name=name,
            concept=CONCEPTS[name].code,
            value=_MEASURES[name](sample),
            unit=CONCEPTS[name].unit,
            derivation=CONCEPTS[name].derivation,
        )
        for name in names
    )
    x, y, z = grid.to_lps_mm(_centroid(mask))
    return Measured(centre_lps_mm=(float(x), float(y), float(z)), measurements=measurements, axes=axes)


def sphere_diameter_mm(volume_mm3: float) -> float:
    """Return the diameter of the sphere of this volume."""
    return float((6.0 * volume_mm3 / np.pi) ** (1.0 / 3.0))


def core_hu(mask: Mask, volume: Volume) -> float:
    """Return the mean HU of the core: voxels nearer to the centroid than half the radius, at least one."""
    grid = volume.grid
    crop = mask.crop()
    start = np.array([part.start for part in mask.slices_kji])
    centre = _centroid(mask) - start
    index = np.argwhere(crop)
    apart = np.linalg.norm((index - centre)[:, ::-1] @ grid.affine_lps[:3, :3].T, axis=1)
    radius = sphere_diameter_mm(len(index) * grid.voxel_mm3) / 2.0
    core = index[apart <= max(_CORE_PART * radius, float(apart.min()))]
    values = volume.voxels[mask.slices_kji][tuple(core.T)]
    return float(values.mean(dtype=np.float64))


def is_solid(core_mean_hu: float) -> bool:
    """Tell whether a lesion with such a core is solid; ground glass and part of the part-solid are not."""
    return core_mean_hu >= _SOLID_HU


def _centroid(mask: Mask) -> Float64:
    """Return the mean index (k, j, i) of what is set."""
    crop = mask.crop()
    # Two passes over the voxels give the counts of all three axes
    along_k = np.array([np.count_nonzero(plane) for plane in crop])
    down = crop.view(np.uint8).sum(axis=0, dtype=np.uint32)
    total = int(along_k.sum())
    return np.array(
        [
            part.start + float((counts * np.arange(len(counts))).sum()) / total
            for part, counts in zip(
                mask.slices_kji, (along_k, down.sum(axis=1), down.sum(axis=0)), strict=True
            )
        ]
    )

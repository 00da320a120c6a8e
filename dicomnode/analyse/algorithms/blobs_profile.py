"""What a blob looks like and what is around it, as a row of numbers for a head: "blob_profile".

Radiomics describes what is within an outline. Whether a small blob is a nodule or a bend of a vessel is told
by what is around it: in how many directions it goes on, how near the wall is, whether its edge looks the same
all around. Lengths in mm, values in HU; a region of one voxel has a row, too.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.algorithms.blobs_lines import short_everywhere
from dicomnode.analyse.algorithms.contract import Parameters, RowAlgorithm
from dicomnode.analyse.grids import Bool, Float32, box_of
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Float64

_LOW_HU, _HIGH_HU = -1000.0, 400.0
_DENSE_HU: Final = -300.0
_SHELLS_MM: Final = (0.0, 1.5, 3.0, 5.0, 8.0, 12.0, 18.0)
_PARTS: Final = (0.5, 1.0, 1.5, 2.0, 3.0)  # of the radius: shells that grow with the region
_RAYS: Final = (1.5, 2.25)  # radii at which it is looked in all directions
_BESIDE_MM: Final = 1.25
_RANKS: Final = (0, 1, 2, 4, 7, 12)  # of the directions, the brightest first
_LINE: Final = 7  # voxels, as `blobs_peaks` has it
_SOFT: Final = 0.8  # voxels: SD of a blur against noise
_SMALLEST_MM: Final = 1.5  # radius that a filter is fitted to
_WAYS: Final = np.array([one for one in itertools.product((-1.0, 0.0, 1.0), repeat=3) if any(one)])
_UNIT: Final = _WAYS / np.linalg.norm(_WAYS, axis=1, keepdims=True)

NAMES: Final[tuple[str, ...]] = (
    "radius",
    "elongation",
    "flatness",
    "compactness",
    *(f"hu_{what}" for what in ("mean", "sd", "p10", "median", "p90", "maximum", "middle")),
    *(f"shell_{mm:g}_{what}" for mm in _SHELLS_MM[1:] for what in ("mean", "sd", "dense")),
    *(f"part_{part:g}_{what}" for part in _PARTS[1:] for what in ("left", "above")),
    *(f"ray_{radii:g}_{rank}" for radii in _RAYS for rank in _RANKS),
    *(f"ray_{radii:g}_count" for radii in _RAYS),
    "curvature",
    "curvature_second",
    "curvature_third",
    "convergence",
    "convergence_sd",
    "short_mean",
    "short_maximum",
)
"""In the order of a row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Spot:
    """A region in a crop: HU float64 (k, j, i), its voxels, mm from its middle along each axis and in all.

    steps: mm of a voxel along k, j, i; middle: index of the centroid; radius_mm: of a ball as large.
    """

    hu: Float64
    mask: Bool
    ways_mm: tuple[Float64, Float64, Float64]
    away_mm: Float64
    steps: Float64
    middle: Float64
    radius_mm: float


def profile_of(image: Prepared, mask: Bool) -> Float64:
    """Return the row of a region that is not empty: float64 (len(NAMES),), finite."""
    spot = _spot(image, mask)
    core = float(spot.hu[_near(spot)].mean())
    lung = float(np.percentile(spot.hu[spot.away_mm <= _SHELLS_MM[-1]], 25.0))
    contrast = max(core - lung, 1.0)
    row = [
        *_outline(spot),
        *_values(spot, core),
        *_shells(spot),
        *_parts(spot, lung, contrast),
        *_rays(spot, lung, contrast),
        *_curvatures(spot),
        *_convergence(spot),
        *_short(spot),
    ]
    return np.nan_to_num(np.array(row, dtype=np.float64))


def _spot(image: Prepared, mask: Bool) -> _Spot:
    steps = np.array(image.grid.spacing_kji_mm)
    found = np.flatnonzero(mask)
    if not found.size:
        raise ValueError("the region is empty")
    inside = np.stack(np.unravel_index(found, mask.shape), axis=1)
    middle = inside.mean(axis=0)
    volume = len(inside) * float(np.prod(steps))
    radius = (3.0 * volume / (4.0 * np.pi)) ** (1 / 3)
    reach = np.ceil(max(_SHELLS_MM[-1], (_RAYS[-1] + 1.0) * radius) / steps).astype(int) + 1
    low = np.maximum(np.rint(middle).astype(int) - reach, 0)
    high = np.minimum(np.rint(middle).astype(int) + reach + 1, mask.shape)
    cut = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    axes = [(np.arange(a, b) - m) * s for a, b, m, s in zip(low, high, middle, steps, strict=True)]
    k, j, i = np.ix_(*axes)
    return _Spot(
        hu=np.clip(np.asarray(image.voxels[cut], dtype=np.float64), _LOW_HU, _HIGH_HU),
        mask=mask[cut],
        ways_mm=(k, j, i),
        away_mm=np.sqrt(k**2 + j**2 + i**2),
        steps=steps,
        middle=middle - low,
        radius_mm=radius,
    )


def _near(spot: _Spot) -> Bool:
    """Return the middle of it, at least one voxel."""
    near: Bool = spot.away_mm <= max(0.5 * spot.radius_mm, float(spot.away_mm.min()))
    return near


def _outline(spot: _Spot) -> list[float]:
    places = np.argwhere(spot.mask) * spot.steps
    spread = np.atleast_2d(np.cov(places.T)) if len(places) > 1 else np.zeros((3, 3))
    # A voxel is no point: each axis has the spread of one voxel at least
    least, minor, major = np.sqrt(np.linalg.eigvalsh(spread + np.diag(spot.steps**2 / 12.0)))
    farthest = float(spot.away_mm[spot.mask].max()) + float(spot.steps.mean()) / 2.0
    return [spot.radius_mm, float(minor / major), float(least / major), (spot.radius_mm / farthest) ** 3]


def _values(spot: _Spot, core: float) -> list[float]:
    values = spot.hu[spot.mask]
    p10, median, p90 = np.percentile(values, (10.0, 50.0, 90.0))
    return [values.mean(), values.std(), p10, median, p90, values.max(), core]


def _shells(spot: _Spot) -> list[float]:
    """Mean, SD and dense part of shells around the middle; of one without a voxel, of the one before."""
    shell = np.searchsorted(_SHELLS_MM, spot.away_mm.ravel(), side="right") - 1
    wide, hu = len(_SHELLS_MM), spot.hu.ravel()
    count = np.bincount(shell, minlength=wide)[: wide - 1]
    sums, squares, dense = (
        np.bincount(shell, weights=one, minlength=wide)[: wide - 1] for one in (hu, hu**2, hu > _DENSE_HU)
    )
    row: list[float] = []
    for n in range(wide - 1):
        if not count[n]:
            row += row[-3:] or [float(hu.mean()), 0.0, 0.0]
            continue
        mean = sums[n] / count[n]
        row += [mean, max(squares[n] / count[n] - mean**2, 0.0) ** 0.5, dense[n] / count[n]]
    return row


def _parts(spot: _Spot, lung: float, contrast: float) -> list[float]:
    """Tell of shells that grow with it what is left of the contrast, and how much of them is above half."""
    row: list[float] = []
    left = (spot.hu - lung) / contrast
    for low, high in itertools.pairwise(_PARTS):
        there = (spot.away_mm > low * spot.radius_mm) & (spot.away_mm <= high * spot.radius_mm)
        values = left[there] if there.any() else left[_near(spot)]
        row += [float(values.mean()), float((values > 0.5).mean())]
    return row


def _rays(spot: _Spot, lung: float, contrast: float) -> list[float]:
    """Tell what is left of the contrast in 26 directions: a vessel goes on in two, a branch in three."""
    ranked, counts = [], []
    for radii in _RAYS:
        ends = spot.middle + _UNIT * (radii * spot.radius_mm + _BESIDE_MM) / spot.steps
        values = ndimage.map_coordinates(spot.hu, ends.T, order=1, mode="nearest")
        left = np.sort((values - lung) / contrast)[::-1]
        ranked += [float(left[rank]) for rank in _RANKS]
        counts.append(float((left > 0.5).mean()))
    return [*ranked, *counts]


def _curvatures(spot: _Spot) -> list[float]:
    """Return the strongest second derivative at its size, in HU, and the other two as parts of it."""
    sigmas = max(spot.radius_mm, _SMALLEST_MM) / 3.0**0.5 / spot.steps
    at = np.clip(np.rint(spot.middle).astype(int), 1, np.array(spot.hu.shape) - 2)
    cut = tuple(
        slice(max(a - r, 0), a + r + 1)
        for a, r in zip(at.tolist(), (np.ceil(3.0 * sigmas).astype(int) + 2).tolist(), strict=True)
    )
    own = tuple(a - part.start for a, part in zip(at.tolist(), cut, strict=True))
    blurred = ndimage.gaussian_filter(spot.hu[cut], sigmas, truncate=3.0, mode="nearest")
    around = blurred[tuple(slice(max(a - 1, 0), a + 2) for a in own)]
    if around.shape != (3, 3, 3):
        return [0.0, 0.0, 0.0]
    second = np.empty((3, 3))
    for a, b in itertools.combinations_with_replacement(range(3), 2):
        one, two = np.eye(3, dtype=int)[a], np.eye(3, dtype=int)[b]
        if a == b:
            value = around[tuple(1 + one)] + around[tuple(1 - one)] - 2.0 * around[1, 1, 1]
        else:
            alike = around[tuple(1 + one + two)] + around[tuple(1 - one - two)]
            value = (alike - around[tuple(1 + one - two)] - around[tuple(1 - one + two)]) / 4.0
        second[a, b] = second[b, a] = value * sigmas[a] * sigmas[b]
    strong, middle, weak = np.linalg.eigvalsh(second)
    whole = min(float(strong), -1.0)
    return [float(strong), float(middle) / whole, float(weak) / whole]


def _convergence(spot: _Spot) -> list[float]:
    """Mean and SD of the cosine between what the image falls along and the way outwards, near the edge."""
    rim = (spot.away_mm > 0.5 * spot.radius_mm) & (spot.away_mm <= 1.6 * spot.radius_mm + _BESIDE_MM)
    slopes = np.gradient(spot.hu, *spot.steps)
    steep = np.sqrt(sum(one**2 for one in slopes)) + 1e-6
    along = sum(-one * way for one, way in zip(slopes, spot.ways_mm, strict=True))
    cosines = (along / (steep * np.maximum(spot.away_mm, 1e-6)))[rim]
    weights = steep[rim]
    if not cosines.size:
        return [0.0, 0.0]
    mean = float(np.average(cosines, weights=weights))
    return [mean, float(np.average((cosines - mean) ** 2, weights=weights)) ** 0.5]


def _short(spot: _Spot) -> list[float]:
    """Return what openings by lines leave of it, in HU: mean and maximum within."""
    cut = box_of(spot.mask, margin=_LINE + 2) or (slice(None),) * 3  # farther no line and no blur reaches
    image: Float32 = ndimage.gaussian_filter(spot.hu[cut].astype(np.float32), _SOFT, truncate=3.0)
    left = short_everywhere(image, _LINE)[spot.mask[cut]]
    return [float(left.mean()), float(left.max())]


def _run(image: Prepared, mask: Bool, parameters: Parameters, names: tuple[str, ...]) -> Float64 | str:  # noqa: ARG001  as all of its kind
    if not mask.any():
        return "the region is empty"
    row = dict(zip(NAMES, profile_of(image, mask).tolist(), strict=True))
    return np.array([row[name] for name in names], dtype=np.float64)


BLOB_PROFILE: Final = RowAlgorithm(
    name="blob_profile",
    version=1,
    parameters=MappingProxyType({}),
    names=NAMES,
    run=_run,
    around_mm=50.0,  # the farthest ray of the largest blob, of 26 mm
    in_voxels=("short_mean", "short_maximum"),
)

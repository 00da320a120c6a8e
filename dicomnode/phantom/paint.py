"""How shapes become voxels: layers (fields, read slice by slice) and strokes (capsules), edges blended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.phantom.lattice import Field, Float32, Point, SliceReader
from dicomnode.values import Grid

# Thinner strokes are drawn this wide, in voxels, and as much paler: they keep their mass, and no gap opens
# where they run between the centres of voxels.
_THINNEST: Final = 0.7


@dataclass(frozen=True, eq=False)
class Layer:
    """A shape painted over what lies below it.

    shape: distance in mm, negative inside. hu: its density, one number or a field on the same lattice.
    edge_mm: width over which the surface blends, when it is softer than a voxel.
    lighten: paint only where the shape is denser than what is there (a sheet within the lung).
    """

    shape: Field
    hu: float | Field
    edge_mm: float = 0.0
    lighten: bool = False


@dataclass(frozen=True)
class Stroke:
    """A capsule from `start` to `end` (z, y, x in LPS mm) with a radius at each, in HU.

    over: True paints over what is there, False only where the capsule is denser.
    """

    start: Point
    end: Point
    radii_mm: tuple[float, float]
    hu: float
    over: bool = False


def paint_layers(voxels: Float32, reader: SliceReader, layers: Sequence[Layer]) -> None:
    """Paint `layers` in their order into `voxels` (k, j, i) HU, which lie on the reader's grid."""
    voxel_mm = float(np.mean(reader.grid.spacing_kji_mm[1:]))
    for layer in layers:
        edge = max(layer.edge_mm, voxel_mm)
        k_range, rows, columns = reader.window(layer.shape, edge)
        for k in range(k_range.start, k_range.stop):
            cover = reader.read(layer.shape, k, rows, columns)
            cover *= np.float32(-1.0 / edge)
            cover += np.float32(0.5)
            np.clip(cover, 0.0, 1.0, out=cover)
            hu: Float32 | np.float32
            if isinstance(layer.hu, np.ndarray):
                hu = reader.read(layer.hu, k, rows, columns)
            else:
                hu = np.float32(layer.hu)
            there = voxels[k, rows, columns]
            gain = hu - there
            if layer.lighten:
                np.maximum(gain, 0.0, out=gain)
            there += gain * cover


def draw_strokes(voxels: Float32, grid: Grid, strokes: Iterable[Stroke]) -> None:
    """Draw `strokes` in their order into `voxels` (k, j, i) HU on `grid`, whose axes are the patient's."""
    spacing = np.array(grid.spacing_kji_mm)
    first = grid.to_lps_mm((0, 0, 0))[::-1]
    width = float(spacing.mean())
    axes = [first[a] + spacing[a] * np.arange(n) for a, n in enumerate(grid.shape_kji)]
    for stroke in strokes:
        a, b = np.array(stroke.start), np.array(stroke.end)
        reach = max(stroke.radii_mm) + width
        low = np.maximum(np.ceil((np.minimum(a, b) - reach - first) / spacing), 0).astype(int)
        high = np.minimum(np.floor((np.maximum(a, b) + reach - first) / spacing) + 1, grid.shape_kji)
        if not (high > low).all():
            continue
        cut = tuple(slice(lo, int(hi)) for lo, hi in zip(low, high, strict=True))
        z, y, x = (axes[n][part].astype(np.float32) for n, part in enumerate(cut))
        cover = _coverage(stroke, (z[:, None, None], y[:, None], x), width)
        there = voxels[cut]
        gain = np.float32(stroke.hu) - there
        if not stroke.over:
            np.maximum(gain, 0.0, out=gain)
        there += gain * cover


def _coverage(stroke: Stroke, axes: tuple[Float32, Float32, Float32], width: float) -> Float32:
    (z, y, x), a = axes, stroke.start
    dz, dy, dx = (float(e - s) for s, e in zip(stroke.start, stroke.end, strict=True))
    length2 = max(dz * dz + dy * dy + dx * dx, 1e-6)
    along = ((z - a[0]) * (dz / length2) + (y - a[1]) * (dy / length2)) + (x - a[2]) * (dx / length2)
    along = np.clip(along, 0.0, 1.0)
    away = (z - a[0] - along * dz) ** 2 + (y - a[1] - along * dy) ** 2 + (x - a[2] - along * dx) ** 2
    r0, r1 = stroke.radii_mm
    radius = np.float32(r0) + along * np.float32(r1 - r0)
    drawn = np.maximum(radius, np.float32(_THINNEST * width))
    cover = np.clip((drawn - np.sqrt(away)) / width + 0.5, 0.0, 1.0) * (radius / drawn) ** 2
    found: Float32 = cover.astype(np.float32)
    return found


def polyline(
    path: Sequence[Point], radius_mm: float | Sequence[float], hu: float, *, over: bool = False
) -> list[Stroke]:
    """Make the strokes along `path`."""
    radii = np.broadcast_to(np.asarray(radius_mm, dtype=np.float64), (len(path),)).tolist()
    return [
        Stroke(path[n], path[n + 1], (radii[n], radii[n + 1]), hu, over=over) for n in range(len(path) - 1)
    ]

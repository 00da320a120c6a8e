"""Bones of the chest: spine, ribs with their cartilage, breastbone, shoulder blades, collar bones."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.phantom.figure import FLOOR_MM, Figure, height
from dicomnode.phantom.lattice import Field, Lattice, Point
from dicomnode.phantom.paint import Layer, Stroke, polyline
from dicomnode.phantom.trunk import Trunk, scapula_zone

CORTEX_HU: Final = 640.0
_DISC_MM: Final = 25.0  # from disc to disc
_RIBS: Final = 12
# From the first rib: how far round the chest its bone goes (1 = the breastbone), how much it drops there.
_BONE_TO: Final = (0.80, 0.80, 0.80, 0.79, 0.78, 0.76, 0.74, 0.71, 0.66, 0.60, 0.46, 0.34)
_DROP_MM: Final = (44, 58, 70, 80, 88, 94, 97, 94, 88, 74, 48, 32)
_CARTILAGE: Final = 8  # the first so many ribs reach the breastbone by cartilage


def bone_layers(lattice: Lattice, figure: Figure, trunk: Trunk) -> list[Layer]:
    """Spine, breastbone and shoulder blades, cortex first."""
    vertebra, disc, arch, canal = _spine(lattice, figure)
    sternum = _sternum(lattice, figure)
    blade = np.maximum(scapula_zone(lattice) + 9.0, np.abs(trunk.cavity - 25.0) - 3.2).astype(np.float32)
    marrow = figure.marrow_hu
    return [
        Layer(disc, 85.0),
        Layer(vertebra, CORTEX_HU - 180.0),
        Layer((vertebra + 1.7).astype(np.float32), marrow),
        Layer(arch, CORTEX_HU - 180.0),
        Layer((arch + 1.9).astype(np.float32), marrow + 60.0),
        Layer(canal, 12.0),
        Layer((canal + 3.5).astype(np.float32), 38.0),
        Layer(sternum, 330.0),
        Layer((sternum + 1.8).astype(np.float32), marrow - 50.0),
        Layer(blade, CORTEX_HU - 120.0),
        Layer((blade + 1.8).astype(np.float32), marrow + 80.0),
    ]


def _spine(lattice: Lattice, figure: Figure) -> tuple[Field, Field, Field, Field]:
    x, z = lattice.x, lattice.z
    y = lattice.y - figure.spine_mm(z)
    phase = (z + figure.disc_phase_mm) / _DISC_MM
    within = np.abs(phase - np.round(phase)) * _DISC_MM  # distance to the next disc's middle
    waist = 1.0 - 0.10 * np.clip(within / (_DISC_MM / 2), 0, 1)
    grow = 1.0 + 0.12 * (1 - height(z))
    column = (np.sqrt((x / 17.0) ** 2 + (y / 14.5) ** 2) - waist * grow) * 15.0
    vertebra = np.maximum(column, 2.6 - within)
    canal = (np.sqrt((x / 9.5) ** 2 + ((y - 21.0) / 8.0) ** 2) - 1.0) * 8.5
    # Pedicles and laminae ring the canal for most of each level; the spinous process points back and down.
    ring = (np.sqrt((x / 17.0) ** 2 + ((y - 21.0) / 13.5) ** 2) - 1.0) * 14.5
    ring = np.maximum(ring, 4.5 - within)
    spinous = np.maximum(np.abs(x) - 3.4, np.maximum(28.0 - y, y - 43.0))
    transverse = np.sqrt((y - 20.0 - np.abs(x) * 0.22) ** 2 + (within - 11.0) ** 2) - 5.0
    transverse = np.maximum(transverse, np.abs(x) - 34.0)
    arch = np.minimum(np.minimum(ring, spinous), np.maximum(transverse, 12.0 - np.abs(x)))
    return _full(lattice, vertebra), _full(lattice, column), _full(lattice, arch), _full(lattice, canal)


def _full(lattice: Lattice, field: NDArray[np.floating]) -> Field:
    return np.broadcast_to(field, lattice.shape_zyx).astype(np.float32)


def _sternum(lattice: Lattice, figure: Figure) -> Field:
    z, t = lattice.z, height(lattice.z)
    middle = figure.cavity_front_mm(z) - 8.0
    half = 15.0 + 9.0 * np.exp(-(((t - 0.82) / 0.1) ** 2))
    flat = (np.sqrt((lattice.x / half) ** 2 + ((lattice.y - middle) / 6.5) ** 2) - 1.0) * 6.5
    field: Field = np.maximum(flat, np.maximum(0.26 - t, t - 0.88) * 230.0).astype(np.float32)
    return field


def bone_strokes(figure: Figure) -> list[Stroke]:
    """Ribs and collar bones of both sides."""
    strokes: list[Stroke] = []
    for side in (-1, 1):
        for number in range(_RIBS):
            strokes += _rib(figure, number, side)
        strokes += _clavicle(figure, side)
    return strokes


def _rib(figure: Figure, number: int, side: int) -> list[Stroke]:
    bone = _rib_path(figure, number, side, np.linspace(0.10, _BONE_TO[number], 34))
    strokes: list[Stroke] = []
    if number < _CARTILAGE:
        last = _rib_path(figure, number, side, np.linspace(_BONE_TO[number], 0.965, 9))
        lift = np.linspace(0.0, 8.0 + 5.0 * number, 9)
        soft = [(z + up, y, x) for (z, y, x), up in zip(last, lift, strict=True)]
        strokes += polyline(soft, 5.0, 105.0, over=True)
    # Two capsules, one above the other, make the flat oval of a rib; marrow within.
    for radius, hu in ((3.7, CORTEX_HU), (2.3, figure.marrow_hu + 60.0)):
        for shift in (-3.2, 0.0, 3.2):
            strokes += polyline([(z + shift, y, x) for z, y, x in bone], radius, hu, over=True)
    return strokes


def rib_end(figure: Figure, number: int, side: int) -> Point:
    """Where the bone of a rib (0: the first) meets its cartilage; side -1 right, 1 left."""
    return _rib_path(figure, number, side, np.array([_BONE_TO[number]]))[0]


def _rib_path(figure: Figure, number: int, side: int, way: NDArray[np.float64]) -> list[Point]:
    """Points at parts `way` of the way from the spine (0) round the side (0.5) to the breastbone (1)."""
    head = FLOOR_MM + 236.0 + figure.rib_phase_mm - number * figure.rib_step_mm
    drop = _DROP_MM[number] * np.clip(way / 0.8, 0.0, 1.0) ** 1.15
    z = (head - drop).astype(np.float32)
    half, front, back = (
        f(z) for f in (figure.cavity_half_width_mm, figure.cavity_front_mm, figure.cavity_back_mm)
    )
    outward = 5.8
    angle = np.pi * way
    sine, cosine = np.sin(angle), np.cos(angle)
    power = np.where(cosine > 0, 2 / 2.5, 2 / 2.2)
    x = side * (half + outward) * np.abs(sine) ** power
    depth = (back - front) / 2 + outward
    y = (front + back) / 2 + depth * np.sign(cosine) * np.abs(cosine) ** power
    # The head of the rib meets the side of the vertebra, in front of the deepest part of the gutter.
    near = np.clip((0.2 - way) / 0.1, 0.0, 1.0)
    y = y - near * 12.0
    return [(float(a), float(b), float(c)) for a, b, c in zip(z, y, x, strict=True)]


def _clavicle(figure: Figure, side: int) -> list[Stroke]:
    w = figure.width * side
    path: list[Point] = [
        (84, -50, 20 * w),
        (92, -54, 42 * w),
        (104, -50, 70 * w),
        (122, -34, 100 * w),
        (144, -20, 122 * w),
    ]
    radii = (7.5, 6.0, 5.5, 5.5, 6.0)
    inner = [r - 2.0 for r in radii]
    return polyline(path, radii, CORTEX_HU, over=True) + polyline(
        path, inner, figure.marrow_hu + 60, over=True
    )

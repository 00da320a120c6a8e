"""Between the lungs: heart, great vessels, airways, oesophagus; and the lungs, which fill what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.phantom.figure import APEX_MM, Figure, height
from dicomnode.phantom.lattice import Field, Lattice, Point, unite
from dicomnode.phantom.paint import Layer
from dicomnode.phantom.trunk import Trunk, smoothstep

# Paths as (z, y, x) in mm of a middle-sized adult; they are scaled by the figure's depth and width.
Path = tuple[Point, ...]

_CARINA: Final[Point] = (26.0, 16.0, 1.0)
_RIGHT_HILUM: Final[Point] = (2.0, 14.0, -44.0)
_LEFT_HILUM: Final[Point] = (6.0, 18.0, 46.0)

AIRWAYS: Final[tuple[tuple[Path, tuple[float, ...]], ...]] = (
    (((150.0, -2.0, 0.0), (95.0, 2.0, 0.0), (55.0, 11.0, -2.0), _CARINA), (9.0, 9.0, 8.8, 8.6)),
    ((_CARINA, (14.0, 17.0, -18.0), _RIGHT_HILUM), (7.8, 7.2, 6.0)),
    ((_CARINA, (12.0, 20.0, 24.0), _LEFT_HILUM), (7.2, 6.6, 5.4)),
)
_ARTERIES: Final[tuple[tuple[Path, tuple[float, ...]], ...]] = (
    # Aorta: root, ascending part, arch
    (
        (
            (-8, -20, 8),
            (10, -26, -4),
            (28, -29, -14),
            (42, -24, -13),
            (52, -12, -4),
            (54, 4, 8),
            (50, 20, 17),
            (40, 30, 22),
        ),
        (14.5, 15, 14.5, 14, 13.5, 13, 12.5, 12),
    ),
    # Pulmonary trunk and its two branches, to the hila
    (((-6, -42, 18), (10, -36, 24), (22, -20, 22), (26, -8, 16)), (13.5, 13.5, 13, 12)),
    (((26, -8, 16), (27, 4, 30), (21, 13, 41), (8, 18, 46)), (11, 10, 8, 5)),
    (((24, -10, 14), (16, -6, -6), (11, 2, -28), (4, 10, -44)), (11, 10, 9, 6)),
    # Branches of the arch, to the thoracic inlet and beyond
    (((52, -12, -5), (70, -12, -12), (100, -8, -22), (150, -6, -26)), (6, 6, 5.5, 5)),
    (((54, -2, 4), (75, -4, 10), (110, -2, 18), (150, -2, 22)), (4.5, 4.2, 4, 3.8)),
    (((52, 8, 12), (75, 10, 20), (105, 8, 30), (118, 0, 52)), (5, 5, 4.8, 4.5)),
)
_VEINS: Final[tuple[tuple[Path, tuple[float, ...]], ...]] = (
    # Superior vena cava with both brachiocephalic veins
    (
        ((0, -14, -26), (30, -16, -28), (60, -20, -26), (84, -22, -26), (120, -16, -34)),
        (10, 9.5, 9, 7.5, 6.5),
    ),
    (((64, -22, -24), (72, -30, -4), (84, -26, 20), (118, -16, 36)), (6.5, 6.5, 6.5, 6)),
    # Lower pulmonary veins into the left atrium, and the azygos arch
    (((-8, 2, -16), (-10, 8, -40)), (8, 6.5)),
    (((-6, 4, 20), (-8, 12, 42)), (8, 6.5)),
    (((36, 32, -8), (40, 16, -15), (37, -6, -23)), (3, 3.5, 3.5)),
)
# Each chamber from its base to its tip; the tip of the left ventricle points to the left, front and feet.
_HEART: Final[tuple[tuple[Path, tuple[float, ...]], ...]] = (
    (((-10, -14, -22), (-44, -18, -20)), (26, 27)),  # right atrium
    (((-8, -40, 10), (-46, -48, 2), (-56, -52, 40)), (19, 28, 20)),  # right ventricle
    (((-22, -10, 22), (-40, -24, 46), (-58, -36, 62)), (34, 34, 22)),  # left ventricle
    (((-8, 4, -14), (-6, 4, 22)), (20, 21)),  # left atrium
)


@dataclass(frozen=True, eq=False)
class Chest:
    """Shapes of the inside of the chest, as distances in mm; hila as (z, y, x) in LPS mm."""

    heart: Field
    arteries: Field
    veins: Field
    aorta: Field
    oesophagus: Field
    airways: Field
    lungs: Field
    hilum_right: Point
    hilum_left: Point


def scaled(path: tuple[Point, ...], figure: Figure) -> list[Point]:
    """Fit a path of the middle-sized adult to the figure."""
    return [(z, y * figure.depth, x * figure.width) for z, y, x in path]


def build_chest(lattice: Lattice, figure: Figure, trunk: Trunk, rng: np.random.Generator) -> Chest:
    """Make what lies between the lungs, and the lungs around it."""
    heart = _heart(lattice, figure) + lattice.noise(30.0, rng) * 1.5
    arteries = _tubes(lattice, figure, _ARTERIES)
    veins = _tubes(lattice, figure, _VEINS)
    airways = _tubes(lattice, figure, AIRWAYS)
    aorta = _descending(lattice, figure, (19.0, 12.5, 26.0), (10.0, 11.0))
    oesophagus = _descending(lattice, figure, (26.0, 6.5, 2.0), (8.0, 6.0))
    between = unite((heart - 4.5).astype(np.float32), _septum(lattice, figure), 16.0)
    for tubes, margin in ((arteries, 2.5), (veins, 2.5), (airways, 3.5), (aorta, 2.0), (oesophagus, 3.0)):
        between = unite(between, (tubes - margin).astype(np.float32), 12.0)
    between = unite(between, _beside_the_spine(lattice, figure), 10.0)
    lungs = np.maximum(np.maximum(trunk.cavity, -between), -trunk.below)
    lungs = np.maximum(lungs, _above_the_apex(lattice))
    (_, right_path), (_, left_path) = ((p, scaled(p, figure)) for p, _ in AIRWAYS[1:])
    return Chest(
        heart=heart.astype(np.float32),
        arteries=arteries,
        veins=veins,
        aorta=aorta,
        oesophagus=oesophagus,
        airways=airways,
        lungs=lungs.astype(np.float32),
        hilum_right=right_path[-1],
        hilum_left=left_path[-1],
    )


def _tubes(lattice: Lattice, figure: Figure, table: tuple[tuple[Path, tuple[float, ...]], ...]) -> Field:
    field = np.full(lattice.shape_zyx, 60.0, dtype=np.float32)
    for path, radii in table:
        np.minimum(field, lattice.tube(scaled(path, figure), radii), out=field)
    return field


def _heart(lattice: Lattice, figure: Figure) -> Field:
    field = np.full(lattice.shape_zyx, 60.0, dtype=np.float32)
    for path, radii in _HEART:
        chamber = lattice.tube(scaled(path, figure), [r * figure.heart for r in radii])
        field = unite(field, chamber, 14.0)
    return field


def _descending(
    lattice: Lattice, figure: Figure, place: tuple[float, float, float], radii: tuple[float, float]
) -> Field:
    """A tube along the spine: `place` = in front of it, x at the top, x at the bottom … of the chest."""
    front, x_low, x_high = place
    heights = np.linspace(-160.0, 42.0, 12)
    spine = figure.spine_mm(heights.astype(np.float32))
    part = (heights + 160.0) / 202.0
    path = [
        (float(z), float(y) - front, float(x_low + (x_high - x_low) * p) * figure.width)
        for z, y, p in zip(heights, spine, part, strict=True)
    ]
    return lattice.tube(path, np.linspace(radii[0], radii[1], len(path)).tolist())


def _septum(lattice: Lattice, figure: Figure) -> Field:
    """The plane between both lungs, thin behind the breastbone, wide at the thoracic inlet."""
    t = height(lattice.z)
    inlet = smoothstep(t, 0.74, 0.95) * np.exp(-(((lattice.y + 4.0) / 42.0) ** 2))
    front = smoothstep(-lattice.y, -20.0, 40.0)
    low = 1 - smoothstep(t, 0.15, 0.4)
    half = 5.0 + 19.0 * inlet + 10.0 * front * low
    field: Field = (np.abs(lattice.x - 2.0) - half * np.float32(figure.width)).astype(np.float32)
    return field


def _beside_the_spine(lattice: Lattice, figure: Figure) -> Field:
    y = lattice.y - figure.spine_mm(lattice.z)
    round_body = np.sqrt((lattice.x / 23.0) ** 2 + (y / 19.0) ** 2) - 1.0
    behind = np.maximum(np.abs(lattice.x) - 24.0, -y)
    field: Field = np.minimum(round_body * 20.0, behind).astype(np.float32)
    return field


def _above_the_apex(lattice: Lattice) -> Field:
    """Round off the tops of the lungs."""
    top = APEX_MM - ((np.abs(lattice.x) - 40.0) ** 2) / 95.0 - ((lattice.y - 16.0) ** 2) / 120.0
    return lattice.as_distance((lattice.z - top).astype(np.float32))


def chest_layers(lattice: Lattice, figure: Figure, chest: Chest, rng: np.random.Generator) -> list[Layer]:
    """Heart, vessels and oesophagus in their fat, then the walls of the airways."""
    blood = np.float32(figure.blood_hu) + 4.0 * lattice.noise(12.0, rng)
    return [
        Layer(chest.heart, blood, edge_mm=2.0),
        Layer(chest.veins, blood),
        Layer(chest.arteries, blood),
        Layer(chest.aorta, blood),
        Layer(chest.oesophagus, 34.0),
        Layer((chest.airways - 1.6).astype(np.float32), 30.0),
    ]


def lumen_layer(chest: Chest) -> Layer:
    """Air in the trachea and the main bronchi, painted last."""
    return Layer(chest.airways, -992.0)

"""The trunk: skin, fat, muscle, the space within the rib cage, the diaphragm, and the couch below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.phantom.figure import APEX_MM, FLOOR_MM, Figure, height
from dicomnode.phantom.lattice import Field, Float32, Lattice, unite
from dicomnode.phantom.paint import Layer

# Muscles of neck and shoulders, on both sides: centre and radii (z, y, |x|) in mm
_SHOULDER: Final = (
    ((140.0, 14.0, 34.0), (38.0, 22.0, 17.0)),
    ((150.0, -30.0, 34.0), (46.0, 9.0, 14.0)),
    ((140.0, 8.0, 128.0), (52.0, 46.0, 24.0)),
    ((138.0, 52.0, 84.0), (42.0, 22.0, 42.0)),
    ((150.0, 66.0, 34.0), (60.0, 20.0, 26.0)),
)


@dataclass(frozen=True, eq=False)
class Trunk:
    """Shapes that all the others lean on, as distances in mm.

    body: the skin. cavity: the inner surface of the rib cage. below: under the dome of the diaphragm.
    """

    body: Field
    cavity: Field
    below: Field


def build_trunk(lattice: Lattice, figure: Figure, rng: np.random.Generator) -> Trunk:
    """Make the trunk of `figure`; `rng` makes its outlines a little uneven."""
    z = lattice.z
    body = _oval(
        lattice,
        (figure.body_half_width_mm(z), figure.body_front_mm(z), figure.body_back_mm(z)),
        (2.3, 3.0),  # the back is flat: it lies on the couch
    )
    cavity = _oval(
        lattice,
        (figure.cavity_half_width_mm(z), figure.cavity_front_mm(z), figure.cavity_back_mm(z)),
        (2.2, 2.5),
    )
    # The gutters beside the spine are the deepest part of the chest; between them the wall comes forward.
    groove = 16.0 * np.exp(-((lattice.x / 30.0) ** 2)) * smoothstep(lattice.y, 20.0, 80.0)
    body = lattice.as_distance(body) + lattice.noise(70.0, rng) * 2.0
    cavity = lattice.as_distance((cavity + groove).astype(np.float32)) + lattice.noise(45.0, rng) * 1.5
    return Trunk(body, cavity, _under_the_dome(lattice, figure, rng))


def _oval(lattice: Lattice, outline: tuple[Float32, Float32, Float32], powers: tuple[float, float]) -> Field:
    """A superellipse in each slice; powers in front and at the back. Zero at the outline, in about mm."""
    half, front, back = outline
    middle, depth = (front + back) / 2, (back - front) / 2
    u, v = np.abs(lattice.x / half), (lattice.y - middle) / depth
    power = np.where(v < 0, powers[0], powers[1]).astype(np.float32)
    norm = (u**power + np.abs(v) ** power) ** (1 / power)
    field: Field = ((norm - 1.0) * np.minimum(half, depth)).astype(np.float32)
    return field


def _under_the_dome(lattice: Lattice, figure: Figure, rng: np.random.Generator) -> Field:
    x, y, z = lattice.x, lattice.y, np.full((1, 1, 1), FLOOR_MM + 30.0, dtype=np.float32)
    half = figure.cavity_half_width_mm(z) - 3.0
    front, back = figure.cavity_front_mm(z), figure.cavity_back_mm(z)
    u, v = x / half, (y - (front + back) / 2) / ((back - front) / 2 - 3.0)
    rest = np.clip(1.0 - np.abs(u) ** 3.6 - np.abs(v) ** 3.2, 0.0, 1.0) ** 0.35
    right = smoothstep(-x, -15.0, 45.0)
    top = figure.dome_right_mm * right + figure.dome_left_mm * (1 - right)
    hump = 10.0 * np.exp(-(((np.abs(x) - 66.0) / 36.0) ** 2) - ((y - 2.0) / 52.0) ** 2)
    recess = 26.0 * smoothstep(-y, 10.0, 80.0)  # in front the pleura does not reach as deep
    dome = FLOOR_MM + np.maximum(top * rest + hump * rest, recess) + lattice.noise(40.0, rng) * 2.5
    return lattice.as_distance((lattice.z - dome).astype(np.float32))


def smoothstep(value: Float32, low: float, high: float) -> Float32:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    part = np.clip((value - low) / (high - low), 0.0, 1.0)
    rise: Float32 = (part * part * (3 - 2 * part)).astype(np.float32)
    return rise


def trunk_layers(lattice: Lattice, figure: Figure, trunk: Trunk, rng: np.random.Generator) -> list[Layer]:
    """Skin, fat, muscles in layers with fat between them, and the fat that fills the rib cage."""
    mottle = lattice.noise(7.0, rng)
    fat = np.float32(figure.fat_hu) + 10.0 * mottle
    muscle = np.float32(figure.muscle_hu) + 14.0 * lattice.noise(9.0, rng)
    # Above the lungs the fat of the mediastinum goes on between the vessels of the neck only.
    neck = np.minimum(lattice.z - (APEX_MM + 6.0), np.abs(lattice.x) - 24.0)
    return [
        Layer(trunk.body, 5.0),
        Layer((trunk.body + 2.2).astype(np.float32), fat),
        Layer(_muscles(lattice, figure, trunk, rng), muscle, edge_mm=2.0),
        Layer(np.maximum(trunk.cavity, neck), fat),
        Layer(np.maximum(np.abs(trunk.below + 1.7) - 1.7, trunk.cavity), figure.muscle_hu),
    ]


def _muscles(lattice: Lattice, figure: Figure, trunk: Trunk, rng: np.random.Generator) -> Field:
    x, y, t = lattice.x, lattice.y, height(lattice.z)
    back = smoothstep(y, 20.0, 70.0)
    under_skin = figure.fat_mm + 7.0 * (1 - back) * smoothstep(np.abs(x), 60.0, 140.0)
    under_skin = under_skin + 1.5 * lattice.noise(35.0, rng)
    # In front: the pectoral muscle, from the third rib up; at the sides and the back: latissimus, trapezius.
    front = smoothstep(-y, 30.0, 80.0)
    thick = 8.0 + 5.0 * front * smoothstep(t, 0.45, 0.7) - 4.0 * front * (1 - smoothstep(t, 0.3, 0.45))
    thick = thick - 3.5 * front * np.exp(-((x / 14.0) ** 2))
    shell = np.maximum(trunk.body + under_skin, -(trunk.body + under_skin + thick))
    between_ribs = trunk.cavity - 10.5
    spine = figure.spine_mm(lattice.z)
    side = np.abs(x) - 26.0
    erector = np.sqrt((side / 23.0) ** 2 + ((y - spine - 32.0) / 13.0) ** 2) - 1.0
    muscles = unite(shell.astype(np.float32), between_ribs, 3.0)
    muscles = unite(muscles, (erector * 14.0).astype(np.float32), 3.0)
    muscles = unite(muscles, _around_the_scapula(lattice, trunk), 2.0)
    muscles = unite(muscles, _neck_and_shoulders(lattice), 3.0)
    inside: Field = np.maximum(muscles, trunk.body + 3.5)
    return inside


def scapula_zone(lattice: Lattice) -> Field:
    """Where the shoulder blades and their muscles lie: both sides, behind, in the upper half."""
    z, y, x = lattice.z - 42.0, lattice.y - 52.0, np.abs(lattice.x) - 106.0
    norm = np.sqrt((z / 62.0) ** 2 + (y / 44.0) ** 2 + (x / 36.0) ** 2)
    zone: Field = ((norm - 1.0) * 40.0).astype(np.float32)
    return zone


def _around_the_scapula(lattice: Lattice, trunk: Trunk) -> Field:
    # Subscapularis in front of the blade, infraspinatus behind it, a thin plane of fat to the ribs.
    sheet: Field = np.maximum(scapula_zone(lattice), np.abs(trunk.cavity - 27.0) - 12.5)
    return sheet


def _neck_and_shoulders(lattice: Lattice) -> Field:
    # Scalene muscles beside the spine, sternocleidomastoid in front, deltoid and supraspinatus at the sides.
    z, y, x = lattice.z, lattice.y, np.abs(lattice.x)
    field = np.full(lattice.shape_zyx, 60.0, dtype=np.float32)
    for (cz, cy, cx), (rz, ry, rx) in _SHOULDER:
        norm = np.sqrt(((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2)
        np.minimum(field, (norm - 1.0) * min(ry, rx), out=field)
    return field


def couch_layers(lattice: Lattice, figure: Figure) -> list[Layer]:
    """The couch under the patient: a thin curved shell filled with foam, and the mat on it."""
    x, y = lattice.x, lattice.y
    deepest = float(figure.body_back_mm(np.zeros((1, 1, 1), dtype=np.float32)).max())
    curve = (deepest + 5.0 - (x / 42.0) ** 2) * np.ones(lattice.shape_zyx, dtype=np.float32)
    mat = np.maximum(np.abs(y - curve + 1.0) - 4.0, np.abs(x) - 180.0)
    board = np.maximum(np.maximum(curve + 4.0 - y, y - curve - 30.0 + (x / 34.0) ** 2), np.abs(x) - 190.0)
    return [
        Layer(mat.astype(np.float32), -955.0),
        Layer(board.astype(np.float32), -190.0),
        Layer((board + 2.0).astype(np.float32), -965.0),
    ]

"""What shadows of the chest lack and films show: neck, arms, gas of the stomach, leads, and letters.

Ways through balls and capsules are reckoned (chords), so that they add to the shadows as tissue does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.phantom.lattice import Float32

_GLYPHS: Final = {
    "L": ("1000", "1000", "1000", "1000", "1000", "1111"),
    "R": ("1110", "1001", "1001", "1110", "1010", "1001"),
    "A": ("0110", "1001", "1001", "1111", "1001", "1001"),
    "P": ("1110", "1001", "1001", "1110", "1000", "1000"),
    "T": ("1111", "0110", "0110", "0110", "0110", "0110"),
    "1": ("0110", "1110", "0110", "0110", "0110", "1111"),
    "7": ("1111", "0001", "0010", "0100", "0100", "0100"),
    "0": ("0110", "1001", "1001", "1001", "1001", "0110"),
}
LETTERS: Final = tuple(_GLYPHS)
_ARM_BONE: Final = 0.75  # of 1000 HU, through a humerus


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """Places of a film's pixels: mm to the right and downwards, each (j, i), the patient upright."""

    x_mm: Float32
    y_mm: Float32

    def capsule(self, start: tuple[float, float], end: tuple[float, float], radius_mm: float) -> Float32:
        """Return the way in mm through a rod with round ends from (x, y) to (x, y)."""
        away = np.subtract(end, start)
        length = float(away @ away) or 1.0
        along = ((self.x_mm - start[0]) * away[0] + (self.y_mm - start[1]) * away[1]) / length
        along = np.clip(along, 0.0, 1.0)
        from_it = (self.x_mm - start[0] - along * away[0]) ** 2
        from_it += (self.y_mm - start[1] - along * away[1]) ** 2
        way: Float32 = (2.0 * np.sqrt(np.clip(radius_mm**2 - from_it, 0.0, None))).astype(np.float32)
        return way

    def ball(self, centre: tuple[float, float], radii_mm: tuple[float, float], thick_mm: float) -> Float32:
        """Return the way in mm through an ellipsoid, `thick_mm` through its middle."""
        gone = ((self.x_mm - centre[0]) / radii_mm[0]) ** 2 + ((self.y_mm - centre[1]) / radii_mm[1]) ** 2
        way: Float32 = (thick_mm * np.sqrt(np.clip(1.0 - gone, 0.0, None))).astype(np.float32)
        return way


@dataclass(frozen=True, slots=True)
class Lungs:
    """Where lung is seen, in mm in the patient's upright frame."""

    top: float
    bottom: float
    left: float
    right: float

    @property
    def middle(self) -> float:
        """Half way from side to side."""
        return (self.left + self.right) / 2.0


def with_frontal_parts(
    soft: Float32, bone: Float32, plane: Plane, lungs: Lungs, rng: np.random.Generator
) -> tuple[Float32, Float32]:
    """Make the shoulders end in a neck, hang arms beside the trunk, and blow gas into the stomach."""
    shoulders = lungs.top - rng.uniform(20.0, 45.0)
    above = np.clip((shoulders - plane.y_mm) / rng.uniform(30.0, 60.0), 0.0, 1.0)
    half = (1.0 - above) * 210.0 + above * rng.uniform(55.0, 78.0)
    inside = np.clip((half - np.abs(plane.x_mm - lungs.middle)) / 8.0, 0.0, 1.0).astype(np.float32)
    soft, bone = soft * inside, bone * inside
    if rng.uniform() < 0.6:
        out = rng.uniform(35.0, 70.0)
        for side, edge in ((-1.0, lungs.left), (1.0, lungs.right)):
            start = (edge + side * rng.uniform(12.0, 30.0), lungs.top + rng.uniform(0.0, 25.0))
            end = (edge + side * (out + rng.uniform(10.0, 50.0)), start[1] + rng.uniform(200.0, 280.0))
            soft = soft + plane.capsule(start, end, rng.uniform(36.0, 50.0))
            bone = bone + _ARM_BONE * plane.capsule(start, end, rng.uniform(10.0, 14.0))
    if rng.uniform() < 0.5:
        half_mm = (lungs.right - lungs.left) / 2.0
        at = (lungs.middle + half_mm * rng.uniform(0.3, 0.65), lungs.bottom - rng.uniform(-15.0, 25.0))
        gas = plane.ball(at, (rng.uniform(15.0, 40.0), rng.uniform(10.0, 25.0)), rng.uniform(20.0, 60.0))
        soft = np.maximum(soft - gas, 0.0)
    return soft, bone


def with_lateral_parts(
    soft: Float32, bone: Float32, plane: Plane, lungs: Lungs, rng: np.random.Generator
) -> tuple[Float32, Float32]:
    """Lift the arms before the face, or let them hang over the chest."""
    how = rng.uniform()
    if how > 0.85:
        return soft, bone
    start = (lungs.middle + rng.uniform(-20.0, 30.0), lungs.top + rng.uniform(-10.0, 40.0))
    if how < 0.65:
        end = (start[0] - rng.uniform(60.0, 200.0), start[1] - rng.uniform(120.0, 220.0))
    else:
        end = (start[0] + rng.uniform(-40.0, 60.0), start[1] + rng.uniform(200.0, 280.0))
    soft = soft + plane.capsule(start, end, rng.uniform(34.0, 48.0))
    return soft, bone + _ARM_BONE * plane.capsule(start, end, rng.uniform(10.0, 14.0))


def with_leads(bone: Float32, plane: Plane, rng: np.random.Generator) -> Float32:
    """Lay leads and, now and then, the box of a pacemaker on either side."""
    low, high = float(plane.y_mm.min()), float(plane.y_mm.max())
    for _ in range(int(rng.integers(0, 4)) if rng.uniform() < 0.3 else 0):
        start, end = ((float(rng.uniform(-150.0, 150.0)), float(rng.uniform(low, high))) for _ in range(2))
        bone = bone + 3.0 * plane.capsule(start, end, 1.5)
    if rng.uniform() < 0.08:
        at = (float(rng.choice((-1.0, 1.0)) * rng.uniform(60.0, 110.0)), low + rng.uniform(60.0, 140.0))
        bone = bone + plane.ball(at, (24.0, 20.0), 45.0)
    return bone


def with_letters(picture: Float32, rng: np.random.Generator) -> Float32:
    """Burn letters in, of any side, turned and mirrored in any way: they tell nothing of the truth.

    picture: (j, i), 0 to 1.
    """
    picture = picture.copy()
    for _ in range(int(rng.integers(1, 4))):
        word = [_bits(str(rng.choice(LETTERS))) for _ in range(int(rng.integers(1, 3)))]
        glyph = np.concatenate([np.pad(one, ((0, 0), (0, 1))) for one in word], axis=1)
        glyph = np.kron(glyph, np.ones((int(rng.integers(1, 4)),) * 2, dtype=bool)).astype(bool)
        glyph = np.rot90(glyph[:, :: int(rng.choice((-1, 1)))], int(rng.choice((0, 0, 1, 2, 3))))
        room = [side - own for side, own in zip(picture.shape, glyph.shape, strict=True)]
        if min(room) <= 0:
            continue
        j, i = (int(rng.integers(0, one)) for one in room)
        at = picture[j : j + glyph.shape[0], i : i + glyph.shape[1]]
        at[glyph] = rng.choice((1.0, 1.0, 0.0))
    return picture


def _bits(letter: str) -> NDArray[np.bool_]:
    return np.array([[one == "1" for one in row] for row in _GLYPHS[letter]])

"""The lobes of the lungs, and the fissures between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from dicomnode.phantom.lattice import Field, Lattice, Point

Lobe = Literal["right upper", "right middle", "right lower", "left upper", "left lower"]
LOBES: Final[tuple[Lobe, ...]] = ("right upper", "right middle", "right lower", "left upper", "left lower")

_MIDLINE_MM: Final = 2.0


@dataclass(frozen=True, eq=False)
class Lobes:
    """Where the fissures run: distances in mm, negative below the oblique and below the horizontal one."""

    lattice: Lattice
    oblique: Field
    horizontal: Field

    @classmethod
    def draw(cls, lattice: Lattice, rng: np.random.Generator) -> Lobes:
        """Draw both, a little uneven, and each side's a little higher or lower than the other's."""
        wave = 5.0 * lattice.noise(50.0, rng)
        right, left, level = rng.uniform(-8.0, 8.0, 3)
        place = np.where(lattice.x < _MIDLINE_MM, np.float32(right), np.float32(left))
        oblique = (lattice.z - (-72.0 + 0.86 * (lattice.y + 70.0)) + wave - place) * np.float32(0.76)
        horizontal = lattice.z - 14.0 - 0.35 * lattice.y + wave - np.float32(level)
        return cls(lattice, oblique.astype(np.float32), horizontal.astype(np.float32))

    def field(self, lobe: Lobe) -> Field:
        """Distance to the lobe's border towards the others, negative inside; within the lungs only."""
        side = self.lattice.x - _MIDLINE_MM
        shape = np.broadcast_to(side if lobe.startswith("right") else -side, self.oblique.shape)
        if lobe.endswith("lower"):
            return np.maximum(shape, self.oblique).astype(np.float32)
        shape = np.maximum(shape, -self.oblique)
        if lobe == "right upper":
            shape = np.maximum(shape, -self.horizontal)
        elif lobe == "right middle":
            shape = np.maximum(shape, self.horizontal)
        return shape.astype(np.float32)

    def sheets(self) -> list[Field]:
        """The fissures as sheets of less than a millimetre."""
        horizontal = np.maximum(
            np.abs(self.horizontal), np.maximum(-self.oblique, self.lattice.x - _MIDLINE_MM)
        )
        return [np.abs(self.oblique) - np.float32(0.45), (horizontal - 0.45).astype(np.float32)]


def point_in(field: Field, lattice: Lattice, depth_mm: float, rng: np.random.Generator) -> Point | None:
    """Draw a point (z, y, x in mm) at least `depth_mm` within a shape; None where there is none."""
    inside = np.argwhere(field < -depth_mm)
    if not len(inside):
        return None
    z, y, x = inside[rng.integers(len(inside))] * lattice.step_mm + np.array(lattice.origin_zyx_mm)
    return float(z), float(y), float(x)

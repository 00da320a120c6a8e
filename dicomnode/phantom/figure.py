"""The build of one phantom: the measures that a seed draws, and the outlines that follow from them.

All positions are LPS mm with the isocentre in the middle of the chest: x to the left, y to the back,
z to the head. The patient lies supine, arms up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from dicomnode.phantom.lattice import Float32

FLOOR_MM: Final = -118.0  # z of the deepest recess of the pleura
APEX_MM: Final = 112.0  # z of the tops of the lungs

# Height within the chest: 0 at the floor, 1 at the apex. Outlines as (height, mm) for a middle-sized adult.
_CAVITY_WIDTH: Final = (
    (-0.2, 122),
    (0, 128),
    (0.3, 134),
    (0.5, 131),
    (0.7, 114),
    (0.85, 92),
    (0.95, 74),
    (1.1, 58),
)
_CAVITY_FRONT: Final = (
    (-0.2, -80),
    (0, -84),
    (0.25, -90),
    (0.5, -86),
    (0.7, -70),
    (0.85, -50),
    (1.0, -24),
    (1.1, -12),
)
_CAVITY_BACK: Final = ((-0.2, 84), (0, 87), (0.3, 91), (0.6, 88), (0.8, 79), (1.0, 62), (1.1, 52))
_BODY_WIDTH: Final = ((-0.2, 151), (0.2, 154), (0.6, 157), (0.8, 161), (1.0, 163), (1.15, 152))
_BODY_FRONT: Final = (
    (-0.2, -107),
    (0.2, -112),
    (0.5, -111),
    (0.7, -101),
    (0.9, -84),
    (1.05, -62),
    (1.15, -52),
)
_BODY_BACK: Final = ((-0.2, 115), (0.3, 119), (0.7, 119), (1.0, 112), (1.15, 100))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What differs from phantom to phantom; factors are about 1, lengths in mm, densities in HU."""

    width: float
    depth: float
    fat_mm: float
    heart: float
    dome_right_mm: float
    dome_left_mm: float
    rib_step_mm: float
    rib_phase_mm: float
    disc_phase_mm: float
    blood_hu: float
    muscle_hu: float
    liver_hu: float
    fat_hu: float
    lung_hu: float
    gradient_hu: float
    marrow_hu: float
    leaf_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Figure:
        """Draw the measures of an adult without disease of the chest wall or the pleura."""

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        return cls(
            width=between(0.95, 1.03),
            depth=between(0.95, 1.05),
            fat_mm=between(6.0, 11.0),
            heart=between(0.92, 1.06),
            dome_right_mm=between(53.0, 63.0),
            dome_left_mm=between(42.0, 50.0),
            rib_step_mm=between(21.5, 23.5),
            rib_phase_mm=between(0.0, 8.0),
            disc_phase_mm=between(0.0, 20.0),
            blood_hu=between(38.0, 46.0),
            muscle_hu=between(50.0, 60.0),
            liver_hu=between(52.0, 62.0),
            fat_hu=between(-108.0, -98.0),
            lung_hu=between(-868.0, -848.0),
            gradient_hu=between(25.0, 45.0),
            marrow_hu=between(150.0, 210.0),
            leaf_mm=between(0.46, 0.54),
        )

    def cavity_half_width_mm(self, z: Float32) -> Float32:
        """Half the inner width of the rib cage at heights `z`."""
        return _along(_CAVITY_WIDTH, z) * np.float32(self.width)

    def cavity_front_mm(self, z: Float32) -> Float32:
        """The y of the inner front wall at heights `z`."""
        return _along(_CAVITY_FRONT, z) * np.float32(self.depth)

    def cavity_back_mm(self, z: Float32) -> Float32:
        """The y of the inner back wall at heights `z`."""
        return _along(_CAVITY_BACK, z) * np.float32(self.depth)

    def body_half_width_mm(self, z: Float32) -> Float32:
        """Half the outer width of the trunk at heights `z`."""
        return _along(_BODY_WIDTH, z) * np.float32(self.width) + np.float32(self.fat_mm - 8.0)

    def body_front_mm(self, z: Float32) -> Float32:
        """The y of the skin in front at heights `z`."""
        return _along(_BODY_FRONT, z) * np.float32(self.depth) - np.float32(self.fat_mm - 8.0)

    def body_back_mm(self, z: Float32) -> Float32:
        """The y of the skin of the back at heights `z`."""
        return _along(_BODY_BACK, z) * np.float32(self.depth) + np.float32(self.fat_mm - 8.0)

    def spine_mm(self, z: Float32) -> Float32:
        """The y of the middle of the vertebral bodies at heights `z`."""
        return self.cavity_back_mm(z) - np.float32(27.0)


def height(z: Float32) -> Float32:
    """Height within the chest: 0 at the floor of the pleura, 1 at the apex."""
    return ((z - FLOOR_MM) / (APEX_MM - FLOOR_MM)).astype(np.float32)


def _along(knots: tuple[tuple[float, float], ...], z: Float32) -> Float32:
    places, values = zip(*knots, strict=True)
    curve = PchipInterpolator(places, values)
    at = np.clip(height(np.asarray(z, dtype=np.float32)), places[0], places[-1])
    found: Float32 = curve(at).astype(np.float32)
    return found

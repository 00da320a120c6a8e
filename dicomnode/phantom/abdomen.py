"""Under the diaphragm: liver, spleen, stomach and the great vessels, as far as a chest CT shows them."""

from __future__ import annotations

import numpy as np

from dicomnode.phantom.figure import FLOOR_MM, Figure
from dicomnode.phantom.lattice import Field, Lattice
from dicomnode.phantom.paint import Layer
from dicomnode.phantom.trunk import Trunk, smoothstep


def abdomen_layers(lattice: Lattice, figure: Figure, trunk: Trunk, rng: np.random.Generator) -> list[Layer]:
    """Organs in the fat below the dome; the couch side is the back, the liver on the patient's right."""
    liver = np.float32(figure.liver_hu) + 7.0 * lattice.noise(14.0, rng)
    spleen = lattice.ellipsoid((FLOOR_MM + 8.0, 46.0, 88.0 * figure.width), (44.0, 42.0, 33.0))
    stomach = lattice.ellipsoid((FLOOR_MM + 2.0, -18.0, 62.0 * figure.width), (44.0, 46.0, 40.0))
    vena_cava = lattice.tube([(-170.0, 34.0, -22.0), (-80.0, 14.0, -26.0), (-40.0, -6.0, -27.0)], 11.0)
    return [
        Layer(_within(stomach, trunk), 42.0),
        Layer(_within((stomach + 5.0).astype(np.float32), trunk), 16.0),
        Layer(_within(spleen, trunk), figure.liver_hu - 8.0),
        Layer(_within(_liver(lattice, trunk, rng), trunk), liver),
        Layer(vena_cava, figure.blood_hu - 4.0),
    ]


def _within(field: Field, trunk: Trunk) -> Field:
    """Keep the shape below the diaphragm and inside the wall."""
    inside: Field = np.maximum(field, np.maximum(trunk.below + 3.6, trunk.cavity + 1.0)).astype(np.float32)
    return inside


def _liver(lattice: Lattice, trunk: Trunk, rng: np.random.Generator) -> Field:
    # Its left lobe reaches across the midline in front; its back edge runs from the spine to the side.
    edge = 16.0 + 36.0 * smoothstep(-lattice.y, 0.0, 60.0)
    left = lattice.x - edge
    back = lattice.y - (30.0 + 55.0 * smoothstep(-lattice.x, 10.0, 60.0))
    field: Field = (np.maximum(np.maximum(left, back), trunk.below) + 2.0 * lattice.noise(25.0, rng)).astype(
        np.float32
    )
    return field

"""Who a phantom is: sex, size, age of the bones, breath, contrast; and the soft tissue that follows from it.

A patient's shapes are those of `figure` and `mediastinum`, in their own heights; `stretch` times these
heights are the patient's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from dicomnode.phantom.figure import APEX_MM, FLOOR_MM, Figure
from dicomnode.phantom.lattice import Field, Lattice, unite
from dicomnode.phantom.mediastinum import Chest, build_chest
from dicomnode.phantom.paint import Layer
from dicomnode.phantom.streams import stream
from dicomnode.phantom.trunk import Trunk, build_trunk, couch_layers, trunk_layers

Sex = Literal["female", "male"]

LATTICE_MM: Final = 3.0
_WALL_MM: Final = 7.0  # of the heart, seen where its blood is enhanced
_UNEVEN_MM: Final = 2.5  # times noise of SD 0.5: what one rib cage differs from the next
# What the lattice of every patient encloses (z, y, x in mm): the same however fine the phantom is painted
_LOW: Final = (FLOOR_MM - 62.0, -214.0, -228.0)
_HIGH: Final = (APEX_MM + 50.0, 222.0, 228.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is drawn of a patient. stretch: heights of the body against those of `figure`.

    enhanced: whether contrast medium was given; aorta_hu then differs from the figure's blood_hu, which is
    that of the lungs' vessels. breast: size, 0 of a man. wall: thickness of bronchi against the usual.
    vessels: number of targets of an arterial tree; a venous one has two thirds.
    """

    figure: Figure
    sex: Sex
    stretch: float
    enhanced: bool
    aorta_hu: float
    breast: float
    wall: float
    vessels: int


def draw_patient(
    seed: int, *, enhanced: bool | None = None, raised_mm: tuple[float, float] = (0.0, 0.0)
) -> Patient:
    """Draw the patient of `seed`. raised_mm: of the domes of the diaphragm, right and left, by a collapse.

    Neither that nor `enhanced` changes anything else of the patient.
    """
    rng = stream(seed, "patient")

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    female = between(0, 1) < 0.48
    breath = between(0.0, 1.0)  # 1: deep inspiration
    depth = between(0.94, 1.14) if female else between(1.0, 1.24)
    given = between(0, 1) < 0.4
    pulmonary, aorta, plain = between(110, 320), between(130, 300), between(34.0, 50.0)
    with_contrast = given if enhanced is None else enhanced
    figure = _draw_figure(between, depth, breath, female=female)
    figure = replace(
        figure,
        dome_right_mm=figure.dome_right_mm + raised_mm[0],
        dome_left_mm=figure.dome_left_mm + raised_mm[1],
        blood_hu=pulmonary if with_contrast else plain,
        liver_hu=figure.liver_hu + (45.0 if with_contrast else 0.0),
    )
    return Patient(
        figure=figure,
        sex="female" if female else "male",
        stretch=between(0.92, 1.06) if female else between(0.98, 1.16),
        enhanced=with_contrast,
        aorta_hu=aorta if with_contrast else plain,
        breast=between(0.6, 1.3) if female else 0.0,
        wall=between(1.4, 1.9) if between(0, 1) < 0.2 else between(0.8, 1.15),
        vessels=int(between(1100, 1900)),
    )


def _draw_figure(
    between: Callable[[float, float], float], depth: float, breath: float, *, female: bool
) -> Figure:
    """Draw the measures of a body without contrast medium: with deep breath lungs are large and light."""
    return Figure(
        width=between(0.87, 0.98) if female else between(0.95, 1.05),
        depth=depth,
        fat_mm=between(7.0, 24.0) if female else between(4.0, 18.0),
        heart=between(0.88, 1.14),
        dome_right_mm=between(56.0, 66.0) - 10.0 * breath,
        dome_left_mm=between(45.0, 54.0) - 8.0 * breath,
        rib_step_mm=between(21.0, 23.8),
        rib_phase_mm=between(0.0, 8.0),
        disc_phase_mm=between(0.0, 20.0),
        blood_hu=40.0,
        muscle_hu=between(44.0, 62.0),
        liver_hu=between(30.0, 66.0),
        fat_hu=between(-112.0, -94.0),
        lung_hu=between(-850.0, -800.0) - 45.0 * breath,
        gradient_hu=between(55.0, 75.0) - 40.0 * breath,
        marrow_hu=between(90.0, 240.0),
        leaf_mm=between(0.42, 0.58),
    )


def patient_lattice() -> Lattice:
    """Make the lattice of every patient, in the heights of `figure`."""
    counts = [int(np.ceil((high - low) / LATTICE_MM)) + 1 for low, high in zip(_LOW, _HIGH, strict=True)]
    return Lattice(_LOW, LATTICE_MM, (counts[0], counts[1], counts[2]))


def build_shapes(lattice: Lattice, patient: Patient, seed: int) -> tuple[Trunk, Chest]:
    """Make trunk and chest; a large heart stays within the rib cage."""
    rng = stream(seed, "shapes")
    trunk = build_trunk(lattice, patient.figure, rng)
    trunk = replace(trunk, cavity=trunk.cavity + _UNEVEN_MM * lattice.noise(65.0, rng))
    chest = build_chest(lattice, patient.figure, trunk, rng)
    return trunk, replace(chest, heart=np.maximum(chest.heart, trunk.cavity + 2.5))


def body_layers(lattice: Lattice, patient: Patient, trunk: Trunk, rng: np.random.Generator) -> list[Layer]:
    """The couch, and the trunk with its breasts."""
    skin, fat, *rest = trunk_layers(lattice, patient.figure, trunk, rng)
    return [*couch_layers(lattice, patient.figure), skin, fat, *_breasts(lattice, patient, rng), *rest]


def _breasts(lattice: Lattice, patient: Patient, rng: np.random.Generator) -> list[Layer]:
    """Fat under the skin with glands in it; lying on the back they spread to the sides."""
    size = patient.breast
    if not size:
        return []
    figure = patient.figure
    front = float(figure.body_front_mm(np.zeros((1, 1, 1), dtype=np.float32)).max())
    field = np.full(lattice.shape_zyx, 60.0, dtype=np.float32)
    glands = field.copy()
    for side in (-1, 1):
        x = 78.0 * figure.width * side
        whole = lattice.ellipsoid(
            (-4.0, front + 32.0, x), (46.0 + 18.0 * size, 40.0 * size, 44.0 + 10.0 * size)
        )
        inner = lattice.ellipsoid((-6.0, front + 18.0, x), (26.0, 17.0 * size, 28.0))
        field, glands = unite(field, whole), unite(glands, inner)
    glands = np.maximum(glands + 9.0 * lattice.noise(9.0, rng), field + 7.0).astype(np.float32)
    return [
        Layer(field, 5.0),
        Layer((field + 2.0).astype(np.float32), figure.fat_hu),
        Layer(glands, 28.0, edge_mm=5.0),
    ]


def blood_layers(lattice: Lattice, patient: Patient, chest: Chest, rng: np.random.Generator) -> list[Layer]:
    """Heart, vessels, oesophagus and the walls of the airways; contrast medium shows the heart's wall."""
    blood = np.float32(patient.figure.blood_hu) + 4.0 * lattice.noise(12.0, rng)
    aorta = blood + np.float32(patient.aorta_hu - patient.figure.blood_hu)
    # The arch and what leaves it are drawn with the lungs' arteries: they lie above the pulmonary trunk.
    high = np.clip((lattice.z - 30.0) / 6.0, 0.0, 1.0)
    arteries = (blood + high * np.float32(patient.aorta_hu - patient.figure.blood_hu)).astype(np.float32)
    heart = [Layer(chest.heart, blood, edge_mm=2.0)]
    if patient.enhanced:
        wall = np.float32(0.35 * patient.figure.blood_hu + 45.0)
        chambers: Field = (chest.heart + _WALL_MM).astype(np.float32)
        heart = [Layer(chest.heart, float(wall), edge_mm=2.0), Layer(chambers, blood, edge_mm=3.0)]
    return [
        *heart,
        Layer(chest.veins, blood),
        Layer(chest.arteries, arteries),
        Layer(chest.aorta, aorta.astype(np.float32)),
        Layer(chest.oesophagus, 34.0),
        Layer((chest.airways - np.float32(1.6 * patient.wall)).astype(np.float32), 30.0),
    ]

"""A chest CT of nobody: procedural anatomy with planted nodules, the same for the same seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomnode.phantom.abdomen import abdomen_layers
from dicomnode.phantom.acquire import Scanner, acquire
from dicomnode.phantom.figure import APEX_MM, Figure
from dicomnode.phantom.header import PHANTOM_VERSION, SALT
from dicomnode.phantom.lattice import Field, Float32, Lattice, SliceReader
from dicomnode.phantom.mediastinum import Chest, build_chest, chest_layers, lumen_layer
from dicomnode.phantom.nodules import Plan, PlantedNodule, plan_nodules, plant
from dicomnode.phantom.paint import Layer, Stroke, draw_strokes, paint_layers
from dicomnode.phantom.skeleton import bone_layers, bone_strokes
from dicomnode.phantom.streams import stream
from dicomnode.phantom.trees import (
    Tree,
    bend_round,
    bronchus_strokes,
    grow,
    lobe_targets,
    lung_targets,
    vessel_strokes,
)
from dicomnode.phantom.trunk import build_trunk, couch_layers, trunk_layers
from dicomnode.values import Grid, Mask, derive_uid

Size = Literal["full", "small"]

_AS_DRAWN: Final[Mapping[str, float]] = MappingProxyType({})
_SEGMENTS: Final = 14  # branches that a tree has before the small ones
_AIRWAY_MM: Final = 2.0  # bronchi from this radius on (segmental) are no part of the lung's truth


@dataclass(frozen=True, kw_only=True)
class _Form:
    """How fine a phantom is: voxels (k, j, i), their spacing in mm, the lattice, and targets of the trees."""

    shape_kji: tuple[int, int, int]
    spacing_kji_mm: tuple[float, float, float]
    lattice_mm: float
    arteries: int
    veins: int


_FORMS: Final[dict[Size, _Form]] = {
    "full": _Form(
        shape_kji=(224, 384, 384), spacing_kji_mm=(1.25, 0.9, 0.9), lattice_mm=3.0, arteries=1300, veins=900
    ),
    "small": _Form(
        shape_kji=(112, 138, 138), spacing_kji_mm=(2.5, 2.5, 2.5), lattice_mm=4.0, arteries=300, veins=200
    ),
}


@dataclass(frozen=True, eq=False)
class Thorax:
    """A phantom and its truth.

    voxels: (k, j, i) int16 HU. grid: where they lie; axes along LPS, k towards the head.
    lung_right, lung_left: of the patient, on the grid; airways from the segmental bronchi up are outside,
    vessels and nodules within the outline inside. nodules: what was planted, none left out.
    """

    seed: int
    size: Size
    voxels: NDArray[np.int16]
    grid: Grid
    lung_right: Mask
    lung_left: Mask
    nodules: tuple[PlantedNodule, ...]


def thorax(
    seed: int,
    size: Size = "full",
    *,
    nodules: bool = True,
    scaled: Mapping[str, float] = _AS_DRAWN,
    scanner: Scanner | None = None,
) -> Thorax:
    """Make the phantom of `seed`: a supine adult, arms up, from above the apices to the upper abdomen.

    size: "full" is 224 slices of 1.25 mm, 384² pixels of 0.9 mm; "small" is 112 × 138 × 138 voxels of 2.5 mm.
    nodules: False leaves them out and changes nothing else. scaled: by label of a nodule, so many times its
    diameter, 0 for one that is not there; as of one patient on two days. The same arguments give the same
    voxels.
    """
    form = _FORMS[size]
    grid = _grid(form, str(seed), size, "with nodules" if nodules else "without")
    lattice = Lattice.around(grid, form.lattice_mm)
    rng = stream(seed, "anatomy")
    figure = Figure.draw(rng)
    trunk = build_trunk(lattice, figure, rng)
    chest = build_chest(lattice, figure, trunk, rng)
    plans = plan_nodules(lattice, chest.lungs, (chest.hilum_right, chest.hilum_left), stream(seed, "nodules"))
    reader = SliceReader(lattice, grid)
    voxels = np.full(form.shape_kji, -1000.0, dtype=np.float32)
    under = [*couch_layers(lattice, figure), *trunk_layers(lattice, figure, trunk, rng)]
    under += [*abdomen_layers(lattice, figure, trunk, rng), *chest_layers(lattice, figure, chest, rng)]
    paint_layers(voxels, reader, [*under, *bone_layers(lattice, figure, trunk)])
    draw_strokes(voxels, grid, bone_strokes(figure))
    paint_layers(voxels, reader, _lung_layers(lattice, figure, chest, rng))
    lumina = _draw_trees(voxels, _Site(lattice, grid, form, figure, chest), plans, stream(seed, "trees"))
    planted = []
    if nodules:
        planted = _planted(voxels, grid, plans, scaled, stream(seed, "surface"))
    paint_layers(voxels, reader, [lumen_layer(chest)])
    right, left = _truth(reader, chest.lungs, lumina)
    image = acquire(voxels, form.spacing_kji_mm[2], scanner or Scanner(), seed)
    return Thorax(seed, size, image, grid, right, left, tuple(planted))


def _planted(
    voxels: Float32, grid: Grid, plans: list[Plan], scaled: Mapping[str, float], rng: np.random.Generator
) -> list[PlantedNodule]:
    """Plant the nodules; one that is left out is planted into a copy, so that the others stay as they are."""
    planted = []
    for number, plan in enumerate(plans, start=1):
        label = f"nodule-{number}"
        times = scaled.get(label, 1.0)
        if times > 0:
            larger = replace(plan, diameter_mm=plan.diameter_mm * times)
            planted.append(plant(voxels, grid, larger, label, rng))
        else:
            plant(voxels.copy(), grid, plan, label, rng)
    return planted


@dataclass(frozen=True, eq=False)
class _Site:
    lattice: Lattice
    grid: Grid
    form: _Form
    figure: Figure
    chest: Chest


def _grid(form: _Form, *space: str) -> Grid:
    k, j, i = form.spacing_kji_mm
    affine = np.diag((i, j, k, 1.0))
    nk, nj, ni = form.shape_kji
    # Centred in the slice; a little more below the lungs than above, as a chest CT is planned.
    affine[:3, 3] = (-i * (ni - 1) / 2, -j * (nj - 1) / 2 + 8.0, APEX_MM + 22.0 - k * (nk - 1))
    return Grid(form.shape_kji, affine, derive_uid(SALT, PHANTOM_VERSION, "frame of reference", *space))


def _lung_layers(lattice: Lattice, figure: Figure, chest: Chest, rng: np.random.Generator) -> list[Layer]:
    """Parenchyma, denser where blood sinks to, and the fissures as thin sheets."""
    sink = figure.gradient_hu * (lattice.y / 90.0)
    tissue = figure.lung_hu + sink + 10.0 * lattice.noise(40.0, rng) + 14.0 * lattice.noise(8.0, rng)
    wave = 5.0 * lattice.noise(50.0, rng)
    oblique = (lattice.z - (-72.0 + 0.86 * (lattice.y + 70.0)) + wave) * np.float32(0.76)
    level = np.maximum(
        np.abs(lattice.z - 14.0 - 0.35 * lattice.y + wave), np.maximum(oblique * -1.0, lattice.x)
    )
    sheets = [np.abs(oblique) - 0.45, level - 0.45]
    layers = [Layer(chest.lungs, tissue.astype(np.float32))]
    for sheet in sheets:
        within = np.maximum(sheet, chest.lungs + 0.5).astype(np.float32)
        layers.append(Layer(within, figure.lung_hu + 190.0, lighten=True))
    return layers


def _draw_trees(voxels: Float32, site: _Site, plans: list[Plan], rng: np.random.Generator) -> list[Stroke]:
    """Draw vessels and bronchi of both lungs; give back the lumina that the lung's truth leaves out."""
    balls = [plan.ball for plan in plans]
    walls: list[Stroke] = []
    lumina: list[Stroke] = []
    for side, hilum in ((-1, site.chest.hilum_right), (1, site.chest.hilum_left)):
        lung = np.maximum(site.chest.lungs, -side * site.lattice.x).astype(np.float32)
        for count, vein in ((site.form.arteries, False), (site.form.veins, True)):
            root = (hilum[0] - 12.0, hilum[1] - 6.0, hilum[2]) if vein else hilum
            targets = lung_targets(site.lattice, lung, count, rng)
            trunks = np.concatenate([lobe_targets(side, site.figure), targets[:_SEGMENTS]])
            tree = grow(root, trunks, targets[_SEGMENTS:], site.figure.leaf_mm, rng)
            tree = Tree(bend_round(tree.points_mm, balls), tree.parents, tree.radii_mm)
            draw_strokes(voxels, site.grid, vessel_strokes(tree, site.figure.blood_hu, 7.5))
            if not vein:
                wall, lumen = bronchus_strokes(tree, site.figure)
                walls, lumina = walls + wall, lumina + lumen
    draw_strokes(voxels, site.grid, walls)
    draw_strokes(voxels, site.grid, lumina)
    return [stroke for stroke in lumina if max(stroke.radii_mm) >= _AIRWAY_MM]


def _truth(reader: SliceReader, lungs: Field, lumina: list[Stroke]) -> tuple[Mask, Mask]:
    """Right and left lung: voxels whose centre lies within the painted surface and in no large bronchus."""
    k_range, rows, columns = reader.window(lungs, 0.0)
    inside = np.zeros(reader.grid.shape_kji, dtype=bool)
    for k in range(k_range.start, k_range.stop):
        inside[k, rows, columns] = reader.read(lungs, k, rows, columns) < 0.0
    air = np.zeros(reader.grid.shape_kji, dtype=np.float32)
    draw_strokes(air, reader.grid, [Stroke(s.start, s.end, s.radii_mm, 1.0) for s in lumina])
    inside &= air < 0.5
    x = reader.grid.to_lps_mm([(0, 0, i) for i in range(reader.grid.shape_kji[2])])[:, 0]
    return Mask.from_array(inside & (x < 2.0)), Mask.from_array(inside & (x >= 2.0))

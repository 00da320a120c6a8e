"""A patient in shapes on the lattice, and how he is painted: from the couch up to the last bronchus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.phantom.abdomen import abdomen_layers
from dicomnode.phantom.change import Change, Disease, Site
from dicomnode.phantom.disease import draw_diseases, fall_ill, raised_domes_mm
from dicomnode.phantom.lattice import SliceReader
from dicomnode.phantom.lobes import Lobes
from dicomnode.phantom.mediastinum import lumen_layer
from dicomnode.phantom.paint import Layer, Stroke, draw_strokes, paint_layers
from dicomnode.phantom.patient import (
    Patient,
    blood_layers,
    body_layers,
    build_shapes,
    draw_patient,
    patient_lattice,
)
from dicomnode.phantom.places import Ground
from dicomnode.phantom.skeleton import bone_layers, bone_strokes
from dicomnode.phantom.streams import stream
from dicomnode.phantom.surfaces import values_at
from dicomnode.phantom.trees import (
    Bore,
    Points,
    Tree,
    bronchus_strokes,
    grow,
    lobe_targets,
    lung_targets,
    vessel_strokes,
)
from dicomnode.values import Grid

_SEGMENTS: Final = 14  # branches that a tree has before the small ones
_AIRWAY_MM: Final = 2.0  # bronchi from this radius on (segmental) are no part of the lung's truth
_HILUM_MM: Final = 14.0  # as far from it bronchi run outside of the lung
_OUTSIDE_MM: Final = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """A patient with all shapes on the lattice, before anything is painted.

    extent_mm: of the healthy lungs in his own heights, for z, y and x from and to.
    """

    seed: int
    patient: Patient
    diseases: tuple[Disease, ...]
    site: Site
    change: Change
    extent_mm: NDArray[np.float64]

    @classmethod
    def of(cls, seed: int, diseases: tuple[Disease, ...] | None, *, enhanced: bool | None) -> Body:
        """Build the patient of `seed`; what is None is drawn."""
        diseases = draw_diseases(seed) if diseases is None else diseases
        raised = raised_domes_mm(diseases, seed)
        patient = draw_patient(seed, enhanced=enhanced, raised_mm=raised)
        lattice = patient_lattice()
        trunk, shapes = build_shapes(lattice, patient, seed)
        rng = stream(seed, "lungs")
        figure = patient.figure
        tissue = figure.lung_hu + figure.gradient_hu * (lattice.y / 90.0)
        tissue = tissue + 10.0 * lattice.noise(40.0, rng) + 16.0 * lattice.noise(8.0, rng)
        site = Site(
            lattice=lattice,
            patient=patient,
            trunk=trunk,
            chest=shapes,
            lobes=Lobes.draw(lattice, rng),
            tissue=tissue.astype(np.float32),
        )
        inside = np.argwhere(shapes.lungs < 0.0) * lattice.step_mm + np.array(lattice.origin_zyx_mm)
        extent = np.stack([inside.min(axis=0), inside.max(axis=0)], axis=1)
        extent[0] *= patient.stretch
        site, change = fall_ill(site, diseases, seed)
        return cls(seed=seed, patient=patient, diseases=diseases, site=site, change=change, extent_mm=extent)

    def painted(self, grid: Grid) -> tuple[Ground, Change]:
        """Paint the patient on `grid`."""
        site, change = self.site, self.change
        model = _in_model_heights(grid, self.patient.stretch)
        reader = SliceReader(site.lattice, model)
        rng = stream(self.seed, "soft tissue")
        hu = np.full(grid.shape_kji, -1000.0, dtype=np.float32)
        under = body_layers(site.lattice, self.patient, site.trunk, rng)
        under += [Layer(shape, filled) for shape, filled in change.taken]
        under += abdomen_layers(site.lattice, self.patient.figure, site.trunk, rng)
        under += blood_layers(site.lattice, self.patient, site.chest, rng)
        under += bone_layers(site.lattice, self.patient.figure, site.trunk)
        paint_layers(hu, reader, under)
        draw_strokes(hu, model, bone_strokes(self.patient.figure))
        paint_layers(hu, reader, [Layer(site.lungs, site.tissue)])
        draw_strokes(hu, model, change.under)
        paint_layers(hu, reader, [*change.tissue, *self._fissures()])
        trees, airways = self._trees()
        for strokes in trees:
            draw_strokes(hu, model, strokes.vessels)
        draw_strokes(hu, model, [*change.over, *change.outside, *airways.walls, *airways.lumina])
        paint_layers(hu, reader, [lumen_layer(site.chest)])
        cut = [*change.outside, *(s for s in airways.lumina if max(s.radii_mm) >= _AIRWAY_MM)]
        points = np.concatenate([strokes.points for strokes in trees])
        ground = Ground(
            hu=hu,
            lungs=_labels(reader, site, cut),
            grid=grid,
            site=site,
            vessels=points,
            radii_mm=np.concatenate([strokes.radii for strokes in trees]),
        )
        return ground, change

    def _fissures(self) -> list[Layer]:
        hu = self.patient.figure.lung_hu + 190.0
        within = (np.maximum(sheet, self.site.lungs + 0.5) for sheet in self.site.lobes.sheets())
        return [Layer(shape.astype(np.float32), hu, lighten=True) for shape in within]

    def _trees(self) -> tuple[list[_Strokes], _Airways]:
        """Arteries with their bronchi, and veins, of both lungs."""
        site, figure = self.site, self.patient.figure
        rng = stream(self.seed, "trees")
        trees: list[_Strokes] = []
        walls: list[Stroke] = []
        lumina: list[Stroke] = []
        for side, hilum in ((-1, site.chest.hilum_right), (1, site.chest.hilum_left)):
            lung = site.side(side)
            for count, vein in ((self.patient.vessels, False), (self.patient.vessels * 2 // 3, True)):
                root = (hilum[0] - 12.0, hilum[1] - 6.0, hilum[2]) if vein else hilum
                targets = lung_targets(site.lattice, lung, count, rng)
                trunks = np.concatenate([lobe_targets(side, figure), targets[:_SEGMENTS]])
                tree = grow(root, trunks, targets[_SEGMENTS:], figure.leaf_mm, rng)
                trees.append(
                    _Strokes(vessel_strokes(tree, figure.blood_hu, 7.5), tree.points_mm, tree.radii_mm)
                )
                if not vein:
                    for nodes, bore in self._bores(tree):
                        wall, lumen = bronchus_strokes(tree, figure, bore, nodes)
                        walls, lumina = walls + wall, lumina + lumen
        return trees, _Airways(walls, lumina)

    def _bores(self, tree: Tree) -> list[tuple[list[int], Bore]]:
        """Which bronchi of a tree are how wide."""
        usual = np.ones(len(tree.radii_mm), dtype=bool)
        usual[0] = False
        # Some ways from the hilum lead through the heart or the aorta: no bronchus runs there.
        beside = values_at(self.site.lungs, self.site.lattice, tree.points_mm) > _OUTSIDE_MM
        usual &= ~(beside & (np.linalg.norm(tree.points_mm - tree.points_mm[0], axis=1) > _HILUM_MM))
        bores = []
        for wide in self.change.airways:
            field = self.site.lobes.field(wide.lobe)
            there = (values_at(field, self.site.lattice, tree.points_mm) < 0.0) & usual
            usual &= ~there
            bores.append(
                (np.flatnonzero(there).tolist(), Bore(0.85, wide.inner, wide.wall * self.patient.wall))
            )
        return [(np.flatnonzero(usual).tolist(), Bore(wall=self.patient.wall)), *bores]


@dataclass(frozen=True, eq=False)
class _Strokes:
    vessels: list[Stroke]
    points: Points
    radii: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Airways:
    walls: list[Stroke]
    lumina: list[Stroke]


def _labels(reader: SliceReader, site: Site, cut: list[Stroke]) -> NDArray[np.uint8]:
    """Right and left lung: voxels whose centre lies within the painted surface, and in nothing cut out."""
    shape = reader.grid.shape_kji
    k_range, rows, columns = reader.window(site.lungs, 0.0)
    x = reader.grid.to_lps_mm([(0, 0, i) for i in range(shape[2])])[columns, 0]
    side = np.where(x < 2.0, 1, 2).astype(np.uint8)
    labels = np.zeros(shape, dtype=np.uint8)
    for k in range(k_range.start, k_range.stop):
        labels[k, rows, columns] = (reader.read(site.lungs, k, rows, columns) < 0.0) * side
    gone = np.zeros(shape, dtype=np.float32)
    draw_strokes(gone, reader.grid, [Stroke(s.start, s.end, s.radii_mm, 1.0) for s in cut])
    labels[gone >= 0.5] = 0
    return labels


def _in_model_heights(grid: Grid, stretch: float) -> Grid:
    affine = grid.affine_lps.copy()
    affine[2] /= stretch
    return Grid(grid.shape_kji, affine, grid.frame_of_reference_uid)

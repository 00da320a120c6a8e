"""What a disease finds in a patient, and what it changes there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dicomnode.phantom.lattice import Field, Lattice, Point
from dicomnode.phantom.lobes import Lobe, Lobes
from dicomnode.phantom.mediastinum import Chest
from dicomnode.phantom.paint import Layer, Stroke
from dicomnode.phantom.patient import Patient
from dicomnode.phantom.trunk import Trunk

Disease = Literal[
    "emphysema",
    "paraseptal emphysema",
    "mosaic",
    "consolidation",
    "collapse",
    "effusion",
    "apical caps",
    "pleural plaques",
    "pleural lumps",
    "osteophytes",
    "scars",
    "granulomas",
    "nodes",
    "bronchiectasis",
    "calcified aorta",
    "rib ends",
]
DISEASES: Final[tuple[Disease, ...]] = get_args(Disease)


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """The patient before a disease. tissue: HU of healthy lung on the lattice."""

    lattice: Lattice
    patient: Patient
    trunk: Trunk
    chest: Chest
    lobes: Lobes
    tissue: Field

    @property
    def lungs(self) -> Field:
        """Distance to the surface of both lungs in mm, negative inside."""
        return self.chest.lungs

    def side(self, sign: int) -> Field:
        """The lung of one side, -1 right, 1 left."""
        half: Field = np.maximum(self.lungs, -sign * (self.lattice.x - 2.0)).astype(np.float32)
        return half

    def costal(self, within_mm: float = 4.0) -> NDArray[np.bool_]:
        """Points of the lungs close under the ribs, away from diaphragm and mediastinum."""
        found: NDArray[np.bool_] = (np.abs(self.trunk.cavity) < within_mm) & (self.lungs < 0.0)
        return found & (self.trunk.below > 12.0)


def within(shape: Field, border: Field, edge_mm: float) -> Field:
    """Cut `shape` off at a border that stays sharp when the shape is painted with an edge of `edge_mm`."""
    cut: Field = np.maximum(shape, border * np.float32(edge_mm)).astype(np.float32)
    return cut


@dataclass(frozen=True)
class Mark:
    """A place where a disease shows: in the model's heights, z, y, x in mm; radius_mm of a ball around it.

    ignore: whether no reader could tell it from a nodule.
    """

    kind: str
    centre_mm: Point
    radius_mm: float
    ignore: bool = False


@dataclass(frozen=True)
class Airways:
    """Bronchi that a disease has widened in a lobe: times of their width and of their wall."""

    lobe: Lobe
    inner: float
    wall: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """What a disease adds; each part is painted where it says.

    taken: shapes (distances in mm, negative inside) that are lung no more, with what fills them. lung_hu: of
    the lung itself from now on. under: strokes over it, its holes. tissue: over these. over: strokes beside
    the vessels. outside: strokes that are no lung.
    """

    taken: tuple[tuple[Field, float], ...] = ()
    lung_hu: Field | None = None
    under: tuple[Stroke, ...] = ()
    tissue: tuple[Layer, ...] = ()
    over: tuple[Stroke, ...] = ()
    outside: tuple[Stroke, ...] = ()
    airways: tuple[Airways, ...] = ()
    marks: tuple[Mark, ...] = ()

    def and_(self, other: Change) -> Change:
        """Both changes, this one first."""
        return Change(
            taken=self.taken + other.taken,
            lung_hu=self.lung_hu if other.lung_hu is None else other.lung_hu,
            under=self.under + other.under,
            tissue=self.tissue + other.tissue,
            over=self.over + other.over,
            outside=self.outside + other.outside,
            airways=self.airways + other.airways,
            marks=self.marks + other.marks,
        )


def moved(point: Point, by: NDArray[np.float64]) -> Point:
    """Move a point by so many mm (z, y, x)."""
    z, y, x = np.array(point) + by
    return float(z), float(y), float(x)


def middle_of(where: NDArray[np.bool_], lattice: Lattice) -> Point | None:
    """The point of a region that lies nearest to its middle; None of an empty one."""
    inside = np.argwhere(where)
    if not len(inside):
        return None
    nearest = inside[np.linalg.norm(inside - inside.mean(axis=0), axis=1).argmin()]
    z, y, x = nearest * lattice.step_mm + np.array(lattice.origin_zyx_mm)
    return float(z), float(y), float(x)


def ball(centre: Point, radius_mm: float, hu: float, *, over: bool = False) -> Stroke:
    """Make a stroke that is a ball."""
    return Stroke(centre, centre, (radius_mm, radius_mm), hu, over=over)

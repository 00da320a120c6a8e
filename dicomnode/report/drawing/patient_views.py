"""A volume seen along the patient's axes: which array axis is which, and how planes lie on a picture.

Radiological convention: the patient's right is on the left of axial and coronal pictures, anterior is up on
axial and left on sagittal pictures, the head is up. Oblique volumes are shown along their own axes, each
under the patient axis that it is nearest to; the letters at the edges say by how much that is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dicomnode.values import Float64, Grid, PointLps

# name, and the patient axes (x y z = 0 1 2) that run down the picture, to its right, and across it
_VIEWS: Final = (("axial", 1, 0, 2), ("coronal", 2, 0, 1), ("sagittal", 2, 1, 0))
_UPWARDS: Final = 2  # z: the head is up, so rows of a picture run against it
_LETTERS: Final = (("R", "L"), ("A", "P"), ("F", "H"))  # towards negative and positive x, y, z (LPS)
_SLANTED: Final = 0.35  # cosine: an axis that leans more than 20° gets a second letter


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One of the three standard views of a volume.

    axes: array axes (of k, j, i) that run down, to the right, and across the picture. flips: whether the
    picture runs against the array along each. spacing_mm: down and to the right. letters: at the left,
    right, top and bottom edge.
    """

    name: str
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    letters: tuple[str, str, str, str]

    def plane(self, array_kji: NDArray[np.generic], across: int) -> NDArray[np.generic]:
        """The plane of an array (k, j, i) at index `across`, as rows and columns of the picture."""
        return self.orient(np.take(array_kji, across, axis=self.axes[2]))

    def orient(self, cut: NDArray[np.generic]) -> NDArray[np.generic]:
        """A plane cut out of an array, its axes still in the array's order, as the picture shows it."""
        picture = cut if self.axes[0] < self.axes[1] else cut.T
        steps = [-1 if flip else 1 for flip in self.flips]
        shown: NDArray[np.generic] = picture[:: steps[0], :: steps[1]]
        return shown

    def locate(self, index_kji: ArrayLike) -> tuple[float, float]:
        """Row and column (fractional, of pixel centres) of a point given as array index (k, j, i)."""
        index = np.asarray(index_kji, dtype=np.float64)
        row, column = index[self.axes[0]], index[self.axes[1]]
        return (
            float(self.shape[0] - 1 - row if self.flips[0] else row),
            float(self.shape[1] - 1 - column if self.flips[1] else column),
        )


def views_of(grid: Grid) -> tuple[View, View, View]:
    """Axial, coronal and sagittal view of a grid."""
    directions = (grid.affine_lps[:3, :3] / np.linalg.norm(grid.affine_lps[:3, :3], axis=0))[:, ::-1]
    # directions[a, n]: how far array axis n (k, j, i) runs along patient axis a (x, y, z)
    array_axis = max(
        permutations(range(3)), key=lambda axes: sum(abs(directions[a, n]) for a, n in enumerate(axes))
    )
    axial, coronal, sagittal = (_view(name, abc, array_axis, directions, grid) for name, *abc in _VIEWS)
    return axial, coronal, sagittal


def stored_view(grid: Grid) -> View:
    """The slices as the array has them, whatever that is in the patient: rows run down, columns to the right.

    The letters say what it is; of a tilted stack they are those of its slices.
    """
    directions = grid.affine_lps[:3, :3] / np.linalg.norm(grid.affine_lps[:3, :3], axis=0)
    right, down = directions[:, 0], directions[:, 1]
    _, rows, columns = grid.shape_kji
    _, row_mm, column_mm = grid.spacing_kji_mm
    return View(
        name="stored",
        axes=(1, 2, 0),
        flips=(False, False, False),
        shape=(rows, columns),
        spacing_mm=(row_mm, column_mm),
        letters=(_letters(-right), _letters(right), _letters(-down), _letters(down)),
    )


def centre_index_kji(grid: Grid, point: PointLps) -> tuple[int, int, int]:
    """The voxel nearest to a point, within the grid."""
    index = np.rint(grid.to_index_kji(point)).astype(int)
    k, j, i = (int(n) for n in np.clip(index, 0, np.array(grid.shape_kji) - 1))
    return k, j, i


def _view(
    name: str, patient: list[int], array_axis: tuple[int, ...], directions: Float64, grid: Grid
) -> View:
    axes = (array_axis[patient[0]], array_axis[patient[1]], array_axis[patient[2]])
    forward = [directions[a, n] > 0 for a, n in zip(patient, axes, strict=True)]
    wanted = (patient[0] != _UPWARDS, True, True)
    flips = tuple(bool(f != w) for f, w in zip(forward, wanted, strict=True))
    down = directions[:, axes[0]] * (-1 if flips[0] else 1)
    right = directions[:, axes[1]] * (-1 if flips[1] else 1)
    # Of a tilted stack the slices are drawn one upon the other, at the distance that they have
    spacing = (grid.slice_distance_mm, *grid.spacing_kji_mm[1:])
    return View(
        name=name,
        axes=axes,
        flips=(flips[0], flips[1], flips[2]),
        shape=(grid.shape_kji[axes[0]], grid.shape_kji[axes[1]]),
        spacing_mm=(spacing[axes[0]], spacing[axes[1]]),
        letters=(_letters(-right), _letters(right), _letters(-down), _letters(down)),
    )


def _letters(direction: Float64) -> str:
    """Where a direction leads: "L", or "LA" where it leans (PS3.3 C.7.6.1.1.1)."""
    order = np.argsort(-np.abs(direction))
    leading = [int(a) for n, a in enumerate(order) if n == 0 or abs(direction[a]) > _SLANTED]
    return "".join(_LETTERS[a][int(direction[a] > 0)] for a in leading)

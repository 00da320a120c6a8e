"""Where an array lies in the patient: one convention for the whole project.

Patient space is DICOM LPS in mm (PS3.3 C.7.6.2.1.1): x to the patient's left, y to the back, z to the
head. An `affine_lps` is float64 (4, 4) and maps the index (i = column, j = row, k = slice, 1) of a voxel
centre to mm. Arrays are indexed `[k, j, i]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

SHEAR_TOLERANCE_DEGREES: Final = 0.1
"""Slices that lean less against their line of centres are upright: less is rounding, gantries are tilted by
half a degree or more."""

SHEAR_TOLERANCE_PIXELS: Final = 0.2
"""Nor is a grid sheared whose last slice lies by less than this part of a pixel beside the normal of the
first."""

SHEAR_FLOOR_MM: Final = 0.02
"""Or by less than this: positions of very small pixels are rounded, too."""

AXES_TOLERANCE: Final = 1e-3
"""How far direction cosines may be from perpendicular unit vectors: values with three decimals."""

ALIKE_COSINES: Final = 1e-4
"""Direction cosines that differ by less are one orientation: no corner of 500 mm moves by 0.05 mm."""

ALIKE_SPACING: Final = 1e-3
"""Pixel spacings that differ by a smaller part are one: some write 0.703, others 0.703125. It is told."""


def read_only(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return `array` itself, made read-only: `frozen` alone does not protect what an array holds."""
    array.setflags(write=False)
    return array


def axes_of(cosines: ArrayLike) -> Float64 | None:
    """Return row, column and normal direction, float64 (3, 3), made exactly perpendicular unit vectors.

    cosines: (6,), Image Orientation (Patient). None if they are further from that than `AXES_TOLERANCE`.
    """
    given = np.array(cosines, dtype=np.float64).reshape(2, 3)
    if np.abs(given @ given.T - np.eye(2)).max() > AXES_TOLERANCE:
        return None
    row = given[0] / np.linalg.norm(given[0])
    column = given[1] - (given[1] @ row) * row
    column /= np.linalg.norm(column)
    return np.array([row, column, np.cross(row, column)])


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A regular grid of voxels in patient space.

    shape_kji: number of voxels along slice, row and column direction.
    affine_lps: float64 (4, 4), index (i, j, k, 1) → LPS mm; invertible.
    frame_of_reference_uid: patient space that the mm refer to (0020,0052).
    Raises ValueError on a shape below one voxel, or an affine that is not finite or not invertible.
    """

    shape_kji: tuple[int, int, int]
    affine_lps: Float64
    frame_of_reference_uid: str

    def __post_init__(self) -> None:
        if min(self.shape_kji) < 1:
            raise ValueError(f"Grid.shape_kji must be three counts >= 1, got {self.shape_kji!r}")
        affine = np.array(self.affine_lps, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError(f"Grid.affine_lps must be a finite (4, 4) matrix, got {self.affine_lps!r}")
        if not np.array_equal(affine[3], (0.0, 0.0, 0.0, 1.0)):
            raise ValueError(f"Grid.affine_lps must end in the row 0 0 0 1, got {affine[3]!r}")
        if not abs(np.linalg.det(affine[:3, :3])) > 1e-9:
            raise ValueError("Grid.affine_lps must be invertible")
        object.__setattr__(self, "affine_lps", read_only(affine))
        object.__setattr__(self, "shape_kji", tuple(int(n) for n in self.shape_kji))

    @property
    def spacing_kji_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along k, j and i, in mm."""
        i, j, k = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return float(k), float(j), float(i)

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel in mm³ (right also for a sheared grid)."""
        return float(abs(np.linalg.det(self.affine_lps[:3, :3])))

    @property
    def normal_lps(self) -> Float64:
        """Unit normal of the slices, towards ascending k."""
        i, j, k = self.affine_lps[:3, :3].T
        normal: Float64 = np.cross(i, j)
        normal *= (1.0 if normal @ k > 0 else -1.0) / np.linalg.norm(normal)
        return normal

    @property
    def slice_distance_mm(self) -> float:
        """Distance of neighbouring slices along their normal; `spacing_kji_mm` is that of their voxels."""
        return float(self.normal_lps @ self.affine_lps[:3, 2])

    @property
    def tilt_degrees(self) -> float:
        """Angle between the line through the first voxels of all slices and the normal of the slices."""
        return float(np.degrees(np.arctan2(self._shift_mm, self.slice_distance_mm)))

    @property
    def is_sheared(self) -> bool:
        """Tell whether slices are shifted against each other, as under a tilted gantry.

        Rows and columns of an image are always perpendicular (PS3.3 C.7.6.2.1.1).
        """
        _, row_mm, column_mm = self.spacing_kji_mm
        nothing_mm = max(SHEAR_TOLERANCE_PIXELS * min(row_mm, column_mm), SHEAR_FLOOR_MM)
        beside_mm = self._shift_mm * (self.shape_kji[0] - 1)
        return self.tilt_degrees > SHEAR_TOLERANCE_DEGREES and beside_mm > nothing_mm

    @property
    def _shift_mm(self) -> float:
        """How far a slice lies beside the normal of the one before it."""
        step = self.affine_lps[:3, 2]
        return float(np.linalg.norm(step - (step @ self.normal_lps) * self.normal_lps))

    def to_lps_mm(self, index_kji: ArrayLike) -> Float64:
        """Map voxel indices (…, 3) in the order (k, j, i) to LPS mm (…, 3)."""
        index = np.asarray(index_kji, dtype=np.float64)[..., ::-1]
        return index @ self.affine_lps[:3, :3].T + self.affine_lps[:3, 3]

    def to_index_kji(self, point_lps_mm: ArrayLike) -> Float64:
        """Map LPS mm (…, 3) to fractional voxel indices (…, 3) in the order (k, j, i)."""
        inverse = np.linalg.inv(self.affine_lps)
        points = np.asarray(point_lps_mm, dtype=np.float64)
        index: Float64 = (points @ inverse[:3, :3].T + inverse[:3, 3])[..., ::-1]
        return index

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Tell whether both grids have the same voxels: no corner differs by more than `tolerance_mm`."""
        if self.shape_kji != other.shape_kji:
            return False
        corners = np.array([[k, j, i] for k in (0, 1) for j in (0, 1) for i in (0, 1)])
        corners = corners * (np.array(self.shape_kji) - 1)
        apart = np.linalg.norm(self.to_lps_mm(corners) - other.to_lps_mm(corners), axis=-1)
        return bool(apart.max() <= tolerance_mm)

"""A volume bent over another one of the same patient: breath, posture, growth, which no affine map holds.

An affine map first, then a field, coarse to fine (`bend_search`). The same two volumes give the same
deformation. One that folds space, or that the way back contradicts, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from dicomnode.analyse.bend_search import search_bend
from dicomnode.analyse.grids import Bool, Float32, covers
from dicomnode.analyse.onto import no_finer, onto, places_of_slice
from dicomnode.analyse.register import Registration, register
from dicomnode.analyse.register_images import WorkingImage, working_image
from dicomnode.analyse.register_search import one_thread
from dicomnode.analyse.resample import Prepared
from dicomnode.faults import REGISTER_NEEDS, NodeError
from dicomnode.values import Grid, Progress, Volume, no_progress
from dicomnode.values.codes import HOUNSFIELD
from dicomnode.values.geometry import Float64, read_only

Kind = Literal["rigid", "affine", "deformable"]

STAGE: Final = "bending"
_STAGES: Final = 2
_LARGEST_MEAN_MM: Final = 3.0  # forth and back again, mean over the body: more is no match
_LEAST_JACOBIAN: Final = 0.1  # of volume that stays of a volume: less is nearly folded
_EVERY: Final = 5  # of the voxels of the body, that forth and back is tried at


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deformation:
    """How a volume is bent over another one.

    linear: the affine map under it. grid: of the field, in the space of the fixed volume. field_lps_mm:
    float32 (k, j, i, 3), x, y, z to be added to a point of the fixed volume before `linear` is gone back.
    error_mm, error_95_mm: how far points of the body come back from where they were when they go forth by
    this and back by one that was found the other way round, mean and 95th percentile. jacobians: least and
    most volume that a volume becomes, within the body.
    """

    linear: Registration
    grid: Grid
    field_lps_mm: NDArray[np.float32]
    error_mm: float
    error_95_mm: float
    jacobians: tuple[float, float]

    def __post_init__(self) -> None:
        if self.field_lps_mm.shape != (*self.grid.shape_kji, 3) or self.field_lps_mm.dtype != np.float32:
            raise ValueError(
                f"Deformation.field_lps_mm must be float32 {(*self.grid.shape_kji, 3)}, "
                f"got {self.field_lps_mm.dtype} {self.field_lps_mm.shape}"
            )
        read_only(self.field_lps_mm)

    @property
    def kind(self) -> str:
        """As of `Registration`."""
        return "deformable"

    @property
    def overlap(self) -> float:
        """Part of the smaller body that the other one covers, by the affine map."""
        return self.linear.overlap

    @property
    def information(self) -> float:
        """Mutual information of the affine map, in nats."""
        return self.linear.information

    @property
    def largest_mm(self) -> float:
        """The longest way that the field moves a point, beside the affine map."""
        return float(np.linalg.norm(self.field_lps_mm, axis=-1).max())

    def bent(self, points_lps_mm: ArrayLike) -> Float64:
        """Return points (…, 3) of the fixed volume with what the field adds to them; edges held."""
        return _added(self.grid, self.field_lps_mm, np.asarray(points_lps_mm, dtype=np.float64))

    def to_moving(self, points_lps_mm: ArrayLike) -> Float64:
        """Return where points (…, 3) of the fixed volume lie in the moving one, LPS mm."""
        back = np.linalg.inv(self.linear.moved_lps)
        moved: Float64 = self.bent(points_lps_mm) @ back[:3, :3].T + back[:3, 3]
        return moved

    @property
    def words(self) -> str:
        """Say how, and how sure it is: for the provenance of what is made with it."""
        return (
            f"deformable, forth and back within {self.error_mm:.2f} mm on average and {self.error_95_mm:.2f} "
            f"mm for 95 % of the body, bent by {self.largest_mm:.1f} mm at most, volumes change by "
            f"{self.jacobians[0]:.2f} to {self.jacobians[1]:.2f}, overlap {100.0 * self.overlap:.0f} %, "
            f"mutual information of the affine map {self.information:.2f}"
        )


def bend(fixed: Volume, moving: Volume, progress: Progress = no_progress) -> Deformation | str:
    """Bend `moving` over `fixed`; say why not where the two do not match, or space would be folded.

    What cannot be laid over each other by an affine map is not bent: a field would make any two bodies alike.
    """
    linear = register(fixed, moving, "affine", progress)
    if isinstance(linear, str):
        return linear
    progress(STAGE, 0, _STAGES)
    laid = linear.grid_of(moving.grid, fixed.grid)
    moved = replace(moving, affine_lps=laid.affine_lps, frame_of_reference_uid=fixed.frame_of_reference_uid)
    images = working_image(fixed), working_image(moved)
    try:
        with one_thread():
            alike = fixed.unit == moving.unit == HOUNSFIELD
            forth = search_bend(*images, alike=alike)
            progress(STAGE, 1, _STAGES)
            back = search_bend(images[1], images[0], alike=alike)
    except RuntimeError as error:  # what ITK says when nothing overlaps any more
        return str(error).strip().splitlines()[-1].strip().rstrip(".")
    progress(STAGE, 2, _STAGES)
    away_mm = _away_mm(images, forth.field_lps_mm, back.field_lps_mm)
    inside = forth.jacobian[images[0].mask]
    found = Deformation(
        linear=linear,
        grid=images[0].grid,
        field_lps_mm=forth.field_lps_mm,
        error_mm=float(away_mm.mean()),
        error_95_mm=float(np.percentile(away_mm, 95.0)),
        jacobians=(float(inside.min()), float(inside.max())),
    )
    return _problem(found) or found


def registered(
    fixed: Volume, moving: Volume, kind: Kind, progress: Progress = no_progress
) -> Registration | Deformation | str:
    """Lay or bend `moving` over `fixed`; say why not where the two do not match.

    Raises NodeError(REGISTER_NEEDS) where SimpleITK is not installed.
    """
    if find_spec("SimpleITK") is None:
        raise NodeError(REGISTER_NEEDS, package="SimpleITK")
    if kind == "deformable":
        return bend(fixed, moving, progress)
    return register(fixed, moving, kind, progress)


def lay_over(
    moving: Volume,
    found: Registration | Deformation,
    fixed: Grid,
    outside: float,
    progress: Progress = no_progress,
) -> tuple[Float32, Bool]:
    """Resample a volume onto the grid that it was laid or bent over: trilinear, blurred before coarser.

    Returns float32 (k, j, i) with `outside` where the volume does not reach, and where it does (bool).
    """
    if isinstance(found, Registration):
        return onto(Prepared(moving.voxels, found.grid_of(moving.grid, fixed)), fixed, outside, progress)
    laid = found.linear.grid_of(moving.grid, fixed)
    image = no_finer(Prepared(moving.voxels, laid), fixed, progress)
    voxels = np.asarray(image.voxels, dtype=np.float32)
    made = np.empty(fixed.shape_kji, dtype=np.float32)
    inside = np.empty(fixed.shape_kji, dtype=bool)
    for k in range(fixed.shape_kji[0]):
        places = found.bent(places_of_slice(fixed, k))
        index = np.moveaxis(image.grid.to_index_kji(places), -1, 0)
        ndimage.map_coordinates(voxels, index, output=made[k], order=1, mode="nearest")
        inside[k] = covers(image.grid, places)
    made[~inside] = outside
    return made, inside


def _added(grid: Grid, field: NDArray[np.float32], points: Float64) -> Float64:
    index = np.moveaxis(grid.to_index_kji(points), -1, 0)
    moved = points.copy()
    for axis in range(3):
        moved[..., axis] += ndimage.map_coordinates(field[..., axis], index, order=1, mode="nearest")
    return moved


def _away_mm(images: tuple[WorkingImage, WorkingImage], forth: Any, back: Any) -> Float64:
    """Return how far points of the fixed body come back from where they were, (n,) mm."""
    fixed, moved = images
    points = fixed.grid.to_lps_mm(np.argwhere(fixed.mask)[::_EVERY])
    there = _added(fixed.grid, forth, points)
    seen = covers(moved.grid, there)  # beyond its edge the way back knows nothing
    again = _added(moved.grid, back, there[seen])
    away: Float64 = np.linalg.norm(again - points[seen], axis=1)
    return away if away.size else np.full(1, np.inf)


def _problem(found: Deformation) -> str | None:
    """Say why a deformation is not to be believed."""
    if found.jacobians[0] < _LEAST_JACOBIAN:
        return (
            f"the deformation folds the body: a volume would become {found.jacobians[0]:.2f} times what it "
            f"was, {_LEAST_JACOBIAN:g} is the least"
        )
    if not found.error_mm <= _LARGEST_MEAN_MM:
        return (
            f"forth and back again a point of the body ends {found.error_mm:.1f} mm from where it was, on "
            f"average; {_LARGEST_MEAN_MM:g} mm is allowed"
        )
    return None

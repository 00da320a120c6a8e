"""A volume laid over another one of the same patient that lies in another Frame of Reference.

Rigid or affine, by mutual information (Mattes and others, IEEE Trans Med Imaging 22 (2003) 120), coarse to
fine, in patient space: what comes out is a map of mm to mm. The same two volumes give the same map.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Literal

import numpy as np

from dicomnode.analyse.grids import covers
from dicomnode.analyse.register_images import WorkingImage, corners_lps_mm, working_image
from dicomnode.analyse.register_search import Search, Turn, inverse, one_thread
from dicomnode.faults import PREPARATION_NEEDS, NodeError
from dicomnode.values import Grid, PointLps, Progress, Volume, no_progress
from dicomnode.values.geometry import Float64, read_only

Kind = Literal["rigid", "affine"]

STAGE: Final = "registering"
_LEAST_OVERLAP: Final = 0.3  # of the smaller of the two bodies: less tells too little
_LARGEST_ERROR_MM: Final = 5.0  # forth and back again: more is no match
# Mutual information in nats. Of a chest CT and the same one turned, with noise, it is 1.6; of the chests of
# two persons 0.14, of a chest and a head 0.13, of a chest CT and an MR of a head 0.10
_LEAST_INFORMATION: Final = 0.22
_LARGEST_SCALE: Final = 1.25  # of an affine map, along any direction: the same adult was not smaller
_STAGES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registration:
    """How a volume lies over another one.

    moved_lps: float64 (4, 4), LPS mm of the moving volume → LPS mm of the fixed one. error_mm: how far the
    corners of the body come back from where they were when they go forth by this map and back by one that
    was found the other way round; the larger of the two ways to err, not its distance from the truth.
    overlap: part of the smaller body that the other one covers. information: mutual, in nats.
    """

    kind: Kind
    moved_lps: Float64
    error_mm: float
    overlap: float
    information: float

    def __post_init__(self) -> None:
        affine = np.array(self.moved_lps, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or not abs(np.linalg.det(affine)) > 1e-9:
            raise ValueError(f"Registration.moved_lps must be an invertible (4, 4) matrix, got {affine!r}")
        object.__setattr__(self, "moved_lps", read_only(affine))

    def grid_of(self, moving: Grid, fixed: Grid) -> Grid:
        """Return the grid of the moving volume as it lies in the patient space of the fixed one."""
        return Grid(moving.shape_kji, self.moved_lps @ moving.affine_lps, fixed.frame_of_reference_uid)

    def point(self, moving_lps_mm: PointLps) -> PointLps:
        """Return where a point of the moving volume lies in the patient space of the fixed one."""
        x, y, z = self.moved_lps[:3, :3] @ np.array(moving_lps_mm) + self.moved_lps[:3, 3]
        return float(x), float(y), float(z)

    @property
    def words(self) -> str:
        """Say how, and how sure it is: for the provenance of what is made with it."""
        return (
            f"{self.kind}, forth and back within {self.error_mm:.2f} mm at the corners of the body, "
            f"overlap {100.0 * self.overlap:.0f} %, mutual information {self.information:.2f}"
        )


def check_registers(engine: str) -> None:
    """Refuse an engine that registers where SimpleITK is not installed: NodeError(PREPARATION_NEEDS)."""
    if find_spec("SimpleITK") is None:
        raise NodeError(PREPARATION_NEEDS, engine=engine, steps="register", packages="SimpleITK")


def register(
    fixed: Volume, moving: Volume, kind: Kind = "rigid", progress: Progress = no_progress
) -> Registration | str:
    """Lay `moving` over `fixed`; say why not where the two do not match.

    Both show parts of one patient, turned against each other by up to some 15 degrees. Modalities may differ.
    """
    progress(STAGE, 0, _STAGES)
    images = working_image(fixed), working_image(moving)
    if not (images[0].mask.any() and images[1].mask.any()):
        return "one of them shows no body"
    progress(STAGE, 1, _STAGES)
    try:
        with one_thread():
            forth = Search(*images, kind).run()
            progress(STAGE, 2, _STAGES)
            back = Search(images[1], images[0], kind).refine(forth.inverse())
    except RuntimeError as error:  # what ITK says when nothing overlaps any more
        return _last_line(error)
    progress(STAGE, 3, _STAGES)
    found = _both_ways(kind, images, forth, back)
    return _problem(found) or found


def _both_ways(
    kind: Kind, images: tuple[WorkingImage, WorkingImage], forth: Turn, back: Turn
) -> Registration:
    """Make one map of the two: forth, and how far from it the other one is."""
    fixed, moving = images
    corners = corners_lps_mm(fixed)
    there = corners @ forth.matrix[:3, :3].T + forth.matrix[:3, 3]
    again = there @ back.matrix[:3, :3].T + back.matrix[:3, 3]
    return Registration(
        kind=kind,
        moved_lps=forth.inverse().matrix,
        error_mm=float(np.linalg.norm(again - corners, axis=1).max()),
        overlap=_overlap(fixed, moving, forth.matrix),
        information=min(forth.information, back.information),
    )


def _overlap(fixed: WorkingImage, moving: WorkingImage, matrix: Float64) -> float:
    """Return the part of the smaller body that lies in the field of view of the other one."""

    def seen(one: WorkingImage, other: WorkingImage, way: Float64) -> float:
        points = one.grid.to_lps_mm(np.argwhere(one.mask)[::7])  # a seventh of them tells enough
        return float(covers(other.grid, points @ way[:3, :3].T + way[:3, 3]).mean())

    return max(seen(fixed, moving, matrix), seen(moving, fixed, inverse(matrix)))


def _problem(found: Registration) -> str | None:
    """Say why a registration is not to be believed."""
    scales = np.linalg.svd(found.moved_lps[:3, :3], compute_uv=False)
    if found.overlap < _LEAST_OVERLAP:
        return (
            f"they overlap by {100.0 * found.overlap:.0f} % of the smaller body, "
            f"{100.0 * _LEAST_OVERLAP:.0f} % is wanted"
        )
    if found.information < _LEAST_INFORMATION:
        return (
            f"their mutual information is {found.information:.2f} where they lie on each other, "
            f"{_LEAST_INFORMATION} is wanted"
        )
    if found.error_mm > _LARGEST_ERROR_MM:
        return (
            f"forth and back again a corner of the body ends {found.error_mm:.1f} mm from where it was, "
            f"{_LARGEST_ERROR_MM:g} mm is allowed"
        )
    if scales.max() > _LARGEST_SCALE or scales.min() < 1.0 / _LARGEST_SCALE:
        return f"one would have to be scaled by {scales.max():.2f} or {scales.min():.2f}"
    return None


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip().rstrip(".")

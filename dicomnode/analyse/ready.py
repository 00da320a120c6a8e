"""The inputs of an engine, made ready: volumes on the grid of the first one, tags as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from scipy import ndimage

from dicomnode.analyse.grids import Bool, Float32, align, sample
from dicomnode.analyse.preparations import PREPARATIONS
from dicomnode.analyse.prepare import prepare
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.analyse.tag_numbers import NoNumberError, numbers_of
from dicomnode.engine import InputSpec, Manifest, Preparation
from dicomnode.faults import ATTRIBUTE_MISSING, NEEDS_REGISTRATION
from dicomnode.values import Grid, Progress, Refusal, Remark, RemarkKind, Volume

_COARSER: Final = 1.01  # a spacing so much larger is a coarser one
_WELL_COVERED: Final = 0.999


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ready:
    """What the networks of one analysis are fed from.

    images: by name of the [[input]], float32 (k, j, i), all on one grid: `grid`. rows: float32 (n,), of tags.
    """

    images: Mapping[str, Prepared]
    grid: Grid
    rows: Mapping[str, Float32]
    remarks: tuple[Remark, ...] = ()


class Images(Protocol):
    """Where images are prepared and kept: here, or on a device."""

    def prepare(self, name: str, volume: Volume, entries: Sequence[Preparation], progress: Progress) -> Grid:
        """Prepare the first input; return its grid. Raises NodeError(PREPARATION_FAILED)."""

    def bring(self, name: str, image: Prepared) -> None:
        """Keep a further input, prepared on the grid of the first."""

    @property
    def mapping(self) -> Mapping[str, Prepared]:
        """All of them by name, on the host."""


class HostImages:
    """`Images` on the host."""

    def __init__(self) -> None:
        self.mapping: dict[str, Prepared] = {}

    def prepare(self, name: str, volume: Volume, entries: Sequence[Preparation], progress: Progress) -> Grid:
        """Prepare it with the CPU."""
        image = self.mapping[name] = prepare(volume, entries, progress)
        return image.grid

    def bring(self, name: str, image: Prepared) -> None:
        """Keep it."""
        self.mapping[name] = image


def make_ready(
    manifest: Manifest, volumes: Mapping[str, Volume], progress: Progress, images: Images | None = None
) -> Ready | Refusal:
    """Prepare all inputs; a refusal where they do not go together or an attribute has no number.

    images: where they are prepared, here if it is not said. Raises NodeError(PREPARATION_FAILED) as `prepare`
    does, KeyError when a volume is not given.
    """
    first = manifest.volumes[0]
    own = volumes[first.name]
    images = HostImages() if images is None else images
    grid = images.prepare(first.name, own, first.prepare, progress)
    rows: dict[str, Float32] = {}
    remarks: list[Remark] = []
    for spec in manifest.input[1:]:
        if spec.kind == "tags":
            try:
                rows[spec.name], said = numbers_of(spec, own.headers)
            except NoNumberError as error:
                engine = manifest.name
                return ATTRIBUTE_MISSING.refusal(engine=engine, keyword=error.keyword, problem=error.problem)
            remarks += said
            continue
        volume = volumes[spec.name]
        if volume.frame_of_reference_uid != own.frame_of_reference_uid:
            return NEEDS_REGISTRATION.refusal(engine=manifest.name, name=spec.name, first=first.name)
        image, said = _further(spec, volume, grid, progress)
        images.bring(spec.name, image)
        remarks += said
    return Ready(images=images.mapping, grid=grid, rows=rows, remarks=tuple(remarks))


def _further(
    spec: InputSpec, volume: Volume, grid: Grid, progress: Progress
) -> tuple[Prepared, list[Remark]]:
    """Put a further volume onto the grid of the first one, and prepare it there."""
    voxels, inside = onto(Prepared(volume.voxels, volume.grid), grid, spec.outside, progress)
    covered = float(inside.mean())
    image = Prepared(voxels, grid)
    for entry in spec.prepare:
        image = PREPARATIONS[entry.name].run(image, entry.declared, progress)
    ready = np.ascontiguousarray(image.voxels, dtype=np.float32)
    ready.setflags(write=False)
    if covered >= _WELL_COVERED:
        return Prepared(ready, image.grid), []
    text = f"The series for input {spec.name} covers {100.0 * covered:.1f} % of what was analysed."
    return Prepared(ready, image.grid), [Remark(kind=RemarkKind.QUALITY, text=text)]


def onto(image: Prepared, grid: Grid, outside: float, progress: Progress) -> tuple[Float32, Bool]:
    """Resample an image onto a grid of the same patient space: trilinear, blurred before coarser.

    Returns float32 (k, j, i) with `outside` where the image does not reach, and where it does (bool). An
    image reaches to the outer faces of its voxels.
    """
    image = _no_finer(image, grid, progress)
    try:
        align(image.grid, grid)
    except ValueError:
        voxels = _interpolated(image, grid)
    else:
        k, j, i = grid.shape_kji
        voxels = sample(image.voxels, image.grid, grid, (slice(0, k), slice(0, j), slice(0, i)))
    inside = _inside(image.grid, grid)
    voxels[~inside] = outside
    return voxels, inside


def _no_finer(image: Prepared, grid: Grid, progress: Progress) -> Prepared:
    """Take an image that is finer than the grid to the spacing of the grid, axis by axis."""
    to_grid = np.linalg.inv(grid.affine_lps)[:3, :3] @ image.grid.affine_lps[:3, :3]
    nearest = np.abs(to_grid).argmax(axis=0)  # axis of the grid (i, j, k) for each of the image's (i, j, k)
    wanted = grid.spacing_kji_mm[::-1]
    spacing = [
        max(have, wanted[axis]) if wanted[axis] > have * _COARSER else have
        for have, axis in zip(image.grid.spacing_kji_mm[::-1], nearest, strict=True)
    ]
    if spacing == list(image.grid.spacing_kji_mm[::-1]):
        return image
    return resample(image, (spacing[2], spacing[1], spacing[0]), progress)


def _index(grid: Grid, k: int, plane: np.ndarray, into: Grid) -> np.ndarray:
    """Return the indices (k, j, i) in `into` of the voxels of slice k of `grid`."""
    plane[..., 0] = k
    return into.to_index_kji(grid.to_lps_mm(plane))


def _plane(grid: Grid) -> np.ndarray:
    _, j, i = grid.shape_kji
    plane = np.zeros((j, i, 3))
    plane[..., 1], plane[..., 2] = np.ogrid[:j, :i]
    return plane


def _interpolated(image: Prepared, grid: Grid) -> Float32:
    """Interpolate at the voxels of a grid that is turned against that of the image; edges held."""
    found = np.empty(grid.shape_kji, dtype=np.float32)
    voxels = np.asarray(image.voxels, dtype=np.float32)
    plane = _plane(grid)
    for k in range(grid.shape_kji[0]):
        index = np.moveaxis(_index(grid, k, plane, image.grid), -1, 0)
        ndimage.map_coordinates(voxels, index, output=found[k], order=1, mode="nearest")
    return found


def _inside(image: Grid, grid: Grid) -> Bool:
    found = np.empty(grid.shape_kji, dtype=bool)
    plane = _plane(grid)
    last = np.array(image.shape_kji) - 0.5
    for k in range(grid.shape_kji[0]):
        index = _index(grid, k, plane, image)
        found[k] = ((index >= -0.5 - 1e-6) & (index <= last + 1e-6)).all(axis=-1)
    return found

"""Frames of a segmentation laid onto the grid of images, however the two lie to each other.

Where each pixel of the segmentation lies on a voxel of the grid, it is that voxel: slices may be missing, in
any order, cut out, turned or mirrored. Else each voxel of the grid takes the pixel that is nearest to its
centre: no interpolation, so no label that nobody gave.
Source: PS3.3 C.7.6.2.1.1 (positions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.assemble.annotations.frame_planes import SegmentFrame, Sheet, indices_of
from dicomnode.assemble.annotations.opened import Opened
from dicomnode.assemble.annotations.painting import Painting
from dicomnode.assemble.annotations.segment_pixels import Labels
from dicomnode.assemble.annotations.targets import Target
from dicomnode.faults import ANNOTATION_TOO_LARGE, ANNOTATION_UNPLACED
from dicomnode.values import Float64, Grid

NEAR: Final = 0.25
"""Of a voxel: a pixel that lies nearer is that voxel. Slices of scanners jitter, and decimals round."""

COARSER: Final = 1.5
"""Slices that lie this many times as far apart as those of the images are of a coarser grid, not left out."""

MOST_VOXELS: Final = 2**28
"""Of the frames of one segment, or of a label map, that are laid onto another grid: 1024 of 512 x 512."""

_EDGE: Final = 1.001  # what lies on the border between two slices belongs to both, whatever rounding says

Read = Callable[[SegmentFrame], Labels]


@dataclass(frozen=True, slots=True, eq=False)
class _Stacked:
    """Parallel frames as one array: labels (n, rows, columns), frames sorted along the normal."""

    sheet: Sheet
    labels: Labels
    origins_lps_mm: Float64

    @property
    def distance_mm(self) -> float | None:
        along = np.sort(self.origins_lps_mm @ self.sheet.directions[2])
        return slice_distance_mm(self.sheet, along)


def lay(
    frames: Sequence[SegmentFrame],
    read: Read,
    target: Target,
    paintings: Mapping[int, Painting],
    opened: Opened,
) -> str | None:
    """Paint all frames; return a sentence where they lay on another grid, else None.

    read: gives the labels of a frame, 0 for none. paintings: by label.
    Raises NodeError(ANNOTATION_UNPLACED), NodeError(ANNOTATION_TOO_LARGE), and what `read` raises.
    """
    to_index = np.linalg.inv(target.grid.affine_lps).astype(np.float64)
    mapped = [None if target.is_picture else indices_of(frame, to_index) for frame in frames]
    others = [frame for frame, plane in zip(frames, mapped, strict=True) if plane is not None]
    shape_ji = (opened.header.rows or 0, opened.header.columns or 0)
    exact = all(plane is None or _is_on_grid(plane, shape_ji) for plane in mapped)
    if exact and not _is_coarser(others, target.grid):
        others = []
    laid_apart = {frame.index for frame in others}
    for frame, plane in zip(frames, mapped, strict=True):
        if frame.index in laid_apart:
            continue
        where = np.rint(plane).astype(int) if plane is not None else _of_image(frame, target, opened)
        _paint(read(frame), where, paintings)
    for stacked in _stacks(others, read, opened):
        _count_outside(stacked, target.grid, paintings)
        for k, top, left, labels in _nearest(stacked, target.grid):
            for number, layer in _layers(labels):
                paintings[number].add_plane(k, layer, top, left)
    return _told(others, target.grid) if others else None


def _is_on_grid(plane: Float64, shape_ji: tuple[int, int]) -> bool:
    """Tell whether each pixel of a frame lies on a voxel. plane: maps (column, row, 1) to (i, j, k)."""
    steps = np.rint(plane[:, :2])
    if not (np.array_equal(np.abs(steps).sum(axis=0), (1, 1)) and np.abs(steps).sum(axis=1).max() == 1):
        return False
    rows, columns = shape_ji
    corners = np.array([(c, r, 1) for c in (0, columns - 1) for r in (0, rows - 1)]).T
    return bool(np.abs((plane - np.rint(plane)) @ corners).max() <= NEAR)


def _is_coarser(frames: Sequence[SegmentFrame], grid: Grid) -> bool:
    """Tell whether slices of a segmentation stand for several of the images."""
    for sheet, own in _by_sheet(frames).items():
        along = np.sort(np.array([frame.origin_lps_mm for frame in own]) @ sheet.directions[2])
        distance = slice_distance_mm(sheet, along) or 0.0
        step = np.linalg.inv(grid.affine_lps)[:3, :3] @ (sheet.directions[2] * distance)
        if np.abs(step).max() >= COARSER:
            return True
    return False


def slice_distance_mm(sheet: Sheet, along_mm: Float64) -> float | None:
    """Return the distance of neighbouring slices, of which some may be missing; None where nothing says it.

    along_mm: of those that are there, along the normal, ascending. What the object says of it counts where
    the slices lie at multiples of it; else the smallest distance that occurs.
    """
    steps = np.diff(along_mm)
    steps = steps[steps > 1e-3]
    if not steps.size:
        return sheet.distance_mm or sheet.thickness_mm
    least = float(steps.min())
    said = sheet.distance_mm
    if said is not None and round(least / said) >= 1 and abs(least / said - round(least / said)) < 0.1:
        return said
    return least


def _of_image(frame: SegmentFrame, target: Target, opened: Opened) -> NDArray[np.integer]:
    """Place a frame on the image that it was made of, pixel on pixel."""
    _, rows, columns = target.grid.shape_kji
    if (opened.header.rows, opened.header.columns) == (rows, columns):
        slices = target.slices
        for image in frame.images:
            k = slices.get(image, slices.get(type(image)(image.sop_instance_uid)))
            if k is not None:
                return np.array([(1, 0, 0), (0, 1, 0), (0, 0, k)])
        if len(slices) == 1 and not frame.images:
            return np.array([(1, 0, 0), (0, 1, 0), (0, 0, 0)])
    what = "names no image of this size" if target.is_picture else "has no position, orientation or spacing"
    raise opened.refused(ANNOTATION_UNPLACED, error=f"frame {frame.index + 1} {what}")


def _layers(labels: Labels) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield each label that occurs, but 0, and where."""
    for number in np.flatnonzero(np.bincount(labels.ravel())):
        if number:  # the labels are numbered from 1 on, without gaps
            yield int(number), labels == number


def _paint(labels: Labels, where: NDArray[np.integer], paintings: Mapping[int, Painting]) -> None:
    """Paint a frame whose pixels lie on voxels. where: maps (column, row, 1) to (i, j, k)."""
    upright = np.array_equal(where[:, :2], ((1, 0), (0, 1), (0, 0)))
    for number, plane in _layers(labels):
        paintings[number].given = True
        if upright:
            paintings[number].add_plane(int(where[2, 2]), plane, int(where[1, 2]), int(where[0, 2]))
        else:
            rows, columns = np.nonzero(plane)
            index = where @ np.stack((columns, rows, np.ones_like(rows)))
            paintings[number].add_voxels(index[::-1].T)


def _by_sheet(frames: Sequence[SegmentFrame]) -> dict[Sheet, list[SegmentFrame]]:
    groups: dict[Sheet, list[SegmentFrame]] = {}
    for frame in frames:
        if frame.sheet is not None and frame.origin_lps_mm is not None:
            groups.setdefault(frame.sheet, []).append(frame)
    return groups


def _stacks(frames: Sequence[SegmentFrame], read: Read, opened: Opened) -> Iterator[_Stacked]:
    """Yield the frames of each segment, those that are parallel together."""
    for number in dict.fromkeys(frame.segment for frame in frames):
        for sheet, own in _by_sheet([one for one in frames if one.segment == number]).items():
            pixels = len(own) * (opened.header.rows or 0) * (opened.header.columns or 0)
            if pixels > MOST_VOXELS:
                error = f"{pixels} voxels of one segment that lie on another grid"
                raise opened.refused(ANNOTATION_TOO_LARGE, error=error)
            origins = np.array([frame.origin_lps_mm for frame in own])
            order = np.argsort(origins @ sheet.directions[2], kind="stable")
            labels = np.stack([read(own[n]) for n in order])
            yield _Stacked(sheet, labels, origins[order])


def _nearest(stacked: _Stacked, grid: Grid) -> Iterator[tuple[int, int, int, Labels]]:
    """Yield slices of the grid with the labels there: k, first row, first column, labels."""
    box = _box(stacked, grid)
    if box is None:
        return
    (k0, k1), (j0, j1), (i0, i1) = box
    across, down, normal = stacked.sheet.directions
    row_mm, column_mm = stacked.sheet.spacing_ji_mm
    along = stacked.origins_lps_mm @ normal
    half = _half_mm(stacked, grid)
    _, rows, columns = stacked.labels.shape
    plane = np.empty((j1 - j0, i1 - i0, 3))
    plane[..., 1], plane[..., 2] = np.ogrid[j0:j1, i0:i1]
    for k in range(k0, k1):
        plane[..., 0] = k
        points = grid.to_lps_mm(plane)
        place = points @ normal
        number = np.searchsorted((along[1:] + along[:-1]) / 2, place)
        origin = stacked.origins_lps_mm[number]
        column = np.floor(((points - origin) @ across) / column_mm + 0.5).astype(np.int64)
        row = np.floor(((points - origin) @ down) / row_mm + 0.5).astype(np.int64)
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        inside &= np.abs(place - along[number]) <= half
        labels = np.zeros(inside.shape, dtype=stacked.labels.dtype)
        labels[inside] = stacked.labels[number[inside], row[inside], column[inside]]
        yield k, j0, i0, labels


def _count_outside(stacked: _Stacked, grid: Grid, paintings: Mapping[int, Painting]) -> None:
    """Tell each painting what it is given, and how many voxels of that have their centre beside the grid."""
    across, down, _ = stacked.sheet.directions
    row_mm, column_mm = stacked.sheet.spacing_ji_mm
    last = np.array(grid.shape_kji) - 0.5
    for labels, origin in zip(stacked.labels, stacked.origins_lps_mm, strict=True):
        rows, columns = np.nonzero(labels)
        points = origin + columns[:, None] * (across * column_mm) + rows[:, None] * (down * row_mm)
        index = grid.to_index_kji(points)
        for number in np.unique(labels[rows, columns]):
            paintings[int(number)].given = True
        beside = np.any((index < -0.5) | (index >= last), axis=1)
        for number in np.unique(labels[rows[beside], columns[beside]]):
            count = np.count_nonzero(labels[rows[beside], columns[beside]] == number)
            paintings[int(number)].outside += int(count)


def _half_mm(stacked: _Stacked, grid: Grid) -> float:
    """Return how far from its middle a slice reaches; as far as one of the images where nothing says it."""
    return (stacked.distance_mm or grid.slice_distance_mm) / 2 * _EDGE


def _box(stacked: _Stacked, grid: Grid) -> tuple[tuple[int, int], ...] | None:
    """Return the part of the grid that what is labelled can reach: (start, stop) along k, j, i."""
    corners = []
    across, down, normal = stacked.sheet.directions
    row_mm, column_mm = stacked.sheet.spacing_ji_mm
    half = _half_mm(stacked, grid)
    for labels, origin in zip(stacked.labels, stacked.origins_lps_mm, strict=True):
        rows, columns = np.flatnonzero(labels.any(axis=1)), np.flatnonzero(labels.any(axis=0))
        if rows.size:
            corners += [
                origin + across * column_mm * c + down * row_mm * r + normal * n
                for c in (columns[0] - 0.5, columns[-1] + 0.5)
                for r in (rows[0] - 0.5, rows[-1] + 0.5)
                for n in (-half, half)
            ]
    if not corners:
        return None
    index = grid.to_index_kji(np.array(corners))
    low = np.clip(np.floor(index.min(axis=0)), 0, grid.shape_kji).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, 0, grid.shape_kji).astype(int)
    if np.any(low >= high):
        return None
    return tuple((int(a), int(b)) for a, b in zip(low, high, strict=True))


def _told(frames: Sequence[SegmentFrame], grid: Grid) -> str:
    sheets = list(_by_sheet(frames))
    row_mm, column_mm = sheets[0].spacing_ji_mm
    k_mm, j_mm, i_mm = grid.spacing_kji_mm
    return (
        f"The segmentation lies on another grid (pixels of {row_mm:.4g} x {column_mm:.4g} mm) than the "
        f"images ({k_mm:.4g} x {j_mm:.4g} x {i_mm:.4g} mm): each voxel took the nearest pixel."
    )

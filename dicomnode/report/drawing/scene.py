"""What a picture shows of Findings: the finding that it is about, where its planes cut, in which window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.report.drawing.colours import coloured
from dicomnode.report.drawing.display_window import DisplayWindow, window_for
from dicomnode.report.drawing.patient_views import View, centre_index_kji, views_of
from dicomnode.values import FindingKind, Findings, Grid, PointLps, Region, Segment, Volume
from dicomnode.values.colours import Rgb, next_colour

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""First and last voxel's outer faces along k, j, i, as array indices."""

_HALF_VOXEL: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A volume in its window, what was found in its colours, the finding in question, where planes cut.

    target: None where there is neither lesion nor region: then the whole is shown.
    """

    volume: Volume
    segments: tuple[Segment, ...]
    regions: tuple[Region, ...]
    region_colour: Rgb
    target: Segment | Region | None
    centre_kji: tuple[int, int, int]
    window: DisplayWindow
    views: tuple[View, View, View]

    @property
    def found(self) -> list[Segment | Region]:
        """All that has a place: segments, then regions."""
        return [*self.segments, *self.regions]

    def box_of(self, found: Segment | Region) -> Box:
        """What it takes of the volume."""
        return box_of(found, self.volume.grid)

    def colour_of(self, found: Segment | Region) -> Rgb:
        """The colour that it is drawn in."""
        return found.colour_rgb if isinstance(found, Segment) else self.region_colour

    def cuts(self, found: Segment | Region, view: View) -> bool:
        """Tell whether the plane of a view goes through it."""
        axis, across = view.axes[2], self.centre_kji[view.axes[2]]
        if isinstance(found, Segment):
            start, stop = found.mask.box_kji[axis]
            return start <= across < stop and bool(
                np.take(found.mask.crop(), across - start, axis=axis).any()
            )
        low, high = self.box_of(found)[axis]
        return low - _HALF_VOXEL <= across <= high + _HALF_VOXEL

    def in_plane(self, ends: tuple[PointLps, PointLps], view: View) -> bool:
        """Tell whether both ends lie on the plane that the view shows, within half a voxel and a little."""
        axis = view.axes[2]
        places = [self.volume.grid.to_index_kji(end)[axis] for end in ends]
        return all(abs(place - self.centre_kji[axis]) <= 0.51 for place in places)


def box_of(found: Segment | Region, grid: Grid) -> Box:
    """What a finding takes of the grid that it lies on."""
    if isinstance(found, Segment):
        k, j, i = ((start - _HALF_VOXEL, stop - _HALF_VOXEL) for start, stop in found.mask.box_kji)
        return k, j, i
    index = np.array([grid.to_index_kji(point) for point in _corners(found)])
    k, j, i = (
        (float(low), float(high)) for low, high in zip(index.min(axis=0), index.max(axis=0), strict=True)
    )
    return k, j, i


def scene_of(volume: Volume, findings: Findings, label: str | None) -> Scene:
    """Set the scene for the segment or region `label`, None: for the surest lesion or region.

    Raises KeyError if nothing has that label.
    """
    segments = coloured(findings.segments)
    target = _target(segments, findings.regions, label)
    return Scene(
        volume=volume,
        segments=segments,
        regions=findings.regions,
        region_colour=next_colour([one.colour_rgb for one in segments]),
        target=target,
        centre_kji=_centre(volume, findings, target),
        window=window_for(volume, findings, target),
        views=views_of(volume.grid),
    )


def _target(
    segments: tuple[Segment, ...], regions: tuple[Region, ...], label: str | None
) -> Segment | Region | None:
    if label is not None:
        named: dict[str, Segment | Region] = {one.label: one for one in regions}
        return (named | {one.label: one for one in segments})[label]
    lesions = [one for one in segments if one.kind is FindingKind.LESION]
    if lesions:
        return max(lesions, key=lambda one: (one.score or 0.0, one.mask.count))
    return max(regions, key=lambda one: one.score or 0.0, default=None)


def _centre(volume: Volume, findings: Findings, target: Segment | Region | None) -> tuple[int, int, int]:
    """Where planes meet most of what is shown: of the target, else of all segments, else the surest slice."""
    k, j, i = (n // 2 for n in volume.voxels.shape)
    if isinstance(target, Segment):
        return _fullest((target,), volume)
    if target is not None:
        corners = np.array(_corners(target))
        x, y, z = (float(one) for one in (corners.min(axis=0) + corners.max(axis=0)) / 2)
        return centre_index_kji(volume.grid, (x, y, z))
    if findings.segments:
        return _fullest(findings.segments, volume)
    if findings.frame_scores:
        return max(findings.frame_scores, key=lambda one: one.score).k, j, i
    return k, j, i


def _fullest(segments: tuple[Segment, ...], volume: Volume) -> tuple[int, int, int]:
    """The slice, row and column with most of some segments: planes there meet them, whatever their shape."""
    filled = [np.zeros(n, dtype=np.int64) for n in volume.voxels.shape]
    for segment in segments:
        crop = segment.mask.crop()
        for axis, others in ((0, (1, 2)), (1, (0, 2)), (2, (0, 1))):
            start, stop = segment.mask.box_kji[axis]
            filled[axis][start:stop] += crop.sum(axis=others)
    k, j, i = (int(np.argmax(one)) for one in filled)
    return k, j, i


def _corners(region: Region) -> list[PointLps]:
    """The points of a region; of a box all eight corners, as its two lie along the patient's axes."""
    if len(region.points_lps_mm) != 2:
        return list(region.points_lps_mm)
    (x0, y0, z0), (x1, y1, z1) = region.points_lps_mm
    return [(x, y, z) for x in (x0, x1) for y in (y0, y1) for z in (z0, z1)]

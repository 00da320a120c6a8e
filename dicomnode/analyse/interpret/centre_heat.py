"""Candidates from a map of centres: local maxima, suppression, a score, and a mask each.

No anchors and no boxes: a centre is a local maximum of heat, its size stands in a second map, and its
voxels in a third. Sizes and distances are in mm, so the parameters of the manifest hold on any grid; of a
picture whose spacing is not known in pixels of the picture, which is what its grid counts. Networks of two
dimensions give planes apart: their cells are one voxel along k. Frames of a picture share no candidate.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import expit

from dicomnode.analyse.grids import Float32
from dicomnode.analyse.interpret.centre_outline import NEXT_FRAME, Candidate, ball, distances, outline
from dicomnode.analyse.interpret.contract import (
    MOST_BELOW,
    Below,
    Outputs,
    Point,
    Reading,
    Region,
    Shape,
    UnreadableError,
    without_padding,
)
from dicomnode.analyse.interpret.counted import as_points, more_than_reported, none_reaches
from dicomnode.engine import CentreHeat, Head
from dicomnode.values import Float64, Grid, Mask, Remark, least_reaching

_SUPPRESSED_WITHIN: Final = 0.5  # of the larger diameter of two centres
_LARGEST_LOG: Final = 4.0  # ln 55 mm: a size beyond is no size; in voxels the whole grid is
_ROUNDING: Final = 1e-9  # relative: what a tree of points may round another way than we do
_FUSED: Final = "sqrt(heat * mask_support)"

Three = tuple[int, int, int]


def centre_heat(outputs: Outputs, step: Head) -> Reading:
    """Decode heat, size and mask into candidates, by score; those above the threshold get their voxels."""
    how = step.centre_heat
    if how is None:
        raise UnreadableError("engine.toml has no [step.centre_heat]")
    heat, size, mask = (_one_channel(outputs, name) for name in (how.heat, how.size, how.mask))
    strides = _strides((heat, size, mask), how)
    outputs, (heat, size, mask) = _seen(outputs, (heat, size, mask), strides)
    peaks = _peaks(heat, size, outputs, how, strides)
    if how.outlined:
        peaks = [
            one
            for one in peaks
            if _around(one, mask, outputs.grid, 1.0).max(initial=-np.inf) > how.mask_logit
        ]
    found = _suppressed(peaks, outputs.grid, how)
    above, best_below = _scored(found, mask, outputs.grid, how)
    distinct = _distinct([(one, outline(one, mask, outputs, how)) for one in above])
    chosen = distinct[: how.at_most]
    points = tuple(_point(one) for one, voxels in chosen if voxels is None)
    return Reading(
        shapes=tuple(Shape(mask=voxels, score=one.score) for one, voxels in chosen if voxels is not None),
        points=points,
        remarks=_remarks(len(distinct), len(points), how, scored_later=outputs.scored_later),
        none_found=none_reaches(how.threshold, len(found) - len(above), best_below),
        region=Region(mask > how.mask_logit, outputs.grid),
        below=_below(found, mask, outputs, how, len(chosen)) if outputs.unreported else None,
    )


def _strides(maps: tuple[Float32, Float32, Float32], how: CentreHeat) -> Three:
    """Return the voxels that a cell of heat covers along k, j, i; raises UnreadableError."""
    heat, size, mask = maps
    n = how.stride
    for stride in ((n, n, n), (1, n, n)):  # the second of a network of two dimensions
        if np.array_equal(np.multiply(heat.shape, stride), mask.shape) and size.shape == heat.shape:
            return stride
    raise UnreadableError(
        f"{how.heat} {heat.shape}, {how.size} {size.shape} and {how.mask} {mask.shape} do not go "
        f"together with a stride of {n}"
    )


def _below(found: list[Candidate], mask: Float32, outputs: Outputs, how: CentreHeat, reported: int) -> Below:
    """Return what would be reported were there no threshold, without what is.

    Its first ones are what is reported, as each is decided by those of a higher score alone. A place is the
    centre of its voxels, as of what is reported, else the centre itself.
    """
    every, _ = _scored(found, mask, outputs.grid, replace(how, threshold=0.0))
    looked = every[:MOST_BELOW]
    distinct = _distinct([(one, outline(one, mask, outputs, how)) for one in looked])
    places = tuple((0, _middle(*one, outputs.source), one[0].score) for one in distinct[reported:])
    if len(every) > len(looked):
        return Below(places=places, down_to=looked[-1].score)
    return Below(places=places, down_to=how.heat_at_least if how.score == "heat" else 0.0)


def _middle(candidate: Candidate, voxels: Mask | None, source: Grid) -> tuple[float, float, float]:
    centre = candidate.centre_lps_mm
    if voxels is not None:
        start = [low for low, _ in voxels.box_kji]
        centre = source.to_lps_mm((np.argwhere(voxels.crop()) + start).mean(axis=0))
    x, y, z = (float(value) for value in centre)
    return x, y, z


def _seen(
    outputs: Outputs, maps: tuple[Float32, Float32, Float32], strides: Three
) -> tuple[Outputs, tuple[Float32, Float32, Float32]]:
    """Return heat, size and mask without the padding of the box, and the outputs on what is left of its grid.

    Of a coarse map a cell stays that covers any voxel: what is seen at the rim of a volume is not lost.
    """
    grid = without_padding(outputs.grid, outputs.inside)
    heat, size, mask = maps
    k, j, i = (-(-length // stride) for length, stride in zip(grid.shape_kji, strides, strict=True))
    rows, columns, voxels = grid.shape_kji
    cut = (heat[:k, :j, :i], size[:k, :j, :i], mask[:rows, :columns, :voxels])
    return replace(outputs, grid=grid, inside=None), cut


def _point(candidate: Candidate) -> Point:
    x, y, z = (float(value) for value in candidate.centre_lps_mm)
    return Point(centre_lps_mm=(x, y, z), score=candidate.score, diameter_mm=candidate.diameter_mm)


def _distinct(found: list[tuple[Candidate, Mask | None]]) -> list[tuple[Candidate, Mask | None]]:
    """Drop what is the same finding again: most of its voxels belong to one with a higher score."""
    kept: list[tuple[Candidate, Mask | None]] = []
    for one, voxels in found:
        again = voxels is not None and any(
            other is not None and 2 * _shared(voxels, other) > voxels.count for _, other in kept
        )
        if not again:
            kept.append((one, voxels))
    return kept


def _shared(first: Mask, second: Mask) -> int:
    """Return the number of voxels that both masks hold."""
    low = [max(a[0], b[0]) for a, b in zip(first.box_kji, second.box_kji, strict=True)]
    high = [min(a[1], b[1]) for a, b in zip(first.box_kji, second.box_kji, strict=True)]
    if any(stop <= start for start, stop in zip(low, high, strict=True)):
        return 0
    both = np.ones([stop - start for start, stop in zip(low, high, strict=True)], dtype=bool)
    for mask in (first, second):
        part = tuple(
            slice(start - own[0], stop - own[0])
            for start, stop, own in zip(low, high, mask.box_kji, strict=True)
        )
        both &= mask.crop()[part]
    return int(both.sum())


def _one_channel(outputs: Outputs, name: str) -> Float32:
    if name not in outputs.maps:
        raise UnreadableError(f"the network has no output {name!r}, it has {sorted(outputs.maps)}")
    values = outputs.maps[name]
    if values.shape[0] != 1:
        raise UnreadableError(f"output {name!r} has {values.shape[0]} channels, not one")
    channel: Float32 = values[0]
    return channel


def _peaks(
    heat: Float32, size: Float32, outputs: Outputs, how: CentreHeat, strides: Three
) -> list[Candidate]:
    """Return the local maxima of heat that lie within or near what the box was cropped to, hottest first."""
    grid = outputs.grid
    least = np.log(how.heat_at_least / (1.0 - how.heat_at_least)) if 0 < how.heat_at_least < 1 else -np.inf
    around = (3 if grid.frame_of_reference_uid else 1, 3, 3)
    cells = np.argwhere((heat == ndimage.maximum_filter(heat, size=around)) & (heat > least))
    # Cell c covers the voxels stride·c … stride·c + stride − 1, as far as there are any
    last = np.minimum((cells + 1) * strides, grid.shape_kji) - 1
    at = (cells * np.array(strides) + last) / 2.0
    centres = grid.to_lps_mm(at)
    if not grid.frame_of_reference_uid:
        centres, near = _on_picture(centres, outputs, strides)
        cells, at, centres = cells[near], at[near], centres[near]
    diameters = _diameters_mm(size[tuple(cells.T)], grid, how)
    if outputs.within is not None:
        near = _near(outputs.within, centres, how.within_mm)
        for n in np.flatnonzero(~near) if how.within_diameters else ():
            near[n] = _reaches(outputs.within, centres[n], how.within_diameters * float(diameters[n]))
        cells, at, centres, diameters = cells[near], at[near], centres[near], diameters[near]
    rows = tuple(cells.T)
    warmth = expit(heat[rows].astype(np.float64))
    return [
        Candidate(at[n], centres[n], float(diameters[n]), float(warmth[n]), float(warmth[n]))
        for n in np.argsort(-warmth, kind="stable")
    ]


def _diameters_mm(logs: Float32, grid: Grid, how: CentreHeat) -> NDArray[np.floating]:
    """Return diameters, at least 1 of what the size is in, as far as a grid holds them."""
    if how.size_in == "mm":
        mm: NDArray[np.floating] = np.exp(np.clip(logs, 0.0, _LARGEST_LOG))
        return mm
    _, row_mm, column_mm = grid.spacing_kji_mm
    voxels = np.exp(np.clip(logs, 0.0, np.log(max(grid.shape_kji))))
    scaled: NDArray[np.floating] = voxels * np.sqrt(row_mm * column_mm)
    return scaled


def _on_picture(
    centres_lps_mm: Float64, outputs: Outputs, strides: Three
) -> tuple[Float64, NDArray[np.bool_]]:
    """Return centres brought onto the pixels, and which lay there: not in the bars beside a picture.

    A cell at the rim may have its centre beside the picture, by less than its own size.
    """
    source = outputs.source
    last = np.array(source.shape_kji) - 1
    moved = source.to_lps_mm(np.clip(source.to_index_kji(centres_lps_mm), 0.0, last))
    cell_mm = float((np.array(strides) * outputs.grid.spacing_kji_mm)[1:].max())
    near: NDArray[np.bool_] = np.abs(moved - centres_lps_mm).max(axis=1, initial=0.0) < cell_mm
    return moved, near


def _near(region: Region, centres_lps_mm: Float64, within_mm: float) -> NDArray[np.bool_]:
    """Tell of each centre whether a voxel of the region lies within `within_mm` of it, or holds it."""
    at = region.grid.to_index_kji(centres_lps_mm)
    spacing = np.array(region.grid.spacing_kji_mm)
    shape = np.array(region.mask.shape)
    reach = within_mm / spacing + 0.5
    result = np.zeros(len(at), dtype=bool)
    first = np.ceil(at - reach).astype(np.intp)
    for step in np.ndindex(*(int(n) for n in np.floor(2.0 * reach).astype(np.intp) + 1)):
        open_ = np.flatnonzero(~result)
        index = first[open_] + step
        apart = np.abs(index - at[open_]) * spacing
        close = (apart <= spacing / 2.0 + 1e-6).all(axis=1) | (np.sqrt((apart**2).sum(axis=1)) <= within_mm)
        close &= ((index >= 0) & (index < shape)).all(axis=1)
        some = tuple(index[close].T)
        result[open_[close]] = region.mask[some]
    return result


def _reaches(region: Region, centre_lps_mm: Float64, within_mm: float) -> bool:
    """Tell whether a voxel of the region lies within `within_mm` of a centre, however far that is."""
    at = region.grid.to_index_kji(centre_lps_mm)
    spacing = np.array(region.grid.spacing_kji_mm)
    low = np.maximum(np.ceil(at - within_mm / spacing), 0).astype(np.intp)
    high = np.minimum(np.floor(at + within_mm / spacing) + 1, region.mask.shape).astype(np.intp)
    if (high <= low).any():
        return False
    k, j, i = (
        ((np.arange(first, last) - middle) * mm) ** 2
        for first, last, middle, mm in zip(low, high, at, spacing, strict=True)
    )
    apart = k[:, None, None] + j[:, None] + i
    around = region.mask[tuple(slice(first, last) for first, last in zip(low, high, strict=True))]
    return bool((around & (apart <= within_mm**2)).any())


def _suppressed(candidates: list[Candidate], grid: Grid, how: CentreHeat) -> list[Candidate]:
    """Keep a candidate if no hotter one that is kept lies too near."""
    if not candidates:
        return []
    centres = np.array([one.centre_lps_mm for one in candidates])
    if not grid.frame_of_reference_uid:  # z counts frames
        centres[:, 2] *= NEXT_FRAME
    diameters = np.array([one.diameter_mm for one in candidates])
    needed = np.maximum(how.suppress_mm, _SUPPRESSED_WITHIN * diameters)  # around each; the larger counts
    tree = cKDTree(centres)
    too_near: list[list[int]] = [[] for _ in candidates]  # the hotter ones of each
    for one, others in enumerate(tree.query_ball_point(centres, needed * (1.0 + _ROUNDING))):
        apart = np.sqrt(((centres[others] - centres[one]) ** 2).sum(axis=1))
        for other, distance in zip(others, apart, strict=True):
            if other != one and distance <= needed[one]:
                too_near[max(one, other)].append(min(one, other))
    kept = np.zeros(len(candidates), dtype=bool)
    for index, hotter in enumerate(too_near):
        kept[index] = not kept[hotter].any()
    return [candidates[index] for index in np.flatnonzero(kept)]


def _scored(
    candidates: list[Candidate], mask: Float32, grid: Grid, how: CentreHeat
) -> tuple[list[Candidate], float]:
    """Return those that reach the threshold by score, highest first, and the best score below it (or 0).

    candidates: hottest first. No score is above the square root of the heat (the support is at most 1), so
    most need not be computed: of some thousand centres a handful is warm enough to matter.
    """
    above: list[Candidate] = []
    best_below, least = 0.0, least_reaching(how.threshold)
    for one in candidates:
        at_most = np.sqrt(one.heat) if how.score == _FUSED else one.heat
        if at_most < least and at_most <= best_below:
            break
        score = one.heat
        if how.score == _FUSED:
            score = float(np.sqrt(one.heat * support(one, mask, grid, how.support_part)))
        if score >= least:
            above.append(replace(one, score=score))
        else:
            best_below = max(best_below, score)
    return sorted(above, key=lambda one: -one.score), best_below


def support(candidate: Candidate, mask: Float32, grid: Grid, part: float) -> float:
    """Return the mean mask probability within `part` of the radius, at least one voxel."""
    around = _around(candidate, mask, grid, part)
    return float(expit(around.astype(np.float64)).mean()) if around.size else 0.0


def _around(candidate: Candidate, mask: Float32, grid: Grid, part: float) -> Float32:
    """Return the values of the mask within `part` of the radius, at least one voxel, (n,)."""
    spacing = distances(grid)
    coarsest = spacing if grid.frame_of_reference_uid else spacing[1:]
    radius = max(part * candidate.diameter_mm / 2.0, float(coarsest.max()))
    low, inside = ball(candidate.at, radius, grid.shape_kji, spacing)
    cube = mask[tuple(slice(lo, lo + n) for lo, n in zip(low, inside.shape, strict=True))]
    return cube[inside]


def _remarks(above: int, points: int, how: CentreHeat, *, scored_later: bool) -> tuple[Remark, ...]:
    remarks = []
    if above > how.at_most:
        many = above, how.threshold, how.at_most
        remarks.append(more_than_reported(*many, scored_later=scored_later))
    if points and not scored_later:
        remarks.append(as_points(points))
    return tuple(remarks)

"""The true places of what there may be several of: parts of segments, and shapes of reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.evaluate.truth.outlines import fitting_segments, speaks_of
from dicomnode.evaluate.truth.trust import Labels
from dicomnode.evaluate.truth.wanted import By, Wanted
from dicomnode.evaluate.truth.words import coded_yes_no, says_no
from dicomnode.values import AnnotatedRegion, Code, Float64, Grid, Mask, PointLps, RegionKind

_CORNERS: Final = ndimage.generate_binary_structure(3, 3)  # voxels touch by faces, edges and corners
_SQUARE: Final = 0.01  # of the longest side, squared: how far from right the angles of a box may be
_SAME_MM: Final = 1.0  # a shape of a report this near the centre of an outline is that outline


_SIZES: Final = frozenset({"diameter", "axis", "length", "size"})
_NO_SIZES: Final = frozenset({"from", "to", "path", "perimeter"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLesion:
    """One place: centroid in LPS mm, diameter of the ball of equal volume in mm, 0 of a point."""

    centre_lps_mm: PointLps
    diameter_mm: float
    ignore: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLesions:
    """All of one case; none of them where the labels say that there is none. by, source: as of outlines."""

    lesions: tuple[TrueLesion, ...]
    by: By
    source: str


def true_lesions(wanted: Wanted, labels: Labels) -> TrueLesions | None:
    """Return what is true of an output with places; None where no label says it.

    A lesion is a connected part of a segment (voxels touch by faces, edges and corners): one segment may hold
    several. Outlines of several objects that touch are one lesion. A shape of a report counts where no
    outline has its centre; shapes in each other, as a reader draws one on each slice, are one. None there is
    where the table or a coded answer says so, or a segment is empty.
    """
    bys: list[tuple[By, str]] = []
    outlines = list(_masks(wanted, labels))
    for _, _, by, label in outlines:
        bys.append((by, f"segments called {label!r}" if by is not By.CODE else _of_type(wanted)))
    found = [part for grid, mask, _, _ in outlines for part in parts_of(mask, grid)]
    found += _drawn(wanted, labels, found, bys)
    if found or outlines:
        by, source = min(bys, key=lambda one: list(By).index(one[0]))
        return TrueLesions(lesions=tuple(found), by=by, source=source)
    return _none_there(wanted, labels)


def drawn_lesions(wanted: Wanted, labels: Labels) -> tuple[TrueLesion, ...] | None:
    """Return the lesions that have a place and no outline: points and shapes of reports, rows of a table.

    () where the labels say that there is none at all; None where they say nothing, or outline all there is.
    """
    outlines = list(_masks(wanted, labels))
    found = [part for grid, mask, _, _ in outlines for part in parts_of(mask, grid)]
    drawn = _drawn(wanted, labels, found, [])
    if drawn:
        return tuple(drawn)
    return () if not outlines and _none_there(wanted, labels) is not None else None


def _drawn(
    wanted: Wanted, labels: Labels, outlined: Sequence[TrueLesion], bys: list[tuple[By, str]]
) -> list[TrueLesion]:
    """Return the lesions that shapes are of and no outline; how each shape was matched goes into `bys`."""
    drawn: list[TrueLesion] = []
    for region, by in _regions(wanted, labels):
        lesion = lesion_of(region)
        bys.append((by, f"regions called {region.label!r}" if by is not By.CODE else _of_type(wanted)))
        if lesion is not None and not any(_is_same(lesion, other) for other in outlined):
            drawn.append(lesion)
    return joined(drawn)


def _of_type(wanted: Wanted) -> str:
    return f"findings of type {wanted.spec.concept}"


def _masks(wanted: Wanted, labels: Labels) -> Iterator[tuple[Grid, Mask, By, str]]:
    """Give the segments of one object each; of several objects what they outline together on each grid."""
    found = [
        (annotation.grid or labels.grid, segment.mask, by, segment.label)
        for annotation, segments in fitting_segments(wanted, labels)
        for segment, by in segments
    ]
    readers = {id(annotation) for annotation, _ in fitting_segments(wanted, labels)}
    together: list[tuple[Grid, Mask, By, str]] = []
    for grid, mask, by, label in found:
        if grid is None:
            continue
        same = [n for n, (other, *_) in enumerate(together) if len(readers) > 1 and other.same_as(grid)]
        if same:
            other, union, first, name = together[same[0]]
            together[same[0]] = (other, union.union(mask), first, name)
        else:
            together.append((grid, mask, by, label))
    yield from together


def parts_of(mask: Mask, grid: Grid) -> list[TrueLesion]:
    """Return a lesion for each connected part of a mask; of a picture its diameter is that of a disc."""
    if mask.is_empty:
        return []
    crop = mask.crop()
    parts, many = ndimage.label(crop, structure=_CORNERS)
    origin = np.array([start for start, _ in mask.box_kji], dtype=np.float64)
    numbers = range(1, many + 1)
    centres = grid.to_lps_mm(np.array(ndimage.center_of_mass(crop, parts, numbers)) + origin)
    counts = ndimage.sum_labels(crop, parts, numbers)
    return [
        TrueLesion(centre_lps_mm=(float(x), float(y), float(z)), diameter_mm=_diameter_of(float(count), grid))
        for (x, y, z), count in zip(centres, counts, strict=True)
    ]


def _diameter_of(count: float, grid: Grid) -> float:
    """Diameter in mm of the ball of so many voxels; of a picture, which has no third mm, of the disc."""
    if grid.frame_of_reference_uid:
        return float((6.0 * count * grid.voxel_mm3 / np.pi) ** (1.0 / 3.0))
    _, row_mm, column_mm = grid.spacing_kji_mm
    return float(2.0 * np.sqrt(count * row_mm * column_mm / np.pi))


def _regions(wanted: Wanted, labels: Labels) -> Iterator[tuple[AnnotatedRegion, By]]:
    """Give the shapes of reports that fit and are no mere reference to a segment that is here."""
    here = {one.sop_instance_uid for one in labels.annotations if one.segments}
    tracked = {one.tracking_uid for annotation in labels.annotations for one in annotation.segments} - {None}
    for annotation in labels.annotations:
        if not speaks_of(annotation, labels):
            continue
        for region in annotation.regions:
            named = region.segment is not None and region.segment[0] in here
            if named or region.tracking_uid in tracked:
                continue
            by = wanted.fits(region.label, region.type, laterality=region.laterality, site=region.site)
            if by is not None:
                yield region, by


def lesion_of(region: AnnotatedRegion) -> TrueLesion | None:
    """Return place and size of a shape; None of what has no place.

    Point: the size is the largest diameter, axis or length of it that was measured, else 0: a candidate hits
    what it lies within the radius of, so that no other length may stand for it. Box: mean of its sides.
    Ellipse: mean of its axes. Polyline: its mean point, and the largest distance of two of its points; a
    closed one of four right angles is a box, since SCOORD has no other way to draw one (PS3.3 C.18.6.1.2).
    """
    if not region.points_lps_mm:
        return None
    points = _corners(region)
    x, y, z = points.mean(axis=0)
    return TrueLesion(centre_lps_mm=(float(x), float(y), float(z)), diameter_mm=_diameter_mm(region, points))


def _corners(region: AnnotatedRegion) -> Float64:
    """Return the points of a region, (n, 3); of a closed line the last, which is the first, once."""
    points: Float64 = np.array(region.points_lps_mm, dtype=np.float64)
    closed = region.kind is RegionKind.POLYLINE and len(points) > 2 and np.allclose(points[0], points[-1])
    return points[:-1] if closed else points


def _is_box(region: AnnotatedRegion, corners: Float64) -> bool:
    """Tell whether a closed line is a rectangle."""
    if len(corners) != 4 or len(region.points_lps_mm) != 5:
        return False
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.linalg.norm(sides, axis=1)
    square = np.abs((sides * np.roll(sides, -1, axis=0)).sum(axis=1))
    return bool(lengths.min() > 0 and square.max() < _SQUARE * lengths.max() ** 2)


def _diameter_mm(region: AnnotatedRegion, points: Float64) -> float:
    if region.kind is RegionKind.BOX and len(points) == 2:
        sides = np.abs(points[1] - points[0])
        return float(sides[sides > 0].mean()) if (sides > 0).any() else 0.0
    if region.kind is RegionKind.ELLIPSE and len(points) == 4:
        axes = (np.linalg.norm(points[1] - points[0]), np.linalg.norm(points[3] - points[2]))
        return float(np.mean(axes))
    if _is_box(region, points):
        return float(np.linalg.norm(points[1:3] - points[:2], axis=1).mean())
    if len(points) > 1:
        return float(np.linalg.norm(points[:, np.newaxis] - points[np.newaxis], axis=-1).max())
    sizes = [one.value for one in region.measurements if one.unit.value == "mm" and _is_size(one.concept)]
    return float(max(sizes, default=0.0))


def _is_size(concept: Code) -> bool:
    """Tell whether a length is one across the finding: not a perimeter, or how far it is from something."""
    words = set(concept.meaning.casefold().replace("-", " ").split())
    return bool(words & _SIZES) and not words & _NO_SIZES


def _is_same(one: TrueLesion, other: TrueLesion) -> bool:
    apart = np.linalg.norm(np.subtract(one.centre_lps_mm, other.centre_lps_mm))
    return bool(apart <= max(other.diameter_mm / 2.0, _SAME_MM))


def joined(drawn: Sequence[TrueLesion]) -> list[TrueLesion]:
    """Make one lesion of shapes of which each has its centre in another one of them, the mean of both."""
    groups: list[list[TrueLesion]] = []
    for one in drawn:
        near = [
            group for group in groups if any(_is_same(one, other) or _is_same(other, one) for other in group)
        ]
        groups = [group for group in groups if group not in near]
        groups.append([*(other for group in near for other in group), one])
    return [_middle(group) for group in groups]


def _middle(group: Sequence[TrueLesion]) -> TrueLesion:
    x, y, z = np.mean([one.centre_lps_mm for one in group], axis=0)
    widest = max(one.diameter_mm for one in group)
    return TrueLesion(centre_lps_mm=(float(x), float(y), float(z)), diameter_mm=widest)


def _none_there(wanted: Wanted, labels: Labels) -> TrueLesions | None:
    column = wanted.column(tuple(labels.row))
    if column is not None and says_no(labels.row[column[0]]):
        return TrueLesions(lesions=(), by=column[1], source=f"column {column[0]}")
    for annotation in (one for one in labels.annotations if speaks_of(one, labels)):
        for concept, value in annotation.answers:
            by = wanted.fits(concept.meaning, concept)
            if by is not None and coded_yes_no(value) is False:
                return TrueLesions(lesions=(), by=by, source=f"answers to {concept}")
    return None

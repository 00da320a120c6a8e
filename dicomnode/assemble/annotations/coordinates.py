"""Coordinates of reports (SCOORD, SCOORD3D) as points in patient space, or in the plane of a picture.

Source: PS3.3 C.18.6 (column and row from the upper left corner of the first pixel, whose centre is 0.5, 0.5),
C.18.9 (patient space), C.7.6.2.1.1 (from pixels to patient space).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.assemble.annotations.content import Item
from dicomnode.assemble.annotations.targets import References, Target, Targets
from dicomnode.assemble.attributes import many, text_of, value_of
from dicomnode.assemble.placing import axes
from dicomnode.assemble.record import Header
from dicomnode.values import Float64, PointLps, RegionKind, SourceFrame

_LARGEST: Final = 1e5  # mm or pixels: nothing in a patient or picture is further away
_HALF: Final = 0.5
_Place = Callable[[Float64], Float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A shape on a stack. image: that it was drawn on, None in patient space."""

    kind: RegionKind
    points: tuple[PointLps, ...]
    target: Target
    image: SourceFrame | None


def shapes_of(item: Item, targets: Targets, main: Target | None) -> list[Shape] | None:
    """Return the shapes of a coordinates item; None where its images, or its space, are not here.

    main: which of several stacks of one space is meant. Of several points each is a shape.
    Raises NodeError(ANNOTATION_DAMAGED).
    """
    return _in_space(item, targets, main) if item.value_type == "SCOORD3D" else _on_image(item, targets)


def _in_space(item: Item, targets: Targets, main: Target | None) -> list[Shape] | None:
    space = text_of(item.dataset, "ReferencedFrameOfReferenceUID")
    target = targets.find(References(frames_of_reference=(space,))) if space else None
    if main is not None and space and main.grid.frame_of_reference_uid == space:
        target = main
    if target is None:
        return None
    drawn = _drawn(item, _graphic(item), _numbers(item, 3))
    return [Shape(kind=kind, points=some, target=target, image=None) for kind, some in drawn]


def _on_image(item: Item, targets: Targets) -> list[Shape] | None:
    """Return a shape for each image that it names: of a clip these may be several frames."""
    images = [frame for child in item.children if child.value_type == "IMAGE" for frame in child.images]
    graphic, index = _graphic(item), _numbers(item, 2) - _HALF
    shapes: list[Shape] = []
    for image in dict.fromkeys(images):
        found = targets.image(image)
        if found is None:
            continue
        target, header = found
        place = _picture_plane(target, image) if target.is_picture else _slice_plane(header)
        if graphic == "CIRCLE" and len(index) == 2:
            drawn = _drawn(item, "ELLIPSE", _circle(index, place))
        else:
            drawn = _drawn(item, graphic, place(index))
        shapes += [Shape(kind=kind, points=some, target=target, image=image) for kind, some in drawn]
    return shapes or None


def _graphic(item: Item) -> str:
    return text_of(item.dataset, "GraphicType").upper()


def _circle(index: Float64, place: _Place) -> Float64:
    """Return the ends of two axes (4, 3) of a circle that is given by its centre and a point on it (2, 2).

    Round in patient space, along rows and columns.
    """
    centre, on_it, right, down = place(np.stack((*index, index[0] + (1, 0), index[0] + (0, 1))))
    radius = float(np.linalg.norm(on_it - centre))
    arms = [radius * step / np.linalg.norm(step) for step in (right - centre, down - centre)]
    ends: Float64 = np.stack([centre + sign * arm for arm in arms for sign in (-1, 1)])
    return ends


def _slice_plane(header: Header) -> _Place:
    """Return what maps indices (n, 2) of column and row to LPS mm, by the image's own plane."""
    directions, spacing, position = axes(header), header.spacing_ji_mm, header.position_lps_mm
    assert directions is not None  # a stack that was placed has these
    assert spacing is not None
    assert position is not None
    steps = np.stack((directions[0] * spacing[1], directions[1] * spacing[0]))
    return lambda index: index @ steps + np.array(position)


def _picture_plane(target: Target, image: SourceFrame) -> _Place:
    frame = (image.frame_number or 1) - 1

    def place(index: Float64) -> Float64:
        kji = np.column_stack((np.full(len(index), float(frame)), index[:, 1], index[:, 0]))
        return target.grid.to_lps_mm(kji)

    return place


def _numbers(item: Item, count: int) -> Float64:
    """Return the points (n, count) of Graphic Data (0070,0022)."""
    values = many(value_of(item.dataset, "GraphicData"))
    numbers = np.array([one for one in values if isinstance(one, int | float)], dtype=np.float64)
    if not len(values) or len(numbers) != len(values) or numbers.size % count:
        raise item.opened.damaged(f"a {item.value_type} has {len(values)} coordinates")
    if not np.all(np.abs(numbers) < _LARGEST):
        raise item.opened.damaged(f"a {item.value_type} has coordinates beyond any image")
    return numbers.reshape(-1, count)


def _drawn(item: Item, graphic: str, points: Float64) -> list[tuple[RegionKind, tuple[PointLps, ...]]]:
    """Return what a graphic type makes of points (n, 3)."""
    least = _LEAST_POINTS.get(graphic)
    if least is None or len(points) < least:
        raise item.opened.damaged(f"a {item.value_type} has {len(points)} points for {graphic or 'nothing'}")
    if graphic in {"POINT", "MULTIPOINT"}:
        return [(RegionKind.POINT, as_points(point[None])) for point in points]
    if graphic == "ELLIPSE":
        return [(RegionKind.ELLIPSE, as_points(points[:4]))]
    if graphic == "ELLIPSOID":
        return [(RegionKind.BOX, as_points(_around_ellipsoid(points)))]
    if graphic == "POLYGON" and not np.array_equal(points[0], points[-1]):
        points = np.concatenate((points, points[:1]))
    return [(RegionKind.POLYLINE, as_points(points))]


_LEAST_POINTS: Final = {
    "POINT": 1,
    "MULTIPOINT": 1,
    "POLYLINE": 2,
    "POLYGON": 3,
    "ELLIPSE": 4,
    "ELLIPSOID": 6,
}


def _around_ellipsoid(points: Float64) -> Float64:
    """Return the two corners of the box around an ellipsoid, given by the ends of its three axes."""
    ends = points[:6].reshape(3, 2, 3)
    centre = ends.mean(axis=(0, 1))
    half = np.sqrt((((ends[:, 1] - ends[:, 0]) / 2) ** 2).sum(axis=0))
    return np.stack((centre - half, centre + half))


def as_points(points: Float64) -> tuple[PointLps, ...]:
    """Return points (n, 3) as values."""
    return tuple((float(x), float(y), float(z)) for x, y, z in points)


def box_around(shapes: Sequence[Shape]) -> tuple[PointLps, ...]:
    """Return the two corners of the box around shapes."""
    points = np.array([point for shape in shapes for point in shape.points])
    return as_points(np.stack((points.min(axis=0), points.max(axis=0))))

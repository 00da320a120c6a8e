"""Diseases within the lungs: holes, trapped air, consolidation, collapse, scars, granulomas, wide bronchi."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.phantom.change import Airways, Change, Mark, Site, ball, middle_of, moved, within
from dicomnode.phantom.figure import height
from dicomnode.phantom.lattice import Field, Point, unite
from dicomnode.phantom.lobes import LOBES, Lobe, point_in
from dicomnode.phantom.paint import Layer, Stroke
from dicomnode.phantom.surfaces import at_depth, points_where
from dicomnode.phantom.trunk import smoothstep

_COLLAPSING: Final[tuple[Lobe, ...]] = ("right upper", "right lower", "left upper", "left lower")


def emphysema(site: Site, rng: np.random.Generator) -> Change:
    """Centrilobular holes without walls, most of them in the upper lungs, which are emptier too."""
    lattice = site.lattice
    weight = smoothstep(height(lattice.z), 0.2, 0.9) * 0.85 + 0.15
    some = (site.lungs < -5.0) & (rng.uniform(size=lattice.shape_zyx) < weight)
    places = points_where(some, lattice, int(rng.uniform(150, 1500)), rng)
    holes = tuple(
        ball(place, float(rng.uniform(1.4, 4.8)), float(rng.uniform(-1000.0, -950.0)), over=True)
        for place in places
    )
    thin = (site.tissue - np.float32(rng.uniform(10.0, 45.0)) * weight).astype(np.float32)
    return Change(
        lung_hu=thin,
        under=holes,
        marks=(
            Mark("emphysema", site.chest.hilum_right, 80.0),
            Mark("emphysema", site.chest.hilum_left, 80.0),
        ),
    )


def paraseptal_emphysema(site: Site, rng: np.random.Generator) -> Change:
    """Rows of thin-walled holes under the pleura, and a few bullae."""
    lattice, strokes = site.lattice, []
    high = (site.lungs > -6.0) & (site.lungs < 0.0) & (lattice.z > 10.0) & (np.abs(lattice.x) > 20.0)
    places = points_where(high, lattice, int(rng.uniform(30, 130)), rng)
    for place in places:
        radius = float(rng.uniform(2.0, 6.0)) if rng.uniform() < 0.92 else float(rng.uniform(8.0, 18.0))
        centre = at_depth(site.lungs, lattice, place, radius + 0.6)
        strokes += [
            ball(centre, radius + 0.5, float(rng.uniform(-700.0, -550.0))),
            ball(centre, radius, float(rng.uniform(-1000.0, -960.0)), over=True),
        ]
    centre = places[0] if places else site.chest.hilum_right
    return Change(under=tuple(strokes), marks=(Mark("paraseptal emphysema", centre, 40.0),))


def mosaic(site: Site, rng: np.random.Generator) -> Change:
    """Patches of lobules with trapped air beside others that are denser."""
    wide = float(rng.uniform(14.0, 22.0))
    patches = 11.0 * site.lattice.noise(wide, rng) + 7.0 * site.lattice.noise(0.6 * wide, rng)
    there = np.clip(0.5 - (patches - float(rng.uniform(-2.0, 3.0))) / 3.0, 0.0, 1.0)
    change = float(rng.uniform(45.0, 90.0)) * (-1 if rng.uniform() < 0.6 else 1)
    return Change(
        lung_hu=(site.tissue + there * np.float32(change)).astype(np.float32),
        marks=(Mark("mosaic", site.chest.hilum_right, 80.0), Mark("mosaic", site.chest.hilum_left, 80.0)),
    )


def consolidation(site: Site, rng: np.random.Generator) -> Change:
    """Part of a lobe full of fluid, with ground glass around it; bronchi with air are drawn over it."""
    lobe = LOBES[int(rng.integers(len(LOBES)))]
    inside = np.maximum(site.lobes.field(lobe), site.lungs).astype(np.float32)
    centre = point_in(inside, site.lattice, 6.0, rng) or site.chest.hilum_right
    radius = float(rng.uniform(18.0, 48.0))
    blob = site.lattice.ellipsoid(centre, (radius, radius * 0.8, radius * 0.9))
    blob = blob + 12.0 * site.lattice.noise(22.0, rng) + 4.0 * site.lattice.noise(8.0, rng)
    # Alveoli fill one by one: outside of what is full lies a seam that is half full.
    full = within(blob, inside, 9.0)
    seam = within(blob - float(rng.uniform(6.0, 20.0)), inside, 16.0)
    density = float(rng.uniform(10.0, 45.0)) + (40.0 if site.patient.enhanced else 0.0)
    return Change(
        tissue=(
            Layer(seam, float(rng.uniform(-680.0, -480.0)), edge_mm=16.0, lighten=True),
            Layer(full, density, edge_mm=9.0, lighten=True),
        ),
        marks=(Mark("consolidation", centre, radius + 8.0),),
    )


def collapse(site: Site, rng: np.random.Generator) -> Change:
    """A lobe without air, small and dense against the mediastinum; the others fill its place."""
    lobe = collapsing_lobe(rng)
    shape = np.maximum(_wedge(site, lobe, float(rng.uniform(0.6, 1.2))), site.lungs)
    density = float(rng.uniform(30.0, 55.0)) + (45.0 if site.patient.enhanced else 0.0)
    middle = middle_of(shape < 0.0, site.lattice) or site.chest.hilum_right
    return Change(
        tissue=(Layer(shape.astype(np.float32), density, lighten=True),),
        marks=(Mark(f"collapse of the {lobe} lobe", middle, 40.0),),
    )


def collapsing_lobe(rng: np.random.Generator) -> Lobe:
    """Draw the lobe that collapses: the first thing drawn from the stream of this disease."""
    return _COLLAPSING[int(rng.integers(len(_COLLAPSING)))]


def _wedge(site: Site, lobe: Lobe, size: float) -> Field:
    """The shape of a collapsed lobe: an upper one lies along the mediastinum in front, a lower one behind."""
    lattice = site.lattice
    side = -1 if lobe.startswith("right") else 1
    x = side * (lattice.x - 2.0)
    bow = 5.0 * np.sin((lattice.z + lattice.y) / 24.0)
    if lobe.endswith("upper"):
        wide = 26.0 + size * (8.0 + 24.0 * smoothstep(lattice.z, 5.0, 70.0))
        fissure = lattice.y - 20.0 + 0.35 * (x - 30.0)
        floor = 6.0 - lattice.z - 0.3 * lattice.y
    else:
        wide = 14.0 + size * (10.0 + 36.0 * smoothstep(-lattice.z, -20.0, 80.0)) + 0.4 * (lattice.y - 60.0)
        fissure = 24.0 - lattice.y + 0.5 * (x - 24.0)
        floor = lattice.z - 20.0
    # Round at its edges, as what is blown up against it leaves it.
    shape = -unite(unite(-(x - wide + bow), -fissure, 16.0), -floor, 24.0)
    return lattice.as_distance(np.maximum(shape, -x).astype(np.float32))


def scars(site: Site, rng: np.random.Generator) -> Change:
    """Lines, often to the pleura, and plates of lung without air; some lines end in a knot at the pleura."""
    strokes: list[Stroke] = []
    marks: list[Mark] = []
    for place in points_where(
        (site.lungs < -2.0) & (site.lungs > -25.0), site.lattice, int(rng.integers(2, 9)), rng
    ):
        hu, length = float(rng.uniform(-250.0, 30.0)), float(rng.uniform(8.0, 38.0))
        way = rng.standard_normal(3) * (0.4, 1.0, 1.0)
        way *= length / max(float(np.linalg.norm(way)), 1e-6)
        if rng.uniform() < 0.35:
            strokes += _plate(place, way, rng, hu)
            marks.append(Mark("plate", place, length / 2 + 3.0))
            continue
        start = at_depth(site.lungs, site.lattice, place, 0.5)
        radius = float(rng.uniform(0.5, 1.1))
        strokes += _line(start, place, radius, hu)
        strokes += _line(place, moved(place, 0.5 * way), radius, hu)
        marks.append(Mark("scar", place, length / 2))
        if rng.uniform() < 0.3:
            knot = float(rng.uniform(1.8, 3.2))
            strokes.append(ball(at_depth(site.lungs, site.lattice, start, 0.6 * knot), knot, 30.0))
            marks.append(Mark("scar with a knot", start, knot + 1.0, ignore=True))
    return Change(over=tuple(strokes), marks=tuple(marks))


def _line(a: Point, b: Point, radius: float, hu: float) -> list[Stroke]:
    return [Stroke(a, b, (radius, 0.6 * radius), hu)]


def _plate(centre: Point, way: NDArray[np.float64], rng: np.random.Generator, hu: float) -> list[Stroke]:
    """Strokes side by side: a sheet of a millimetre or two, lying or aslant."""
    beside = np.cross(way, (1.0, float(rng.uniform(-0.4, 0.4)), float(rng.uniform(-0.4, 0.4))))
    beside *= 1.2 / max(float(np.linalg.norm(beside)), 1e-6)
    half, thick = int(rng.integers(4, 12)), float(rng.uniform(0.7, 1.4))
    strokes = []
    for n in range(-half, half + 1):
        part = 0.5 * (1.0 - 0.5 * (n / half) ** 2)
        bent = 0.04 * n * n * np.array((1.0, 0.0, 0.0)) / max(half / 6.0, 1.0)
        middle = np.array(centre) + n * beside + bent
        a, b = (middle - part * way).tolist(), (middle + part * way).tolist()
        strokes.append(Stroke((a[0], a[1], a[2]), (b[0], b[1], b[2]), (thick, thick), hu))
    return strokes


def granulomas(site: Site, rng: np.random.Generator) -> Change:
    """A few calcified specks below 3 mm: healed infection, and too small to be reported."""
    places = points_where(site.lungs < -3.0, site.lattice, int(rng.integers(1, 7)), rng)
    radii = [float(rng.uniform(0.75, 1.4)) for _ in places]
    specks = tuple(ball(p, r, float(rng.uniform(250.0, 1000.0))) for p, r in zip(places, radii, strict=True))
    marks = tuple(Mark("granuloma", p, r, ignore=True) for p, r in zip(places, radii, strict=True))
    return Change(over=specks, marks=marks)


def bronchiectasis(site: Site, rng: np.random.Generator) -> Change:
    """Bronchi of one lobe or two wider than their arteries, with thick walls, seen far out."""
    chosen = rng.permutation(len(LOBES))[: int(rng.integers(1, 3))]
    lobes = [LOBES[int(n)] for n in chosen]
    marks = []
    for lobe in lobes:
        inside = np.maximum(site.lobes.field(lobe), site.lungs).astype(np.float32)
        centre = point_in(inside, site.lattice, 8.0, rng)
        marks.append(Mark("bronchiectasis", centre or site.chest.hilum_right, 45.0))
    inner, wall = float(rng.uniform(1.3, 1.9)), float(rng.uniform(1.2, 1.8))
    return Change(airways=tuple(Airways(lobe, inner, wall) for lobe in lobes), marks=tuple(marks))

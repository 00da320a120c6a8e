"""Diseases of the pleura and of what lies against it: fluid, caps, plaques, lumps, spurs of bone."""

from __future__ import annotations

from typing import Final

import numpy as np

from dicomnode.phantom.change import Change, Mark, Site, middle_of, moved
from dicomnode.phantom.figure import APEX_MM, height
from dicomnode.phantom.lattice import Field
from dicomnode.phantom.paint import Layer, Stroke
from dicomnode.phantom.skeleton import rib_end
from dicomnode.phantom.surfaces import at_depth, outward, points_where
from dicomnode.phantom.trunk import smoothstep

_DISC_MM: Final = 25.0  # as in the skeleton
_THIN_MM: Final = 0.6  # what is thinner than this is not there


def effusion(site: Site, rng: np.random.Generator) -> Change:
    """Fluid behind and below one lung or both, with lung beside it that lost its air.

    The patient lies on his back: it spreads behind the lung, thickest at the base.
    """
    sides = [int(rng.choice((-1, 1)))] if rng.uniform() < 0.6 else [-1, 1]
    change = Change()
    for side in sides:
        thick = float(rng.uniform(10.0, 42.0))
        layer = thick * _spread(site, rng)
        fluid = _gutter(site, layer, side)
        uneven = 1.0 + float(rng.uniform(0.4, 0.8)) + 0.2 * site.lattice.noise(20.0, rng)
        pressed = np.maximum(np.maximum(_gutter(site, layer * uneven, side), site.side(side)), -fluid)
        density = float(rng.uniform(20.0, 50.0)) + (50.0 if site.patient.enhanced else 0.0)
        middle = middle_of((fluid < 0.0) & (site.lungs < 0.0), site.lattice)
        marks = () if middle is None else (Mark("effusion", middle, thick / 2 + 10.0),)
        change = change.and_(
            Change(
                taken=((fluid, float(rng.uniform(0.0, 22.0))),),
                tissue=(Layer(pressed.astype(np.float32), density, edge_mm=2.0),),
                marks=marks,
            )
        )
    return change


def _spread(site: Site, rng: np.random.Generator) -> Field:
    """How thick the fluid is against its thickest: less towards the front, the top and the spine."""
    lattice = site.lattice
    up = 1.0 - smoothstep(height(lattice.z), 0.2, float(rng.uniform(0.6, 0.95)))
    back = smoothstep(lattice.y, float(rng.uniform(-15.0, 20.0)), 80.0)
    beside = smoothstep(np.abs(lattice.x), 14.0, 60.0)
    spread: Field = (up * back * beside + 0.03 * lattice.noise(30.0, rng)).astype(np.float32)
    return spread


def _gutter(site: Site, layer: Field, side: int) -> Field:
    """Where a layer of so many mm lies, under the ribs and, half as thick, on the diaphragm."""
    lattice = site.lattice
    behind, below = -site.trunk.cavity - layer, site.trunk.below - 0.5 * layer
    shape = np.maximum(np.minimum(behind, below), -side * (lattice.x - 2.0))
    # Where there is no layer there is nothing, however near the wall is.
    shape = np.maximum(shape, _THIN_MM - layer)
    return lattice.as_distance(shape.astype(np.float32))


def apical_caps(site: Site, rng: np.random.Generator) -> Change:
    """Thickened pleura over the tops of the lungs, uneven below."""
    lattice, change = site.lattice, Change()
    for side in (-1, 1):
        if rng.uniform() < 0.25:
            continue
        thick = float(rng.uniform(3.0, 9.0))
        top = smoothstep(lattice.z, APEX_MM - 40.0, APEX_MM - 8.0)
        shape = -site.lungs - thick * top + _THIN_MM + 2.0 * lattice.noise(10.0, rng) * top
        shape = np.maximum(np.maximum(shape, APEX_MM - 42.0 - lattice.z), -side * (lattice.x - 2.0))
        shape = np.maximum(shape, 22.0 - np.abs(lattice.x)).astype(np.float32)
        middle = middle_of((shape < 0.0) & (site.lungs < 0.0), lattice)
        marks = () if middle is None else (Mark("apical cap", middle, 16.0),)
        change = change.and_(Change(taken=((shape, float(rng.uniform(15.0, 60.0))),), marks=marks))
    return change


def pleural_plaques(site: Site, rng: np.random.Generator) -> Change:
    """Flat thickenings under the ribs, most of them calcified."""
    lattice, change = site.lattice, Change()
    places = points_where(site.costal() & (lattice.z < 60.0), lattice, int(rng.integers(2, 9)), rng)
    for place in places:
        centre = at_depth(site.lungs, lattice, place, 0.0)
        wide, thick = float(rng.uniform(10.0, 26.0)), float(rng.uniform(2.5, 6.0))
        squares = sum(
            (axis - c) ** 2 for axis, c in zip((lattice.z, lattice.y, lattice.x), centre, strict=True)
        )
        shape = -site.lungs - thick * (1.0 - np.sqrt(squares) / wide) * 1.6
        shape = np.maximum(shape, np.maximum(np.sqrt(squares) - wide, -site.lungs - thick))
        hu = float(rng.uniform(200.0, 700.0)) if rng.uniform() < 0.6 else 55.0
        mark = Mark("pleural plaque", centre, wide)
        change = change.and_(Change(taken=((shape.astype(np.float32), hu),), marks=(mark,)))
    return change


def pleural_lumps(site: Site, rng: np.random.Generator) -> Change:
    """Small lumps of soft tissue at the pleura: no reader could tell them from a nodule there."""
    strokes: list[Stroke] = []
    marks: list[Mark] = []
    for place in points_where(site.costal(), site.lattice, int(rng.integers(1, 6)), rng):
        radius = float(rng.uniform(1.8, 4.2))
        centre = at_depth(site.lungs, site.lattice, place, float(rng.uniform(-0.4, 0.3)) * radius)
        along = np.cross(outward(site.lungs, site.lattice, centre), rng.standard_normal(3))
        along *= rng.uniform(0.0, 1.2) * radius / max(float(np.linalg.norm(along)), 1e-6)
        ends = [moved(centre, along), moved(centre, -along)]
        strokes.append(Stroke(ends[0], ends[1], (radius, radius), float(rng.uniform(20.0, 60.0))))
        marks.append(Mark("pleural lump", centre, radius + float(np.linalg.norm(along)), ignore=True))
    return Change(outside=tuple(strokes), marks=tuple(marks))


def osteophytes(site: Site, rng: np.random.Generator) -> Change:
    """Bridges of bone from the edges of vertebrae into the gutters beside the spine, most on the right."""
    figure, strokes, marks = site.patient.figure, [], []
    for disc in rng.choice(np.arange(-4, 5), int(rng.integers(3, 7)), replace=False).tolist():
        z = _DISC_MM * disc - figure.disc_phase_mm
        side = -1 if rng.uniform() < 0.75 else 1
        spine = float(figure.spine_mm(np.array([z], dtype=np.float32))[0])
        radius = float(rng.uniform(2.5, 6.0))
        out = float(rng.uniform(17.0, 20.0)) + 0.4 * radius
        angle = float(rng.uniform(-0.9, 0.3))  # from the side towards the front
        y, x = spine + out * np.sin(angle), side * out * np.cos(angle)
        end = (z + float(rng.uniform(-4.0, 4.0)), y, x)
        strokes.append(Stroke((z, spine, side * 12.0), end, (radius, radius), float(rng.uniform(350, 650))))
        marks.append(Mark("osteophyte", end, radius))
    return Change(outside=tuple(strokes), marks=tuple(marks))


def rib_ends(site: Site, rng: np.random.Generator) -> Change:
    """Knobs of bone and cartilage where the first ribs end: they stand out into the tops of the lungs."""
    figure, strokes, marks = site.patient.figure, [], []
    for side in (-1, 1):
        for number in range(int(rng.integers(1, 3))):
            radius = float(rng.uniform(3.5, 7.5))
            end = rib_end(figure, number, side)
            centre = at_depth(site.lungs, site.lattice, end, float(rng.uniform(0.0, 0.5)) * radius)
            strokes += [Stroke(end, centre, (radius, radius), float(rng.uniform(90.0, 220.0)))]
            strokes += [Stroke(end, centre, (0.6 * radius, 0.5 * radius), float(rng.uniform(300.0, 600.0)))]
            marks.append(Mark("rib end", centre, radius))
    return Change(outside=tuple(strokes), marks=tuple(marks))

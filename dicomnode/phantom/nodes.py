"""What is found between the lungs: lymph nodes at the hila and beside the trachea, lime in the aorta."""

from __future__ import annotations

from typing import Final

import numpy as np

from dicomnode.phantom.change import Change, Mark, Site, ball
from dicomnode.phantom.lattice import Point
from dicomnode.phantom.paint import Stroke
from dicomnode.phantom.surfaces import at_depth, points_where, values_at

# Stations between the lungs: beside the trachea, under its fork, beside the aorta (z, y, x in mm)
_STATIONS: Final[tuple[Point, ...]] = ((44.0, 2.0, -14.0), (16.0, 20.0, 2.0), (36.0, -14.0, 24.0))
_FROM_AIRWAYS_MM: Final = 4.0  # lime of the arch keeps clear of the trachea's wall


def nodes(site: Site, rng: np.random.Generator) -> Change:
    """Lymph nodes of 5 to 16 mm, a third of them calcified; those that reach the lung look like nodules."""
    hila = (site.chest.hilum_right, site.chest.hilum_left)
    strokes, marks = [], []
    for _ in range(int(rng.integers(2, 7))):
        station = (*_STATIONS, *hila, *hila)[int(rng.integers(len(_STATIONS) + 4))]
        at_hilum = station in hila
        z, y, x = np.array(station) + rng.standard_normal(3) * (
            (9.0, 5.0, 4.0) if at_hilum else (6.0, 4.0, 3.0)
        )
        centre = (float(z), float(y), float(x))
        radius = float(rng.uniform(2.5, 8.0) if at_hilum else rng.uniform(3.0, 7.0))
        way = rng.standard_normal(3) * 0.35 * radius
        end = (centre[0] + float(way[0]), centre[1] + float(way[1]), centre[2] + float(way[2]))
        lime = rng.uniform() < 0.33
        soft = float(rng.uniform(25.0, 48.0)) + (45.0 if site.patient.enhanced else 0.0)
        strokes.append(Stroke(centre, end, (radius, radius), soft))
        if lime:
            strokes.append(ball(centre, 0.7 * radius, float(rng.uniform(200.0, 900.0))))
        gap = float(values_at(site.lungs, site.lattice, np.array([centre]))[0])
        kind = ("calcified " if lime else "") + ("hilar node" if at_hilum else "mediastinal node")
        marks.append(Mark(kind, centre, radius + 1.0, ignore=gap < radius))
    return Change(outside=tuple(strokes), marks=tuple(marks))


def calcified_aorta(site: Site, rng: np.random.Generator) -> Change:
    """Plaques of lime in the wall of the arch and of the descending aorta."""
    lattice = site.lattice
    arch = (np.abs(site.chest.arteries) < 2.0) & (lattice.z > 30.0) & (lattice.z < 60.0) & (lattice.y > -20.0)
    wall = arch | ((np.abs(site.chest.aorta) < 2.0) & (lattice.z > -95.0))
    strokes, marks = [], []
    for place in points_where(wall, lattice, int(rng.integers(3, 16)), rng):
        field = site.chest.aorta if place[0] < 30.0 else site.chest.arteries
        centre = at_depth(field, lattice, place, 0.6)
        if float(values_at(site.chest.airways, lattice, np.array([centre]))[0]) < _FROM_AIRWAYS_MM:
            continue
        way = rng.standard_normal(3)
        end = at_depth(field, lattice, tuple((np.array(centre) + way * rng.uniform(1, 4)).tolist()), 0.6)
        radius = float(rng.uniform(0.6, 1.5))
        strokes.append(Stroke(centre, end, (radius, radius), float(rng.uniform(450.0, 1100.0))))
        marks.append(Mark("calcified aorta", centre, radius + 2.0))
    return Change(outside=tuple(strokes), marks=tuple(marks))

"""Trees within the lungs: arteries with the bronchi beside them, and veins, grown from the hilum.

A tree grows by attaching random targets, nearest to the hilum first, to the branch that is nearest and
not too long a way round; radii follow from the number of leaves behind (Murray's law).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.phantom.figure import Figure
from dicomnode.phantom.lattice import Field, Lattice, Point
from dicomnode.phantom.paint import Stroke

Points = NDArray[np.float64]  # (n, 3): z, y, x in LPS mm

_STEP_MM: Final = 7.0  # branches bend in steps of this length
_MURRAY: Final = 2.6  # power at which the radii of the branches add up to the parent's; 2.4 to 3 in lungs
_DETOUR: Final = 0.45  # how much a longer way from the hilum counts against a near branch
_CLEAR_MM: Final = 2.0  # vessels bend round a nodule at this distance
_BRONCHUS_FROM_MM: Final = 1.5  # arteries thinner than this run without a visible bronchus
_LOBES: Final = ((74.0, 2.0, 62.0), (16.0, -46.0, 72.0), (-20.0, 34.0, 76.0), (-62.0, 46.0, 70.0))


@dataclass(frozen=True, eq=False)
class Tree:
    """Nodes of a tree; node 0 is the hilum, parents come before children.

    points_mm: (n, 3). parents: (n,). radii_mm: (n,).
    """

    points_mm: Points
    parents: NDArray[np.intp]
    radii_mm: NDArray[np.float64]


@dataclass(frozen=True)
class Ball:
    """Where no vessel may run: centre (z, y, x) in mm and radius in mm."""

    centre_mm: Point
    radius_mm: float


def grow(root: Point, trunks: Points, targets: Points, leaf_mm: float, rng: np.random.Generator) -> Tree:
    """Grow a tree from `root`: first to the `trunks` in their order, then to all `targets` (n, 3)."""
    order = np.argsort(np.linalg.norm(targets - np.array(root), axis=1), kind="stable")
    targets = np.concatenate([trunks, targets[order]])
    room = 1 + len(targets) * 24
    points, parents, ways = np.zeros((room, 3)), np.full(room, -1, dtype=np.intp), np.zeros(room)
    points[0] = root
    count = 1
    for target in targets:
        away = np.sqrt(((points[:count] - target) ** 2).sum(axis=1))
        nearest = int((away + _DETOUR * ways[:count]).argmin())
        steps = max(1, min(23, int(away[nearest] // _STEP_MM)))
        start, part = points[nearest].copy(), np.arange(1, steps + 1)[:, None] / steps
        bend = rng.standard_normal(3) * 0.09 * away[nearest]
        new = slice(count, count + steps)
        points[new] = start + (target - start) * part + bend * np.sin(np.pi * part)
        parents[new] = [nearest, *range(count, count + steps - 1)]
        ways[new] = ways[nearest] + away[nearest] * part[:, 0]
        count += steps
    return Tree(points[:count], parents[:count], _radii(parents[:count], leaf_mm))


def _radii(parents: NDArray[np.intp], leaf_mm: float) -> NDArray[np.float64]:
    leaves = np.zeros(len(parents))
    leaves[np.bincount(parents[1:], minlength=len(parents)) == 0] = 1.0
    for node in range(len(parents) - 1, 0, -1):
        leaves[parents[node]] += leaves[node]
    radii: NDArray[np.float64] = leaf_mm * np.maximum(leaves, 1.0) ** (1.0 / _MURRAY)
    return radii


def lung_targets(lattice: Lattice, lung: Field, count: int, rng: np.random.Generator) -> Points:
    """Draw `count` points in a lung (distance in mm, negative inside), none at the pleura."""
    inside = np.argwhere(lung < -4.0)
    chosen = inside[rng.integers(len(inside), size=count)] + rng.uniform(-0.5, 0.5, (count, 3))
    targets: Points = chosen * lattice.step_mm + np.array(lattice.origin_zyx_mm)
    return targets


def bend_round(points: Points, balls: Sequence[Ball]) -> Points:
    """Push points out of `balls`, as a nodule pushes the vessels around it."""
    points = points.copy()
    for ball in balls:
        away = points - np.array(ball.centre_mm)
        distance = np.maximum(np.linalg.norm(away, axis=1), 1e-3)
        clear = ball.radius_mm + _CLEAR_MM
        near = distance < clear + 6.0
        # Squeeze the shell of 6 mm around the ball, and the ball, into what lies beyond `clear`.
        pushed = clear + 6.0 * (distance[near] / (clear + 6.0)) ** 2
        points[near] = np.array(ball.centre_mm) + away[near] * (pushed / distance[near])[:, None]
    return points


def vessel_strokes(tree: Tree, hu: float, widest_mm: float) -> list[Stroke]:
    """Draw the tree as vessels of density `hu`."""
    radii = np.minimum(tree.radii_mm, widest_mm)
    strokes = []
    for node in range(1, len(radii)):
        parent = int(tree.parents[node])
        # At a fork the branch starts near its own width: a cone from the parent's would look like a knot.
        first = min(float(radii[parent]), 1.3 * float(radii[node]))
        strokes.append(Stroke(_point(tree, parent), _point(tree, node), (first, float(radii[node])), hu))
    return strokes


@dataclass(frozen=True)
class Bore:
    """How wide bronchi are: from which artery on they are seen; times of the usual width and wall."""

    from_mm: float = _BRONCHUS_FROM_MM
    inner: float = 1.0
    wall: float = 1.0


_USUAL: Final = Bore()


def bronchus_strokes(
    tree: Tree, figure: Figure, bore: Bore = _USUAL, nodes: Iterable[int] | None = None
) -> tuple[list[Stroke], list[Stroke]]:
    """Draw the bronchi beside the arteries of `tree`: walls, and their air, which is painted last.

    nodes: where, in any order without the root; None: along the whole tree.
    """
    walls, lumina = [], []
    for node in range(1, len(tree.radii_mm)) if nodes is None else nodes:
        radius, parent = float(tree.radii_mm[node]), int(tree.parents[node])
        if radius < bore.from_mm:
            continue
        inner = min(0.8 * radius, 4.2) * bore.inner
        wall = (0.55 + 0.14 * inner) * bore.wall
        a, b = _beside(tree, parent), _beside(tree, node)
        walls.append(Stroke(a, b, (inner + wall, inner + wall), figure.muscle_hu - 30.0))
        lumina.append(Stroke(a, b, (inner, inner), -990.0, over=True))
    return walls, lumina


def _beside(tree: Tree, node: int) -> Point:
    """The point of the bronchus that belongs to a node of the artery: behind and to the middle of it."""
    radius = min(float(tree.radii_mm[node]), 6.0)
    offset = 1.75 * radius + 0.6
    if node == 0:
        offset = 0.0
    z, y, x = tree.points_mm[node]
    middle = -1.0 if x > 0 else 1.0
    return float(z), float(y + 0.8 * offset), float(x + 0.6 * offset * middle)


def _point(tree: Tree, node: int) -> Point:
    z, y, x = tree.points_mm[node]
    return float(z), float(y), float(x)


def lobe_targets(side: int, figure: Figure) -> Points:
    """The middle of each lobe: the first targets, so that a trunk leads to each."""
    return np.array([(z, y * figure.depth, x * side * figure.width) for z, y, x in _LOBES])

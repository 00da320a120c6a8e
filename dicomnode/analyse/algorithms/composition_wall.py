"""Wall and cavities of the body, slice by slice on the coarse grid: what lies under the skin, what inside.

The ring of muscle and bone parts the fat under the skin from the fat inside; the lungs tell the cavity of
the chest, and depth behind the wall that of the belly. Where the ring has a gap nothing parts the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.algorithms.composition_body import Body
from dicomnode.analyse.algorithms.composition_head import head_in
from dicomnode.analyse.algorithms.composition_outlines import closed_in_slice, depth_in_slice, hull
from dicomnode.analyse.algorithms.composition_ribs import outside_ribs
from dicomnode.analyse.algorithms.composition_slabs import Slabs
from dicomnode.analyse.algorithms.shapes import components, dilated
from dicomnode.analyse.grids import Bool
from dicomnode.analyse.parallel import each

GAP_MM: Final = 15.0  # the widest gap that the ring is closed over
_LEAN_HU: Final = -30
_LEAN_SHARE: Final = 0.34
_SKIN_MM: Final = 5.0
_AIR_HU: Final = -400
_DEEP_MM: Final = 20.0  # within what a much coarser closing encloses: fat there is none of the skin,
_LEAK_CM2: Final = 3.0  # and where so much of it is outside the ring, the ring is open
_WIDE_MM: Final = 60.0
_USUAL_WALL_MM: Final = 18.0  # from the outer side of the ring to the pleura
_WALL_MM: Final = (9.0, 28.0)
_WALL_AT_LEAST_MM: Final = 8.0
_LUNG_SHARE: Final = 0.03  # of the body's area in a slice
_LUNG_ML: Final = 150.0  # where so much of the chest is seen; in a thinner slab as much less:
_LUNG_HEIGHT_MM: Final = 100.0
_GAS_HU: Final = -960.0  # mean of bowel gas
_TRUNK_CM2: Final = 180.0
_PSOAS: Final = 0.12  # of the body's width, to either side of the middle of the spine
_ERECTOR: Final = 0.21  # to either side, the muscles of the back
_ERECTOR_BEHIND_MM: Final = 15.0  # behind the middle of the canal
_BONE_HU: Final = 200
_SPINE_HU: Final = 120
_SPECK_CM2: Final = 1.5
_BONY_SHARE: Final = 0.18  # face, knee, hand; pelvis and kidneys with contrast medium have less
_BRANCHES_MM: Final = 6.0  # vessels of the lung up to twice this width belong to it


@dataclass(frozen=True, slots=True, eq=False)
class Wall:
    """On the coarse grid, bool (k, j, i).

    inside: within the ring. cavity: where organs lie. fatty: where fat is that of a cavity, which reaches
    nearer to the wall. wall: soft tissue inside the ring that is none of an organ. lungs: with what lies
    between their branches. trunk: slices with a cavity of chest or belly. head: those of a head, whose soft
    tissue is told within the skull alone. closed: those whose ring is closed.
    """

    inside: Bool
    cavity: Bool
    fatty: Bool
    wall: Bool
    lungs: Bool
    trunk: NDArray[np.bool_]
    head: NDArray[np.bool_]
    closed: NDArray[np.bool_]


def wall_of(slabs: Slabs, body: Body, contrast: Bool) -> Wall:
    """Find ring and cavities in every slice. contrast: what is as dense as bone, and none."""
    hu, spacing = slabs.coarse_hu, slabs.coarse_kji_mm
    bone = (hu > _SPINE_HU) & ~dilated(contrast, 1)
    lungs = _lungs(hu, body, slabs)
    head = head_in(slabs, body, lungs)
    above, base = _ends_of(lungs)
    if head.slices.any() and not lungs.any():
        above = base = -1  # between a head and a belly there are lungs
    lean = slabs.share_above(_LEAN_HU) > _LEAN_SHARE
    slices = [
        _Slice(hu[k], lean[k], bone[k], body.mask[k], body.main[k], lungs[k], bool(body.legs[k]), spacing[1:])
        for k in range(len(hu))
    ]
    rings = list(each(lambda k: _ring(slices[k], trunk=k <= above, belly=k <= base), range(len(hu))))
    thick = _wall_mm(rings[base:above])
    inside, cavity, fatty, wall, lung = (np.zeros(hu.shape, dtype=bool) for _ in range(5))

    def plane(k: int) -> None:
        one, ring = slices[k], rings[k]
        inside[k] = ring.inside
        if head.slices[k]:
            cavity[k] = head.within[k]
        else:
            cavity[k], fatty[k], wall[k] = _parted(one, ring, thick if k <= base else None)
        lung[k] = closed_in_slice(one.lungs, _BRANCHES_MM, one.mm) if one.lungs.any() else one.lungs

    for _ in each(plane, range(len(hu))):
        pass
    trunk, closed = (np.array([getattr(ring, name) for ring in rings]) for name in ("trunk", "closed"))
    return Wall(inside, cavity, fatty, wall, lung, trunk, head.slices, closed)


def _wall_mm(rings: list[_Ring]) -> float:
    """Measure how deep the pleura lies below the outer side of the ring, in the lower half of the chest."""
    depths = []
    for ring in rings[: max(1, len(rings) // 2)]:
        edge = ring.chest & ~ndimage.binary_erosion(ring.chest)
        depths.append(ring.depth[edge])
    found = np.concatenate(depths) if depths else np.empty(0)
    wall = float(np.median(found)) if found.size else _USUAL_WALL_MM
    return min(max(wall, _WALL_MM[0]), _WALL_MM[1])


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """One coarse slice: HU, lean, bone, body, its main piece, lungs (j, i); does it show legs; mm of a pixel.

    lean: pixels a third of which is denser than fat: muscles of the belly may be thinner than a pixel.
    bone: spongy bone, too, without contrast medium.
    """

    hu: NDArray[np.int16]
    lean: Bool
    bone: Bool
    body: Bool
    main: Bool
    lungs: Bool
    legs: bool
    mm: tuple[float, float]

    @property
    def pixel_cm2(self) -> float:
        return self.mm[0] * self.mm[1] / 100.0


@dataclass(frozen=True, slots=True, eq=False)
class _Ring:
    """What the ring encloses in a slice, the hull of the lungs, and depth (mm)."""

    inside: Bool
    chest: Bool
    depth: NDArray[np.float64]
    trunk: bool
    closed: bool


def _ring(one: _Slice, *, trunk: bool, belly: bool) -> _Ring:
    """Close the ring over gaps; where there are lungs they close it.

    Only of the belly is it asked whether a gap is left: above it the lungs tell the cavity, and arms, legs
    and head have none.
    """
    chest = hull(one.lungs)
    firm = _firm(one) | chest
    inside = _filled(firm, GAP_MM, one.mm) & one.body
    whole = _filled(firm & one.main, _WIDE_MM, one.mm) & one.main
    deep = depth_in_slice(whole, one.mm)
    bony = float((one.main & (one.hu > _BONE_HU)).sum()) > _BONY_SHARE * float(one.main.sum())
    large = float(one.main.sum()) * one.pixel_cm2 > _TRUNK_CM2
    trunk = trunk and not one.legs and (bool(chest.any()) or (large and not bony))
    leak = float((whole & ~inside & (deep > _DEEP_MM)).sum()) * one.pixel_cm2
    closed = not (trunk and belly) or leak < _LEAK_CM2
    if closed:
        deep = depth_in_slice(inside & one.main, one.mm)
    return _Ring(inside if closed or not trunk else inside | whole, chest, deep, trunk, closed)


def _filled(firm: Bool, gap_mm: float, mm: tuple[float, float]) -> Bool:
    """Return what is enclosed once gaps are closed."""
    filled: Bool = ndimage.binary_fill_holes(closed_in_slice(firm, gap_mm / 2, mm))
    return filled


def _parted(one: _Slice, ring: _Ring, wall_mm: float | None) -> tuple[Bool, Bool, Bool]:
    """Part what lies inside the ring: the cavities of organs, and of fat, and the soft tissue of the wall.

    wall_mm: what lies deeper belongs to the belly; None of a slice of the chest alone.
    """
    cavity = fatty = np.zeros_like(ring.inside)
    near = ring.depth < _WALL_AT_LEAST_MM
    if ring.trunk:
        beside, behind, outer = _behind(one, ring.depth)
        chest = ring.chest & ~behind  # the hull of both lungs passes behind the spine
        cavity = fatty = chest
        if wall_mm is not None:
            cavity = chest | (ring.depth > wall_mm) & ~beside & ~outer
            fatty = chest | (ring.depth > _WALL_AT_LEAST_MM) & ~behind & ~outer
        near |= beside | outer
    soft = (one.hu >= _LEAN_HU) & ring.inside & ~cavity
    labels, count = ndimage.label(soft)
    touching = np.zeros(count + 1, dtype=bool)
    touching[np.unique(labels[near & soft])] = True
    touching[0] = False
    wall: Bool = touching[labels] if ring.trunk else soft
    return (cavity | soft & ~wall) & one.body, fatty & ring.inside, wall


def _firm(one: _Slice) -> Bool:
    """Return muscle, organs, gas of the bowel and bone, without the skin and without specks."""
    deep = depth_in_slice(one.body, one.mm) > _SKIN_MM
    labels, count = ndimage.label((one.lean | (one.hu < _AIR_HU)) & deep)
    if not count:
        return np.zeros_like(one.body)
    counts = np.bincount(labels.ravel())
    large = counts * one.pixel_cm2 > _SPECK_CM2
    large[0] = False
    found: Bool = large[labels]
    return found


def _ends_of(lungs: Bool) -> tuple[int, int]:
    """Return the last slice with lung, above which there is no cavity, and the one where they are widest.

    Above the latter the lungs alone tell the cavity; without lungs neither is known, and all may be belly.
    """
    area = lungs.sum(axis=(1, 2))
    if not area.any():
        return len(lungs), len(lungs)
    return int(np.flatnonzero(area)[-1]), int(area.argmax())


def _lungs(hu: NDArray[np.int16], body: Body, slabs: Slabs) -> Bool:
    """Return lungs where there are some: large spaces of air with tissue in it."""
    labels, counts = components((hu < _AIR_HU) & body.mask)
    if not counts.any():
        return np.zeros_like(body.mask)
    ml = counts * float(np.prod(slabs.coarse_kji_mm)) / 1000.0
    mean = np.asarray(ndimage.mean(hu, labels, np.arange(len(counts))))
    height = float(len(hu)) * slabs.coarse_kji_mm[0]
    wanted = (ml > _LUNG_ML * min(1.0, height / _LUNG_HEIGHT_MM)) & (mean > _GAS_HU)
    wanted[0] = False
    found: Bool = wanted[labels]
    found &= (found.sum(axis=(1, 2)) > _LUNG_SHARE * body.main.sum(axis=(1, 2)))[:, None, None]
    return found


def _behind(one: _Slice, depth: NDArray[np.float64]) -> tuple[Bool, Bool, Bool]:
    """Return where muscles of the spine lie: all, those behind its canal; and what is outside the ribs."""
    found = np.zeros_like(one.body)
    spine = _spine(one)
    if spine is None:
        return found, found, found
    middle, front, canal = spine
    ribs = one.bone & one.main & (one.hu > _BONE_HU)
    j, i = np.ogrid[: one.hu.shape[0], : one.hu.shape[1]]
    columns = np.flatnonzero(one.main.any(axis=0))
    aside = np.abs(i - middle) / (columns[-1] - columns[0] + 1.0)
    back = (aside < _ERECTOR) & (j > canal + _ERECTOR_BEHIND_MM / one.mm[0])
    behind = back | (aside < _PSOAS) & (j > canal)
    return back | (aside < _PSOAS) & (j > front), behind, outside_ribs(ribs, depth, (front, middle), one.mm)


def _spine(one: _Slice) -> tuple[float, float, float] | None:
    """Return middle column, front row and canal row of the vertebra in this slice; None without one."""
    rows = np.flatnonzero(one.main.any(axis=1))
    columns = np.flatnonzero(one.main.any(axis=0))
    middle = (columns[0] + columns[-1]) / 2.0
    j, i = np.ogrid[: one.hu.shape[0], : one.hu.shape[1]]
    behind = (j > rows[0] + 0.4 * (rows[-1] - rows[0])) & (np.abs(i - middle) * one.mm[1] < 60.0)
    labels, count = ndimage.label(closed_in_slice(one.bone & behind, 4.0, one.mm))
    if not count:
        return None
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    if counts.max() * one.pixel_cm2 < 4.0:
        return None
    at = np.argwhere(labels == counts.argmax())
    front = float(np.percentile(at[:, 0], 2))
    return float(np.median(at[:, 1])), front, front + 35.0 / one.mm[0]

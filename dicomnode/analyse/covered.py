"""Which parts of the body some axial CT slices show: by the HU profile of each, without a network.

Meant to overrule a header that says nothing or something wrong, so it speaks only where it is plain: what it
does not see clearly is neither there nor not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.grids import Bool, Float32

_WORK_MM: Final = 3.0
_LEAST_FIELD_MM: Final = 150.0  # a smaller field of view shows too little of the outline
_LEAST_BODY_CM2: Final = 30.0
_TISSUE_ABOVE_HU: Final = -300.0
_AERATED_HU: Final = (-930.0, -400.0)  # lung; gas of the bowel and of sinuses lies below
_BONE_ABOVE_HU: Final = 200.0
_ROOM_SHARE: Final = 0.05  # of the field: air around the body, so that its outline is seen

_LUNG_SHARE: Final = 0.10  # of the body's area in a slice: these are lungs
_NO_LUNG_SHARE: Final = 0.02  # less: none
_SKULL_SHARE: Final = 0.5  # of the body's area, that bone encloses
_HEAD_MM: Final = (110.0, 260.0)  # breadth and length of a head
_TRUNK_CM2: Final = 250.0
_PELVIC_BONE_SHARE: Final = 0.06  # less in the abdomen, where only the spine and a rib are cut
_ALIKE_LEGS: Final = 0.6  # area of the smaller one to that of the larger one
_LEG_CM2: Final = (15.0, 400.0)
_SURE: Final = 0.8  # of the slices must be plain before anything is not there


class _Kind(Enum):
    """What a slice shows."""

    LUNGS = auto()
    HEAD = auto()
    ABDOMEN = auto()
    TRUNK = auto()  # pelvis, or shoulders
    LEGS = auto()
    UNCLEAR = auto()


_PARTS: Final = {
    _Kind.LUNGS: ("chest", "lung"),
    _Kind.HEAD: ("brain", "head"),
    _Kind.ABDOMEN: ("abdomen",),
    _Kind.TRUNK: ("trunk",),
    _Kind.LEGS: ("leg",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """Body parts that are plainly there, and those that are plainly not."""

    there: frozenset[str] = frozenset()
    not_there: frozenset[str] = frozenset()

    def amend(self, said: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return what a header said as the pixels have it; None where neither knows anything."""
        known = (set(said or ()) | self.there) - self.not_there
        if not known and said is None and not self.not_there:
            return None
        return tuple(sorted(known)) or ("other",)


def covered_by(slices: Sequence[tuple[Float32, tuple[float, float]]]) -> Covered:
    """Tell body parts from axial slices in any order: HU (j, i) of each and its spacing (j, i) in mm.

    A part is there when two slices show it, or one in ten; it is not there when none does and nearly all are
    plain. Of a head the slices below the skull are seldom plain: no lungs beside it are none.
    """
    kinds = [_kind(_reduced(values, spacing)) for values, spacing in slices]
    enough = max(2, round(0.1 * len(kinds)))
    there: set[str] = set()
    for kind, parts in _PARTS.items():
        if kinds.count(kind) >= enough:
            there.update(parts)
    not_there: set[str] = set()
    if kinds.count(_Kind.HEAD) >= enough and _Kind.LUNGS not in kinds:
        not_there.update(_PARTS[_Kind.LUNGS])
    plain = [kind for kind in kinds if kind is not _Kind.UNCLEAR]
    if len(plain) < max(enough, _SURE * len(kinds)):
        return Covered(there=frozenset(there), not_there=frozenset(not_there))
    not_there |= {part for kind, parts in _PARTS.items() if kind not in plain for part in parts}
    if _Kind.TRUNK in plain:
        not_there.discard("abdomen")  # what is not plainly pelvis or shoulders
    return Covered(there=frozenset(there), not_there=frozenset(not_there - there))


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """HU (j, i) at about 3 mm, and mm of a pixel along j, i."""

    hu: Float32
    mm: tuple[float, float]

    @property
    def pixel_cm2(self) -> float:
        return self.mm[0] * self.mm[1] / 100.0


def _reduced(values: Float32, spacing_ji_mm: tuple[float, float]) -> _Slice:
    """Take the mean of blocks: a sharp kernel's noise is no air."""
    steps = [max(1, round(_WORK_MM / mm)) for mm in spacing_ji_mm]
    rows, columns = (size // step for size, step in zip(values.shape, steps, strict=True))
    cut = values[: rows * steps[0], : columns * steps[1]]
    hu = cut.reshape(rows, steps[0], columns, steps[1]).mean(axis=(1, 3), dtype=np.float32)
    return _Slice(hu, (spacing_ji_mm[0] * steps[0], spacing_ji_mm[1] * steps[1]))


def _kind(one: _Slice) -> _Kind:
    field = [size * mm for size, mm in zip(one.hu.shape, one.mm, strict=True)]
    pieces = _pieces(one)
    body = np.logical_or.reduce(pieces)
    if min(field, default=0.0) < _LEAST_FIELD_MM or body.sum() * one.pixel_cm2 < _LEAST_BODY_CM2:
        return _Kind.UNCLEAR
    aerated = _aerated(one, body)
    if aerated >= _LUNG_SHARE:
        return _Kind.LUNGS
    if _is_head(one, pieces):
        return _Kind.HEAD
    if aerated > _NO_LUNG_SHARE or (~body).mean() < _ROOM_SHARE:
        return _Kind.UNCLEAR
    return _below_the_neck(one, pieces, body)


def _below_the_neck(one: _Slice, pieces: Sequence[Bool], body: Bool) -> _Kind:
    if len(pieces) > 1:
        return _Kind.LEGS if _are_legs(one, pieces) else _Kind.UNCLEAR
    if body.sum() * one.pixel_cm2 < _TRUNK_CM2:
        return _Kind.UNCLEAR
    bone = float((one.hu[body] > _BONE_ABOVE_HU).mean())
    return _Kind.ABDOMEN if bone < _PELVIC_BONE_SHARE else _Kind.TRUNK


def _pieces(one: _Slice) -> list[Bool]:
    """Return the body, or both legs, each with all that it encloses, the largest first; no couch."""
    tissue = ndimage.binary_opening(one.hu > _TISSUE_ABOVE_HU, np.ones((3, 3)))
    filled = ndimage.binary_fill_holes(tissue)
    filled = ndimage.binary_opening(filled, _disk(5))
    labels, count = ndimage.label(filled)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")[:2]
    pieces: list[Bool] = [labels == n + 1 for n in order]
    if len(pieces) > 1 and sizes[order[1]] < _ALIKE_LEGS * sizes[order[0]]:
        pieces = pieces[:1]
    return pieces or [np.zeros(one.hu.shape, dtype=bool)]


def _disk(radius: int) -> NDArray[np.bool_]:
    j, i = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk: NDArray[np.bool_] = j * j + i * i <= radius * radius
    return disk


def _aerated(one: _Slice, body: Bool) -> float:
    """Return the share of the body that is air and tissue mixed."""
    low, high = _AERATED_HU
    inside = one.hu[body]
    return float(((inside > low) & (inside < high)).mean()) if inside.size else 0.0


def _is_head(one: _Slice, pieces: Sequence[Bool]) -> bool:
    """Tell whether there is one piece, which has the size of a head, and bone encloses most of it."""
    piece = pieces[0]
    rows, columns = (np.flatnonzero(piece.any(axis=axis)) for axis in (1, 0))
    if not rows.size or len(pieces) > 1:
        return False
    sides = ((rows[-1] - rows[0] + 1) * one.mm[0], (columns[-1] - columns[0] + 1) * one.mm[1])
    if not all(_HEAD_MM[0] <= side <= _HEAD_MM[1] for side in sides):
        return False
    bone = ndimage.binary_closing((one.hu > _BONE_ABOVE_HU) & piece, _disk(2))
    enclosed = ndimage.binary_fill_holes(bone)
    return float(enclosed.sum()) >= _SKULL_SHARE * float(piece.sum())


def _are_legs(one: _Slice, pieces: Sequence[Bool]) -> bool:
    """Tell whether each of two pieces has the size of a leg and a bone in it."""
    least, most = _LEG_CM2
    return all(
        least <= piece.sum() * one.pixel_cm2 <= most and bool((one.hu[piece] > _BONE_ABOVE_HU).any())
        for piece in pieces
    )

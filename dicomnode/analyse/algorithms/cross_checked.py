"""Lungs that were found by two ways of looking: what is done, and said, where they do not agree.

Classical code has the finer border, and is blind where there is no air; a network that saw such lungs has the
coarser border, and may see what is not there. So the border stays that of classical code, dense tissue that
the network alone takes for lung comes in where it can be lung (`lungs_checked`), and every larger difference
is told. `lungs_compared` only tells: no voxel changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.algorithms.body import body_of
from dicomnode.analyse.algorithms.contract import Anatomy, Parameters, Part, Side
from dicomnode.analyse.algorithms.shapes import chosen, closed, components, dilated, eroded, filled_slices
from dicomnode.analyse.grids import Bool, Float32, box_of, box_onto, cropped, sample
from dicomnode.analyse.onto import onto
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Code, Grid, Progress, Remark, RemarkKind
from dicomnode.values.codes import HOUNSFIELD

Sides = NDArray[np.uint8]

SIDES: Final[tuple[Side, ...]] = ("right", "left")
"""In the order of the network's classes, of which the first is what is no lung."""

_DENSE_HU: Final = -400.0
_BORDER: Final = 1  # voxels of the network: so far two outlines of the same lung lie apart
_BESIDE: Final = 2  # voxels of the network, from the lung that dense tissue belongs to
_ABOVE_MM: Final = 20.0  # beyond the highest and lowest slice of the lungs that were found
_SMOOTH: Final = 0.8  # voxels of the network: takes off their steps
_SEAM_MM: Final = 6.0  # between what is taken in and the lung that it belongs to
_NO_LUNG: Final = 0.2  # of what classical code found: less than this seen by the network is none


@dataclass(frozen=True, slots=True, eq=False)
class Second:
    """What a network says: probabilities (1 + sides, k, j, i), of no lung and of each of `SIDES`."""

    values: Float32
    grid: Grid


@dataclass(frozen=True, slots=True)
class Difference:
    """Between both ways of looking, of one side, in ml; borders are left out.

    found_ml: by classical code. dense_ml: dense, lung by the network only, taken in where that is wanted;
    doubtful_ml: dense, and left out, as it lies beside no lung. airy_ml: not dense, lung by the network only.
    unseen_ml: lung by classical code only. swapped_ml: of this side by classical code, of the other one by
    the network.
    """

    side: Side
    found_ml: float
    dense_ml: float = 0.0
    doubtful_ml: float = 0.0
    airy_ml: float = 0.0
    unseen_ml: float = 0.0
    swapped_ml: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """A named, versioned algorithm that compares the parts of an earlier one with a network's map.

    version: counted up whenever a voxel of a result may change. unit, parameters: as of `Algorithm`. classes:
    that the network's map has. run: image, parts on a grid, the network's map, parameters, progress → parts
    on that grid, and what differs.
    """

    name: str
    version: int
    unit: Code
    parameters: Parameters
    classes: int
    run: Callable[[Prepared, Anatomy, Second, Parameters, Progress], Anatomy]

    @property
    def label(self) -> str:
        """Name and version, as results carry them: "lungs_checked 1"."""
        return f"{self.name} {self.version}"


def _run(
    image: Prepared,
    lungs: Anatomy,
    second: Second,
    parameters: Parameters,
    progress: Progress,
    *,
    takes_in: bool,
) -> Anatomy:
    """Compare on the network's grid, take in what can be lung where that is wanted, and say what differs."""
    seen: Sides = np.argmax(second.values, axis=0).astype(np.uint8)
    first = _sides_on(lungs, second.grid, progress)
    if np.count_nonzero(seen) < _NO_LUNG * np.count_nonzero(first):
        found_ml = np.count_nonzero(first) * second.grid.voxel_mm3 / 1000.0
        return Anatomy(grid=lungs.grid, parts=lungs.parts, remarks=(_remark(_none_text(found_ml)),))
    hu, shown = onto(image, second.grid, -1000.0, progress)
    sure: Bool = np.asarray(second.values[0] > parameters["sure"], dtype=bool)
    seen = plausible_of(seen, first, sure, body_of(hu, min(second.grid.spacing_kji_mm)))
    dense: Bool = (hu > _DENSE_HU) & shown
    agreed = agreement(first, seen, dense)
    if agreed < parameters["least_dice"]:
        return Anatomy(grid=lungs.grid, parts=lungs.parts, remarks=(_remark(_apart_text(agreed)),))
    taken, differences = compared(first, seen, dense, second.grid, parameters["taken_ml"])
    parts = lungs.parts
    if takes_in:
        parts = _with(lungs, taken, second.grid)
        differences = [replace(one, dense_ml=_more_ml(lungs, parts, one.side)) for one in differences]
    texts = [text for one in differences for text in said_of(one, parameters, taken=takes_in)]
    return Anatomy(grid=lungs.grid, parts=parts, remarks=tuple(map(_remark, texts)))


def _more_ml(before: Anatomy, after: tuple[Part, ...], side: Side) -> float:
    """Return how much a side has become larger, in ml: what is told is what is there."""
    voxels = [
        sum(np.count_nonzero(part.mask) for part in parts if part.side == side)
        for parts in (before.parts, after)
    ]
    return (voxels[1] - voxels[0]) * before.grid.voxel_mm3 / 1000.0


def _sides_on(lungs: Anatomy, grid: Grid, progress: Progress) -> Sides:
    """Return 0, or the number of the side by classical code, on the network's grid."""
    sides = np.zeros(grid.shape_kji, dtype=np.uint8)
    for part in lungs.parts:
        if part.side is not None:
            mask = Prepared(part.mask.astype(np.float32), lungs.grid)
            sides[onto(mask, grid, 0.0, progress)[0] > 0.5] = 1 + SIDES.index(part.side)
    return sides


def plausible_of(seen: Sides, first: Sides, sure: Bool, body: Bool) -> Sides:
    """Return what of `seen` counts against `first`, what classical code saw; all (k, j, i).

    Beside the body there is no lung: a table's foam is as dark. That some of `first` is no lung counts where
    the network is `sure` (bool), and not in holes, which a slice of its lungs encloses: in the middle of a
    dark lung a network of wide voxels hesitates, and nobody should have to read that.
    """
    there = np.where(body | (first > 0), seen, 0)
    there = np.where((there == 0) & ~sure, first, there)
    holes = filled_slices(there > 0) & (there == 0)
    return np.where(holes, first, there).astype(np.uint8)


def agreement(first: Sides, seen: Sides, dense: Bool) -> float:
    """Return the overlap (Dice) of both, side by side, where there is air: where classical code can see."""
    air = ~dense
    both = int(np.count_nonzero((first == seen) & (first > 0) & air))
    each = int(np.count_nonzero((first > 0) & air)) + int(np.count_nonzero((seen > 0) & air))
    return 2.0 * both / max(each, 1)


def compared(
    first: Sides, seen: Sides, dense: Bool, grid: Grid, taken_ml: float
) -> tuple[Sides, list[Difference]]:
    """Return the side of what is to be taken in (0: nothing), and what differs on each side.

    first: by classical code; seen: by the network, both 0 or 1 + index in `SIDES`; dense: bool; all (k, j, i)
    on `grid`. taken_ml: pieces that are smaller stay out, and are not told of.
    """
    ml = grid.voxel_mm3 / 1000.0
    lung = first > 0
    beyond = (seen > 0) & ~lung
    labels, counts = components(_opened(beyond & dense))
    near = dilated(lung, _BESIDE) & _slices_of(lung, grid)
    beside = np.bincount(labels[near], minlength=len(counts)) > 0
    large = counts * ml >= taken_ml
    taken, doubtful = chosen(labels, large & beside), chosen(labels, large & ~beside)
    airy, unseen = _opened(beyond & ~dense), _opened(lung & (seen == 0))
    found = []
    for number, side in enumerate(SIDES, 1):
        mine, said = first == number, seen == number
        swapped = _opened(mine & (seen > 0) & ~said)
        parts = (mine, taken & said, doubtful & said, airy & said, unseen & mine, swapped)
        found.append(Difference(side, *(float(np.count_nonzero(part)) * ml for part in parts)))
    return np.where(taken, seen, 0).astype(np.uint8), found


def _opened(mask: Bool) -> Bool:
    """Leave out what is as thin as the borders of two outlines of the same lung lie apart."""
    return dilated(eroded(mask, _BORDER), _BORDER)


def _slices_of(lung: Bool, grid: Grid) -> Bool:
    """Return the slices that hold lung, and some beside them, as (k, 1, 1)."""
    reach = int(np.ceil(_ABOVE_MM / grid.spacing_kji_mm[0]))
    held: Bool = np.asarray(lung.any(axis=(1, 2)), dtype=bool)
    return dilated(held, reach)[:, None, None]


def _with(lungs: Anatomy, taken: Sides, grid: Grid) -> tuple[Part, ...]:
    """Return the parts of classical code with what is taken in, on their own grid."""
    parts = {part.side: part.mask for part in lungs.parts}
    others = [part for part in lungs.parts if part.side is None]
    for number, side in enumerate(SIDES, 1):
        box = box_of(taken == number, margin=2 * _BESIDE)
        if box is None:
            continue
        field = ndimage.gaussian_filter((taken == number)[box].astype(np.float32), _SMOOTH)
        there = box_onto(box, grid, lungs.grid, margin_mm=_SEAM_MM)
        new = sample(field, cropped(grid, box), lungs.grid, there) > 0.5
        mask = parts.get(side, np.zeros(lungs.grid.shape_kji, dtype=bool)).copy()
        elsewhere = np.zeros(new.shape, dtype=bool)
        for other, known in parts.items():
            if other != side:
                elsewhere |= known[there]
        mask[there] |= _joined(mask[there], new & ~elsewhere, _SEAM_MM / min(lungs.grid.spacing_kji_mm))
        mask[there] &= ~elsewhere
        parts[side] = mask
    sided = [Part(side, parts[side]) for side in SIDES if side in parts]
    return (*sided, *others)


def _joined(mask: Bool, new: Bool, seam: float) -> Bool:
    """Return what is new, with the seam to the mask closed; seam: how wide it may be, in voxels."""
    both = mask | new
    return new | (closed(both, seam / 2.0) & dilated(new, int(np.ceil(seam))))


def said_of(one: Difference, parameters: Parameters, *, taken: bool = True) -> list[str]:
    """Say in sentences what differs on one side; none where both agree. taken: what is dense came in."""
    limit = max(parameters["differ_percent"] / 100.0 * one.found_ml, parameters["differ_ml"])
    texts = []
    if one.dense_ml >= 0.5:
        here = "are part of" if taken else "are not part of"
        texts.append(
            f"About {one.dense_ml:.0f} ml of dense tissue at the {one.side} lung were taken for lung by the "
            f"network only, and {here} its outline here: consolidation, collapse, a mass, or fluid."
        )
    if one.doubtful_ml > 0.0:
        texts.append(
            f"About {one.doubtful_ml:.0f} ml of dense tissue on the {one.side} were taken for lung by the "
            "network only, and lie beside no aerated lung: they were left out. Look for a lung without air."
        )
    if one.airy_ml > limit:
        texts.append(
            f"About {one.airy_ml:.0f} ml that hold air were taken for {one.side} lung by the network only, "
            "and left out: airways, or a part of the lung that is missing from its outline."
        )
    if one.unseen_ml > limit:
        texts.append(
            f"About {one.unseen_ml:.0f} ml of the {one.side} lung's outline are no lung by the network: "
            "bowel or stomach, pneumothorax, a hernia, or fluid may be in it."
        )
    if one.swapped_ml > limit:
        other = next(side for side in SIDES if side != one.side)
        texts.append(
            f"About {one.swapped_ml:.0f} ml of the {one.side} lung belong to the {other} one by the network: "
            "the border between the lungs may be wrong."
        )
    return texts


def _none_text(found_ml: float) -> str:
    return (
        f"The network sees no lung where {found_ml:.0f} ml of air-filled space were outlined: they may be "
        "gas in bowel or stomach, and were not cross-checked."
    )


def _apart_text(agreed: float) -> str:
    return (
        "The network and the classical outline of the lungs agree too little to be compared (overlap "
        f"{agreed:.2f} where there is air): the outline was not cross-checked, and may be wrong."
    )


def _remark(text: str) -> Remark:
    return Remark(kind=RemarkKind.QUALITY, text=text)


_PARAMETERS: Final = MappingProxyType(
    {"taken_ml": 15.0, "differ_percent": 10.0, "differ_ml": 50.0, "least_dice": 0.7, "sure": 0.9}
)

LUNGS_CHECKED: Final = CrossCheck(
    name="lungs_checked",
    version=1,
    unit=HOUNSFIELD,
    parameters=_PARAMETERS,
    classes=1 + len(SIDES),
    run=partial(_run, takes_in=True),
)
LUNGS_COMPARED: Final = CrossCheck(
    name="lungs_compared",
    version=1,
    unit=HOUNSFIELD,
    parameters=_PARAMETERS,
    classes=1 + len(SIDES),
    run=partial(_run, takes_in=False),
)

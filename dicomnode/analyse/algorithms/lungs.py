"""Right and left lung without a network: air inside the body, less the airways, closed.

Good on aerated lungs; a collapsed or consolidated lobe is left out, and a pneumothorax is taken in. So the
answer always comes with what speaks against it, and may be "there are no lungs".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.analyse.algorithms.across import Across, across_of
from dicomnode.analyse.algorithms.airless import Airless, airless_of
from dicomnode.analyse.algorithms.airways import Airways, airways_of
from dicomnode.analyse.algorithms.body import air_of, body_of, inner_air, lung_like
from dicomnode.analyse.algorithms.bowel import without_bowel
from dicomnode.analyse.algorithms.contract import Algorithm, Anatomy, Parameters, Part
from dicomnode.analyse.algorithms.cut_off import goes_on_above
from dicomnode.analyse.algorithms.domes import filled_but_domes
from dicomnode.analyse.algorithms.plausible import LungFacts, reasons, refused, too_narrow
from dicomnode.analyse.algorithms.shapes import closed, components, thick, within
from dicomnode.analyse.algorithms.sides import sides_of
from dicomnode.analyse.grids import Bool, Box, Float32, box_of
from dicomnode.analyse.parallel import each
from dicomnode.analyse.prepare import orient
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.values import Progress, Remark, RemarkKind
from dicomnode.values.codes import HOUNSFIELD

_STAGE: Final = "lungs"
_STEPS: Final = 5
_NO_AIR: Final = "no air inside a body"
_DENSE_ABOVE_HU: Final = -200.0
_THICKER_MM: Final = (
    6.5  # radius of a ball: vessels of the hilum, which the closing takes in as well, hold 6.3
)

_ALWAYS: Final = (
    "The outline of a lung is that of its air-containing space: collapsed or consolidated lung lies "
    "outside, a pneumothorax inside."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Chest:
    """Around the lungs: HU, body, air inside it (k, j, i), mm of a voxel, and where this crop lies.

    across: of the whole body, in columns of the crop: one lung alone must not be taken for both.
    """

    hu: Float32
    body: Bool
    air: Bool
    mm: float
    box: Box
    depth: int  # slices of the whole grid
    across: Across

    def ends(self, lung: Bool, airways: Airways) -> tuple[bool, bool]:
        """Tell whether a lung goes on beyond the first and the last slice of the whole grid."""
        first = self.box[0].start == 0 and bool(lung[0].any())
        known = airways.millilitres > 0.0
        last = self.box[0].stop == self.depth
        return first, last and goes_on_above(lung[-1], self.hu[-1], self.mm, airways_known=known)


def _run(image: Prepared, parameters: Parameters, progress: Progress) -> Anatomy:
    mm = parameters["work_mm"]
    progress(_STAGE, 0, _STEPS)
    work = resample(orient(image), (mm, mm, mm))
    hu: Float32 = np.asarray(work.voxels, dtype=np.float32)
    chest = _chest(hu, mm)
    progress(_STAGE, 1, _STEPS)
    if isinstance(chest, str):
        return Anatomy(grid=work.grid, nothing=chest)
    airy = lung_like(chest.hu, chest.air, mm)
    airways = airways_of(chest.hu, chest.air, airy, mm)
    progress(_STAGE, 2, _STEPS)
    sides = sides_of(airy & ~airways.mask, chest.across, mm)
    progress(_STAGE, 3, _STEPS)
    seen = [(side, mask) for side, mask in (("right", sides.right), ("left", sides.left)) if mask is not None]
    found = dict(each(lambda one: (one[0], without_bowel(one[1], chest.hu)), seen))
    shut = _shut(found, airways, parameters["closing_mm"], mm)
    progress(_STAGE, 4, _STEPS)
    missing = airless_of(hu, chest.box, shut, chest.across.middle_i, mm) if shut else Airless()
    facts = replace(
        _facts(chest, found, shut, airways),
        by_plane=sides.by_plane,
        side_unsure=sides.unsure,
        goes_on=chest.across.goes_on or "",
        open_sides=chest.across.open_sides,
        airless=missing,
    )
    nothing = refused(facts)
    progress(_STAGE, _STEPS, _STEPS)
    if nothing is not None:
        return Anatomy(grid=work.grid, nothing=nothing)
    parts = tuple(
        Part("right" if side == "right" else "left", _whole(mask, chest, hu.shape))
        for side, mask in shut.items()
    )
    texts = (*reasons(facts), _ALWAYS)
    remarks = tuple(
        Remark(kind=RemarkKind.LIMIT if text is _ALWAYS else RemarkKind.QUALITY, text=text) for text in texts
    )
    return Anatomy(grid=work.grid, parts=parts, remarks=remarks)


def _chest(hu: Float32, mm: float) -> _Chest | str:
    """Crop to the body, then to the air inside it: all that follows costs by the voxel. Or say why not."""
    body = body_of(hu, mm)
    around = box_of(body, margin=1)
    if around is None:
        return _NO_AIR
    whole = across_of(hu, body, mm)
    across = (slice(0, hu.shape[0]), around[1], around[2])  # air that leaves the body leaves the crop
    air = inner_air(hu[across], body[across], air_of(hu[across]), mm)
    found = box_of(air, margin=1)
    if found is None:
        return too_narrow(whole.open_sides) or _NO_AIR
    starts = (0, around[1].start, around[2].start)
    k, j, i = (slice(p.start + at, p.stop + at) for p, at in zip(found, starts, strict=True))
    box = (k, j, i)
    in_crop = replace(whole, middle_i=whole.middle_i - i.start)
    return _Chest(hu[box], body[box], air[found], mm, box, hu.shape[0], in_crop)


def _whole(mask: Bool, chest: _Chest, shape: tuple[int, ...]) -> Bool:
    full = np.zeros(shape, dtype=bool)
    full[chest.box] = mask
    return full


def _shut(found: dict[str, Bool], airways: Airways, closing_mm: float, mm: float) -> dict[str, Bool]:
    """Close each lung by itself: vessels and lesions at the pleura come in, and the lungs stay apart."""
    result: dict[str, Bool] = {}
    radius = closing_mm / mm
    taken = airways.mask.copy()
    for mask in found.values():
        taken |= mask
    boxes = {side: box_of(mask, margin=int(np.ceil(radius)) + 1) for side, mask in found.items()}
    some = [(side, box) for side, box in boxes.items() if box is not None]
    whole = each(lambda one: filled_but_domes(closed(found[one[0]][one[1]], radius), mm), some)
    for (side, box), wide in zip(some, whole, strict=True):
        more = wide & ~taken[box]
        shut = found[side].copy()
        shut[box] |= more
        taken[box] |= more
        result[side] = shut
    return result


def _facts(chest: _Chest, found: dict[str, Bool], shut: dict[str, Bool], airways: Airways) -> LungFacts:
    lungs = np.zeros_like(chest.body)
    for mask in shut.values():
        lungs |= mask
    values = chest.hu[lungs]
    ml = {side: float(mask.sum()) * chest.mm**3 / 1000.0 for side, mask in shut.items()}
    ends = {side: chest.ends(mask, airways) for side, mask in found.items()}
    body = chest.body.sum(axis=(1, 2))
    return LungFacts(
        right_ml=ml.get("right", 0.0),
        left_ml=ml.get("left", 0.0),
        mean_hu=float(values.mean(dtype=np.float64)) if values.size else 0.0,
        median_hu=float(np.median(values)) if values.size else 0.0,
        share=float((lungs.sum(axis=(1, 2)) / np.maximum(body, 1)).max()),
        height_mm=float(lungs.any(axis=(1, 2)).sum()) * chest.mm,
        cut_at_bottom=tuple(side for side, (first, _) in ends.items() if first),
        cut_at_top=tuple(side for side, (_, last) in ends.items() if last),
        dense_ml=_dense_ml(chest, found, lungs),
        extra_air_ml=_extra_air_ml(chest, lungs | airways.mask),
        airways_ml=airways.millilitres,
        branches=airways.branches,
    )


def _dense_ml(chest: _Chest, found: dict[str, Bool], lungs: Bool) -> float:
    """Return the largest dense piece, thicker than a vessel, that the closing took into the lungs, in ml."""
    taken = lungs & (chest.hu > _DENSE_ABOVE_HU)
    for mask in found.values():
        taken &= ~mask
    box = box_of(taken, margin=1)
    if box is None:
        return 0.0
    radius = _THICKER_MM / chest.mm
    core = thick(taken[box], radius)
    if not core.any():
        return 0.0
    around = taken[box] & within(core, radius)
    _, counts = components(around)
    return float(counts.max()) * chest.mm**3 / 1000.0


def _extra_air_ml(chest: _Chest, known: Bool) -> float:
    """Return the largest space of air beside the lungs, between their highest and lowest slice, in ml."""
    box = box_of(known)
    if box is None:
        return 0.0
    _, counts = components(chest.air[box] & ~known[box])
    return float(counts.max()) * chest.mm**3 / 1000.0


LUNGS: Final = Algorithm(
    name="lungs",
    version=2,
    unit=HOUNSFIELD,
    parameters=MappingProxyType({"work_mm": 2.0, "closing_mm": 8.0}),
    run=_run,
)

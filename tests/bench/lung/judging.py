"""What came of one chest: each nodule, each false alarm, each lung; as values that JSON holds.

A nodule is hit as `dicomnode.evaluate.matching` says. Nodules come before distractors: only what lies on no
nodule may lie on a distractor. Nodules and distractors that are to be ignored (hidden, under 3 mm, or no
reader could tell them from nodules) count nowhere; any other candidate on nothing is a false alarm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from scipy import ndimage

from dicomnode.evaluate import dice, hausdorff95_mm, match_candidates
from dicomnode.evaluate.matching import NEAREST_MM, Matching
from dicomnode.phantom import ChestScan, Distractor, PlantedNodule
from dicomnode.values import Mask, PointLps
from tests.bench.lung.answer import SIDES, Answer, Found

BORDER_MM: Final = 4.0
"""From the surface of a lung: what lies nearer is "at the border"."""
DENSE_HU: Final = -300.0
_AROUND_MM: Final = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class NoduleRow:
    """A nodule that counts. score: of the best candidate on it, reported or not; None: there is none.

    reported: whether one on it is; then centre_mm is how far off it is, volume_mm3 and dice are those of its
    outline (None of a point). true_mm3, diameter_mm: of the truth.
    """

    label: str
    diameter_mm: float
    true_mm3: float
    kind: str
    place: str
    margin: str
    side: str
    centre_lps_mm: PointLps
    score: float | None
    reported: bool
    centre_mm: float | None = None
    volume_mm3: float | None = None
    dice: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRow:
    """A candidate on nothing. on: kind of the smallest distractor that holds it, or "". where: of the lungs.

    hu: mean of the scan within 2.5 mm.
    """

    score: float
    reported: bool
    centre_lps_mm: PointLps
    on: str
    where: str
    hu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LungRow:
    """One lung, as it was found. hd95_mm: None where it was not found."""

    side: str
    dice: float
    hd95_mm: float | None
    ml: float
    true_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """One chest. ignored: reported candidates on what is to be ignored; repeats: on a nodule already hit."""

    seed: int
    size: str
    thickness_mm: float
    kernel: str
    enhanced: bool
    diseases: tuple[str, ...]
    seeks: bool
    nodules: tuple[NoduleRow, ...]
    alarms: tuple[AlarmRow, ...]
    ignored: tuple[AlarmRow, ...]
    repeats: int
    down_to: float | None
    lungs: tuple[LungRow, ...]
    doubts: tuple[str, ...]
    nothing: str
    seconds: Mapping[str, float]

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> CaseRow:
        rows = {
            "nodules": NoduleRow,
            "alarms": AlarmRow,
            "ignored": AlarmRow,
            "lungs": LungRow,
        }
        given = dict(document)
        for name, row in rows.items():
            given[name] = tuple(row(**_tupled(one)) for one in given[name])
        return cls(**_tupled(given))


def _tupled(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


@dataclass(frozen=True, slots=True)
class _Ignored:
    """A distractor that no reader could tell from a nodule, as a finding that does not count."""

    centre_lps_mm: PointLps
    diameter_mm: float
    ignore: bool = True


def judged(scan: ChestScan, answer: Answer) -> CaseRow:
    """Compare what an engine said of a phantom with what is true."""
    truth = [
        *scan.nodules,
        *(_Ignored(one.centre_lps_mm, 2.0 * one.radius_mm) for one in scan.distractors if one.ignore),
    ]
    reported = [(one.centre_lps_mm, one.score) for one in answer.found]
    every = [*reported, *answer.below]
    told, all_ = match_candidates(reported, truth), match_candidates(every, truth)
    chest = _Chest.of(scan)
    return CaseRow(
        seed=scan.seed,
        size=scan.size,
        thickness_mm=scan.protocol.thickness_mm,
        kernel=scan.protocol.kernel,
        enhanced=scan.enhanced,
        diseases=tuple(scan.diseases),
        seeks=answer.seeks,
        nodules=tuple(_nodules(scan, answer.found, told, all_)) if answer.seeks else (),
        alarms=tuple(chest.named(*every[n], reported=n < len(reported)) for n in all_.false_positives),
        ignored=tuple(chest.named(*reported[n], reported=True) for n in told.ignored),
        repeats=len(told.repeats),
        down_to=answer.down_to,
        lungs=tuple(_lung(scan, answer, side) for side in SIDES),
        doubts=answer.doubts,
        nothing=answer.nothing,
        seconds=dict(answer.seconds),
    )


def _nodules(scan: ChestScan, found: Sequence[Found], told: Matching, every: Matching) -> list[NoduleRow]:
    best = {hit.truth: hit.score for hit in every.hits}
    hits = {hit.truth: hit for hit in told.hits}
    rows = []
    for number, one in enumerate(scan.nodules):
        if one.ignore:
            continue
        hit = hits.get(number)
        on_it = None if hit is None else found[hit.found]
        rows.append(
            NoduleRow(
                label=one.label,
                diameter_mm=one.diameter_mm,
                true_mm3=one.volume_mm3,
                kind=one.kind,
                place=one.place,
                margin=one.margin,
                side=one.side,
                centre_lps_mm=one.centre_lps_mm,
                score=best.get(number),
                reported=hit is not None,
                centre_mm=None if hit is None else hit.distance_mm,
                **_outline(one, on_it, scan.grid.voxel_mm3),
            )
        )
    return rows


def _outline(truth: PlantedNodule, found: Found | None, voxel_mm3: float) -> dict[str, float]:
    if found is None or found.voxels is None:
        return {}
    return {"volume_mm3": found.voxels.count * voxel_mm3, "dice": dice(found.voxels, truth.mask)}


def _lung(scan: ChestScan, answer: Answer, side: str) -> LungRow:
    truth = scan.lung_right if side == "right" else scan.lung_left
    empty = Mask.from_array(np.zeros(scan.grid.shape_kji, dtype=bool))
    found = answer.lungs.get(side, empty)
    low = [min(a[0], b[0]) for a, b in zip(found.box_kji, truth.box_kji, strict=True)]
    high = [max(a[1], b[1]) for a, b in zip(found.box_kji, truth.box_kji, strict=True)]
    box = tuple(slice(*ends) for ends in zip(low, high, strict=True))
    pair = found.to_array()[box], truth.to_array()[box]
    apart = hausdorff95_mm(*pair, scan.grid.spacing_kji_mm) if not found.is_empty else math.inf
    return LungRow(
        side=side,
        dice=dice(*pair),
        hd95_mm=apart if math.isfinite(apart) else None,
        ml=found.count * scan.grid.voxel_mm3 / 1000.0,
        true_ml=truth.count * scan.grid.voxel_mm3 / 1000.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chest:
    """Where a false alarm may lie."""

    scan: ChestScan
    lungs: np.ndarray
    known: tuple[Distractor, ...]

    @classmethod
    def of(cls, scan: ChestScan) -> _Chest:
        lungs = scan.lung_right.to_array() | scan.lung_left.to_array()
        return cls(
            scan=scan, lungs=lungs, known=tuple(sorted(scan.distractors, key=lambda one: one.radius_mm))
        )

    def named(self, centre: PointLps, score: float, *, reported: bool) -> AlarmRow:
        on = next((one.kind for one in self.known if _holds(one, centre)), "")
        return AlarmRow(
            score=score,
            reported=reported,
            centre_lps_mm=centre,
            on=on,
            where=self._where(centre),
            hu=self._hu(centre),
        )

    def _where(self, centre: PointLps) -> str:
        cut, at = self._around(centre, BORDER_MM + 2.0)
        inside = self.lungs[cut]
        if not inside[at]:
            return "outside the lungs"
        if inside.all():
            return "in the lung"
        depth = ndimage.distance_transform_edt(inside, sampling=self.scan.grid.spacing_kji_mm)
        return "in the lung" if depth[at] > BORDER_MM else "in the lung, at its border"

    def _hu(self, centre: PointLps) -> float:
        cut, _ = self._around(centre, _AROUND_MM)
        return round(float(self.scan.voxels[cut].mean()), 1)

    def _around(self, centre: PointLps, reach_mm: float) -> tuple[tuple[slice, ...], tuple[int, ...]]:
        """Return the part of the grid around a point, and where the point lies in it."""
        grid = self.scan.grid
        at = np.clip(np.rint(grid.to_index_kji(centre)).astype(int), 0, np.array(grid.shape_kji) - 1)
        reach = np.ceil(reach_mm / np.array(grid.spacing_kji_mm)).astype(int)
        low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, grid.shape_kji)
        cut = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return cut, tuple(int(n) for n in at - low)


def _holds(one: Distractor, centre: PointLps) -> bool:
    return math.dist(one.centre_lps_mm, centre) <= max(one.radius_mm, NEAREST_MM)

"""What became of lesions since an earlier study: those of both are paired, and their volumes compared.

The engine has run on both studies, so that both volumes are measured in the same way. Nothing here runs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from dicomnode.analyse.acquisition import acquisition_of
from dicomnode.analyse.concepts import OF_CHANGES
from dicomnode.analyse.grids import covers
from dicomnode.analyse.numbers import Numbers
from dicomnode.analyse.pairing import Lesion, pair
from dicomnode.analyse.ran import Ran
from dicomnode.analyse.register import Registration
from dicomnode.analyse.segments import Placed
from dicomnode.engine import InputSpec, Manifest
from dicomnode.faults import NOT_COMPARED
from dicomnode.values import (
    LEAST_CHANGE_PERCENT,
    Change,
    ChangeKind,
    Code,
    FindingKind,
    Measurement,
    RegionKind,
    Remark,
    RemarkKind,
    Segment,
    Volume,
)

_MM3: Final = {"volume_mm3": 1.0, "volume_ml": 1000.0}  # of one unit of the measure
_OTHER_SPACING: Final = 1.5  # slices so many times as far apart show the border of a lesion otherwise


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Between:
    """What lies between two studies.

    now, then: their volumes. registration: how the earlier one lies over the current one. days: how much
    earlier it was made; None where that is not known, or it was not made before.
    """

    now: Volume
    then: Volume
    registration: Registration
    days: int | None = None

    def __post_init__(self) -> None:
        if self.days is not None and not self.days > 0:
            raise ValueError(f"Between.days must be > 0, or None where it is not known, got {self.days!r}")


def not_looked_for(manifest: Manifest, ran: Ran) -> str | None:
    """Say why a study cannot be compared: lesions that are compared were not looked for in it, or None."""
    if ran.refusal is not None:
        return ran.refusal.text.rstrip(".")
    types = _compared_types(manifest)
    unseen = (one for one in ran.placed.remarks if one.kind is RemarkKind.NOT_ANALYSED and one.type in types)
    return next((one.text.rstrip(".") for one in unseen), None)


def not_compared(spec: InputSpec, now: Ran, reason: str) -> Ran:
    """Return what was found now, and why nothing is compared; where a prior is required, that alone."""
    refusal = NOT_COMPARED.refusal(name=spec.name, reason=reason)
    if spec.prior is not None and spec.prior.required:
        return replace(now, placed=Placed(), numbers=Numbers(), refusal=refusal)
    remark = Remark(kind=RemarkKind.QUALITY, text=refusal.text, code=refusal.code)
    return replace(now, placed=replace(now.placed, remarks=(*now.placed.remarks, remark)))


def compared(manifest: Manifest, now: Ran, then: Ran, between: Between) -> Ran:
    """Return what was found now with what became of each lesion since then."""
    lesions = _lesions(manifest, then)
    carried = [replace(one, centre_lps_mm=between.registration.point(one.centre_lps_mm)) for one in lesions]
    changes = changes_of(_lesions(manifest, now), carried, between)
    by_label = {one.label: one for one in changes if one.label is not None}
    segments = [
        _with_change(one, by_label[one.label]) if one.label in by_label else one
        for one in now.placed.segments
    ]
    remarks = [*now.placed.remarks, *_limits_then(now, then), *made_differently(between.now, between.then)]
    placed = replace(now.placed, segments=tuple(segments), remarks=tuple(remarks))
    return replace(now, placed=placed, changes=changes)


def changes_of(now: Sequence[Lesion], then: Sequence[Lesion], between: Between) -> tuple[Change, ...]:
    """Say what became of each lesion: those found now in their order, then those found only then.

    then: with their centres in the space of the current study. A lesion without a partner is new, or was not
    found, only where the other study shows its place.
    """
    pairs = pair(now, then)
    grid_now = between.now.grid
    grid_then = between.registration.grid_of(between.then.grid, grid_now)
    changes = []
    for number, one in enumerate(now):
        if number in pairs:
            changes.append(_paired(one, then[pairs[number]], between.days))
        else:
            kind = ChangeKind.NEW if covers(grid_then, one.centre_lps_mm) else ChangeKind.NOT_IMAGED_THEN
            changes.append(_change(kind, one, between.days, label=one.label))
    for number, one in enumerate(then):
        if number not in pairs.values():
            kind = (
                ChangeKind.NOT_FOUND_NOW if covers(grid_now, one.centre_lps_mm) else ChangeKind.NOT_IMAGED_NOW
            )
            changes.append(_change(kind, one, between.days, earlier_volume_mm3=one.volume_mm3))
    return tuple(changes)


def doubling_days(earlier_mm3: float, now_mm3: float, days: float) -> float:
    """Return the volume doubling time: days × ln 2 / ln(now / earlier), of growth that is exponential.

    Schwartz, A biomathematical approach to clinical tumor growth, Cancer 14 (1961) 1272. Raises ValueError
    where nothing grew, or in no time.
    """
    if not (0.0 < earlier_mm3 < now_mm3 and days > 0):
        raise ValueError(f"no doubling time of {earlier_mm3} mm3 to {now_mm3} mm3 in {days} days")
    return days * math.log(2.0) / math.log(now_mm3 / earlier_mm3)


def made_differently(now: Volume, then: Volume) -> list[Remark]:
    """Say how two studies differ in what a volume depends on: distance of slices and kernel."""
    apart_mm = [one.grid.slice_distance_mm for one in (now, then)]
    kernels = [acquisition_of(one.headers).kernel for one in (now, then)]
    differ = []
    if max(apart_mm) > _OTHER_SPACING * min(apart_mm):
        differ.append(f"slices every {apart_mm[0]:.4g} mm, then every {apart_mm[1]:.4g} mm")
    if None not in kernels and kernels[0] != kernels[1]:
        differ.append(f"kernel {kernels[0]}, then {kernels[1]}")
    if not differ:
        return []
    text = (
        f"The images were made otherwise than those of the earlier study ({'; '.join(differ)}): a change of "
        "volume may be due to that."
    )
    return [Remark(kind=RemarkKind.QUALITY, text=text)]


def _paired(now: Lesion, then: Lesion, days: int | None) -> Change:
    if now.volume_mm3 is None or then.volume_mm3 is None:
        return _change(
            ChangeKind.FOUND_IN_BOTH, now, days, label=now.label, earlier_volume_mm3=then.volume_mm3
        )
    percent = 100.0 * (now.volume_mm3 / then.volume_mm3 - 1.0)
    doubling = None
    if days is not None and percent >= LEAST_CHANGE_PERCENT:
        doubling = doubling_days(then.volume_mm3, now.volume_mm3, days)
    return _change(
        ChangeKind.MEASURED,
        now,
        days,
        label=now.label,
        earlier_volume_mm3=then.volume_mm3,
        percent=percent,
        doubling_days=doubling,
    )


def _change(kind: ChangeKind, one: Lesion, days: int | None, **more: Any) -> Change:
    return Change(
        kind=kind,
        type=one.type,
        centre_lps_mm=one.centre_lps_mm,
        site=one.site,
        laterality=one.laterality,
        days=days,
        **more,
    )


def _compared_types(manifest: Manifest) -> set[Code]:
    """Return the types of lesions that have their volume measured."""
    return {one.concept for one in manifest.output if one.kind == "lesion" and set(_MM3) & set(one.measure)}


def _lesions(manifest: Manifest, ran: Ran) -> list[Lesion]:
    """Return the lesions that can be compared: outlined ones with a volume, and points of the same types."""
    lesions = [
        Lesion(
            label=one.label,
            type=one.type,
            centre_lps_mm=one.centre_lps_mm,
            site=one.site,
            laterality=one.laterality,
            volume_mm3=_MM3[volume.name] * volume.value,
        )
        for one in ran.placed.segments
        if one.kind is FindingKind.LESION and (volume := _volume_of(one)) is not None
    ]
    types = _compared_types(manifest)
    return lesions + [
        Lesion(
            label=one.label,
            type=one.type,
            centre_lps_mm=one.points_lps_mm[0],
            site=one.site,
            laterality=one.laterality,
        )
        for one in ran.placed.regions
        if one.kind is RegionKind.POINT and one.type in types
    ]


def _volume_of(segment: Segment) -> Measurement | None:
    return next((one for one in segment.measurements if one.name in _MM3), None)


def _with_change(segment: Segment, change: Change) -> Segment:
    """Add to a lesion the numbers of a comparison; volumes in the unit that the engine measures in."""
    volume = _volume_of(segment)
    if volume is None or change.percent is None or change.earlier_volume_mm3 is None:
        return segment
    numbers = {
        f"earlier_{volume.name}": change.earlier_volume_mm3 / _MM3[volume.name],
        "growth_percent": change.percent,
        "interval_days": change.days,
        "doubling_time_days": change.doubling_days,
    }
    added = tuple(
        Measurement(name=name, concept=OF_CHANGES[name].code, value=float(value), unit=OF_CHANGES[name].unit)
        for name, value in numbers.items()
        if value is not None
    )
    return replace(segment, measurements=(*segment.measurements, *added))


def _limits_then(now: Ran, then: Ran) -> list[Remark]:
    """Pass on what was not reported of the earlier study alone: what seems to be new may be among that."""
    said = {one.text for one in now.remarks}
    return [
        replace(one, text=f"Of the earlier study: {one.text}")
        for one in then.steps
        if one.kind is RemarkKind.LIMIT and one.text not in said
    ]

"""From the headers of a series to its stacks: which slices belong together, and which make a volume.

Pure: the one question that headers cannot answer, whether two images at one position have the same
pixels, is asked of the caller. The order of the headers does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from dicomnode.assemble.blocks import MINIMUM_SLICES, Row, rows_of, too_few
from dicomnode.assemble.headers import PHASE_KEYWORDS
from dicomnode.assemble.kinds import aside, class_name, kind_refusal, not_a_slice, set_aside
from dicomnode.assemble.phases import Phase, joined_of, phases_of
from dicomnode.assemble.placing import (
    SAME_POSITION_MM,
    Placement,
    along_normal,
    axes,
    implausible,
    places_of,
)
from dicomnode.assemble.record import Header
from dicomnode.assemble.required import (
    EQUAL,
    EQUAL_IN_STACK,
    REQUIRED,
    REQUIRED_OF_RESULTS,
    disagreement,
    missing,
    missing_refusal,
    other_person,
)
from dicomnode.assemble.units import scaling_refusal
from dicomnode.faults import (
    DECODE_FAILED,
    DUPLICATE_INSTANCE,
    SAME_POSITION,
    SAME_UID,
)
from dicomnode.values import Float64, Refusal, Repair, SetAside
from dicomnode.values.geometry import ALIKE_COSINES, ALIKE_SPACING

SHARED_PART: Final = 0.5
"""Stacks whose slices lie between each other share at least this part of the patient."""

# Images at one place that nothing tells apart are refused; so one is looked for among so many, not among all
_COMPARED: Final = 8
# Geometries that others of a series are measured against: one with more has no volume of many slices
_MOST_GEOMETRIES: Final = 64

SamePixels = Callable[[Header, Header], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """Slices that belong together, k ascending, and where they lie; or the refusal that says why not.

    phase: by which attributes it is told apart from other stacks at its positions. block: which of how many
    stacks that follow each other it is.
    """

    headers: tuple[Header, ...]
    placement: Placement | None = None
    refusal: Refusal | None = None
    repairs: tuple[Repair, ...] = ()
    phase: Phase | None = None
    block: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """Slices, sorted along the normal, one stack or several that follow each other."""

    headers: tuple[Header, ...]
    phase: Phase | None = None


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """All of one series: each header is in one stack, or set aside."""

    stacks: tuple[StackPlan, ...]
    set_aside: tuple[SetAside, ...]


def plan_series(headers: Sequence[Header], same_pixels: SamePixels) -> SeriesPlan:
    """Group the headers of one series into stacks and place each.

    The stacks are sorted, the largest first; of equal ones the phases in the order of their values. Checked
    in this order: class of image, number of slices, required attributes, what must agree, sizes that no scan
    has, images at one position, UIDs, then the geometry (`placing`).
    """
    left_out: list[SetAside] = []
    wanted: list[Header] = []
    for header in sorted(headers, key=lambda one: one.order):
        reason = set_aside(header)
        if reason is None:
            wanted.append(header)
        else:
            left_out.append(reason)
    stacks: list[StackPlan] = []
    for group in _by_kind(wanted):
        for alike in _alike(group):
            plans, doubles = _plans(alike, same_pixels)
            stacks += plans
            left_out += doubles
    stacks.sort(
        key=lambda plan: (
            -len(plan.headers),
            plan.phase.number if plan.phase else 0,
            plan.headers[0].order,
        )
    )
    return SeriesPlan(tuple(stacks), tuple(dict.fromkeys(left_out)))  # of several frames, said once


def _by_kind(headers: Sequence[Header]) -> list[list[Header]]:
    """Split images by class. The frames of one object are a volume of their own: results name one object."""
    groups: dict[tuple[str | None, ...], list[Header]] = {}
    for header in headers:
        of_object = None if header.frame_number is None else header.sop_instance_uid
        groups.setdefault((header.sop_class_uid, not_a_slice(header), of_object), []).append(header)
    return list(groups.values())


def _alike(headers: Sequence[Header]) -> list[list[Header]]:
    """Split slices by orientation, matrix and pixel spacing.

    Where one lacks them nothing is split: it belongs to the others, and they are refused with it.
    """
    if not_a_slice(headers[0]) or missing(headers, REQUIRED):
        return [list(headers)]
    groups: list[list[Header]] = []
    by_geometry: dict[tuple[object, ...], list[Header]] = {}
    for header in headers:
        geometry = (header.rows, header.columns, header.spacing_ji_mm, header.orientation)
        group = by_geometry.get(geometry)
        if group is None:
            among = (one for one in groups[:_MOST_GEOMETRIES] if _is_alike(one[0], header))
            group = by_geometry[geometry] = next(among, [])
            if not group:
                groups.append(group)
        group.append(header)
    return groups


def _is_alike(one: Header, other: Header) -> bool:
    if (one.rows, one.columns) != (other.rows, other.columns):
        return False
    spacing = zip(one.spacing_ji_mm or (), other.spacing_ji_mm or (), strict=True)
    cosines = zip(one.orientation or (), other.orientation or (), strict=True)
    return all(abs(a - b) <= ALIKE_SPACING * a for a, b in spacing) and all(
        abs(a - b) <= ALIKE_COSINES for a, b in cosines
    )


def _plans(headers: Sequence[Header], same_pixels: SamePixels) -> tuple[list[StackPlan], list[SetAside]]:
    """Plan slices of one orientation and matrix: one stack, or several at the same or following positions."""
    refusal = _not_placeable(headers)
    directions = axes(headers[0])
    if refusal is not None or directions is None:
        return [StackPlan(headers=tuple(headers), refusal=refusal)], []
    ordered = _sorted(headers, directions[2])
    positions = along_normal(ordered, directions[2])
    refusal = implausible(ordered[0], positions)
    if refusal is not None:
        return [StackPlan(headers=tuple(ordered), refusal=refusal)], []
    ordered, copies = _without_copies(ordered, places_of(positions), same_pixels)
    left_out = [_copy(first, other) for first, other in copies]
    plans: list[StackPlan] = []
    for part in _phases(ordered, directions[2]):
        here = {id(header) for header in part.headers}
        own = sum(id(first) in here for first, _ in copies)
        rows, doubles = _settle(part, directions[2], same_pixels, own)
        plans += rows
        left_out += doubles
    return plans, left_out


def _sorted(headers: Sequence[Header], normal: Float64) -> list[Header]:
    positions = along_normal(headers, normal)
    return [headers[n] for n in sorted(range(len(headers)), key=lambda n: (positions[n], headers[n].order))]


def _without_copies(
    headers: Sequence[Header], places: Sequence[int], same_pixels: SamePixels
) -> tuple[list[Header], list[tuple[Header, Header]]]:
    """Leave out what repeats an image at its position: the same attributes, the same pixels.

    Returns what is kept, and pairs of an image that is kept and its copy.
    """
    kept: list[Header] = []
    copies: list[tuple[Header, Header]] = []
    for _, some in groupby(range(len(headers)), key=lambda n: places[n]):
        alike: dict[object, list[Header]] = {}
        for header in (headers[n] for n in some):
            what = (header.rescale, *(header.tags.get(keyword) for keyword in PHASE_KEYWORDS))
            own = alike.setdefault(what, [])
            first = next(
                (one for one in own[:_COMPARED] if _difference(one, header, same_pixels) is None), None
            )
            if first is None:
                own.append(header)
                kept.append(header)
            else:
                copies.append((first, header))
    return kept, copies


def _phases(headers: Sequence[Header], normal: Float64) -> list[_Part]:
    """Tell stacks at the same positions apart, or some whose slices lie between or behind each other."""
    positions = along_normal(headers, normal)
    places = places_of(positions)
    whole = [_Part(tuple(headers))]

    def fits(group: Sequence[int]) -> bool:
        return all(isinstance(row.placed, Placement) for row in rows_of([headers[n] for n in group], normal))

    if len(set(places)) == len(headers) and fits(range(len(headers))):
        joined = [_Part(tuple(some), phase) for phase, some in joined_of(headers, fits)]
        # Stacks behind each other that are blocks are told apart already
        if joined and (_lie_between(joined, normal) or len(rows_of(headers, normal)) == 1):
            return joined
        return whole
    found = phases_of(headers, places, fits)
    if found is None:
        return whole
    parts = [_Part(tuple(some), phase) for phase, some in found]
    return parts if len(set(places)) < len(headers) or _lie_between(parts, normal) else whole


def _lie_between(parts: Sequence[_Part], normal: Float64) -> bool:
    """Tell whether stacks cover the same part of the patient; else they lie behind each other."""
    positions = [along_normal(part.headers, normal) for part in parts]
    low, high = max(one[0] for one in positions), min(one[-1] for one in positions)
    return bool(high - low > SHARED_PART * min(np.ptp(one) for one in positions))


def _settle(
    part: _Part, normal: Float64, same_pixels: SamePixels, copies: int
) -> tuple[list[StackPlan], list[SetAside]]:
    """Leave one image at each position, and place the rows of slices that there are.

    copies: of its slices, which were left out before.
    """
    positions = along_normal(part.headers, normal)
    refusal = disagreement(part.headers, EQUAL_IN_STACK) or scaling_refusal(part.headers)
    result = refusal or _single(part.headers, positions, same_pixels)
    if isinstance(result, Refusal):
        return [StackPlan(headers=part.headers, refusal=result, phase=part.phase)], []
    kept, doubles = result
    repairs: list[Repair] = []
    if doubles or copies:
        count = len(doubles) + copies
        text = f"{count} images that repeat the position and the pixels of another were left out."
        repairs.append(Repair("duplicate", text))
    if part.phase is not None:
        text = f"The series holds {part.phase.total} stacks; this one is told apart by {part.phase.text}."
        repairs.append(Repair("phase", text))
    again = _same_uid(kept)
    if again is not None:
        plan = StackPlan(headers=tuple(kept), refusal=again, repairs=tuple(repairs), phase=part.phase)
        return [plan], doubles
    rows = rows_of(kept, normal)
    return [_row_plan(row, len(rows), part.phase, repairs) for row in rows], doubles


def _row_plan(row: Row, rows: int, phase: Phase | None, repairs: Sequence[Repair]) -> StackPlan:
    placed = row.placed
    if isinstance(placed, Placement):
        # Asked last: for a series that lacks it and slices, too, the slices are the better reason
        placed = missing_refusal(row.headers, REQUIRED_OF_RESULTS) or placed
    told = (*repairs, *row.repairs)
    block = (row.number, rows) if rows > 1 else None
    if isinstance(placed, Refusal):
        return StackPlan(headers=row.headers, refusal=placed, repairs=told, phase=phase, block=block)
    return StackPlan(
        headers=row.headers,
        placement=placed,
        repairs=(*told, *placed.repairs),
        phase=phase,
        block=block,
    )


def _same_uid(headers: Sequence[Header]) -> Refusal | None:
    """Refuse two slices of one SOP Instance UID and frame: a result goes back on its slice by these."""
    again = len(headers) - len({header.source_frame for header in headers})
    return SAME_UID.refusal(count=again) if again else None


def _not_placeable(headers: Sequence[Header]) -> Refusal | None:
    """Return the first reason that headers give without a look at their positions."""
    kind = kind_refusal(headers[0])
    if kind is not None:
        return kind
    if len(headers) < MINIMUM_SLICES:
        return too_few(headers)
    missing = missing_refusal(headers, REQUIRED)
    if missing is not None:
        return missing
    damaged = [header for header in headers if header.damage]
    if damaged:
        return DECODE_FAILED.refusal(
            tuple(header.sop_instance_uid for header in damaged),
            count=len(damaged),
            total=len(headers),
            transfer_syntax=class_name(damaged[0].transfer_syntax_uid),
            error=damaged[0].damage,
        )
    return other_person(headers) or disagreement(headers, EQUAL)


def _single(
    headers: Sequence[Header], positions: Float64, same_pixels: SamePixels
) -> Refusal | tuple[list[Header], list[SetAside]]:
    """Leave one image at each position; refuse where two there are not the same.

    headers, positions: sorted along the normal.
    """
    kept: list[Header] = []
    doubles: list[SetAside] = []
    places = places_of(positions)
    for _, some in groupby(range(len(headers)), key=lambda n: places[n]):
        indices = list(some)
        first, *others = sorted((headers[n] for n in indices), key=lambda header: header.order)
        for other in others:
            keyword = _difference(first, other, same_pixels)
            if keyword is not None:
                return SAME_POSITION.refusal(
                    tuple(headers[n].sop_instance_uid for n in indices),
                    count=len(indices),
                    position_mm=positions[indices[0]],
                    keyword=keyword,
                )
            doubles.append(_copy(first, other))
        kept.append(first)
    return kept, doubles


def _copy(first: Header, other: Header) -> SetAside:
    return aside(
        other,
        DUPLICATE_INSTANCE,
        sop_instance_uid=other.sop_instance_uid,
        kept_uid=first.sop_instance_uid,
    )


def _difference(first: Header, other: Header, same_pixels: SamePixels) -> str | None:
    """Name the attribute that tells two images at one position apart; None if they are the same image."""
    apart = zip(first.position_lps_mm or (), other.position_lps_mm or (), strict=True)
    if any(abs(a - b) >= SAME_POSITION_MM for a, b in apart):
        return "ImagePositionPatient"
    if first.rescale == other.rescale and same_pixels(first, other):
        return None
    for keyword in PHASE_KEYWORDS:
        if first.tags.get(keyword) != other.tags.get(keyword):
            return keyword
    return "RescaleSlope" if first.rescale != other.rescale else "PixelData"

"""From the headers of a series to its stacks: which slices belong together, and which make a volume.

Pure: the one question that headers cannot answer, whether two images at one position have the same
pixels, is asked of the caller. The order of the headers does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.assemble.headers import PHASE_KEYWORDS
from dicomnode.assemble.kinds import CT_IMAGE, aside, class_name, not_a_slice, set_aside
from dicomnode.assemble.placing import SAME_POSITION_MM, Placement, along_normal, axes, implausible, place
from dicomnode.assemble.record import Header
from dicomnode.faults import (
    DECODE_FAILED,
    DUPLICATE_INSTANCE,
    NOT_A_VOLUME_CLASS,
    SAME_POSITION,
    SAME_UID,
    TAG_INCONSISTENT,
    TAG_MISSING,
    TOO_FEW_SLICES,
)
from dicomnode.values import Float64, Refusal, Repair, SetAside

MINIMUM_SLICES: Final = 3
"""Fewer do not show whether they are evenly spaced."""

ALIKE_COSINES: Final = 1e-4
"""Direction cosines that differ by less are one orientation: no corner of 500 mm moves by 0.05 mm."""

ALIKE_SPACING: Final = 1e-4
"""Pixel spacings that differ by a smaller part are one, for the same reason."""

SamePixels = Callable[[Header, Header], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """Slices that belong together, k ascending, and where they lie; or the refusal that says why not."""

    headers: tuple[Header, ...]
    placement: Placement | None = None
    refusal: Refusal | None = None
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """All of one series: each header is in one stack, or set aside."""

    stacks: tuple[StackPlan, ...]
    set_aside: tuple[SetAside, ...]


def plan_series(headers: Sequence[Header], same_pixels: SamePixels) -> SeriesPlan:
    """Group the headers of one series into stacks and place each.

    The stacks are sorted, the largest first. Checked in this order: class of image, number of slices,
    required attributes, what must agree, sizes that no scan has, images at one position, UIDs, then the
    geometry (`placing`).
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
            plan, doubles = _plan(alike, same_pixels)
            stacks.append(plan)
            left_out += doubles
    stacks.sort(key=lambda plan: (-len(plan.headers), plan.headers[0].order))
    return SeriesPlan(tuple(stacks), tuple(left_out))


def _by_kind(headers: Sequence[Header]) -> list[list[Header]]:
    groups: dict[tuple[str, str | None], list[Header]] = {}
    for header in headers:
        groups.setdefault((header.sop_class_uid, not_a_slice(header)), []).append(header)
    return list(groups.values())


def _alike(headers: Sequence[Header]) -> list[list[Header]]:
    """Split slices by orientation, matrix and pixel spacing.

    Where one lacks them nothing is split: it belongs to the others, and they are refused with it.
    """
    if not_a_slice(headers[0]) or len(headers) < MINIMUM_SLICES or _missing(headers, _REQUIRED):
        return [list(headers)]
    groups: list[list[Header]] = []
    for header in headers:
        for group in groups:
            if _is_alike(group[0], header):
                group.append(header)
                break
        else:
            groups.append([header])
    return groups


def _is_alike(one: Header, other: Header) -> bool:
    if (one.rows, one.columns) != (other.rows, other.columns):
        return False
    spacing = zip(one.spacing_ji_mm or (), other.spacing_ji_mm or (), strict=True)
    cosines = zip(one.orientation or (), other.orientation or (), strict=True)
    return all(abs(a - b) <= ALIKE_SPACING * a for a, b in spacing) and all(
        abs(a - b) <= ALIKE_COSINES for a, b in cosines
    )


def _plan(headers: Sequence[Header], same_pixels: SamePixels) -> tuple[StackPlan, list[SetAside]]:
    refusal = _not_placeable(headers)
    directions = axes(headers[0])
    if refusal is not None or directions is None:
        return StackPlan(headers=tuple(headers), refusal=refusal), []
    positions = along_normal(headers, directions[2])
    order = sorted(range(len(headers)), key=lambda n: (positions[n], headers[n].order))
    ordered = [headers[n] for n in order]
    result = implausible(ordered, positions) or _single(ordered, positions[order], same_pixels)
    if isinstance(result, Refusal):
        return StackPlan(headers=tuple(ordered), refusal=result), []
    kept, doubles = result
    repairs: tuple[Repair, ...] = ()
    if doubles:
        text = f"{len(doubles)} images that repeat the position and the pixels of another were left out."
        repairs = (Repair("duplicate", text),)
    placement = _same_uid(kept) or (place(kept) if len(kept) >= MINIMUM_SLICES else _too_few(kept))
    if isinstance(placement, Placement):
        # Asked last: for a series that lacks it and slices, too, the slices are the better reason
        placement = _missing_refusal(kept, _REQUIRED_OF_RESULTS) or placement
    if isinstance(placement, Refusal):
        return StackPlan(headers=tuple(kept), refusal=placement, repairs=repairs), doubles
    return StackPlan(
        headers=tuple(kept), placement=placement, repairs=(*repairs, *placement.repairs)
    ), doubles


def _same_uid(headers: Sequence[Header]) -> Refusal | None:
    """Refuse two slices of one SOP Instance UID: a result goes back on its slice by this UID."""
    again = len(headers) - len({header.sop_instance_uid for header in headers})
    return SAME_UID.refusal(count=again) if again else None


def _too_few(headers: Sequence[Header]) -> Refusal:
    return TOO_FEW_SLICES.refusal(count=len(headers), minimum=MINIMUM_SLICES)


def _not_placeable(headers: Sequence[Header]) -> Refusal | None:
    """Return the first reason that headers give without a look at their positions."""
    kind = not_a_slice(headers[0])
    if kind is not None:
        return NOT_A_VOLUME_CLASS.refusal(sop_class=kind)
    if len(headers) < MINIMUM_SLICES:
        return _too_few(headers)
    missing = _missing_refusal(headers, _REQUIRED)
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
    return _disagreement(headers)


_Required = Mapping[tuple[str, str], Callable[[Header], bool]]

# Without these a slice has no place in the patient (PS3.3 C.7.6.2, C.7.6.3) …
_REQUIRED: Final[_Required] = {
    ("(0020,0032)", "ImagePositionPatient"): lambda header: header.position_lps_mm is not None,
    ("(0020,0037)", "ImageOrientationPatient"): lambda header: axes(header) is not None,
    ("(0028,0030)", "PixelSpacing"): lambda header: header.spacing_ji_mm is not None,
    ("(0028,0010)", "Rows"): lambda header: header.rows is not None,
    ("(0028,0011)", "Columns"): lambda header: header.columns is not None,
    # … and CT no Hounsfield units (C.8.2.1). MR has no unit, so it may do without.
    ("(0028,1053)", "RescaleSlope"): lambda header: (
        header.sop_class_uid != CT_IMAGE or header.rescale is not None
    ),
}

# Without it no result can name the space that it lies in (C.7.4.1).
_REQUIRED_OF_RESULTS: Final[_Required] = {
    ("(0020,0052)", "FrameOfReferenceUID"): lambda header: header.frame_of_reference_uid is not None,
}

# What must be one in all slices of a volume. Values of the first are never shown.
_EQUAL: Final[Mapping[tuple[str, str], Callable[[Header], object]]] = {
    ("(0010,0020)", "PatientID"): lambda header: header.patient_key,
    ("(0020,0052)", "FrameOfReferenceUID"): lambda header: header.frame_of_reference_uid,
    ("(0008,0060)", "Modality"): lambda header: header.modality,
    # PS3.3 C.11.1.1.2: absent in CT means Hounsfield units
    ("(0028,1054)", "RescaleType"): lambda header: header.tags.get("RescaleType") or "HU",
    ("(0018,5100)", "PatientPosition"): lambda header: header.tags.get("PatientPosition"),
}
_SHOWN_VALUES: Final = 3


def _missing(headers: Sequence[Header], required: _Required) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return required attributes that some lack, each with the instances that lack it."""
    lacking = {
        attribute: tuple(header.sop_instance_uid for header in headers if not has(header))
        for attribute, has in required.items()
    }
    return {attribute: uids for attribute, uids in lacking.items() if uids}


def _missing_refusal(headers: Sequence[Header], required: _Required) -> Refusal | None:
    for (tag, keyword), uids in _missing(headers, required).items():
        return TAG_MISSING.refusal(
            uids if len(uids) < len(headers) else (),
            tag=tag,
            keyword=keyword,
            count=len(uids),
            total=len(headers),
        )
    return None


def _disagreement(headers: Sequence[Header]) -> Refusal | None:
    for (tag, keyword), value_of in _EQUAL.items():
        values = sorted({str(value_of(header)) for header in headers})
        if len(values) == 1:
            continue
        shown = f"{len(values)} different values"
        if keyword != "PatientID":
            shown = ", ".join(values[:_SHOWN_VALUES]) + (" …" if len(values) > _SHOWN_VALUES else "")
        return TAG_INCONSISTENT.refusal(tag=tag, keyword=keyword, values=shown)
    return None


def _single(
    headers: Sequence[Header], positions: Float64, same_pixels: SamePixels
) -> Refusal | tuple[list[Header], list[SetAside]]:
    """Leave one image at each position; refuse where two there are not the same.

    headers, positions: sorted along the normal.
    """
    places: list[list[int]] = []
    for n, position in enumerate(positions):
        if places and position - positions[places[-1][0]] < SAME_POSITION_MM:
            places[-1].append(n)
        else:
            places.append([n])
    kept: list[Header] = []
    doubles: list[SetAside] = []
    for indices in places:
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
            doubles.append(aside(other, DUPLICATE_INSTANCE, **_names(first, other)))
        kept.append(first)
    return kept, doubles


def _names(first: Header, other: Header) -> dict[str, str]:
    return {"sop_instance_uid": other.sop_instance_uid, "kept_uid": first.sop_instance_uid}


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

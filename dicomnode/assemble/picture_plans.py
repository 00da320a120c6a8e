"""From instances that are no slices to one stack for each picture or cine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.assemble.kinds import aside, class_name
from dicomnode.assemble.record import Header
from dicomnode.assemble.stacks import SamePixels, SeriesPlan, StackPlan
from dicomnode.faults import (
    DECODE_FAILED,
    DUPLICATE_INSTANCE,
    PICTURE_COLOURS,
    PICTURE_TOO_LARGE,
    SAME_UID,
    TAG_MISSING,
)
from dicomnode.values import Refusal, Repair, SetAside

_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
_MOST_BYTES: Final = 4 * 10**9
_WIDEST: Final = 4  # bytes of a value once it is no whole number any more
_GB: Final = 1e9


def plan_pictures(headers: Sequence[Header], same_pixels: SamePixels) -> SeriesPlan:
    """Make a stack of each picture or cine of one series, and set copies aside.

    headers: all of them pictures, see `picture_kind`. The stacks stand in the order of Instance Numbers.
    """
    groups: dict[str, list[Header]] = {}
    for header in sorted(headers, key=lambda one: one.order):
        groups.setdefault(header.sop_instance_uid, []).append(header)
    stacks: list[StackPlan] = []
    copies: list[SetAside] = []
    for uid, (first, *others) in groups.items():
        refusal = _refusal(first)
        if refusal is None and not all(same_pixels(first, other) for other in others):
            refusal = SAME_UID.refusal(count=len(others))
        notes = first.picture.notes if first.picture is not None else ()
        repairs = tuple(Repair("spacing", note) for note in notes)
        stacks.append(StackPlan(headers=(first,), refusal=refusal, repairs=repairs))
        copies += [aside(one, DUPLICATE_INSTANCE, sop_instance_uid=uid, kept_uid=uid) for one in others]
    return SeriesPlan(tuple(stacks), tuple(copies))


def _refusal(header: Header) -> Refusal | None:
    """Refuse what cannot become pixels, as far as the header tells."""
    for tag, keyword, value in (
        ("(0028,0010)", "Rows", header.rows),
        ("(0028,0011)", "Columns", header.columns),
    ):
        if value is None:
            return TAG_MISSING.refusal(tag=tag, keyword=keyword, count=1, total=1)
    photometric = header.photometric
    wanted = 1 if photometric in _GREY else 3
    if wanted == 3 and photometric != "RGB" and not photometric.startswith("YBR_"):
        found = photometric or "empty"
        return PICTURE_COLOURS.refusal(tag="(0028,0004)", keyword="PhotometricInterpretation", found=found)
    if header.samples != wanted:
        found = f"{header.samples}, with {photometric}"
        return PICTURE_COLOURS.refusal(tag="(0028,0002)", keyword="SamplesPerPixel", found=found)
    if header.damage:
        return DECODE_FAILED.refusal(
            count=1, total=1, transfer_syntax=class_name(header.transfer_syntax_uid), error=header.damage
        )
    taken = _WIDEST * header.frames * header.values
    if taken > _MOST_BYTES:
        return PICTURE_TOO_LARGE.refusal(
            frames=header.frames,
            rows=header.rows,
            columns=header.columns,
            gigabytes=round(taken / _GB, 1),
            limit_gb=round(_MOST_BYTES / _GB),
        )
    return None

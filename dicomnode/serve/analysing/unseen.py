"""What of a series an engine did not look at: slices beyond the stack that it took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.assemble import Stack
from dicomnode.faults import RANGE_NOT_SEEN
from dicomnode.values import Float64, Remark, RemarkKind

BEYOND: Final = 0.75
"""Part of a slice distance: a phase whose slices lie between those of another ends half a distance beyond it,
and is no other part of the patient."""

SAME_NORMAL: Final = 0.999
"""Cosine of the angle between the normals of stacks that lie behind each other: scouts are none."""


def unseen_remarks(taken: Stack, others: Sequence[Stack]) -> tuple[Remark, ...]:
    """Say which ranges of the series of a stack lie outside of it: as blocks, as phases, or refused.

    others: stacks of the study, `taken` may be among them. A phase that covers what `taken` covers is no
    range; nor is a stack whose positions are not known.
    """
    if taken.placement is None:
        return ()
    grid = taken.placement.grid
    normal, distance = grid.normal_lps, grid.slice_distance_mm
    low, high = _ends(taken, normal)
    ranges: list[str] = []
    for other in others:
        if other is taken or not _is_of(taken, other, normal):
            continue
        along = np.sort(_along(other, normal))
        beyond = (along[along < low - BEYOND * distance], along[along > high + BEYOND * distance])
        ranges += [_range(other, some) for some in beyond if len(some)]
    if not ranges:
        return ()
    text = RANGE_NOT_SEEN.text(
        taken_mm=high - low + distance, first_mm=low, last_mm=high, ranges="; ".join(ranges)
    )
    return (Remark(kind=RemarkKind.QUALITY, text=text, code=RANGE_NOT_SEEN.code),)


def _is_of(taken: Stack, other: Stack, normal: Float64) -> bool:
    """Tell whether a stack is of the same series, its slices parallel, and placed in the same space."""
    if other.facts.series_instance_uid != taken.facts.series_instance_uid:
        return False
    spaces = {header.frame_of_reference_uid for stack in (taken, other) for header in stack.headers}
    first = other.headers[0]
    if len(spaces) > 1 or first.orientation is None:
        return False
    if any(header.position_lps_mm is None for header in other.headers):
        return False
    row, column = first.orientation[:3], first.orientation[3:]
    return bool(abs(np.cross(row, column) @ normal) > SAME_NORMAL)


def _along(stack: Stack, normal: Float64) -> Float64:
    points = [header.position_lps_mm for header in stack.headers]
    return np.asarray(np.array(points, dtype=np.float64) @ normal, dtype=np.float64)


def _ends(stack: Stack, normal: Float64) -> tuple[float, float]:
    along = _along(stack, normal)
    return float(along.min()), float(along.max())


def _range(stack: Stack, along: Float64) -> str:
    """Say where slices lie, how many, and why they are no part of the stack."""
    if len(along) == 1:
        text = f"1 slice at {along[0]:.1f} mm"
    else:
        text = (
            f"{along[-1] - along[0]:.1f} mm from {along[0]:.1f} to {along[-1]:.1f} mm ({len(along)} slices)"
        )
    why = [f"{word} {stack.facts.facts[word]}" for word in ("block", "phase") if word in stack.facts.facts]
    if stack.facts.refusal is not None:
        why.append(f"refused, {stack.facts.refusal.code}")
    return ", ".join((text, *why))

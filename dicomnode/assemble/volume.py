"""From a stack to a volume: decode, rescale, mend, place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from dicomnode.assemble.decode import ImplausibleError, UndecodableError
from dicomnode.assemble.foreign import quiet
from dicomnode.assemble.kinds import CT_IMAGE, class_name
from dicomnode.assemble.record import Header
from dicomnode.assemble.rescale import (
    CT_LOWEST_HU,
    MR_LOWEST,
    Padded,
    Voxels,
    declared_padding,
    mend_ct,
    mend_mr,
    padding_repair,
    rescaled,
)
from dicomnode.assemble.slices import DecodedSlice, decode_slice
from dicomnode.assemble.studies import Stack
from dicomnode.faults import DECODE_FAILED, DECODE_SUSPECT, NodeError
from dicomnode.values import Code, Progress, Repair, SourceFrame, SourceHeaders, Volume, no_progress
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT

# PS3.3 C.11.1.1.2 Rescale Type; absent means Hounsfield units in CT
_HOUNSFIELD_TYPES: Final = frozenset({"", "HU", "HU_MOD"})


@dataclass(slots=True)
class _Building:
    """What is gathered slice by slice."""

    shape_kji: tuple[int, int, int]
    voxels: Voxels
    encoded: list[bytes] = field(default_factory=list)
    padded: list[Padded] = field(default_factory=list)
    constant: list[bool] = field(default_factory=list)
    hiding: list[bool] = field(default_factory=list)  # of one value, from too many bytes
    plugins: list[str] = field(default_factory=list)
    failures: list[tuple[Header, str]] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)

    def put(self, k: int, values: Voxels) -> None:
        if values.dtype == np.float32 and self.voxels.dtype == np.int16:
            self.voxels = self.voxels.astype(np.float32)
        self.voxels[k] = values


Ahead = Callable[[Header], DecodedSlice | None]
"""Gives a slice that was decoded before, where there is one."""


def nothing_ahead(_: Header) -> DecodedSlice | None:
    """No slice was decoded before."""
    return None


def load_volume(stack: Stack, progress: Progress = no_progress, ahead: Ahead = nothing_ahead) -> Volume:
    """Decode the slices of a stack into a volume, but for those that `ahead` has.

    Voxels are int16 where rescaling loses nothing by it, else float32, in Hounsfield units for CT and
    without unit for MR; each slice is rescaled by its own slope and intercept. What was mended stands in
    `repairs`. Progress: "decoding", slices.
    Raises NodeError(DECODE_FAILED, DECODE_SUSPECT) about the images, NodeError(FILE_UNREADABLE) about
    the disk; ValueError for a stack that was refused.
    """
    placement, first = stack.placement, stack.headers[0]
    if placement is None or first.rows is None or first.columns is None:
        raise ValueError("a refused stack has no volume")
    shape = (len(stack.headers), first.rows, first.columns)
    building = _Building(shape, np.zeros(shape, dtype=np.int16))
    with quiet():
        for k, header in enumerate(stack.headers):
            progress("decoding", k, len(stack.headers))
            _add(building, k, header, ahead)
        _raise_failures(building, len(stack.headers))
        _doubt_constant(building, stack.headers)
    progress("decoding", len(stack.headers), len(stack.headers))
    lowest, unit_text = (CT_LOWEST_HU, " HU") if first.sop_class_uid == CT_IMAGE else (MR_LOWEST, "")
    return Volume(
        voxels=building.voxels,
        affine_lps=placement.affine_lps,
        unit=_unit(first),
        frame_of_reference_uid=first.frame_of_reference_uid or "",
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        frames=tuple(SourceFrame(header.sop_instance_uid) for header in stack.headers),
        headers=SourceHeaders(tuple(building.encoded)),
        repairs=(
            *stack.repairs,
            *_rescale_repair(stack.headers),
            *building.repairs,
            *padding_repair(building.padded, building.voxels.size, lowest, unit_text),
        ),
    )


def _add(building: _Building, k: int, header: Header, ahead: Ahead) -> None:
    """Decode one slice and put it in its place; what fails is noted, and the next is tried."""
    try:
        one = ahead(header) or decode_slice(header)
    except UndecodableError as error:
        building.failures.append((header, str(error)))
        return
    except ImplausibleError as error:
        raise _suspect(header, str(error)) from error
    building.encoded.append(one.encoded_header)
    building.plugins.append(one.plugin)
    building.constant.append(one.is_constant)
    building.hiding.append(one.hides_more)
    _put(building, k, header, one)


def _put(building: _Building, k: int, header: Header, one: DecodedSlice) -> None:
    slope, intercept = header.rescale or (1.0, 0.0)
    values = rescaled(one.stored, slope, intercept)
    declared = declared_padding(one.stored, header.padding)
    mend = mend_ct if header.sop_class_uid == CT_IMAGE and _is_hounsfield(header) else mend_mr
    padded = mend(values, declared)
    if padded is not None:
        building.padded.append(padded)
    building.put(k, values)


def _raise_failures(building: _Building, total: int) -> None:
    if building.failures:
        header, error = building.failures[0]
        raise NodeError(
            DECODE_FAILED,
            count=len(building.failures),
            total=total,
            transfer_syntax=class_name(header.transfer_syntax_uid),
            error=error,
        )


def _doubt_constant(building: _Building, headers: Sequence[Header]) -> None:
    """Ask another decoder about slices of one value that should not be so; refuse them if none says more.

    Such a slice is doubted between two that vary, and where its file holds more than it would need.
    """
    for k, header in enumerate(headers):
        between = 0 < k < len(headers) - 1 and not (building.constant[k - 1] or building.constant[k + 1])
        if not building.constant[k] or not (between or building.hiding[k]):
            continue
        try:
            other = decode_slice(header, other_than=building.plugins[k])
        except (UndecodableError, ImplausibleError):
            other = None
        if other is None or other.is_constant:
            raise _suspect(header, "all its pixels have one value")
        _put(building, k, header, other)
        text = f"Slice {k} decodes to one value with {building.plugins[k]}; {other.plugin} was used."
        building.repairs.append(Repair("decoder", text))


def _suspect(header: Header, why: str) -> NodeError:
    return NodeError(DECODE_SUSPECT, sop_instance_uid=header.sop_instance_uid, reason=why)


def _is_hounsfield(header: Header) -> bool:
    return str(header.tags.get("RescaleType") or "") in _HOUNSFIELD_TYPES


def _unit(header: Header) -> Code:
    return HOUNSFIELD if header.sop_class_uid == CT_IMAGE and _is_hounsfield(header) else NO_UNIT


def _rescale_repair(headers: Sequence[Header]) -> tuple[Repair, ...]:
    slopes = sorted({(header.rescale or (1.0, 0.0))[0] for header in headers})
    if len(slopes) == 1:
        return ()
    text = f"Rescale Slope differs between slices ({slopes[0]:g} to {slopes[-1]:g}); each has its own."
    return (Repair("rescale", text),)

"""From a stack to a volume: decode, rescale, mend, place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dicomnode.assemble.bits import TOO_FEW_BITS, bits_repairs
from dicomnode.assemble.decoders.file import DecodingError, ImplausibleError
from dicomnode.assemble.hounsfield import check_hounsfield
from dicomnode.assemble.kinds import class_name
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
from dicomnode.assemble.slices import DecodedSlice, DecodeSlices, decode_here
from dicomnode.assemble.studies import Stack
from dicomnode.assemble.units import Scaling, scaling_of
from dicomnode.faults import DECODE_FAILED, DECODE_SUSPECT, NodeError
from dicomnode.values import Progress, Repair, SourceHeaders, Volume, no_progress
from dicomnode.values.codes import HOUNSFIELD


@dataclass(slots=True)
class _Building:
    """What is gathered slice by slice."""

    shape_kji: tuple[int, int, int]
    scaling: Scaling
    voxels: Voxels
    encoded: dict[str, bytes] = field(default_factory=dict)  # by SOP Instance UID
    padded: list[Padded] = field(default_factory=list)
    constant: list[bool] = field(default_factory=list)
    hiding: list[bool] = field(default_factory=list)  # of one value, from too many bytes
    plugins: list[str] = field(default_factory=list)
    cleared: list[int] = field(default_factory=list)  # pixels of each slice
    extended: bool = False  # some slice has negative values, and no unused bits
    shifted: set[int] = field(default_factory=set)  # bits
    failures: list[tuple[Header, str]] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)

    def place(self, k: int) -> NDArray[np.int16] | None:
        """Return where a slice of int16 goes to; None once the volume is float32."""
        return self.voxels[k] if self.voxels.dtype == np.int16 else None

    def put(self, k: int, values: Voxels) -> None:
        """Put a slice that is not in its place yet."""
        if values.dtype == np.float32 and self.voxels.dtype == np.int16:
            self.voxels = self.voxels.astype(np.float32)
        self.voxels[k] = values


def load_volume(stack: Stack, progress: Progress = no_progress, decode: DecodeSlices = decode_here) -> Volume:
    """Decode the slices of a stack into a volume.

    decode: a `DecoderPool` for images of strangers; without one they are decoded in this process.
    Voxels are int16 where rescaling loses nothing by it, else float32, in the unit that `units` finds; each
    slice is rescaled by its own slope and intercept. What was mended stands in `repairs`. Progress:
    "decoding", slices.
    Raises NodeError(DECODE_FAILED, DECODE_SUSPECT, VALUES_NOT_HU) about the images,
    NodeError(FILE_UNREADABLE) about the disk; ValueError for a stack that was refused.
    """
    placement, first = stack.placement, stack.headers[0]
    if placement is None or first.rows is None or first.columns is None:
        raise ValueError("a refused stack has no volume")
    shape = (len(stack.headers), first.rows, first.columns)
    scaling = scaling_of(stack.headers, of_several="phase" in stack.facts.facts)
    building = _Building(shape, scaling, np.zeros(shape, dtype=np.int16))
    for k, (header, one) in enumerate(zip(stack.headers, decode(stack.headers), strict=True)):
        progress("decoding", k, len(stack.headers))
        _add(building, k, header, one)
    _raise_failures(building, len(stack.headers))
    _doubt_bits(building, stack.headers)
    _doubt_constant(building, stack.headers, decode)
    progress("decoding", len(stack.headers), len(stack.headers))
    unit = building.scaling.unit
    lowest, unit_text = (CT_LOWEST_HU, " HU") if unit == HOUNSFIELD else (MR_LOWEST, "")
    if unit == HOUNSFIELD:
        check_hounsfield(building.voxels, [intercept for _, intercept in building.scaling.scales])
    return Volume(
        voxels=building.voxels,
        affine_lps=placement.affine_lps,
        unit=unit,
        frame_of_reference_uid=first.frame_of_reference_uid or "",
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        frames=tuple(header.source_frame for header in stack.headers),
        headers=SourceHeaders(tuple(building.encoded.values())),
        repairs=(
            *stack.repairs,
            *building.scaling.repairs,
            *building.repairs,
            *bits_repairs(sum(building.cleared), building.shifted),
            *padding_repair(building.padded, building.voxels.size, lowest, unit_text),
        ),
    )


def _add(building: _Building, k: int, header: Header, one: DecodedSlice | DecodingError) -> None:
    """Put one slice in its place; what failed is noted, and the next one is taken."""
    if isinstance(one, ImplausibleError):
        raise _suspect(header, str(one)) from one
    if isinstance(one, DecodingError):
        building.failures.append((header, str(one)))
        return
    if header.sop_instance_uid not in building.encoded:
        building.encoded[header.sop_instance_uid] = one.encoded_header
    building.plugins.append(one.plugin)
    building.constant.append(one.is_constant)
    building.hiding.append(one.hides_more)
    building.cleared.append(one.cleared)
    building.extended |= one.low < 0 and not one.cleared
    building.shifted.add(one.shifted)
    _put(building, k, header, one)


def _put(building: _Building, k: int, header: Header, one: DecodedSlice) -> None:
    slope, intercept = building.scaling.scales[k]
    extent = (one.low, one.high)
    place = building.place(k)
    values = rescaled(one.stored, slope, intercept, extent, place)
    declared = declared_padding(one.stored, header.padding, extent)
    mend = mend_ct if building.scaling.unit == HOUNSFIELD else mend_mr
    padded = mend(values, declared)
    if padded is not None:
        building.padded.append(padded)
    if values is not place:
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


def _doubt_bits(building: _Building, headers: Sequence[Header]) -> None:
    """Refuse a volume whose signed values were cut in some slices, and are sign extended in others."""
    cut = next((k for k, count in enumerate(building.cleared) if count), None)
    if cut is not None and building.extended:
        raise _suspect(headers[cut], TOO_FEW_BITS)


def _doubt_constant(building: _Building, headers: Sequence[Header], decode: DecodeSlices) -> None:
    """Ask another decoder about slices of one value that should not be so; refuse them if none says more.

    Such a slice is doubted between two that vary, and where its file holds more than it would need.
    """
    for k, header in enumerate(headers):
        between = 0 < k < len(headers) - 1 and not (building.constant[k - 1] or building.constant[k + 1])
        if not building.constant[k] or not (between or building.hiding[k]):
            continue
        (other,) = decode([header], other_than=building.plugins[k])
        if isinstance(other, DecodingError) or other.is_constant:
            raise _suspect(header, "all its pixels have one value")
        _put(building, k, header, other)
        text = f"Slice {k} decodes to one value with {building.plugins[k]}; {other.plugin} was used."
        building.repairs.append(Repair("decoder", text))


def _suspect(header: Header, why: str) -> NodeError:
    return NodeError(DECODE_SUSPECT, sop_instance_uid=header.sop_instance_uid, reason=why)

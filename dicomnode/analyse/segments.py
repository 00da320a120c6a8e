"""From what the steps found to segments with a meaning: labels, codes, tracking, measurements, remarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

from dicomnode.analyse.acquisition import acquisition_of, low_attenuation_refused
from dicomnode.analyse.interpret import Point
from dicomnode.analyse.measure import LOW_ATTENUATION, Measured, core_hu, is_solid, measure
from dicomnode.analyse.place import Organ
from dicomnode.analyse.steps import Piece, Result
from dicomnode.engine import Manifest, OutputSpec
from dicomnode.values import (
    FindingKind,
    Mask,
    Progress,
    Region,
    RegionKind,
    Remark,
    RemarkKind,
    Segment,
    Volume,
    derive_uid,
)
from dicomnode.values.codes import HOUNSFIELD, LEFT, RIGHT

STAGE: Final = "measuring"
_LESION: Final = "lesion"
_SIDES: Final = {"left": LEFT, "right": RIGHT}
_TOUCHES_MM: Final = 1.0  # half a voxel of the grid that the lungs are found on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Occasion:
    """What tracking UIDs are derived from: the same engine on the same study version gives the same ones."""

    salt: bytes
    study_version: int
    engine_digest: str
    study_instance_uid: str

    def tracking_uid(self, label: str) -> str:
        """Return the Tracking Unique Identifier (0062,0021) of a finding."""
        version = str(self.study_version)
        return derive_uid(self.salt, self.study_instance_uid, version, self.engine_digest, "tracking", label)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Described:
    """Segments and regions in the order of the manifest, and what must be said of them."""

    segments: tuple[Segment, ...] = ()
    regions: tuple[Region, ...] = ()
    remarks: tuple[Remark, ...] = ()


def describe(
    manifest: Manifest,
    results: Mapping[str, Result],
    volume: Volume,
    occasion: Occasion,
    progress: Progress,
) -> Described:
    """Give everything that the steps found its label, codes, tracking and measurements."""
    left_out, remarks = _low_attenuation(manifest, volume)
    found = [(output, _pieces(manifest, output, results[output.step])) for output in manifest.output]
    segments: list[Segment] = []
    regions: list[Region] = []
    total = sum(len(pieces) for _, pieces in found)
    progress(STAGE, 0, total)
    for output, pieces in found:
        desk = _Desk(output, results[output.step], _organ(manifest, output, results), volume, occasion)
        wanted = [name for name in output.measure if name not in left_out]
        for number, piece in enumerate(pieces, start=1):
            segments.append(desk.segment(piece, number, wanted))
            progress(STAGE, len(segments), total)
        regions.extend(desk.regions(first=len(pieces) + 1))
        remarks.extend(desk.remarks)
        if not pieces:
            remarks.extend(_none_found(output, results[output.step]))
    return Described(segments=tuple(segments), regions=tuple(regions), remarks=tuple(remarks))


class _Desk:
    """Describes what belongs to one [[output]]."""

    def __init__(
        self, output: OutputSpec, result: Result, organ: Organ | None, volume: Volume, occasion: Occasion
    ) -> None:
        self._output, self._result, self._organ = output, result, organ
        self._volume, self._occasion = volume, occasion
        self.remarks: list[Remark] = []

    def segment(self, piece: Piece, number: int, wanted: Sequence[str]) -> Segment:
        output = self._output
        measured = measure(piece.mask, self._volume, wanted)
        label = self._label(number)
        segment = Segment(
            label=label,
            kind=FindingKind(output.kind),
            category=output.category.coded,
            type=output.type.coded,
            mask=piece.mask,
            centre_lps_mm=measured.centre_lps_mm,
            tracking_uid=self._occasion.tracking_uid(label),
            tracking_id=output.tracking.format(number=number),
            algorithm=self._result.label,
            laterality=output.laterality_code,
            site=output.site.coded if output.site else None,
            score=piece.score,
            long_axis_lps_mm=measured.axes.long_lps_mm if measured.axes else None,
            short_axis_lps_mm=measured.axes.short_lps_mm if measured.axes else None,
            colour_rgb=output.colour_rgb,
            measurements=measured.measurements,
        )
        return self._placed(segment, measured) if output.kind == _LESION else segment

    def _placed(self, segment: Segment, measured: Measured) -> Segment:
        """Add the side that a lesion lies on, and a sentence on its density and place."""
        facts = []
        if self._volume.unit == HOUNSFIELD:
            core = core_hu(segment.mask, self._volume)
            facts.append(f"{'solid' if is_solid(core) else 'subsolid'} core ({core:.0f} HU)")
        side = self._organ.side_of(measured.centre_lps_mm) if self._organ else None
        if self._organ is not None:
            far = self._organ.to_border_mm(segment.mask, self._volume.grid)
            words = ([side] if side else []) + [segment.site.meaning.lower() if segment.site else "organ"]
            where = "at" if far < _TOUCHES_MM else f"{far:.0f} mm from"
            facts.append(f"{where} the border of the {' '.join(words)}")
        if _at_edge(segment.mask):
            facts.append("cut off by the edge of the images: it may be larger than what was measured")
        if facts:
            text = f"{segment.tracking_id}: {', '.join(facts)}."
            self.remarks.append(Remark(kind=RemarkKind.QUALITY, text=text))
        return replace(segment, laterality=segment.laterality or (_SIDES[side] if side else None))

    def regions(self, first: int) -> list[Region]:
        """Describe what has a place and no outline; numbers go on after the segments."""
        if self._output.kind != _LESION:
            return []
        return [self._region(point, number) for number, point in enumerate(self._result.points, start=first)]

    def _region(self, point: Point, number: int) -> Region:
        output, label = self._output, self._label(number)
        side = self._organ.side_of(point.centre_lps_mm) if self._organ else None
        return Region(
            label=label,
            kind=RegionKind.POINT,
            points_lps_mm=(point.centre_lps_mm,),
            type=output.type.coded,
            tracking_uid=self._occasion.tracking_uid(label),
            tracking_id=output.tracking.format(number=number),
            algorithm=self._result.label,
            site=output.site.coded if output.site else None,
            laterality=_SIDES[side] if side else None,
            score=point.score,
        )

    def _label(self, number: int) -> str:
        output = self._output
        if output.kind == _LESION:
            return f"{output.segment}-{number}"
        return f"{output.segment}-{output.laterality}" if output.laterality else output.segment


def _at_edge(mask: Mask) -> bool:
    """Tell whether a mask reaches the first or last slice, row or column: what lies beyond is not seen."""
    ends = zip(mask.box_kji, mask.shape_kji, strict=True)
    return any(start == 0 or stop == size for (start, stop), size in ends)


def _pieces(manifest: Manifest, output: OutputSpec, result: Result) -> list[Piece]:
    """Return what belongs to an [[output]]: by its side, or by its place among those of the step."""
    of_step = [one for one in manifest.output if one.step == output.step]
    kind = of_step.index(output)
    pieces = [piece for piece in result.pieces if piece.kind in (None, kind)]
    if output.laterality is not None and any(piece.side for piece in pieces):
        pieces = [piece for piece in pieces if piece.side == output.laterality]
    if output.kind == _LESION or len(pieces) < 2:
        return pieces
    union = reduce(Mask.union, (piece.mask for piece in pieces))
    return [replace(pieces[0], mask=union, side=None)]


def _none_found(output: OutputSpec, result: Result) -> list[Remark]:
    """Say that a kind of segment is not there; an algorithm that gave other parts has said so itself."""
    if result.points or result.parts:
        return []
    meaning = output.type.meaning
    return [
        Remark(
            kind=RemarkKind.NO_FINDING,
            text=f"{meaning}: {result.none_found[0].lower()}{result.none_found[1:]}",
            type=output.type.coded,
            site=output.site.coded if output.site else None,
        )
    ]


def _organ(manifest: Manifest, output: OutputSpec, results: Mapping[str, Result]) -> Organ | None:
    """Return what the step of an output was cropped to, where that is worth saying."""
    crop = manifest.step_named(output.step).crop
    if crop is None or output.kind != _LESION:
        return None
    around = results[crop.of]
    return Organ(around.region, around.parts) if around.region is not None and around.parts else None


def _low_attenuation(manifest: Manifest, volume: Volume) -> tuple[frozenset[str], list[Remark]]:
    """Return the measures that are left out because of how the images were made, and what is said of it."""
    if not any(LOW_ATTENUATION in output.measure for output in manifest.output):
        return frozenset(), []
    made = acquisition_of(volume.headers)
    spacing_k_mm = volume.grid.spacing_kji_mm[0]
    why = low_attenuation_refused(made, spacing_k_mm)
    if why is not None:
        text = f"The share of lung below -950 HU is not given: {why}."
        return frozenset({LOW_ATTENUATION}), [Remark(kind=RemarkKind.LIMIT, text=text)]
    thickness = made.slice_thickness_mm or spacing_k_mm
    text = (
        f"The share of lung below -950 HU holds for kernel {made.kernel} and slices of {thickness:.4g} mm; "
        "compare it only with images made the same way."
    )
    return frozenset(), [Remark(kind=RemarkKind.LIMIT, text=text)]

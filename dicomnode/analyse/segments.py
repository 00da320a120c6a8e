"""What has a place in the patient: segments, points and boxes with labels, codes, tracking, measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

from dicomnode.analyse.acquisition import acquisition_of, low_attenuation_refused
from dicomnode.analyse.axes import plane_of_slices
from dicomnode.analyse.each import Lesion
from dicomnode.analyse.interpret import FoundBox, Point
from dicomnode.analyse.lesion_answers import Answers, Found
from dicomnode.analyse.measure import IN_HU, OF_THE_KERNEL, Measured, core_hu, is_solid, measure
from dicomnode.analyse.occasion import Occasion
from dicomnode.analyse.place import Organ
from dicomnode.analyse.steps import Piece, Result
from dicomnode.engine import Manifest, OutputSpec
from dicomnode.faults import UNDECIDED
from dicomnode.values import (
    FindingKind,
    Mask,
    PicturePlane,
    PointLps,
    Progress,
    Region,
    RegionKind,
    Remark,
    RemarkKind,
    Segment,
    Volume,
)
from dicomnode.values.codes import HOUNSFIELD, LEFT, RIGHT

STAGE: Final = "measuring"
_LESION: Final = "lesion"
_LUNG: Final = "39607008"  # SNOMED CT; only there "subsolid" is a word, for what holds air
_SIDES: Final = {"left": LEFT, "right": RIGHT}
_LOW_ATTENUATION: Final = {
    "laa950_percent": "the share of lung below -950 HU",
    "perc15_hu": "the 15th percentile of density",
}
_TOUCHES_MM: Final = 1.0  # half a voxel of the grid that the lungs are found on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """Segments and regions in the order of the manifest, and what must be said of them."""

    segments: tuple[Segment, ...] = ()
    regions: tuple[Region, ...] = ()
    remarks: tuple[Remark, ...] = ()


def place(
    manifest: Manifest,
    results: Mapping[str, Result],
    volume: Volume,
    occasion: Occasion,
    progress: Progress,
    plane: PicturePlane | None = None,
) -> Placed:
    """Give what has a place in the patient its label, codes, tracking and measurements.

    plane: of a picture, of which `volume` is the grey form; None of a volume.
    """
    left_out, remarks = _left_out(manifest, volume) if plane is None else _not_in_mm(manifest, plane)
    outputs = [output for output in manifest.output if output.what in {"segment", "region"}]
    found = [(output, _pieces(manifest, output, results[output.step])) for output in outputs]
    segments: list[Segment] = []
    regions: list[Region] = []
    total = sum(len(pieces) for _, pieces in found)
    progress(STAGE, 0, total)
    for output, pieces in found:
        result = results[output.step].of_head(output.head)
        boxes = _boxes(manifest, output, result)
        answers = Answers.about(manifest, output, results, volume)
        desk = _Desk(output, result, _organ(manifest, output, results), answers, occasion)
        wanted = [name for name in output.measure if name not in left_out]
        for number, piece in enumerate(pieces, start=1):
            segments.append(desk.segment(piece, number, wanted))
            progress(STAGE, len(segments), total)
        regions.extend(desk.points(first=len(pieces) + 1))
        regions.extend(desk.box(box, number) for number, box in enumerate(boxes, start=1))
        remarks.extend(desk.remarks)
        if not pieces and not boxes:
            remarks.extend(_none_found(output, result))
    if plane is None:
        remarks.extend(_other_plane(segments, volume))
    return Placed(segments=tuple(segments), regions=tuple(regions), remarks=tuple(remarks))


class _Desk:
    """Describes what belongs to one [[output]]."""

    def __init__(
        self, output: OutputSpec, result: Result, organ: Organ | None, answers: Answers, occasion: Occasion
    ) -> None:
        self._output, self._result, self._organ = output, result, organ
        self._answers, self._volume, self._occasion = answers, answers.volume, occasion
        self.remarks: list[Remark] = []

    def segment(self, piece: Piece, number: int, wanted: Sequence[str]) -> Segment:
        output = self._output
        measured = measure(piece.mask, self._volume, wanted)
        label = self._label(number)
        segment = Segment(
            label=label,
            kind=FindingKind(output.kind or _LESION),
            category=output.property_category,
            type=output.concept,
            mask=piece.mask,
            centre_lps_mm=measured.centre_lps_mm,
            tracking_uid=self._occasion.tracking_uid(label),
            tracking_id=self._tracking_id(number),
            algorithm=self._result.label,
            laterality=output.laterality_code,
            site=output.site.coded if output.site else None,
            score=piece.score,
            long_axis_lps_mm=measured.axes.long_lps_mm if measured.axes else None,
            short_axis_lps_mm=measured.axes.short_lps_mm if measured.axes else None,
            colour_rgb=output.colour_rgb,
            measurements=measured.measurements,
            calibrated=output.calibrated,
        )
        return self._told(self._placed(segment, measured), piece) if output.kind == _LESION else segment

    def _told(self, found: Found, lesion: Lesion) -> Found:
        """Add what steps for each lesion said of it."""
        with_answers, remarks = self._answers.put_on(found, lesion)
        self.remarks += remarks
        return with_answers

    def _placed(self, segment: Segment, measured: Measured) -> Segment:
        """Add the side that a lesion lies on, and a sentence on its density and place."""
        facts = []
        if self._volume.unit == HOUNSFIELD and (segment.site is None or segment.site.value == _LUNG):
            core = core_hu(segment.mask, self._volume)
            # What a step says of its composition stands: a word beside it may say another thing
            word = "" if self._answers.has_attribute else f"{'solid' if is_solid(core) else 'subsolid'} "
            facts.append(f"{word}core ({core:.0f} HU)")
        side = self._organ.side_of(measured.centre_lps_mm) if self._organ else None
        if self._organ is not None:
            far = self._organ.to_border_mm(segment.mask, self._volume.grid)
            words = ([side] if side else []) + [segment.site.meaning.lower() if segment.site else "organ"]
            where = "at" if far < _TOUCHES_MM else f"{far:.0f} mm from"
            facts.append(f"{where} the border of the {' '.join(words)}")
        if _at_edge(segment.mask, flat=not self._volume.frame_of_reference_uid):
            facts.append("cut off by the edge of the images: it may be larger than what was measured")
        if facts:
            text = f"{segment.tracking_id}: {', '.join(facts)}."
            self.remarks.append(Remark(kind=RemarkKind.QUALITY, text=text))
        return replace(segment, laterality=segment.laterality or (_SIDES[side] if side else None))

    def points(self, first: int) -> list[Region]:
        """Describe what has a place and no outline; numbers go on after the segments."""
        if self._output.kind != _LESION:
            return []
        return [self._point(point, number) for number, point in enumerate(self._result.points, start=first)]

    def _point(self, point: Point, number: int) -> Region:
        centre, score = point.centre_lps_mm, point.score if point.scored else None
        region = self._region((centre,), RegionKind.POINT, centre, (number, score))
        return self._told(region, point)

    def box(self, box: FoundBox, number: int) -> Region:
        """Describe a box: two corners along the axes of the patient."""
        x, y, z = ((a + b) / 2.0 for a, b in zip(box.low_lps_mm, box.high_lps_mm, strict=True))
        corners = (box.low_lps_mm, box.high_lps_mm)
        return self._told(self._region(corners, RegionKind.BOX, (x, y, z), (number, box.score)), box)

    def _region(
        self,
        points: tuple[PointLps, ...],
        kind: RegionKind,
        centre: PointLps,
        found: tuple[int, float | None],
    ) -> Region:
        output, (number, score) = self._output, found
        label = self._label(number)
        side = self._organ.side_of(centre) if self._organ else None
        return Region(
            label=label,
            kind=kind,
            points_lps_mm=points,
            type=output.concept,
            tracking_uid=self._occasion.tracking_uid(label),
            tracking_id=self._tracking_id(number),
            algorithm=self._result.label,
            site=output.site.coded if output.site else None,
            laterality=_SIDES[side] if side else None,
            score=score,
            calibrated=output.calibrated,
        )

    def _tracking_id(self, number: int) -> str:
        return (self._output.tracking or self._label(number)).format(number=number)

    def _label(self, number: int) -> str:
        output = self._output
        if output.kind == _LESION or output.what == "region":
            return f"{output.label}-{number}"
        return f"{output.label}-{output.laterality}" if output.laterality else output.label


def _at_edge(mask: Mask, *, flat: bool) -> bool:
    """Tell whether a mask reaches the first or last slice, row or column: what lies beyond is not seen.

    flat: of a picture or cine, whose frames lie not side by side.
    """
    ends = list(zip(mask.box_kji, mask.shape_kji, strict=True))[1 if flat else 0 :]
    return any(start == 0 or stop == size for (start, stop), size in ends)


def _pieces(manifest: Manifest, output: OutputSpec, result: Result) -> list[Piece]:
    """Return what belongs to an [[output]]: by its side or name, or by its place among those of the step."""
    kind = manifest.of_head(output.step, output.head).index(output)
    pieces = [piece for piece in result.of_head(output.head).pieces if piece.kind in (None, kind)]
    if any(piece.name for piece in pieces):
        pieces = [piece for piece in pieces if piece.name == output.segment]
    if output.laterality is not None and any(piece.side for piece in pieces):
        pieces = [piece for piece in pieces if piece.side == output.laterality]
    if output.kind == _LESION or len(pieces) < 2:
        return pieces
    union = reduce(Mask.union, (piece.mask for piece in pieces))
    return [replace(pieces[0], mask=union, side=None)]


def _boxes(manifest: Manifest, output: OutputSpec, result: Result) -> list[FoundBox]:
    """Return the boxes of the class that an [[output]] is."""
    if output.what != "region":
        return []
    return [box for box in result.reading.boxes if box.channel == manifest.channel_of(output)]


def _none_found(output: OutputSpec, result: Result) -> list[Remark]:
    """Say that a kind of segment is not there, or that nothing is known about it.

    An algorithm that gave other parts has said so itself.
    """
    if result.points or result.parts:
        return []
    meaning = output.concept.meaning
    text, code = f"{meaning}: {result.none_found[0].lower()}{result.none_found[1:]}", None
    if result.unseen is not None:
        text = f"{meaning}: not looked for, as {result.unseen}."
    elif result.undecided is not None:
        text, code = UNDECIDED.text(what=meaning, reason=result.undecided), UNDECIDED.code
    known = result.unseen is None and result.undecided is None
    return [
        Remark(
            kind=RemarkKind.NO_FINDING if known else RemarkKind.NOT_ANALYSED,
            text=text,
            code=code,
            type=output.concept,
            site=output.site.coded if output.site else None,
        )
    ]


def _organ(manifest: Manifest, output: OutputSpec, results: Mapping[str, Result]) -> Organ | None:
    """Return what the step of an output was cropped to, where that is worth saying."""
    crop = manifest.step_named(output.step).crop
    if crop is None or not (output.kind == _LESION or output.what == "region"):
        return None
    around = results[crop.of]
    return Organ(around.region, around.parts) if around.region is not None and around.parts else None


def _other_plane(segments: Sequence[Segment], volume: Volume) -> list[Remark]:
    """Say that axes were measured in another plane than the axial one, which guidelines go by."""
    plane = plane_of_slices(volume.grid)
    if plane == "axial" or all(one.long_axis_lps_mm is None for one in segments):
        return []
    text = f"Long and short axes are measured on the {plane} slices of this series, not on axial ones."
    return [Remark(kind=RemarkKind.LIMIT, text=text)]


def _not_in_mm(manifest: Manifest, plane: PicturePlane) -> tuple[frozenset[str], list[Remark]]:
    """Return the measures that a picture without spacing does not have, and what is said of it."""
    asked = dict.fromkeys(name for output in manifest.output for name in output.measure)
    if plane.spacing_ji_mm is not None or not asked:
        return frozenset(), []
    text = f"Not measured, as the size of a pixel in the patient is not known: {', '.join(asked)}."
    return frozenset(asked), [Remark(kind=RemarkKind.LIMIT, text=text)]


def _left_out(manifest: Manifest, volume: Volume) -> tuple[frozenset[str], list[Remark]]:
    """Return the measures that this volume does not have, and what is said of it."""
    asked = [name for name in IN_HU if any(name in output.measure for output in manifest.output)]
    if asked and volume.unit != HOUNSFIELD:
        text = (
            f"Not measured, as the voxels are in {volume.unit.value} and not in Hounsfield units: "
            f"{', '.join(asked)}."
        )
        return frozenset(asked), [Remark(kind=RemarkKind.LIMIT, text=text)]
    return _low_attenuation(manifest, volume)


def _low_attenuation(manifest: Manifest, volume: Volume) -> tuple[frozenset[str], list[Remark]]:
    """Return the measures that are left out because of how the images were made, and what is said of it."""
    asked = {name for output in manifest.output for name in output.measure if name in OF_THE_KERNEL}
    if not asked:
        return frozenset(), []
    what = " and ".join(_LOW_ATTENUATION[name] for name in OF_THE_KERNEL if name in asked)
    what = what[0].upper() + what[1:]
    several = len(asked) > 1
    made = acquisition_of(volume.headers)
    spacing_k_mm = volume.grid.slice_distance_mm
    why = low_attenuation_refused(made, spacing_k_mm)
    if why is not None:
        text = f"{what} {'are' if several else 'is'} not given: {why}."
        return frozenset(asked), [Remark(kind=RemarkKind.LIMIT, text=text)]
    thickness = made.slice_thickness_mm or spacing_k_mm
    text = (
        f"{what} {'hold' if several else 'holds'} for kernel {made.kernel} and slices of {thickness:.4g} mm; "
        f"compare {'them' if several else 'it'} only with images made the same way."
    )
    return frozenset(), [Remark(kind=RemarkKind.LIMIT, text=text)]

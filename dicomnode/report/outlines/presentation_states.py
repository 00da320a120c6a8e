"""Findings as a Grayscale Softcopy Presentation State (PS3.3 A.33.1): lines and words on the source images.

For viewers without segmentations, which most of them can show. Every segment has a layer of its own that can
be switched off, its outline on each slice, and a text on the slice with most of it; regions are drawn on the
slices that they cut. The images themselves are not touched.

Coordinates of graphics count from the upper left corner of the first pixel, whose centre is 0.5, 0.5
(C.10.5.1); those of the displayed area count pixels from 1 (C.10.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from dicomnode.report.colours import coloured
from dicomnode.report.free_places import Box
from dicomnode.report.identity import MANUFACTURER, Imprint
from dicomnode.report.outlines.drawn_slices import MOST_BYTES, DrawnSegment, drawn
from dicomnode.report.outlines.grey_scale import add_tables, modality_transformation, windows
from dicomnode.report.outlines.labels import Notice, PlacedText, SliceTexts, notice_of
from dicomnode.report.outlines.marks import Mark, marks_of
from dicomnode.report.outlines.outlines import Ring
from dicomnode.report.outlines.placed import PlacedSlices
from dicomnode.report.outlines.source_greys import SourceGreys, read_greys
from dicomnode.report.sentences import site_text
from dicomnode.report.uids import ResultUids
from dicomnode.report.volume_regions import line_on_slice
from dicomnode.report.wording import percent, size_text
from dicomnode.values import FindingKind, Findings, Float64, Region, Segment
from dicomnode.values.colours import Rgb, next_colour

if TYPE_CHECKING:
    from highdicom import pr

_CS_MAX: Final = 16
_LO_MAX: Final = 64
_ST_MAX: Final = 1024
_LINE_BREAK: Final = "\r\n"
_MOST_POINTS: Final = 8000  # of one object: a value has at most 65,534 bytes (PS3.5 7.1.2), a point 8
_HALF: Final = 0.5
_WHITE: Final = 65535  # P-Value, for displays without colour (C.10.7)
_OF_STAND_INS: Final = ("SOPClassUID", "SamplesPerPixel", "Rows", "Columns")
_NOTICE_COLOUR: Final = (255, 196, 70)


def greys_to_draw_on(findings: Findings) -> SourceGreys | None:
    """Read what the images of the first source look like.

    None where there is nothing to draw: nothing has a place on an image, or the images are in colour, which
    the object cannot refer to.
    """
    source = findings.sources[0]
    if source.grid is None or not (findings.segments or findings.regions):
        return None
    greys = read_greys(source)
    return None if greys.is_colour else greys


def build_presentation_states(
    imprint: Imprint, uids: ResultUids, series_number: int, greys: SourceGreys | None
) -> tuple[Dataset, ...]:
    """Write one presentation state of all images of the first source; () without `greys_to_draw_on`.

    Outlines take 8 MiB at most, see `drawn_slices`: what is left out is said beside the finding.
    """
    if greys is None:
        return ()
    findings = imprint.findings
    slices = PlacedSlices(imprint)
    layers = _Layers(imprint, slices, drawn(coloured(findings.segments), MOST_BYTES))
    layers.add_segments()
    layers.add_regions()
    layers.add_notice()
    return (_written(imprint, uids, series_number, greys, slices, layers),)


def _notice(imprint: Imprint, slices: PlacedSlices) -> Notice:
    made_by = imprint.findings.provenance
    return notice_of(f"{made_by.engine} {made_by.version}: {imprint.mark}", slices.grid)


class _Layers:
    """Graphic layers and annotations in the making; the later ones lie above."""

    def __init__(self, imprint: Imprint, slices: PlacedSlices, segments: Sequence[DrawnSegment]) -> None:
        self.layers: list[pr.GraphicLayer] = []
        self.annotations: list[pr.GraphicAnnotation] = []
        self._imprint, self._slices = imprint, slices
        self._images = [_stand_in(stub, imprint) for stub in imprint.heading.stubs[0]]
        self._image_of = {str(image.SOPInstanceUID): image for image in self._images}
        self._segments = segments
        self._marks = [list(marks_of(one, slices.grid)) for one in imprint.findings.regions]
        self._notice = _notice(imprint, slices)
        self._texts: dict[int, SliceTexts] = {}
        self._colours: list[Rgb] = []

    @property
    def images(self) -> list[Dataset]:
        """All images, as the library wants to see them."""
        return self._images

    def add_segments(self) -> None:
        """Draw each segment in a layer of its own: outlines, axes, and a text on the key slice."""
        texts_of = self._placed_by_rank()
        for number, one in enumerate(self._segments):
            segment = one.segment
            layer = self._layer(
                segment.label, f"{segment.type.meaning}{site_text(segment)}", segment.colour_rgb
            )
            objects: dict[int, list[pr.GraphicObject]] = {
                k: [
                    _line(piece, segment)
                    for ring in rings
                    for piece in _pieces(np.concatenate([ring, ring[:1]]) + _HALF)
                ]
                for k, rings in one.rings.items()
            }
            for ends in (segment.long_axis_lps_mm, segment.short_axis_lps_mm):
                axis = None if ends is None else line_on_slice(ends, self._slices.grid)
                if axis is not None and np.ptp(axis.corners, axis=0).max() > 0:
                    objects.setdefault(axis.k, []).append(_line(axis.corners, segment))
            text = texts_of[number]
            for k in sorted({*objects, one.key}):
                texts = [_text(text, segment)] if text is not None and k == one.key else []
                self._annotate(k, layer, objects.get(k, []), texts)

    def _placed_by_rank(self) -> dict[int, PlacedText | None]:
        """The texts of segments by their numbers: lesions choose their places first, the surest of all."""
        ranked = sorted(range(len(self._segments)), key=lambda n: _rank(self._segments[n].segment))
        findings = self._imprint.findings
        return {
            n: self._place(one.key, _segment_lines(one, findings), _around(one))
            for n, one in ((n, self._segments[n]) for n in ranked)
        }

    def add_regions(self) -> None:
        """Draw each region in a layer of its own, all in one colour; its text stands on its middle slice."""
        colour = next_colour(self._colours)
        for region, marks in zip(self._imprint.findings.regions, self._marks, strict=True):
            if not marks:
                continue
            layer = self._layer(region.label, f"{region.type.meaning}{site_text(region)}", colour)
            on: dict[int, list[Mark]] = {}
            for mark in marks:
                on.setdefault(mark.k, []).append(mark)
            key = sorted(on)[len(on) // 2]
            text = self._place(key, _region_lines(region), np.concatenate([m.corners for m in on[key]]))
            for k in sorted(on):
                objects = [_line(mark.corners, region, mark.graphic) for mark in on[k]]
                texts = [_text(text, region)] if text is not None and k == key else []
                self._annotate(k, layer, objects, texts)

    def add_notice(self) -> None:
        """Write what holds for all images at the lower edge of each; above it, how many have no text."""
        from highdicom import pr  # noqa: PLC0415  heavy

        layer = self._layer("NOTICE", "Who made it, and what it is for", _NOTICE_COLOUR)
        words = _on_display(_LINE_BREAK.join(self._notice.lines), self._notice.box)
        notice = pr.GraphicAnnotation(self._images, layer, text_objects=[words])
        notice.ReferencedImageSequence.clear()  # it applies to all images
        self.annotations.append(notice)
        for k, texts in sorted(self._texts.items()):
            if texts.left_out:
                more = f"+ {texts.left_out} more: see the layers"
                self._annotate(k, layer, [], [_on_display(more, self._notice.more)])

    def _layer(self, name: str, description: str, colour: Rgb) -> pr.GraphicLayer:
        from highdicom import pr  # noqa: PLC0415  heavy
        from highdicom.color import CIELabColor  # noqa: PLC0415

        self._colours.append(colour)
        layer = pr.GraphicLayer(
            layer_name=self._free_name(name),
            order=len(self.layers) + 1,
            description=f"{name}: {description}"[:_LO_MAX],
            display_color=CIELabColor.from_rgb(*colour),
        )
        layer.GraphicLayerRecommendedDisplayGrayscaleValue = _WHITE
        self.layers.append(layer)
        return layer

    def _free_name(self, name: str) -> str:
        """Return the name as a code string that no other layer has: "NODULE 1" of "nodule-1"."""
        taken = {layer.GraphicLayer for layer in self.layers}
        wanted, number = code_string(name, "LAYER"), 1
        free = wanted
        while free in taken:
            number += 1
            free = f"{wanted[: _CS_MAX - len(str(number)) - 1].rstrip()} {number}"
        return free

    def _place(self, k: int, lines: Sequence[str], points: Float64) -> PlacedText | None:
        if k not in self._texts:
            self._texts[k] = SliceTexts(self._slices.grid, self._notice, self._lines_on(k))
        return self._texts[k].place(lines, points)

    def _lines_on(self, k: int) -> Iterator[Float64]:
        """All outlines on a slice, and all that is drawn of regions."""
        for one in self._segments:
            for ring in one.rings.get(k, ()):
                yield np.concatenate([ring, ring[:1]]) + _HALF
        for marks in self._marks:
            yield from (mark.corners for mark in marks if mark.k == k)

    def _annotate(
        self,
        k: int,
        layer: pr.GraphicLayer,
        objects: Sequence[pr.GraphicObject],
        texts: Sequence[pr.TextObject],
    ) -> None:
        from highdicom import pr  # noqa: PLC0415  heavy

        if not objects and not texts:
            return
        reference = self._slices.reference(k)
        image = self._image_of[str(reference.ReferencedSOPInstanceUID)]
        annotation = pr.GraphicAnnotation([image], layer, graphic_objects=objects, text_objects=texts)
        if "ReferencedFrameNumber" in reference:
            annotation.ReferencedImageSequence[0].ReferencedFrameNumber = reference.ReferencedFrameNumber
        self.annotations.append(annotation)


def _written(
    imprint: Imprint,
    uids: ResultUids,
    series_number: int,
    greys: SourceGreys,
    slices: PlacedSlices,
    layers: _Layers,
) -> Dataset:
    from highdicom import PresentationLUTTransformation, pr  # noqa: PLC0415  heavy

    made_by, made_at = imprint.findings.provenance, imprint.made_at
    result = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=layers.images,
        series_instance_uid=uids.series,
        series_number=series_number,
        sop_instance_uid=uids.instance,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=made_by.engine,
        software_versions=made_by.engine_digest,  # all of them are set with the identity
        device_serial_number=imprint.serial_number,
        content_label=code_string(made_by.engine, "OUTLINES"),
        content_description=made_by.title[:_LO_MAX],
        graphic_annotations=layers.annotations,
        graphic_layers=layers.layers,
        modality_lut_transformation=modality_transformation(greys),
        voi_lut_transformations=windows(imprint, greys, slices),
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape="INVERSE" if greys.dark_is_more else "IDENTITY"
        ),
    )
    add_tables(result, greys)
    result.PresentationCreationDate = made_at.strftime("%Y%m%d")
    result.PresentationCreationTime = made_at.strftime("%H%M%S.%f")
    if body_part := imprint.heading.equipment.get("BodyPartExamined"):
        result.BodyPartExamined = body_part
    else:
        result.Laterality = ""  # Type 2C: without the part of the body, whether it is paired is unknown
    _set_displayed_area(result, imprint, greys)
    _set_classes(result, imprint)
    return result


def _set_displayed_area(result: Dataset, imprint: Imprint, greys: SourceGreys) -> None:
    """Show whole images in their true proportions; the library takes pixels for squares."""
    source = imprint.findings.sources[0]
    assert source.grid is not None
    (area,) = result.DisplayedAreaSelectionSequence
    del area.PixelOriginInterpretation  # of tiled images
    if source.plane is not None and source.plane.spacing_ji_mm is None:
        area.PresentationPixelAspectRatio = list(greys.aspect)
        return
    del area.PresentationPixelAspectRatio
    area.PresentationPixelSpacing = [f"{mm:.9g}" for mm in source.grid.spacing_kji_mm[1:]]


def _stand_in(stub: Dataset, imprint: Imprint) -> Dataset:
    """Return a source image for the library: of one frame, since it takes only one object of the others."""
    grid = imprint.findings.sources[0].grid
    assert grid is not None
    image = Dataset()
    # A data set that is updated shares its elements: what is set below must be none of those of the stub
    image.update({element.tag: element for element in stub if element.keyword not in _OF_STAND_INS})
    image.SOPClassUID = CTImageStorage
    image.SamplesPerPixel = 1
    _, image.Rows, image.Columns = grid.shape_kji
    return image


def _set_classes(result: Dataset, imprint: Imprint) -> None:
    """Refer to the source images by their own SOP classes."""
    classes = {str(stub.SOPInstanceUID): stub.SOPClassUID for stub in imprint.heading.stubs[0]}
    items = [one for series in result.ReferencedSeriesSequence for one in series.ReferencedImageSequence]
    for annotation in result.GraphicAnnotationSequence:
        if not annotation.ReferencedImageSequence:  # the library looks for it, and here it may not be empty
            del annotation.ReferencedImageSequence
        items += annotation.get("ReferencedImageSequence", ())
    for item in items:
        item.ReferencedSOPClassUID = classes[str(item.ReferencedSOPInstanceUID)]


# ── Words and lines ───────────────────────────────────────────────────────────────────────────────
def _segment_lines(one: DrawnSegment, findings: Findings) -> list[str]:
    """What is said of a segment: name, numbers, and what is not drawn of it."""
    segment = one.segment
    numbers = size_text(segment, findings)
    if segment.long_axis_lps_mm is not None and findings.sources[0].plane is None:
        numbers += f", long axis {np.linalg.norm(np.subtract(*segment.long_axis_lps_mm)):.1f} mm"
    lines = [_name(segment), numbers]
    if segment.score is not None:
        lines.append(f"score {percent(segment.score)}")
    if one.step == 0:
        lines.append("outline left out: too large")
    elif one.step > 1:
        lines.append(f"outline on every {one.step}th slice" if one.step > 2 else "outline on every 2nd slice")
    return lines


def _region_lines(region: Region) -> list[str]:
    return [_name(region), *([f"score {percent(region.score)}"] if region.score is not None else [])]


def _name(found: Segment | Region) -> str:
    return f"{found.label}: {found.type.meaning}{site_text(found)}"


def _rank(segment: Segment) -> tuple[bool, float, int]:
    """Lesions first, of these the surest, of equally sure ones the largest."""
    return segment.kind is not FindingKind.LESION, -(segment.score or 0.0), -segment.mask.count


def _around(one: DrawnSegment) -> Float64:
    """Points on the key slice that its text stands beside: of the largest outline, or of the centre."""
    rings = one.rings.get(one.key)
    if rings:
        return max(rings, key=lambda ring: float(np.ptp(ring, axis=0).prod())) + _HALF
    (_, _), (top, bottom), (left, right) = one.segment.mask.box_kji
    return np.array([[left, top], [right, bottom]], dtype=np.float64)


def _pieces(points: Float64) -> Iterator[Float64]:
    """Cut a line where it has more points than one value can hold; pieces share their ends."""
    for start in range(0, len(points) - 1, _MOST_POINTS - 1):
        yield points[start : start + _MOST_POINTS]


def _line(points: Ring, found: Segment | Region, graphic: str = "POLYLINE") -> pr.GraphicObject:
    from highdicom import pr  # noqa: PLC0415  heavy

    return pr.GraphicObject(
        graphic_type=graphic,
        graphic_data=points.astype(np.float32),
        units="PIXEL",
        tracking_id=found.tracking_id,
        tracking_uid=found.tracking_uid,
    )


def _text(placed: PlacedText, found: Segment | Region) -> pr.TextObject:
    from highdicom import pr  # noqa: PLC0415  heavy

    left, top, right, bottom = (float(np.float32(one)) for one in placed.box)
    return pr.TextObject(
        text_value=_LINE_BREAK.join(placed.lines)[:_ST_MAX],
        units="PIXEL",
        bounding_box=(left, top, right, bottom),
        anchor_point=placed.anchor,
        text_justification="LEFT",
        tracking_id=found.tracking_id,
        tracking_uid=found.tracking_uid,
    )


def _on_display(words: str, box: Box) -> pr.TextObject:
    from highdicom import pr  # noqa: PLC0415  heavy

    return pr.TextObject(
        text_value=words[:_ST_MAX], units="DISPLAY", bounding_box=box, text_justification="LEFT"
    )


def code_string(text: str, otherwise: str) -> str:
    """Return a text as a code string (CS): "LUNG RIGHT" of "lung-right"; it begins with a letter."""
    words = re.sub(r"[^A-Z0-9]+", " ", text.upper()).strip()[:_CS_MAX].strip()
    return words if words and words[0].isalpha() else (f"{otherwise} {words}"[:_CS_MAX].strip())

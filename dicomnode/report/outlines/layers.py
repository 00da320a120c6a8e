"""The layers of a presentation state: what is drawn and written of each finding, on which image.

Every finding has a layer of its own that can be switched off; the later ones lie above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom import Dataset

from dicomnode.report.heading.identity import Imprint
from dicomnode.report.outlines.drawn_slices import DrawnSegment
from dicomnode.report.outlines.graphics import line, on_display, pieces, text
from dicomnode.report.outlines.labels import Notice, PlacedText, SliceTexts, notice_of
from dicomnode.report.outlines.layer_words import (
    LINE_BREAK,
    FindingWords,
    code_string,
    layer_text,
    left_out,
    more_text,
    name_of,
    rank,
    words_of_region,
    words_of_segment,
)
from dicomnode.report.outlines.marks import Mark, marks_of
from dicomnode.report.outlines.placed import PlacedSlices
from dicomnode.report.volume_regions import line_on_slice
from dicomnode.values import Float64
from dicomnode.values.colours import Rgb, next_colour

if TYPE_CHECKING:
    from highdicom import pr

_HALF: Final = 0.5
_CS_MAX: Final = 16
_WHITE: Final = 65535  # P-Value, for displays without colour (C.10.7)
_NOTICE_COLOUR: Final = (255, 196, 70)


class Layers:
    """Graphic layers and annotations in the making; the later ones lie above."""

    def __init__(
        self,
        imprint: Imprint,
        slices: PlacedSlices,
        segments: Sequence[DrawnSegment],
        images: Sequence[Dataset],
    ) -> None:
        self.layers: list[pr.GraphicLayer] = []
        self.annotations: list[pr.GraphicAnnotation] = []
        self._imprint, self._slices = imprint, slices
        self.images = images
        self._image_of = {str(image.SOPInstanceUID): image for image in images}
        self._segments = segments
        self._marks = [list(marks_of(one, slices.grid)) for one in imprint.findings.regions]
        self._notice = _notice(imprint, slices, segments)
        self._texts: dict[int, SliceTexts] = {}
        self._untold: dict[int, Counter[str]] = {}
        self._colours: list[Rgb] = []

    def add_segments(self) -> None:
        """Draw each segment in a layer of its own: outlines, axes, and a text on the key slice."""
        texts_of = self._placed_by_rank()
        for number, one in enumerate(self._segments):
            segment = one.segment
            said = layer_text(name_of(segment), left_out(one))
            layer = self._layer(segment.label, said, segment.colour_rgb)
            objects: dict[int, list[pr.GraphicObject]] = {
                k: [
                    line(piece, segment)
                    for ring in rings
                    for piece in pieces(np.concatenate([ring, ring[:1]]) + _HALF)
                ]
                for k, rings in one.rings.items()
            }
            for ends in (segment.long_axis_lps_mm, segment.short_axis_lps_mm):
                axis = None if ends is None else line_on_slice(ends, self._slices.grid)
                if axis is not None and np.ptp(axis.corners, axis=0).max() > 0:
                    objects.setdefault(axis.k, []).append(line(axis.corners, segment))
            placed = texts_of[number]
            for k in sorted({*objects, one.key}):
                texts = [text(placed, segment)] if placed is not None and k == one.key else []
                self._annotate(k, layer, objects.get(k, []), texts)

    def _placed_by_rank(self) -> dict[int, PlacedText | None]:
        """The texts of segments by their numbers: lesions choose their places first, the surest of all."""
        ranked = sorted(range(len(self._segments)), key=lambda n: rank(self._segments[n].segment))
        findings = self._imprint.findings
        return {
            n: self._place(one.key, words_of_segment(one, findings), _around(one))
            for n, one in ((n, self._segments[n]) for n in ranked)
        }

    def add_regions(self) -> None:
        """Draw each region in a layer of its own, all in one colour; its text stands on its middle slice."""
        colour = next_colour(self._colours)
        for region, marks in zip(self._imprint.findings.regions, self._marks, strict=True):
            if not marks:
                continue
            layer = self._layer(region.label, layer_text(name_of(region)), colour)
            on: dict[int, list[Mark]] = {}
            for mark in marks:
                on.setdefault(mark.k, []).append(mark)
            key = sorted(on)[len(on) // 2]
            corners = np.concatenate([mark.corners for mark in on[key]])
            placed = self._place(key, words_of_region(region), corners)
            for k in sorted(on):
                objects = [line(mark.corners, region, mark.graphic) for mark in on[k]]
                texts = [text(placed, region)] if placed is not None and k == key else []
                self._annotate(k, layer, objects, texts)

    def add_notice(self) -> None:
        """Write what holds for all images at the lower edge of each; above it, how many have no text."""
        from highdicom import pr  # noqa: PLC0415  heavy

        layer = self._layer("NOTICE", "NOTICE: Who made it, and what it is for", _NOTICE_COLOUR)
        words = on_display(LINE_BREAK.join(self._notice.lines), self._notice.box)
        notice = pr.GraphicAnnotation(self.images, layer, text_objects=[words])
        notice.ReferencedImageSequence.clear()  # it applies to all images
        self.annotations.append(notice)
        for k, texts in sorted(self._texts.items()):
            if texts.left_out:
                more = wrap(more_text(texts.left_out, self._untold.get(k, {})), self._notice.more_width)
                self._annotate(k, layer, [], [on_display(LINE_BREAK.join(more), self._notice.more)])

    def _layer(self, name: str, description: str, colour: Rgb) -> pr.GraphicLayer:
        from highdicom import pr  # noqa: PLC0415  heavy
        from highdicom.color import CIELabColor  # noqa: PLC0415

        self._colours.append(colour)
        layer = pr.GraphicLayer(
            layer_name=self._free_name(name),
            order=len(self.layers) + 1,
            description=description,
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

    def _place(self, k: int, words: FindingWords, points: Float64) -> PlacedText | None:
        if k not in self._texts:
            self._texts[k] = SliceTexts(self._slices.grid, self._notice, self._lines_on(k))
        placed = self._texts[k].place(words.lines, points, words.last)
        if placed is None:
            self._untold.setdefault(k, Counter()).update(words.last)
        return placed

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


def _notice(imprint: Imprint, slices: PlacedSlices, segments: Sequence[DrawnSegment]) -> Notice:
    """Who made it and what it is for, with room above for what may have to be said of texts left out."""
    made_by = imprint.findings.provenance
    said = Counter(one for one in map(left_out, segments) if one)
    count = len(segments) + len(imprint.findings.regions)
    longest = more_text(count, said)
    return notice_of(f"{made_by.engine} {made_by.version}: {imprint.mark}", slices.grid, longest)


def _around(one: DrawnSegment) -> Float64:
    """Points on the key slice that its text stands beside: of the largest outline, or of the centre."""
    rings = one.rings.get(one.key)
    if rings:
        return max(rings, key=lambda ring: float(np.ptp(ring, axis=0).prod())) + _HALF
    (_, _), (top, bottom), (left, right) = one.segment.mask.box_kji
    return np.array([[left, top], [right, bottom]], dtype=np.float64)

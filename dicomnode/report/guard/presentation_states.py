"""The geometry guard of presentation states: lines and words, read back by who did not write.

The closed lines of each segment are filled again, and must give its mask on every slice that they are drawn
on; its words say which slices are left out. Other lines are measured axes. Texts and layers say the type and
the side that was found.
Source: PS3.3 C.10.5 (graphics; the first pixel's centre is 0.5, 0.5), C.10.7 (layers).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

import numpy as np
from pydicom import Dataset, dcmread

from dicomnode.report.guard.identity import check_object, equal, frame_of, grid_of
from dicomnode.report.guard.rings import compare_rings
from dicomnode.report.guard.source import check_source
from dicomnode.report.mismatch.error import differs, guarded
from dicomnode.values import Findings, Float64, Grid, Region, Segment, SourceFrame

_PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
_CENTRE: Final = 0.5  # of the first pixel
_QUARTER: Final = 0.25  # of a pixel
_LAYER_MAX: Final = 64  # characters of the description of a layer, an LO
_TEXT_MAX: Final = 1024  # of a text, an ST
_SAID: Final = r"outline on every (\d+)(?:nd|th) slice|outline left out: too large"
_LEFT_OUT: Final = re.compile(_SAID)
_IN_A_LAYER: Final = re.compile(f", (?:{_SAID})$")
_MORE: Final = re.compile(r"\+ (\d+) more: see the layers(?:; (.*))?")
_OF_MORE: Final = re.compile(rf"(\d+) with (?:{_SAID})")


@dataclass(slots=True, eq=False)
class _Drawn:
    """What an object has of one finding: lines and texts with their slices, and what its layers say."""

    graphics: list[tuple[int, Dataset]] = field(default_factory=list)
    texts: list[tuple[int, str]] = field(default_factory=list)
    layers: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Drawing:
    """What is drawn, by the Tracking UID of what it is of.

    untold: how many it says are without a text. untold_steps: of those, how many are drawn on every how many
    slices, where that is not on each; 0 of what is not drawn.
    """

    of: dict[str, _Drawn] = field(default_factory=dict)
    untold: int = 0
    untold_steps: Counter[int] = field(default_factory=Counter)

    def add_more(self, text: str) -> None:
        """Take what a text says of how many have none."""
        if (more := _MORE.fullmatch(" ".join(text.split()))) is None:
            return
        self.untold += int(more[1])
        for count, step in _OF_MORE.findall(more[2] or ""):
            self.untold_steps[int(step or 0)] += int(count)


@guarded
def check_presentation_state(content: bytes, findings: Findings, *, patient_id: str | None = None) -> None:
    """Read a presentation state and compare its lines and words with the findings. Raises MismatchError.

    patient_id: that a message told, None where the source's header says it.
    """
    grid = grid_of(findings)
    read = dcmread(BytesIO(content))
    check_object(read, findings, _PRESENTATION_STATE, patient_id)
    check_source(findings)
    drawing, untold, untold_steps = _read(read, findings), 0, Counter[int]()
    all_found: list[Segment | Region] = [*findings.segments, *findings.regions]
    for found in all_found:
        own = drawing.of.get(found.tracking_uid, _Drawn())
        _check_words(own, found)
        if isinstance(found, Segment):
            step = _step(own, found)
            _check_lines(own, found, step, grid)
            untold_steps.update([step] if not own.texts and step != 1 else [])
        untold += not own.texts and (isinstance(found, Segment) or bool(own.graphics))
    equal("number of findings without a text", drawing.untold, untold)
    equal("number of those drawn on some slices", dict(drawing.untold_steps), dict(untold_steps))
    if drawing.of.keys() - {found.tracking_uid for found in all_found}:
        raise differs("a line or a text is of nothing that was found")


def _read(read: Dataset, findings: Findings) -> _Drawing:
    slice_of = {frame: k for k, frame in enumerate(findings.sources[0].frames)}
    described = {str(one.GraphicLayer): str(one.GraphicLayerDescription) for one in read.GraphicLayerSequence}
    drawing = _Drawing()
    for annotation in read.GraphicAnnotationSequence:
        for one in (
            *(annotation.get("TextObjectSequence") or ()),
            *(annotation.get("GraphicObjectSequence") or ()),
        ):
            text = str(one.get("UnformattedTextValue") or "")
            if one.get("BoundingBoxAnnotationUnits") == "DISPLAY" and "TrackingUID" not in one:
                # Of no finding: who made it, and how many have no text here
                drawing.add_more(text)
                continue
            own = drawing.of.setdefault(str(one.get("TrackingUID") or ""), _Drawn())
            own.layers.add(described[str(annotation.GraphicLayer)])
            k = _slice_of(annotation, slice_of)
            if text:
                own.texts.append((k, text))
            else:
                own.graphics.append((k, one))
    return drawing


def _slice_of(annotation: Dataset, slice_of: Mapping[SourceFrame, int]) -> int:
    (image,) = annotation.ReferencedImageSequence
    frame = frame_of(image)
    if frame not in slice_of:
        raise differs("a line or a text is on an image that was not looked at")
    return slice_of[frame]


def _check_words(own: _Drawn, found: Segment | Region) -> None:
    """Compare what texts and layers say that a finding is, and where: type, side and site."""
    side, site = (code.meaning.lower() if code else "" for code in (found.laterality, found.site))
    where = f"{side} {site}".strip()
    name = f"{found.label}: {found.type.meaning}{f', {where}' if where else ''}"
    for _, text in own.texts:
        equal(f"text of {found.label!r}", text.split("\r\n")[0].strip(), name[:_TEXT_MAX].strip())
    for layer in own.layers:
        end = _IN_A_LAYER.search(layer)
        said = "" if end is None else end[0]
        expected = f"{name[: _LAYER_MAX - len(said)]}{said}"
        equal(f"layer of {found.label!r}", layer.strip(), expected.strip())


def _step(own: _Drawn, segment: Segment) -> int:
    """Return every how many slices a segment is said to be drawn on; 0 where it is not drawn.

    Its layer says so, and its text the same. A segment without either has no layer here that would say it.
    """
    if not own.layers:
        return 0
    ends = {_IN_A_LAYER.search(layer) for layer in own.layers}
    steps = {1 if end is None else int(end[1] or 0) for end in ends}
    for _, text in own.texts:
        said = _LEFT_OUT.fullmatch(text.split("\r\n")[-1])
        steps.add(1 if said is None else int(said[1] or 0))
    equal(f"number of answers on which slices {segment.label!r} is drawn", len(steps), 1)
    return steps.pop()


def _check_lines(own: _Drawn, segment: Segment, step: int, grid: Grid) -> None:
    """Fill the closed lines of a segment and compare them with its mask on each slice; others are axes."""
    lines: dict[int, list[Float64]] = {}
    for k, graphic in own.graphics:
        equal(f"units of {segment.label!r}", graphic.GraphicAnnotationUnits, "PIXEL")
        equal(f"type of a line of {segment.label!r}", graphic.GraphicType, "POLYLINE")
        lines.setdefault(k, []).append(_points(graphic))
    rings = {k: _rings(here, segment, k, grid) for k, here in lines.items()}
    there = {k for k, here in rings.items() if here}
    wanted = _slices_with_lines(own, segment, there, step)
    for k in sorted({*wanted, *there}):
        voxels, same = compare_rings(rings.get(k, []), segment.mask, k)
        if not same or k not in wanted:
            found = int(np.count_nonzero(segment.mask.plane(k))) if k in wanted else 0
            raise differs(
                f"lines of {segment.label!r} hold {voxels} voxels on slice {k}, which are not its {found}"
            )


def _slices_with_lines(own: _Drawn, segment: Segment, there: set[int], step: int) -> set[int]:
    """Return the slices that must have lines: those with voxels, but for those said to be left out.

    there: those that have. They are counted from the one with the text, without one from the first of them.
    """
    slices = {k for k in range(*segment.mask.box_kji[0]) if segment.mask.plane(k).any()}
    if len(own.texts) > 1 or any(k not in slices for k, _ in own.texts):
        raise differs(f"segment {segment.label!r} has a second text, or one on a slice without its voxels")
    if step <= 1:
        return slices if step else set()
    first = min([k for k, _ in own.texts] or there or slices)
    return {k for k in slices if (k - first) % step == 0}


def _rings(lines: Sequence[Float64], segment: Segment, k: int, grid: Grid) -> list[Float64]:
    """Put the pieces of closed lines on slice k together: (n, 2) of row, column, without the last corner.

    What stays open must be an axis of the segment.
    """
    rings: list[Float64] = []
    chain = np.zeros((0, 2))
    for line in lines:
        if len(chain) and not np.array_equal(chain[-1], line[0]):
            _check_axis(chain, segment, k, grid)
            chain = line
        else:
            chain = np.concatenate([chain[:-1], line])
        if len(chain) > 1 and np.array_equal(chain[0], chain[-1]):
            rings.append(chain[:-1])
            chain = np.zeros((0, 2))
    if len(chain):
        _check_axis(chain, segment, k, grid)
    return rings


def _check_axis(line: Float64, segment: Segment, k: int, grid: Grid) -> None:
    for ends in (segment.long_axis_lps_mm, segment.short_axis_lps_mm):
        if ends is None:
            continue
        points = np.array(ends)
        depth_mm = (points - grid.to_lps_mm((k, 0, 0))) @ grid.normal_lps
        index = grid.to_index_kji(points - np.outer(depth_mm, grid.normal_lps))
        near = np.abs(depth_mm).max() < grid.slice_distance_mm and len(line) == len(index)
        if near and np.abs(line - index[:, 1:]).max() < _QUARTER:
            return
    raise differs(f"a line of {segment.label!r} on slice {k} is neither closed nor a measured axis")


def _points(graphic: Dataset) -> Float64:
    """Read the points (n, 2) of a line: row, column, the first pixel's centre at 0, 0."""
    raw = graphic.get_item("GraphicData").value
    data = np.frombuffer(raw, dtype="<f4") if isinstance(raw, bytes) else np.array(raw)
    points: Float64 = data.astype(np.float64).reshape(-1, 2)[:, ::-1] - _CENTRE
    return points

"""The geometry guard of presentation states finds lines and words that are not of what was found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.report.drawing.free_places import Box, FreePlaces
from dicomnode.report.guard.presentation_states import check_presentation_state
from dicomnode.report.mismatch.error import MismatchError
from dicomnode.report.outlines import graphics, presentation_states
from dicomnode.values import Findings, Mask, RegionKind
from tests.unit.report.guard.lies import (
    Change,
    Lies,
    changed,
    expect_found,
    of_another,
    points_changed,
    set_to,
    shrunk,
)
from tests.unit.report.kinds import KINDS
from tests.unit.report.on_pictures import at, on_picture
from tests.unit.report.outlines.finished import written
from tests.unit.report.sources import PLANES, Series, findings
from tests.unit.report.test_multi_frame import ORDERS, on_frames


def axis_on_a_slice() -> Findings:
    """The findings of `sources`; the long axis of the nodule lies on one slice, so that it is drawn."""
    found = findings()
    *lungs, nodule = found.segments
    grid = found.sources[0].grid
    assert grid is not None
    ends = [tuple(float(one) for one in grid.to_lps_mm(at)) for at in ((6, 10, 2), (6, 13, 4.5))]
    return replace(found, segments=(*lungs, replace(nodule, long_axis_lps_mm=(ends[0], ends[1]))))


@pytest.fixture(scope="module")
def found() -> Findings:
    return axis_on_a_slice()


@pytest.fixture(scope="module")
def content(found: Findings) -> bytes:
    return written("GSPS", found)[0]


def _lines(read: Dataset) -> list[Dataset]:
    return [
        graphic for one in read.GraphicAnnotationSequence for graphic in one.get("GraphicObjectSequence", ())
    ]


def _texts(read: Dataset) -> list[Dataset]:
    return [text for one in read.GraphicAnnotationSequence for text in one.get("TextObjectSequence", ())]


_each = partial(points_changed, _lines)


def _mirrored(axis: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(points: np.ndarray) -> np.ndarray:
        points[:, axis] = points[:, axis].min() + points[:, axis].max() - points[:, axis]
        return points

    return change


def _onto_another_image(read: Dataset) -> None:
    with_lines = [one for one in read.GraphicAnnotationSequence if "GraphicObjectSequence" in one]
    with_lines[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def _exchange_images(read: Dataset) -> None:
    of_nodule = [one for one in read.GraphicAnnotationSequence if one.GraphicLayer == "NODULE 1"]
    images = [one.ReferencedImageSequence[0] for one in of_nodule]
    images[0].ReferencedSOPInstanceUID, images[1].ReferencedSOPInstanceUID = (
        images[1].ReferencedSOPInstanceUID,
        images[0].ReferencedSOPInstanceUID,
    )


def _in_display_units(read: Dataset) -> None:
    _lines(read)[0].GraphicAnnotationUnits = "DISPLAY"


def _lose_lines(read: Dataset) -> None:
    for annotation in read.GraphicAnnotationSequence:
        annotation.pop("GraphicObjectSequence", None)


def _lose_lines_of_a_slice(read: Dataset) -> None:
    del next(one for one in read.GraphicAnnotationSequence if "TextObjectSequence" not in one)[(0x70, 9)]


def _leave_a_line_open(read: Dataset) -> None:
    line = _lines(read)[0]
    line.GraphicData = list(line.GraphicData)[:-2]


def _turn_the_axis(read: Dataset) -> None:
    (axis,) = [line for line in _lines(read) if line.NumberOfGraphicPoints == 2]
    axis.GraphicData = [2.5, 13.5, 5.0, 10.5]


def _exchange_segments(read: Dataset) -> None:
    right, left = (next(one.TrackingUID for one in _texts(read) if side in one.UnformattedTextValue)
                   for side in (": Lung, right", ": Lung, left"))  # fmt: skip
    for one in (*_lines(read), *_texts(read)):
        if one.get("TrackingUID") in (right, left):
            one.TrackingUID = left if one.TrackingUID == right else right


def _of_nobody(read: Dataset) -> None:
    line = _lines(read)[0]
    extra = Dataset()
    extra.update(line)
    extra.TrackingUID = "1.2.3"
    read.GraphicAnnotationSequence[0].GraphicObjectSequence.append(extra)


def _text_on_another_slice(read: Dataset) -> None:
    for annotation in read.GraphicAnnotationSequence:
        if annotation.GraphicLayer == "NODULE 1" and "TextObjectSequence" in annotation:
            image = read.GraphicAnnotationSequence[0].ReferencedImageSequence[0]
            alone = Dataset()
            alone.ReferencedImageSequence, alone.GraphicLayer = [image], annotation.GraphicLayer
            alone.TextObjectSequence = annotation.TextObjectSequence
            del annotation.TextObjectSequence
            read.GraphicAnnotationSequence.append(alone)
            return


def _second_text(read: Dataset) -> None:
    annotation = read.GraphicAnnotationSequence[0]
    annotation.TextObjectSequence = [*_texts(read)[:1]] * 2


def _say(pattern: str, instead: str) -> Change:
    def change(read: Dataset) -> None:
        for text in _texts(read):
            text.UnformattedTextValue = re.sub(pattern, instead, text.UnformattedTextValue)

    return change


def _say_everywhere(read: Dataset) -> None:
    _say(r"ml$", "ml\r\noutline on every 2nd slice")(read)
    for layer in read.GraphicLayerSequence[:2]:
        layer.GraphicLayerDescription += ", outline on every 2nd slice"


def _other_layer(read: Dataset) -> None:
    layer = read.GraphicLayerSequence[0]
    layer.GraphicLayerDescription = layer.GraphicLayerDescription.replace("right", "left")


def _lose_the_texts(read: Dataset) -> None:
    for annotation in read.GraphicAnnotationSequence[:-1]:
        annotation.pop("TextObjectSequence", None)


LIES: Lies = {
    "mirrored from left to right": (_each(_mirrored(0)), "voxels on slice"),
    "mirrored from top to bottom": (_each(_mirrored(1)), "voxels on slice"),
    "a fifth as large": (_each(shrunk(0.2)), "voxels on slice"),
    "half a pixel off": (_each(lambda points: points + 0.5), "voxels on slice"),
    "half a pixel off along the rows": (
        _each(lambda points: points - np.array([0.5, 0.0])),
        "voxels on slice",
    ),
    "four columns off": (_each(lambda points: points + np.array([4.0, 0.0])), "voxels on slice"),
    "rows and columns exchanged": (_each(lambda points: points[:, ::-1]), "voxels on slice"),
    "no lines": (_lose_lines, "voxels on slice"),
    "no lines on a slice": (_lose_lines_of_a_slice, "voxels on slice"),
    "a line that is open": (_leave_a_line_open, "neither closed nor a measured axis"),
    "an axis along the other diagonal": (_turn_the_axis, "neither closed nor a measured axis"),
    "an image of no slice": (_onto_another_image, "not looked at"),
    "images exchanged": (_exchange_images, "on slice 7"),
    "in units of the display": (_in_display_units, "units"),
    "segments exchanged": (_exchange_segments, "text of"),
    "a line of nothing": (_of_nobody, "nothing that was found"),
    "the other side": (_say("right", "left"), "text of 'lung-right'"),
    "the other side behind the name alone": (_say(", left", ", right"), "text of 'lung-left'"),
    "no side": (_say(", right lung", ", lung"), "text of 'nodule-1'"),
    "another type": (_say(": Nodule", ": Cyst"), "text of 'nodule-1'"),
    "the other side in a layer": (_other_layer, "layer of 'lung-right'"),
    "no texts": (_lose_the_texts, "number of findings without a text"),
    "slices left out that are not": (_say(r"ml$", "ml\r\noutline on every 2nd slice"), "on which slices"),
    "slices left out that are not, in the layer too": (_say_everywhere, "voxels on slice"),
    "a text on another slice": (_text_on_another_slice, "slice without its voxels"),
    "a text twice": (_second_text, "second text"),
    **of_another("1.2.840.10008.5.1.4.1.1.11.2"),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_of_a_presentation_state_is_found(lie: str, found: Findings, content: bytes) -> None:
    expect_found(lambda lying: check_presentation_state(lying, found), content, LIES[lie])


def test_the_patient_may_be_whom_a_message_told(found: Findings, content: bytes) -> None:
    told = changed(content, set_to(PatientID="AFTER"))
    check_presentation_state(told, found, patient_id="AFTER")
    with pytest.raises(MismatchError, match="another patient"):
        check_presentation_state(content, found, patient_id="AFTER")


# ── what is true passes ──


def test_reading_and_writing_alone_is_no_lie(found: Findings, content: bytes) -> None:
    check_presentation_state(changed(content, lambda read: None), found)


@pytest.mark.parametrize("plane", PLANES)
def test_true_lines_pass_in_every_plane(plane: str) -> None:
    found = findings(Series(plane=plane))
    check_presentation_state(written("GSPS", found)[0], found)


@pytest.mark.parametrize("numbers", ORDERS.values(), ids=list(ORDERS))
def test_lines_on_frames_in_any_order_pass(numbers: tuple[int, ...]) -> None:
    found = on_frames(numbers)
    check_presentation_state(written("GSPS", found)[0], found)


@pytest.mark.parametrize(
    "name", [name for name, (found, _) in KINDS.items() if found.segments or found.regions]
)
def test_findings_of_every_kind_pass(name: str) -> None:
    found, _ = KINDS[name]
    check_presentation_state(written("GSPS", found)[0], found)


def test_lines_on_a_picture_pass() -> None:
    found = on_picture(RegionKind.BOX, at(0, 9.5, 5.5), at(0, 13.5, 10.5), frames=1)
    mask = np.zeros((1, 20, 28), dtype=bool)
    mask[0, 3:9, 4:7] = True
    segment = replace(findings().segments[2], mask=Mask.from_array(mask), long_axis_lps_mm=None)
    (content,) = written("GSPS", replace(found, segments=(segment,)))
    check_presentation_state(content, replace(found, segments=(segment,)))


@pytest.mark.parametrize("most_bytes", [20_000, 9_000, 4_000, 1_200, 10])
def test_slices_that_are_left_out_and_said_to_be_pass(
    most_bytes: int, found: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presentation_states, "MOST_BYTES", most_bytes)
    (content,) = written("GSPS", found)
    check_presentation_state(content, found)
    if most_bytes < 20_000:
        with pytest.raises(MismatchError, match="on which slices"):
            check_presentation_state(changed(content, _say(r"\r\noutline .*", "")), found)
        silent = changed(changed(content, _say(r"\r\noutline .*", "")), _silent_layers)
        with pytest.raises(MismatchError, match="voxels on slice"):
            check_presentation_state(silent, found)
    if 1_200 < most_bytes < 20_000:
        with pytest.raises(MismatchError, match="voxels on slice"):
            check_presentation_state(changed(content, _lose_lines_of_a_slice), found)


def _silent_layers(read: Dataset) -> None:
    for layer in read.GraphicLayerSequence:
        layer.GraphicLayerDescription = re.sub(", outline .*", "", layer.GraphicLayerDescription)


@pytest.mark.parametrize("most_bytes", [9_000, 4_000, 1_200, 10])
def test_which_slices_are_left_out_is_said_where_there_is_room_for_one_line_or_none(
    most_bytes: int, found: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every text is refused as long as it has more than so many lines; with 0, each one is."""
    monkeypatch.setattr(presentation_states, "MOST_BYTES", most_bytes)
    real = FreePlaces.place
    for lines in (2, 0):
        highest = lines * 1.26 * 28 * 0.7 / 45 / 0.8  # of a line, in rows: see `labels`

        def place(
            self: FreePlaces, wide: float, high: float, beside: Box, most: float = highest
        ) -> Box | None:
            return real(self, wide, high, beside) if high <= most else None

        monkeypatch.setattr(FreePlaces, "place", place)
        (content,) = written("GSPS", found)
        check_presentation_state(content, found)
        words = [text.UnformattedTextValue for text in _texts(dcmread(BytesIO(content)))]
        assert any("outline" in one for one in words)
        assert not any("score" in one for one in words)
        assert any(one.startswith("+ ") for one in words) == (lines == 0)
        with pytest.raises(MismatchError, match=r"drawn on some slices|on which slices|voxels on slice"):
            check_presentation_state(changed(content, _say(r"(\r\n|; \d+ with )outline.*", "")), found)


def test_findings_without_room_for_their_texts_pass_where_that_is_said() -> None:
    """Sixty lesions on two slices: more than there is room for."""
    whole = findings()
    grid = whole.sources[0].grid
    assert grid is not None
    segments = []
    for n in range(60):
        mask = np.zeros(grid.shape_kji, dtype=bool)
        mask[5:7, 3 * (n // 10) + 1 : 3 * (n // 10) + 3, 2 * (n % 10) + 4] = True
        x, y, z = (float(one) for one in grid.to_lps_mm(np.argwhere(mask)).mean(axis=0))
        segments.append(
            replace(
                whole.segments[2],
                label=f"nodule-{n}",
                mask=Mask.from_array(mask),
                centre_lps_mm=(x, y, z),
                tracking_uid=f"1.2.{n}",
                tracking_id=f"Nodule {n}",
                long_axis_lps_mm=None,
            )
        )
    found = replace(whole, segments=tuple(segments))
    check_presentation_state(written("GSPS", found)[0], found)


def test_lines_that_are_written_in_pieces_pass(found: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphics, "_MOST_POINTS", 4)
    (content,) = written("GSPS", found)
    check_presentation_state(content, found)
    with pytest.raises(MismatchError, match=r"voxels on slice|neither closed"):
        check_presentation_state(changed(content, _each(_mirrored(0))), found)

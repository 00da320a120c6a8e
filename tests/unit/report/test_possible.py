"""What is found always becomes an object: where its source does not allow a kind, the next best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.faults import NOTHING_MADE, NodeError
from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.pages import SourcePixels
from dicomnode.report.possible import possible
from dicomnode.values import (
    Findings,
    Mask,
    Outcome,
    Picture,
    PicturePlane,
    RegionKind,
    Segment,
    SourceFrame,
    SourceHeaders,
)
from tests.unit.report.kinds import KINDS
from tests.unit.report.on_pictures import at, on_picture
from tests.unit.report.sources import SALT, Series, findings, lung_segments

PLANE = PicturePlane(spacing_ji_mm=(0.5, 0.4))
SHAPE = (1, 20, 28)


def on_a_picture(*, colour: bool = False, **changes: object) -> Findings:
    """A lesion on rows 5 to 8 and columns 10 to 13 of a picture."""
    extra = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"} if colour else {}
    source = Series(shape_kji=SHAPE, extra=extra).source()
    picture = replace(
        source,
        grid=PLANE.grid(SHAPE),
        frames=(SourceFrame(source.frames[0].sop_instance_uid, None),),
        headers=SourceHeaders(source.headers.encoded[:1]),
        plane=PLANE,
    )
    return findings(None, **{"sources": (picture,), "segments": (lesion(),), "remarks": (), **changes})


def lesion() -> Segment:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[0, 5:9, 10:14] = True
    (_, _, nodule) = lung_segments(findings().sources[0].grid)  # type: ignore[arg-type]
    return replace(
        nodule,
        mask=Mask.from_array(mask),
        centre_lps_mm=at(0, 6.5, 11.5),
        long_axis_lps_mm=None,
        measurements=(),
        site=None,
        laterality=None,
    )


def shown(some: Findings, colour: bool) -> SourcePixels:
    source = some.sources[0]
    assert source.grid is not None
    assert source.plane is not None
    picture = Picture(
        frames=np.full((*SHAPE, 3 if colour else 1), 90, np.uint8),
        plane=source.plane,
        study_instance_uid=source.study_instance_uid,
        series_instance_uid=source.series_instance_uid,
        sources=source.frames,
        headers=source.headers,
    )
    return SourcePixels((picture,))


def kinds_of(some: Findings, kinds: str, pixels: SourcePixels | None = None, **more: object) -> list[str]:
    profile = ReportProfile(kinds=tuple(kinds.split()), **more)  # type: ignore[arg-type]
    return [one.kind for one in make_objects(some, profile, SALT, pixels=lambda: pixels)]


def report(some: Findings, kinds: str, pixels: SourcePixels | None = None) -> list[str]:
    """Every text of the report beside other objects."""
    profile = ReportProfile(kinds=tuple(kinds.split()))  # type: ignore[arg-type]
    (made,) = (one for one in make_objects(some, profile, SALT, pixels=lambda: pixels) if one.kind == "SR")
    return list(texts(dcmread(BytesIO(made.content))))


def texts(item: Dataset) -> Iterator[str]:
    if "TextValue" in item:
        yield str(item.TextValue)
    for inner in item.get("ContentSequence", ()):
        yield from texts(inner)


# ── What is made ──────────────────────────────────────────────────────────────────────────────────
# What is found on a grey picture or one in colour, what is wanted and refused, and what is made
TABLE = [
    ("grey", "SEG", "", "GSPS"),
    ("grey", "SEG KOS", "", "GSPS KOS"),
    ("grey", "SEG SR", "", "GSPS SR"),
    ("grey", "SEG SR", "GSPS", "SC SR"),
    ("grey", "SEG GSPS SR", "", "GSPS SR"),
    ("grey", "RTSTRUCT LABELMAP SR", "", "SR"),
    ("grey", "SR", "", "SR"),
    ("colour", "SEG", "", "SC"),
    ("colour", "GSPS", "", "SC"),
    ("colour", "GSPS SR", "", "SC SR"),
    ("colour", "GSPS SR", "SC", "SR"),
    ("colour", "KOS GSPS", "", "SC KOS"),
]


@pytest.mark.parametrize(("source", "wanted", "refused", "made"), TABLE)
def test_a_kind_that_the_source_does_not_allow_takes_the_next_best(
    source: str, wanted: str, refused: str, made: str
) -> None:
    some = on_a_picture(colour=source == "colour")
    assert kinds_of(some, wanted, refused=frozenset(refused.split())) == made.split()


def test_of_a_volume_is_made_what_is_wanted_and_no_more() -> None:
    assert kinds_of(findings(), "SEG SR") == ["SEG", "SR"]
    assert possible(findings(), ReportProfile()).impossible == {}


@pytest.mark.parametrize("kinds", ["SEG", "SEG KOS", "GSPS", "RTSTRUCT"])
def test_where_nothing_was_found_there_is_nothing_to_make(kinds: str) -> None:
    nothing = on_a_picture(colour=True, segments=(), outcome=Outcome.NO_FINDINGS)
    assert kinds_of(nothing, kinds) == []


# Findings without an outline, what is wanted, and what shows them
WITHOUT_OUTLINE = [
    ("points and boxes", "SEG", "GSPS"),
    ("a class", "SEG", "SC"),
    ("a class", "KOS GSPS", "SC"),
]


@pytest.mark.parametrize(("name", "wanted", "made"), WITHOUT_OUTLINE)
def test_what_no_wanted_kind_can_hold_is_shown_by_the_next_best(name: str, wanted: str, made: str) -> None:
    assert kinds_of(KINDS[name][0], wanted) == made.split()


def test_what_one_wanted_kind_holds_is_not_made_otherwise_for_the_others() -> None:
    assert kinds_of(KINDS["points and boxes"][0], "SEG SR") == ["SR"]


# ── Where nothing comes of it ─────────────────────────────────────────────────────────────────────
# What is wanted, what else is said of it, and the words of the fault
NOTHING = [
    ("RTSTRUCT", {}, "RTSTRUCT: the images have no patient space"),
    ("SEG", {"fallback": False}, "SEG: the images have no patient space"),
    (
        "SEG",
        {"refused": frozenset({"GSPS", "SC"})},
        "SEG: the images have no patient space; GSPS: the destination refuses it; SC: the destination",
    ),
]


@pytest.mark.parametrize(("kinds", "more", "why"), NOTHING)
def test_findings_without_any_object_are_a_fault_that_names_what_cannot_be_made(
    kinds: str, more: dict[str, object], why: str
) -> None:
    with pytest.raises(NodeError, match=why) as raised:
        kinds_of(on_a_picture(), kinds, **more)
    assert raised.value.fault is NOTHING_MADE


def test_without_the_next_best_what_is_possible_is_made_and_the_report_says_what_is_not() -> None:
    assert kinds_of(on_a_picture(), "SEG SR", fallback=False) == ["SR"]


# ── What the report says ──────────────────────────────────────────────────────────────────────────
NO_SEG = "No segmentation: the images have no patient space"
NO_GSPS = "No presentation state: the images are in colour"
# The picture, what is wanted, whether its pixels are at hand, and what the report says of outlines
SAID = [
    ("grey", "SEG SR", False, f"{NO_SEG}; the outline of nodule-1 is in the presentation state."),
    ("grey", "GSPS SR", False, "The outline of nodule-1 is in the presentation state."),
    ("grey", "SR SC", True, "The outline of nodule-1 is in the secondary capture."),
    ("grey", "SR PDF", True, "The outline of nodule-1 is in the document."),
    ("colour", "SEG SR", True, f"{NO_SEG}; the outline of nodule-1 is in the secondary capture."),
    ("colour", "GSPS SR", True, f"{NO_GSPS}; the outline of nodule-1 is in the secondary capture."),
    (
        "colour",
        "GSPS SR",
        False,
        f"{NO_GSPS}; the outline of nodule-1 is kept in the findings, and this report has the box around it.",
    ),
    (
        "grey",
        "SR",
        False,
        "The outline of nodule-1 is kept in the findings, and this report has the box around it.",
    ),
]


@pytest.mark.parametrize(("source", "wanted", "at_hand", "said"), SAID)
def test_the_report_says_where_the_outlines_of_a_picture_are(
    source: str, wanted: str, at_hand: bool, said: str
) -> None:
    some = on_a_picture(colour=source == "colour")
    pixels = shown(some, source == "colour") if at_hand else None
    assert [text for text in report(some, wanted, pixels) if "outline" in text] == [said]


def test_of_a_picture_without_outlines_nothing_is_said_of_them() -> None:
    some = on_picture(RegionKind.POINT, at(0, 4, 7))
    assert not [text for text in report(some, "SEG SR") if "outline" in text and "marked" not in text]


def test_a_report_that_says_something_else_has_another_uid() -> None:
    colour = on_a_picture(colour=True)
    uids = {
        one.sop_instance_uid
        for kinds in (("SR",), ("GSPS", "SR"), ("SEG", "SR"))
        for one in make_objects(colour, ReportProfile(kinds=kinds, fallback=False), SALT)  # type: ignore[arg-type]
    }
    assert len(uids) == 3

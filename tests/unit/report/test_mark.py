"""What every result says of what it may be used for: the same words, and none that contradict the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom import Dataset

from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.drawing import pictures
from dicomnode.report.drawing.pictures import overlay_png
from dicomnode.report.heading.identity import NOT_WITHOUT_REVIEW, mark_of
from dicomnode.report.objects import Kind
from dicomnode.report.pages.words import words_of
from tests.unit.report.kinds import KINDS
from tests.unit.report.pages.paged import imprint_of, read, volume_of
from tests.unit.report.sources import SALT, Series, findings, provenance

CLEARED = provenance(use="CE class IIa. Detection aid.")
OF_KIND: dict[Kind, str] = {
    "SEG": "ContributingEquipmentSequence",
    "LABELMAP": "ContributingEquipmentSequence",
    "GSPS": "GraphicAnnotationSequence",
    "RTSTRUCT": "StructureSetDescription",
    "SR": "ContentSequence",
    "KOS": "ContentSequence",
    "PM": "ImageComments",
    "IMAGES": "ImageComments",
    "SC": "ContributingEquipmentSequence",
    "PDF": "ContributingEquipmentSequence",
}
FOUND = {
    "LABELMAP": findings(provenance=CLEARED, segments=findings().segments[:2]),  # they do not overlap
    "PM": replace(KINDS["an anomaly"][0], provenance=CLEARED),
    "IMAGES": replace(KINDS["an image and features"][0], provenance=CLEARED),
}


def words_in(ds: Dataset, keyword: str) -> str:
    """All texts of an element, one after the other, whatever breaks their lines."""
    element = ds[keyword]
    if element.VR != "SQ":
        return " ".join(str(element.value).split())
    told = (words_in(item, one.keyword) for item in element.value for one in item if one.keyword)
    return " ".join(told)


@pytest.mark.parametrize("kind", OF_KIND)
def test_objects_of_every_kind_say_it_in_the_same_words(kind: Kind) -> None:
    found = FOUND.get(kind, findings(provenance=CLEARED))
    made = make_objects(found, ReportProfile(kinds=(kind,)), SALT)
    assert made
    for one in made:
        told = words_in(read(one.content), OF_KIND[kind])
        assert f"{NOT_WITHOUT_REVIEW} CE class IIa. Detection aid." in told
        assert "clinical" not in told


def test_pages_and_pictures_say_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(provenance=CLEARED)
    assert words_of(imprint_of(found)).marks == (mark_of(found),)
    captions: list[str] = []
    compose = pictures._compose

    def recorded(rows, legend, caption):
        captions.extend(text for text, _, _ in caption)
        return compose(rows, legend, caption)

    monkeypatch.setattr(pictures, "_compose", recorded)
    overlay_png(volume_of(Series()), found, None)
    assert captions[-1] == mark_of(found)


def test_an_engine_that_says_it_itself_is_not_made_to_say_it_twice() -> None:
    use = "Detection aid. AI result, not for diagnosis without review."
    assert mark_of(findings(provenance=provenance(use=use))) == use

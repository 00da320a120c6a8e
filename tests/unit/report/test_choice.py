"""Which kinds of objects a destination gets, by what it wants and what it refuses."""

from __future__ import annotations

import pytest
from pynetdicom.sop_class import _STORAGE_CLASSES

from dicomnode.report import choose
from dicomnode.report.choice import NEXT_BEST, SOP_CLASSES

KINDS = ("SEG", "LABELMAP", "SR", "GSPS", "SC", "PM", "RTSTRUCT", "PDF", "KOS", "IMAGES")

# Wanted, refused, what it gets, and what instead of what
TABLE = [
    ("SEG SR", "", "SEG SR", ""),
    ("SEG SR", "SEG", "SR GSPS", "SEG>GSPS"),
    ("SEG SR", "SEG GSPS", "SR SC", "SEG>SC"),
    ("SEG SR", "SEG GSPS SC", "SR", "SEG>"),
    ("SEG SR", "SR", "SEG PDF", "SR>PDF"),
    ("SEG SR", "SR PDF", "SEG SC", "SR>SC"),
    ("SEG SR", "SEG GSPS SR PDF", "SC", "SEG>SC SR>SC"),
    ("SEG LABELMAP SR", "LABELMAP", "SEG SR", "LABELMAP>"),
    ("SEG SR GSPS", "SEG", "SR GSPS", "SEG>GSPS"),
    ("SEG SR GSPS", "SEG GSPS", "SR SC", "SEG>SC GSPS>SC"),
    ("PM RTSTRUCT KOS", "PM RTSTRUCT KOS", "SC", "PM>SC RTSTRUCT> KOS>"),
    ("IMAGES", "SEG SR SC", "IMAGES", ""),
    ("SEG", "SEG GSPS SC", "", "SEG>"),
]


@pytest.mark.parametrize(("wanted", "refused", "gets", "instead"), TABLE)
def test_it_gets_what_it_wants_and_the_next_best_of_what_it_refuses(
    wanted: str, refused: str, gets: str, instead: str
) -> None:
    choice = choose(wanted.split(), {SOP_CLASSES[kind] for kind in refused.split()})
    assert choice.kinds == tuple(gets.split())
    told = {kind: other or None for kind, other in (pair.split(">") for pair in instead.split())}
    assert dict(choice.instead) == told


def test_without_fallback_all_that_is_wanted_is_made() -> None:
    choice = choose(["SEG", "SR"], set(SOP_CLASSES.values()), fallback=False)
    assert choice.kinds == ("SEG", "SR")
    assert not choice.instead


CT_IMAGES = {**SOP_CLASSES, "IMAGES": "1.2.840.10008.5.1.4.1.1.2"}


def test_derived_images_are_left_out_where_their_class_is_refused() -> None:
    choice = choose(["IMAGES", "SR"], {CT_IMAGES["IMAGES"]}, classes=CT_IMAGES)
    assert choice.kinds == ("SR",)
    assert dict(choice.instead) == {"IMAGES": None}
    assert choose(["IMAGES", "SR"], {SOP_CLASSES["SEG"]}, classes=CT_IMAGES).kinds == ("IMAGES", "SR")


def test_every_kind_but_derived_images_has_a_class_of_storage() -> None:
    assert set(SOP_CLASSES) == set(KINDS) - {"IMAGES"}
    assert set(SOP_CLASSES.values()) <= set(_STORAGE_CLASSES.values())


def test_the_next_best_is_never_the_kind_itself() -> None:
    assert all(kind not in others for kind, others in NEXT_BEST.items())

"""How a lesion changed is said in plain words, and no more is said than is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.report.pages.words import words_of
from dicomnode.report.words.changes import change_sentences, change_summary, change_word
from dicomnode.report.words.sentences import of_segment
from dicomnode.values import Change, ChangeKind, Findings
from tests.unit.report.kinds import KINDS
from tests.unit.report.pages.paged import document, imprint_of, read
from tests.unit.report.pages.pdf_text import texts_of
from tests.unit.report.sources import NODULE, findings
from tests.unit.report.sr.test_report import report_of, texts

FOUND = KINDS["lesions, and what became of them since an earlier study"][0]
MEASURED = FOUND.changes[0]
NOT_SURE = "no sure change, as the same volume measured twice may differ by 25 %"


def said(change: Change) -> str:
    (sentence,) = change_sentences(replace(FOUND, changes=(change,)))
    return sentence


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"percent": 27.0, "doubling_days": 899.4}, "365 days before: +27 %, doubling in 899 days."),
        ({"percent": 900.0, "doubling_days": 1.2}, "365 days before: +900 %, doubling in 1 day."),
        ({"percent": 24.9, "doubling_days": None}, f"365 days before: +25 %, {NOT_SURE}."),
        ({"percent": 0.0, "doubling_days": None}, f"365 days before: +0 %, {NOT_SURE}."),
        ({"percent": -24.0, "doubling_days": None}, f"365 days before: -24 %, {NOT_SURE}."),
        ({"percent": -40.0, "doubling_days": None}, "365 days before: -40 %."),
        (
            {"percent": 40.0, "doubling_days": None, "days": None},
            "in the earlier study: +40 %, over what time is not known.",
        ),
        ({"percent": 40.0, "doubling_days": 2.06, "days": 1}, "1 day before: +40 %, doubling in 2 days."),
    ],
)
def test_a_change_of_volume_is_told_with_what_is_sure_of_it(facts: dict[str, float], text: str) -> None:
    assert said(replace(MEASURED, **facts)) == f"Nodule-1: 35 mm3, was 20 mm3 {text}"


def test_a_place_that_was_not_imaged_is_no_finding_of_the_earlier_study() -> None:
    change = replace(FOUND.changes[2], kind=ChangeKind.NOT_IMAGED_THEN)
    assert said(change) == "Nodule-3: not compared, as its place was not imaged 365 days before."


EACH = [
    "Nodule-1: 35 mm3, was 20 mm3 365 days before: +75 %, doubling in 452 days.",
    "Nodule-2: was there 365 days before; one of the two has no outline, so no change is measured.",
    "Nodule-3: new, not found 365 days before.",
    "Nodule, left lung, 1.23 ml, found 365 days before: not found now (2.5 mm R, 95.0 mm A, 300.0 mm F).",
    "Nodule, found in the earlier study: its place is not imaged now (1.0 mm L, 2.0 mm P, 3.0 mm H).",
]


def test_each_lesion_of_either_study_has_its_sentence_in_every_document() -> None:
    assert change_sentences(FOUND) == EACH
    assert [text for text in texts(report_of(FOUND)) if text in EACH] == EACH
    content = bytes(read(document(FOUND, None)).EncapsulatedDocument)
    pages = "".join(texts_of(content)).replace(" ", "").replace("mm³", "mm3")
    assert all(one.replace(" ", "") in pages for one in EACH)
    assert [one.replace("mm3", "mm³") for one in EACH] == list(words_of(imprint_of(FOUND)).changes)


@pytest.mark.parametrize(
    ("percents", "text"),
    [
        ((-40.0, 12.0, -3.0), "365 days before: 1 shrunk, 2 without sure change."),
        ((25.0, -25.0), "365 days before: 1 grown, 1 shrunk."),
    ],
)
def test_what_became_of_all_is_counted(percents: tuple[float, ...], text: str) -> None:
    changes = tuple(replace(MEASURED, percent=one, doubling_days=None) for one in percents)
    assert change_summary(replace(FOUND, changes=changes)) == [f"Lesions, compared with {text}"]
    undated = replace(FOUND, changes=(replace(MEASURED, days=None, doubling_days=None),))
    assert change_summary(undated) == ["Lesions, compared with the earlier study: 1 grown."]


def test_the_table_has_a_word_for_what_is_new_and_what_changed() -> None:
    segment, (spot, box) = FOUND.segments[0], FOUND.regions
    assert [change_word(one, FOUND) for one in (segment, spot, box)] == ["+75 %", "", "new"]
    assert change_word(segment, findings()) == ""
    assert "Change" in words_of(imprint_of(FOUND)).table.headings
    assert "Change" not in words_of(imprint_of(findings())).table.headings


def test_the_sentence_of_a_lesion_has_the_numbers_of_its_change() -> None:
    told = of_segment(FOUND.segments[0], FOUND, imprint_of(FOUND).heading)
    wanted = "volume in earlier study 20 mm3, growth of volume since earlier study 75 %"
    assert wanted in told
    assert "time since earlier study 365 days, volume doubling time 452 days" in told


@pytest.mark.parametrize(
    ("facts", "wrong"),
    [
        ({"label": None}, "label"),
        ({"kind": ChangeKind.NOT_FOUND_NOW, "percent": None}, "label"),
        ({"percent": None}, "percent"),
        ({"kind": ChangeKind.NEW}, "percent"),
    ],
)
def test_a_change_that_contradicts_itself_cannot_be(facts: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValueError, match=f"Change.{wrong}"):
        replace(MEASURED, **facts)  # type: ignore[arg-type]


def test_findings_without_an_earlier_study_say_nothing_of_it() -> None:
    plain: Findings = findings()
    assert change_sentences(plain) == change_summary(plain) == []
    assert MEASURED.type == NODULE

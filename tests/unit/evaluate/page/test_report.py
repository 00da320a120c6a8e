"""The page says what the evaluation says, first what matters most, and needs nothing from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from dicomnode.evaluate import ConfusionMatrix, Printed, classification_report, headline
from dicomnode.evaluate.evaluation import DataFacts, Evaluation
from dicomnode.evaluate.outcomes import ClassificationResult, OutputName, SegmentedCase
from dicomnode.evaluate.page import WorstPicture, report_html
from dicomnode.evaluate.page.measured import signed
from dicomnode.evaluate.page.style import POLICY, STYLE
from tests.unit.evaluate.evaluations import (
    article,
    case_name,
    classification,
    detection,
    engine,
    evaluation,
    regression,
    segmentation,
)
from tests.unit.evaluate.page.reading import balance, drawings, rows, section, shown, tree

_PNG = b"\x89PNG\r\n\x1a\nnot much of a picture"


@cache
def _evaluation() -> Evaluation:
    return evaluation(compared=True)


@cache
def _page() -> str:
    picture = WorstPicture(output="nodule", case=case_name(7), said="missed 2 of 2", png=_PNG)
    return report_html(_evaluation(), [picture])


@pytest.mark.parametrize("page", [_page, lambda: report_html(article())], ids=["all tasks", "a matrix alone"])
def test_every_element_is_closed_and_the_page_is_well_formed_xml_too(page) -> None:
    read = balance(page())
    assert not read.wrong
    assert not read.open
    assert tree(page()).tag == "html"


def test_every_drawing_has_a_title_a_description_and_names_of_its_own() -> None:
    found = drawings(_page())
    assert len(found) == 1 + 3 + 1 + 2 + 3 * 2 + 1  # matrix, curves, FROC, strips, volumes, regression
    names = [one.get("id") for one in tree(_page()).iter() if one.get("id")]
    assert len(names) == len(set(names))
    for one in found:
        title, told = one.get("aria-labelledby").split()
        assert {title, told} <= set(names)
        assert one.get("role") == "img"
        assert all(len(shown(child)) > 5 for child in list(one)[:2])


def test_the_page_needs_nothing_from_outside_and_runs_nothing() -> None:
    read = balance(_page())
    assert "http" not in _page().replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe", "object", "form"}
    for tag, attributes in read.tags:
        assert "style" not in attributes, tag  # the policy would not let it through
        assert not any(name.startswith("on") for name in attributes), tag
        if tag == "img":
            assert attributes["src"].startswith("data:image/png;base64,")
            assert attributes["alt"]


def test_the_policy_lets_through_the_style_sheet_that_is_there_and_no_other() -> None:
    style = _page().split("<style>")[1].split("</style>")[0]
    assert style == STYLE
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in POLICY
    assert POLICY.startswith("default-src 'none';")


def test_every_figure_with_its_interval_is_on_the_page_as_the_evaluation_has_it() -> None:
    judged = _evaluation()
    for n, result in enumerate(judged.results):
        part = section(_page(), f"output-{n}")
        told = [" ".join(row) for row in rows(part)]
        for one in result.intervals:
            value, between = f"{one.figure.value:.3f}", f"{one.low:.3f} to {one.high:.3f}"
            assert any(value in row and between in row for row in told), one.figure.title


def test_every_class_has_a_row_with_its_counts_what_is_looked_for_first() -> None:
    (result,) = _evaluation().classifications
    head, *found = [row for row in rows(section(_page(), "output-0")) if len(row) == 7][:3]
    assert head[0] == "Class"
    assert [row[0] for row in found] == ["malignant", "no malignant"]
    for row in found:
        of = result.report.of(row[0])
        assert row[1] == str(of.support)
        asked = (of.recall, of.specificity, of.precision, of.f1, of.prevalence)
        for text, figure in zip(row[2:], asked, strict=True):
            assert text.startswith(f"{figure.value:.3f}")
            assert figure.whole is None or f"{figure.part} of {figure.whole}" in text


def test_the_lead_of_each_output_stands_first_and_every_warning_on_the_first_screen() -> None:
    judged, first = _evaluation(), section(_page(), "first")
    leads = [shown(one) for one in first.iter("p") if one.get("class") == "lead"]
    assert leads == [f"{figure.value:.3f}" for figure in (one.headline.lead for one in judged.results)]
    told = shown(first)
    for result in judged.results:
        for text in result.headline.warnings:
            assert text in told
    assert "Of 93 cases, these have no answer: 1 refused, 1 not wanted, 1 failed." in told


def test_the_article_s_page_leads_with_the_recall_of_the_sick_and_warns() -> None:
    page = report_html(article())
    text = " ".join("".join(balance(page).text).split())
    first = section(page, "first")
    (lead,) = [shown(one) for one in first.iter("p") if one.get("class") == "lead"]
    assert lead == "0.057"
    card = next(one for one in first.iter("article"))
    assert card.get("class") == "card warned"
    assert "25 of 435" in shown(card)
    assert "⚠ Warning" in shown(card)
    for said in (
        "Of 435 cases that are sick, 25 were found, 410 were missed.",
        "The accuracy (0.785) hides the recall of sick (0.057).",
        "The printed accuracy, 0.9802, contradicts the matrix: 0.785 (3960 of 5045).",
    ):
        assert said in shown(card)
    assert text.index("0.057") < text.index("0.785")
    assert "no figure has an interval" in shown(section(page, "limits"))


def test_a_printed_support_that_is_not_the_row_sum_is_contradicted_on_the_page() -> None:
    page = report_html(article((Printed(name="support", label="healthy", text="4600"),)))
    assert "The printed support of healthy, 4600, contradicts the matrix: 4610." in shown(
        section(page, "first")
    )


def test_the_accuracy_comes_last_of_the_figures() -> None:
    told = [row[0] for row in rows(section(report_html(article()), "output-0"))]
    assert told.index("accuracy") > told.index("balanced accuracy")
    assert told.index("accuracy") > told.index("mean F1 of the classes")


def test_no_number_on_the_page_is_none() -> None:
    words = set("".join(balance(_page()).text).replace("(", " ").replace(",", " ").split())
    assert not {word for word in words if word.strip(".;:)") in {"nan", "NaN", "inf", "-inf", "None"}}


def test_nobody_is_named_and_no_uid_is_whole() -> None:
    for n in (0, 7, 200):
        case = case_name(n)
        assert case.patient not in _page()
        assert case.study_instance_uid not in _page()
    assert "site-a/case-200 (…1.100200.1)" in _page()


def test_what_was_refused_and_what_failed_is_there_by_name_and_reason() -> None:
    told = rows(section(_page(), "runs"))
    assert ["analysed", "90"] in told
    assert ["site-a/case-200 (…1.100200.1)", "refused", "DN-4003", "Slices are missing."] in told
    assert ["site-a/case-202 (…1.100202.1)", "failed", "DN-5001", "Out of memory."] in told


def test_how_it_was_done_can_be_done_again() -> None:
    told = shown(section(_page(), "method"))
    for said in (
        engine().digest,
        "100 resamples, seed 7",
        "a" * 64,
        "0.1.0",
        "2026-03-01T00:00:00+00:00",
        "DN-2001: 4",
    ):
        assert said in told
    assert "never pooled" in told


def test_remarks_and_what_had_no_counterpart_are_limits() -> None:
    told = shown(section(_page(), "limits"))
    judged = _evaluation()
    for said in (*judged.remarks, *judged.unmatched, "lung-left: Only 16 patients"):
        assert said in told
    assert told.count("lung-left: Only") == 1  # once, not once a figure


def test_two_engines_are_told_apart_with_differences_and_the_test() -> None:
    found = rows(section(_page(), "comparison"))
    area, _ = _evaluation().comparison.differences
    (row,) = [one for one in found if one[1:2] == ["area under the ROC curve"]]
    difference = area.difference
    assert row[2:] == [
        f"{difference.first.value:.3f}",
        f"{difference.second.value:.3f}",
        f"{difference.second.value - difference.first.value:.3f}",
        f"{difference.interval.low:.3f} to {difference.interval.high:.3f}",
        "▲ better",
    ]
    (calls,) = _evaluation().comparison.calls
    test = calls.test
    counts = [str(n) for n in (test.both, test.only_second, test.only_first, test.neither)]
    assert ["malignant", *counts, f"{test.p_value.value:.3f}"] in found


def test_a_picture_lies_in_the_page_itself() -> None:
    part = section(_page(), "gallery")
    (picture,) = part.iter("img")
    assert picture.get("src").endswith(b64encode(_PNG).decode())
    assert "site-a/case-007" in shown(part)
    assert "burned" in shown(part)


def test_what_is_no_png_is_not_put_into_the_page() -> None:
    with pytest.raises(ValueError, match="PNG"):
        WorstPicture(output="nodule", case=case_name(1), said="", png=b"GIF89a")


def test_texts_that_look_like_elements_stay_texts() -> None:
    bad = '<script>alert("1")</script>&\x00\x1b'
    first = classification()
    judged = replace(
        _evaluation(),
        engine=replace(engine(), name=bad, title=bad),
        comparison=None,
        remarks=(bad,),
        classifications=(replace(first, output=OutputName(label=bad, type=None, truth=bad, by="label")),),
    )
    page = report_html(judged)
    assert "<script" not in page
    assert not balance(page).wrong
    assert tree(page).tag == "html"
    assert "\x00" not in page


def test_equal_evaluations_give_equal_bytes_in_every_process() -> None:
    code = (
        "from hashlib import sha256\n"
        "from dicomnode.evaluate.page import report_html\n"
        "from tests.unit.evaluate.evaluations import article\n"
        "print(sha256(report_html(article()).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
            cwd=Path(__file__).parents[4],
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {sha256(report_html(article()).encode()).hexdigest()}
    assert report_html(_evaluation()) == report_html(_evaluation())


def test_nothing_that_was_judged_is_a_warning() -> None:
    page = report_html(Evaluation(engine=engine(), data=DataFacts(studies=0, patients=0), runs=()))
    assert "Nothing was judged" in shown(section(page, "first"))
    assert not balance(page).wrong


@pytest.mark.parametrize("many", [3, 12, 30])
def test_a_matrix_of_many_classes_is_drawn_as_long_as_it_can_be_read(many: int) -> None:
    labels = tuple(f"class number {n}" for n in range(many))
    counts = np.eye(many, dtype=int) * 5
    report = classification_report(ConfusionMatrix(labels=labels, counts=counts))
    result = ClassificationResult(
        output=OutputName(label="kind", type=None, truth="column kind", by="label"),
        headline=headline(report),
        intervals=(),
        labels=labels,
        report=report,
    )
    page = report_html(replace(article(), classifications=(result,)))
    assert len(drawings(page)) == (1 if many <= 12 else 0)
    assert [labels[-1], *("0" for _ in labels[1:]), "5", "5"] in rows(section(page, "output-0"))


@pytest.mark.parametrize("cases", [(), (0,), (0, 0)], ids=["none", "one", "twice the same"])
def test_few_cases_can_be_drawn_as_well(cases: tuple[int, ...]) -> None:
    outlined = tuple(
        SegmentedCase(case=case_name(n), dice=0.5, hd95_mm=None, found_ml=0.0, true_ml=0.0) for n in cases
    )
    page = report_html(
        replace(_evaluation(), comparison=None, segmentations=(replace(segmentation(), cases=outlined),))
    )
    assert not balance(page).wrong
    assert tree(page).tag == "html"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_what_so_few_cases_do_not_define_is_told_and_not_drawn(count: int) -> None:
    judged = replace(
        _evaluation(),
        comparison=None,
        classifications=(classification(count=count),),
        detections=(detection(count=count),),
        regressions=(regression(count=count),),
    )
    page = report_html(judged)
    assert tree(page).tag == "html"
    told = shown(tree(page))
    for one in (*judged.classifications, *judged.detections):
        for text in one.headline.warnings:
            assert text in told
    if count == 1:
        assert "undefined all 1 cases are positive: it needs both" in told


def test_volumes_on_the_plot_are_those_of_the_figures_with_something_to_outline() -> None:
    judged = segmentation()
    clean = SegmentedCase(case=case_name(80), dice=0.0, hd95_mm=None, found_ml=900.0, true_ml=0.0)
    with_clean = replace(judged, cases=(*judged.cases, clean))
    told = shown(
        section(report_html(replace(article(), classifications=(), segmentations=(with_clean,))), "output-0")
    )
    bias = judged.figure("mean_volume_error_ml").figure.value
    assert f"bias {signed(bias)} ml" in told
    assert "nothing is there; outlined were 900.00 ml" in told


def test_refusals_are_not_folded_away_where_paper_does_not_show_them() -> None:
    assert not list(section(_page(), "runs").iter("details"))
    for fold in tree(_page()).iter("details"):
        assert list(fold.iter("summary"))

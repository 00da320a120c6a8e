"""What a report says first: the matrix that was printed beside an accuracy of 98 %, and matrices like it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.evaluate import (
    ClassificationReport,
    ConfusionMatrix,
    Printed,
    classification_report,
    contradictions,
    headline,
)

# Printed in an article on diagnosis aids beside "accuracy 0.9802" and a support of 4600 healthy cases
ARTICLE = [[3935, 675], [410, 25]]


def _report(counts, labels=("healthy", "sick"), positive: str | None = "sick") -> ClassificationReport:
    return classification_report(ConfusionMatrix(labels=labels, counts=np.array(counts), positive=positive))


def test_the_article_s_matrix_means_an_accuracy_of_0785_and_a_recall_of_0057() -> None:
    report = _report(ARTICLE)
    assert report.accuracy.value == pytest.approx((3935 + 25) / (3935 + 675 + 410 + 25))
    assert report.accuracy.text == "0.785 (3960 of 5045)"
    assert report.of("sick").recall.text == "0.057 (25 of 435)"
    assert report.of("sick").precision.text == "0.036 (25 of 700)"
    assert report.matrix.support == (4610, 435)


def test_the_recall_of_the_sick_leads_warnings_follow_and_the_accuracy_comes_after() -> None:
    lines = headline(_report(ARTICLE)).lines()
    assert lines[0] == "recall of sick: 0.057 (25 of 435)"
    assert lines[1] == "Of 435 cases that are sick, 25 were found, 410 were missed."
    accuracy = lines.index("accuracy: 0.785 (3960 of 5045)")
    warned = [n for n, line in enumerate(lines) if line.endswith(".")]
    assert max(warned) < accuracy
    assert accuracy == len(lines) - 2  # and then what calling all cases healthy would give
    assert lines[-1] == "accuracy without looking: 0.914 (4610 of 5045)"


def test_everything_that_is_wrong_with_the_article_s_matrix_is_said() -> None:
    warnings = headline(_report(ARTICLE)).warnings
    assert warnings == (
        "Of 435 cases that are sick, 25 were found, 410 were missed.",
        "The accuracy (0.785) hides the recall of sick (0.057).",
        (
            "Calling every case healthy would be right in 0.914 of the cases: "
            "an accuracy of 0.785 is no better than not looking."
        ),
        (
            "Of the cases called sick, 0.036 are so; of all cases 0.086 are: "
            "being called sick says nothing for it."
        ),
    )


def test_what_the_article_prints_beside_its_matrix_is_contradicted() -> None:
    printed = (
        Printed(name="accuracy", text="0.9802"),
        Printed(name="support", label="healthy", text="4600"),
        Printed(name="support", label="sick", text="435"),
    )
    first, second = headline(_report(ARTICLE), printed).contradictions
    assert first.text == "The printed accuracy, 0.9802, contradicts the matrix: 0.785 (3960 of 5045)."
    assert second.text == "The printed support of healthy, 4600, contradicts the matrix: 4610."
    lines = headline(_report(ARTICLE), printed).lines()
    assert lines.index(first.text) < lines.index("accuracy: 0.785 (3960 of 5045)")


def test_a_good_matrix_has_no_warning_and_still_leads_with_the_recall() -> None:
    told = headline(_report([[900, 50], [5, 95]]))
    assert told.warnings == ()
    assert told.lead.title == "recall of sick"
    assert told.lead.value == 0.95


def test_without_a_positive_class_the_lowest_recall_leads() -> None:
    counts = [[90, 5, 5], [2, 95, 3], [40, 30, 30]]
    told = headline(_report(counts, ("a", "b", "c"), None))
    assert told.lead.title == "recall of c"
    assert told.warnings[0] == "Of 100 cases that are c, 30 were found, 70 were missed."


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ([[900, 50], [1, 9]], "Only 10 cases are sick: its figures may be far off."),
        ([[40, 0], [60, 0]], "There is no precision of sick: no case was called sick."),
        ([[100, 0], [0, 0]], "There is no recall of sick: no case is sick."),
        ([[0, 0], [0, 0]], "There is no accuracy: there is no case."),
        ([[10, 90], [0, 100]], "Of 100 cases that are healthy, 90 were called something else."),
        ([[50, 50], [50, 50]], "being called sick says nothing for it"),
        ([[90, 0], [40, 0]], "an accuracy of 0.692 is no better than not looking"),
    ],
    ids=[
        "few",
        "never called",
        "none is sick",
        "no case",
        "everybody is called sick",
        "chance",
        "nobody is called sick",
    ],
)
def test_what_else_is_warned_of(counts, says: str) -> None:
    assert any(says in warning for warning in headline(_report(counts)).warnings)


@given(st.lists(st.lists(st.integers(0, 200), min_size=3, max_size=3), min_size=3, max_size=3))
def test_the_accuracy_never_leads_and_no_figure_is_lost(counts) -> None:
    report = _report(counts, ("a", "b", "c"), None)
    told = headline(report)
    assert told.lead.name == "recall"
    assert sorted(map(repr, (told.lead, *told.then))) == sorted(map(repr, report.figures()))
    assert [figure.name for figure in told.then][-2:] == ["accuracy", "accuracy_without_looking"]
    recalls = [one.recall.value for one in report.classes if one.recall.value is not None]
    assert told.lead.value == (min(recalls) if recalls else None)


@pytest.mark.parametrize(
    ("text", "agrees"),
    [
        ("0.785", True),
        ("0.7849", True),
        ("0.78", True),
        ("78.5 %", True),
        ("78 %", True),
        ("0.784", False),
        ("0.79", False),
        ("78.6%", False),
        ("1", True),
    ],
)
def test_a_printed_number_is_as_exact_as_it_is_printed(text: str, agrees: bool) -> None:
    found = contradictions(_report(ARTICLE), [Printed(name="accuracy", text=text)])
    assert (not found) == agrees


def test_a_printed_figure_that_is_undefined_is_a_contradiction() -> None:
    (one,) = contradictions(_report([[5, 0], [3, 0]]), [Printed(name="precision", label="sick", text="0.00")])
    assert one.text == (
        "The printed precision of sick, 0.00, contradicts the matrix: undefined: no case was called sick."
    )


@pytest.mark.parametrize(
    ("printed", "says"),
    [
        ({"name": "acuracy", "text": "0.9"}, "has no 'acuracy'"),
        (
            {"name": "recall", "label": "ill", "text": "0.9"},
            "'recall' is not known of 'ill'; the labels are ",
        ),
        ({"name": "support", "text": "4600"}, "'support' needs a label; the labels are "),
        ({"name": "accuracy", "label": "sick", "text": "0.9"}, "'accuracy' is of all cases"),
        ({"name": "recall", "text": "high"}, "no number"),
        ({"name": "recall", "text": "NaN"}, "no number"),
    ],
)
def test_a_printed_number_that_cannot_be_held_against_anything_is_refused(printed: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        contradictions(_report(ARTICLE), [Printed(**printed)])

"""Questions on whole studies: how their classes are called, and what engine.toml says of them."""

from __future__ import annotations

import math

import pytest

from dicomnode.faults import LABELS_UNFIT, NodeError
from dicomnode.learn.train.questions import Question, Standard, class_question, told_apart
from dicomnode.values import Code

YEARS = Code("a", "UCUM", "year")


@pytest.mark.parametrize(
    ("column", "labels", "titles"),
    [
        ("opacity", ["0", "1", "1"], ("no opacity", "opacity")),
        ("dx", ["malignant", "benign"], ("benign", "malignant")),
        ("grade", ["2", "0", "1", "1"], ("grade 0", "grade 1", "grade 2")),
        ("kind", ["normal", "cyst", "tumour"], ("normal", "cyst", "tumour")),
        ("oedema", ["no", "some", "much"], ("oedema no", "much", "some")),
    ],
)
def test_classes_are_called_so_that_one_knows_what_is_meant(column, labels, titles) -> None:
    assert class_question(column, labels).titles == titles


def test_classes_of_one_name_in_two_columns_are_told_apart_by_the_columns() -> None:
    questions = told_apart(
        [
            class_question("first", ["low", "high"]),
            class_question("second", ["low", "high"]),
            class_question("third", ["wide", "narrow"]),
        ]
    )
    assert [one.titles for one in questions] == [
        ("first high", "first low"),
        ("second high", "second low"),
        ("narrow", "wide"),
    ]


def test_an_answer_is_a_place_a_number_or_not_known() -> None:
    grade = class_question("grade", ["0", "1", "2"])
    age = Question(column="age", unit=YEARS)
    assert grade.answer({"grade": "2"}) == 2.0
    assert age.answer({"age": "61.5"}) == 61.5
    assert math.isnan(grade.answer({"age": "3"}))
    with pytest.raises(NodeError) as caught:
        age.answer({"age": "old"})
    assert caught.value.fault is LABELS_UNFIT


def test_the_lack_of_something_is_no_output_and_every_other_class_is() -> None:
    grade = class_question("grade", ["0", "1", "2"])
    outputs = grade.class_outputs(calibrated=False)
    assert [(one["classification"], one["channel"]) for one in outputs] == [("grade-1", 1), ("grade-2", 2)]
    side = class_question("side", ["left", "right"])
    assert [one["channel"] for one in side.class_outputs(calibrated=True)] == [0, 1]
    both = class_question("finding", ["normal", "benign", "cyst"])
    assert [one["classification"] for one in both.class_outputs(calibrated=True)] == ["normal", "cyst"]


def test_a_number_is_served_in_its_unit() -> None:
    age = Question(column="Age at scan", unit=YEARS)
    made = age.number_output(Standard.of([40.0, 60.0]), [40.0, 60.0])
    assert made["measurement"] == "age-at-scan"
    assert (made["offset"], made["scale"]) == (50.0, 10.0)
    assert made["plausible"] == [30.0, 70.0]
    assert made["unit"] == {"scheme": "UCUM", "code": "a", "meaning": "year"}
    assert (age.head, age.output) == ("row-age-at-scan", "row_age_at_scan")


def test_what_is_plausible_is_a_span_even_where_all_numbers_are_alike_or_none_is_known() -> None:
    age = Question(column="age", unit=YEARS)
    for values, span in (([3.0, 3.0], [2.5, 3.5]), ([], [-0.5, 0.5])):
        assert age.number_output(Standard.of(values), values)["plausible"] == span


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0]])
def test_without_a_spread_numbers_stay_as_far_apart_as_they_are(values: list[float]) -> None:
    assert Standard.of(values).spread == 1.0

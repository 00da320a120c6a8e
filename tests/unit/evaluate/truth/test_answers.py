"""The true class and the true number: from tables and from coded answers, never guessed."""

from __future__ import annotations

import pytest

from dicomnode.engine import OutputSpec
from dicomnode.evaluate.truth import Asked, Wanted, true_class, true_number, true_yes
from dicomnode.values import AnnotatedRegion, Code, Measurement, RegionKind
from dicomnode.values.codes import MILLILITRE, MILLIMETRE
from tests.unit.evaluate.truth.values import LUNG, labels, organ, question, spec, sr

MALIGNANT = Code("MAL", "99TEST", "Malignant tumour")
YES, NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")
FINDING = Code("121071", "DCM", "Finding")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1", True),
        ("0", False),
        ("Yes", True),
        ("absent", False),
        ("1.0", True),
        ("malignant", True),
        ("Malignant tumour", True),
        ("benign", False),
    ],
)
def test_a_column_of_its_name_says_yes_no_or_the_class(cell, expected):
    found = true_yes(question(), labels(row={"malignant": cell}), ("benign",))
    assert found.value is expected
    assert not found.problem


def test_a_cell_that_is_neither_is_a_problem_and_no_truth():
    found = true_yes(question(), labels(row={"malignant": "perhaps"}), ("benign",))
    assert found.value is None
    assert found.problem == "column malignant has neither yes nor no, nor a class of the engine"


def test_without_a_label_nothing_is_known():
    assert true_yes(question(), labels(row={"sex": "f"})) is None
    assert true_yes(question(), labels()) is None


def test_one_column_of_classes_is_taken_and_of_two_none():
    row = {"diagnosis": "benign"}
    assert true_yes(question(), labels(row=row), ("benign",)).value is False
    row = {"diagnosis": "benign", "second opinion": "malignant"}
    assert true_yes(question(), labels(row=row), ("benign",)) is None


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (sr(answers=((MALIGNANT, YES),)), True),
        (sr(answers=((MALIGNANT, NO),)), False),
        (sr(answers=((FINDING, MALIGNANT),)), True),
        (
            sr(
                regions=(
                    AnnotatedRegion(
                        label="x", kind=RegionKind.POINT, points_lps_mm=((1.0, 1.0, 1.0),), type=MALIGNANT
                    ),
                )
            ),
            True,
        ),
        (sr(answers=((FINDING, LUNG),)), None),
        (sr(answers=((MALIGNANT, YES),), of_series="1.2.4"), None),
    ],
    ids=["yes", "no", "as a finding", "with a place", "another finding", "of another series"],
)
def test_coded_answers_of_reports_are_read(report, expected):
    found = true_yes(question(), labels(report))
    assert (found.value if found else None) is expected


@pytest.fixture
def asked() -> Asked:
    return Asked(
        wanted=(question("malignant"), question("benign")), classes=("malignant", "benign", "normal")
    )


def test_the_class_is_found_in_the_one_column_that_holds_classes(asked):
    row = {"age": "61", "finding": "Benign"}
    assert true_class(asked, labels(row=row)).value == "benign"
    assert true_class(asked, labels(row={"age": "61"})) is None


def test_a_class_may_be_called_by_its_column_and_its_cell():
    """Of several questions of one engine: classes that are numbers, or of one name in two columns."""
    grades = Asked(
        wanted=(question("grade-1"), question("grade-2")), classes=("grade 0", "grade-1", "grade-2")
    )
    row = {"grade": "2", "stage": "1"}
    assert true_class(grades, labels(row=row)).value == "grade-2"
    first = question("first-malignant")
    row = {"first": "malignant", "second": "benign"}
    found = true_yes(first, labels(row=row), ("first benign",))
    assert (found.value, found.source) == (True, "column first")
    assert true_yes(first, labels(row={"second": "malignant"}), ("first benign",)) is None


def test_a_column_for_each_class_says_one_yes(asked):
    row = {"malignant": "0", "benign": "0", "normal": "1"}
    assert true_class(asked, labels(row=row)).value == "normal"
    assert true_class(asked, labels(row={**row, "benign": "1"})) is None


def test_a_class_that_the_engine_does_not_know_is_a_problem():
    asked = Asked(wanted=(question("malignant", said=("dx",)),), classes=("malignant", "benign", "normal"))
    found = true_class(asked, labels(row={"dx": "cyst"}))
    assert found.value is None
    assert "does not know" in found.problem
    assert true_class(asked, labels(row={"dx": "normal"})).value == "normal"


def test_the_code_of_a_class_as_an_answer_is_the_class():
    benign = Wanted(
        spec=OutputSpec(classification="benign", step="s", type=spec(Code("BEN", "99TEST", "Benign")))
    )
    asked = Asked(wanted=(question(), benign), classes=("malignant", "benign"))
    report = sr(answers=((FINDING, Code("BEN", "99TEST", "Benign")),))
    assert true_class(asked, labels(report)).value == "benign"


def _measured(value: float, unit: Code) -> Measurement:
    return Measurement(name="v", concept=LUNG, value=value, unit=unit)


def test_numbers_come_from_a_column_or_a_measurement_in_the_same_unit():
    volume = Wanted(spec=OutputSpec(measurement="lung_ml", step="s", type=spec(LUNG)))
    assert true_number(volume, MILLILITRE, labels(row={"lung_ml": "12.5"})).value == 12.5
    report = sr(measurements=(_measured(7.0, MILLILITRE),))
    assert true_number(volume, MILLILITRE, labels(report)).value == 7.0
    wrong = true_number(volume, MILLILITRE, labels(sr(measurements=(_measured(7.0, MILLIMETRE),))))
    assert wrong.value is None
    assert wrong.problem == "measurements of (39607008, SCT, 'Lung') are in mm, the engine's in ml"


@pytest.mark.parametrize("cell", ["x", "inf", "nan "])
def test_a_cell_that_is_no_number_is_a_problem(cell):
    found = true_number(organ(), MILLILITRE, labels(row={"lung": cell}))
    assert found.value is None
    assert "no number" in found.problem


def test_of_several_measurements_which_is_meant_cannot_be_told():
    report = sr(measurements=(_measured(7.0, MILLILITRE), _measured(8.0, MILLILITRE)))
    assert true_number(organ(), MILLILITRE, labels(report)) is None


def test_reports_that_say_different_things_say_nothing_and_are_told():
    both = labels(sr(answers=((MALIGNANT, YES),)), sr("1.6.2", answers=((MALIGNANT, NO),)))
    found = true_yes(question(), both)
    assert found.value is None
    assert found.problem.endswith("differ")
    agreed = labels(sr(answers=((MALIGNANT, YES),)), sr("1.6.2", answers=((MALIGNANT, YES),)))
    assert true_yes(question(), agreed).value is True
    seven, eight = (sr(f"1.6.{n}", measurements=(_measured(n, MILLILITRE),)) for n in (7.0, 8.0))
    assert true_number(organ(), MILLILITRE, labels(seven, eight)).problem.endswith("differ")
    assert true_number(organ(), MILLILITRE, labels(seven)).value == 7.0


def test_a_number_of_the_whole_study_is_one_though_its_group_stands_there_too():
    """As reports are read: groups of no place stand among the regions as well."""
    volume = Wanted(spec=OutputSpec(measurement="lung_ml", step="s", type=spec(LUNG)))
    number = _measured(7.0, MILLILITRE)
    group = AnnotatedRegion(label="Lung", kind=None, measurements=(number,))
    assert true_number(volume, MILLILITRE, labels(sr(measurements=(number,), regions=(group,)))).value == 7.0

"""Columns of a table as readers: which are meant, how cells are read, what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.evaluate.readers import ReadClasses, ReadNumbers, reader_columns
from dicomnode.evaluate.readers.columns import ReaderColumns, read_columns
from dicomnode.faults import READERS_WRONG, NodeError


def data(*rows: dict[str, str]) -> LabelledData:
    """A study for each row, each of another patient."""
    studies = [
        LabelledStudy(
            patient=f"patient-{n:04d}",
            study=SimpleNamespace(study_instance_uid=f"1.2.{n:03d}", series=()),
            row=row,
            place=f"case-{n}",
        )
        for n, row in enumerate(rows)
    ]
    return LabelledData(studies=tuple(studies))


GRADES = ReaderColumns(title="grade", columns=("grade_a", "grade_b"))


def test_columns_are_found_whatever_their_case_and_named_by_what_they_begin_with() -> None:
    (one,) = reader_columns(["Grade-A, grade_b"], ["grade_a", "grade_b", "other"])
    assert one == GRADES
    (named,) = reader_columns(["malignant=other,grade_a"], ["grade_a", "grade_b", "other"])
    assert named.title == "malignant"
    (quoted,) = reader_columns(['"a, 1",b'], ["a, 1", "b"])
    assert quoted == ReaderColumns(title="reading 1", columns=("a, 1", "b"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("grade_a", "not of the form"),
        ("grade_a,", "not of the form"),
        ("=grade_a,grade_b", "not of the form"),
        ("grade_a,grade_c", "no column is called 'grade_c'"),
        ("grade_a,GRADE-A", "a column stands twice"),
    ],
)
def test_what_names_no_two_readers_is_refused(text: str, says: str) -> None:
    with pytest.raises(NodeError) as caught:
        reader_columns([text], ["grade_a", "grade_b"])
    assert caught.value.fault is READERS_WRONG
    assert says in str(caught.value)


def test_few_whole_numbers_are_grades_in_their_order_and_a_cell_may_be_missing() -> None:
    read = read_columns(data({"grade_a": "10", "grade_b": "2"}, {"grade_a": "2.0"}, {"other": "x"}), GRADES)
    assert isinstance(read, ReadClasses)
    assert (read.labels, read.ordered) == (("2", "10"), True)
    assert read.given == (("10", "2"), ("2", None))
    assert read.readers == ("reader 1", "reader 2")
    assert "grade_a" not in f"{read.readers} {read.by}"


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1.5", "2"], ReadNumbers),
        ([str(n) for n in range(12)], ReadNumbers),
        (["0", "1"], ReadClasses),
        (["mild", "2"], ReadClasses),
    ],
)
def test_fractions_and_many_whole_numbers_are_numbers(cells: list[str], kind: type) -> None:
    read = read_columns(data(*({"grade_a": one, "grade_b": cells[0]} for one in cells)), GRADES)
    assert isinstance(read, kind)


def test_yes_and_no_are_the_same_however_they_are_written() -> None:
    rows = [{"grade_a": "1", "grade_b": "yes"}, {"grade_a": "no", "grade_b": "0"}]
    read = read_columns(data(*rows), GRADES)
    assert read.given == (("yes", "yes"), ("no", "no"))
    assert (read.labels, read.ordered) == (("no", "yes"), False)


def test_words_differ_by_more_than_their_case_and_an_order_makes_them_degrees() -> None:
    rows = [{"grade_a": "Mild", "grade_b": "mild"}, {"grade_a": "none", "grade_b": "severe"}]
    free = read_columns(data(*rows), GRADES)
    assert (free.labels, free.ordered) == (("Mild", "none", "severe"), False)
    ordered = read_columns(data(*rows), GRADES, ("none", "mild", "severe"))
    assert (ordered.labels, ordered.ordered) == (("none", "mild", "severe"), True)
    assert ordered.given[0] == ("mild", "mild")
    with pytest.raises(NodeError, match="which --order does not name"):
        read_columns(data(*rows), GRADES, ("none", "mild"))


def test_numbers_that_are_missing_are_not_zero() -> None:
    read = read_columns(data({"grade_a": "1.5", "grade_b": "2.5"}, {"grade_b": "3"}), GRADES)
    assert np.array_equal(read.given, [[1.5, 2.5], [np.nan, 3.0]], equal_nan=True)

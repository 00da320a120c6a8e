"""Readers by their reports: answers and numbers of the same study, of two people."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from dicomnode.evaluate.data import LabelledStudy
from dicomnode.evaluate.readers import ReadClasses, ReadNumbers
from dicomnode.evaluate.readers.authors import Authors
from dicomnode.evaluate.readers.reported import Reports
from dicomnode.values import AnnotatedRegion, Annotation, Code, Measurement
from dicomnode.values.codes import MILLILITRE
from tests.unit.evaluate.truth.values import sr

DENSITY = Code("111031", "DCM", "Breast density")
DENSE, FATTY = Code("129716005", "SCT", "Dense"), Code("129715009", "SCT", "Fatty")
VOLUME = Code("118565006", "SCT", "Volume")


def volume(value: float) -> Measurement:
    return Measurement(name="volume", concept=VOLUME, value=value, unit=MILLILITRE)


def report(uid: str, author: str, answer: Code, *values: float) -> Annotation:
    numbers = tuple(volume(value) for value in values)
    # A group of no place stands among the regions, too: it is not a second number
    group = AnnotatedRegion(label="all", kind=None, measurements=numbers)
    return sr(
        uid=uid, author=author, answers=((DENSITY, answer),), measurements=numbers, regions=(group,)
    )  # fmt: skip


def readings(*studies: tuple[Annotation, ...]):
    authors, reports = Authors(), Reports()
    for n, told in enumerate(studies):
        study = LabelledStudy(
            patient=f"patient-{n:04d}", study=SimpleNamespace(study_instance_uid=f"1.1.{n}", series=())
        )
        reports.take(study, told, authors.number(told))
    return list(reports.readings(authors))


def test_answers_and_numbers_of_two_people_are_set_side_by_side() -> None:
    answers, numbers = readings(
        (report("1.1", "a", DENSE, 10.0), report("1.2", "b", FATTY, 12.0)),
        (report("2.1", "a", DENSE, 20.0),),
        (report("3.2", "b", DENSE, 30.0), report("3.1", "a", DENSE, 31.0)),
    )
    assert isinstance(answers, ReadClasses)
    assert answers.title == "Breast density"
    assert answers.given == (("Dense", "Fatty"), ("Dense", None), ("Dense", "Dense"))
    assert isinstance(numbers, ReadNumbers)
    assert numbers.unit == MILLILITRE
    assert np.array_equal(numbers.given, [[10, 12], [20, np.nan], [31, 30]], equal_nan=True)


def test_one_who_says_two_things_of_a_case_says_none_and_that_is_told() -> None:
    answers, _ = readings(
        (report("1.1", "a", DENSE, 1.0), report("1.3", "a", FATTY, 1.0), report("1.2", "b", FATTY, 2.0)),
        (report("2.1", "a", DENSE, 1.0), report("2.2", "b", DENSE, 2.0)),
    )
    assert answers.given == ((None, "Fatty"), ("Dense", "Dense"))
    assert any("In 1 case reports of one reader say different things" in text for text in answers.remarks)


def test_several_numbers_of_one_concept_are_of_several_things_and_none_is_taken() -> None:
    found = readings((report("1.1", "a", DENSE, 1.0, 2.0), report("1.2", "b", DENSE, 1.0)))
    assert [type(one) for one in found] == [ReadClasses]


def test_what_one_person_alone_reports_is_no_reading() -> None:
    assert readings((report("1.1", "a", DENSE, 1.0),)) == []

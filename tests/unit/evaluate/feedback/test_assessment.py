"""Which coded answers assess a result, in the words of several makers."""

from __future__ import annotations

import pytest

from dicomnode.evaluate.feedback import Assessment, assessment_of
from dicomnode.values import Code

QUESTION = Code("Q", "99SITE", "Assessment Decision")
FINDING = Code("121071", "DCM", "Finding")
ACCEPTED, CHANGED, REJECTED = Assessment.ACCEPTED, Assessment.CHANGED, Assessment.REJECTED


def word(meaning: str) -> Code:
    return Code("V", "99SITE", meaning)


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [
        ("AI Result Accepted", ACCEPTED),
        ("Agree", ACCEPTED),
        ("Correct", ACCEPTED),
        ("True positive", ACCEPTED),
        ("AI Result Modified", CHANGED),
        ("Accepted with modifications", CHANGED),
        ("Partially agree", CHANGED),
        ("Corrected", CHANGED),
        ("AI Result Rejected", REJECTED),
        ("Not accepted", REJECTED),
        ("Disagree", REJECTED),
        ("False positive", REJECTED),
        ("False-positive", REJECTED),
        ("Incorrect", REJECTED),
        ("Present", None),
        ("Undecided", None),
    ],
)
def test_a_word_of_assessment_says(meaning, expected):
    assert assessment_of(QUESTION, word(meaning)) is expected


def test_a_word_alone_assesses_nothing_where_nobody_asked_for_an_assessment():
    assert assessment_of(FINDING, word("Accepted")) is None
    assert assessment_of(FINDING, word("Accepted"), "AI Result Assessment") is ACCEPTED


@pytest.mark.parametrize(
    ("value", "expected"),
    [("122775", ACCEPTED), ("122776", REJECTED), ("113001", REJECTED), ("113037", REJECTED)],
)
def test_codes_of_the_standard_are_known_by_value_in_whatever_language(value, expected):
    assert assessment_of(FINDING, Code(value, "DCM", "wie auch immer")) is expected
    assert assessment_of(FINDING, Code(value, "99SITE", "wie auch immer")) is None

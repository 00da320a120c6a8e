"""What a report says of single lesions, beside their numbers: the classes that a step gave each of them."""

from __future__ import annotations

from tests.unit.report.kinds import KINDS
from tests.unit.report.sr.test_report import fact, groups, name, numbers, report_of, texts

PRESENT, NOT_THERE, UNDETERMINED = "52101004", "272519000", "373068000"
COMPOSED = "lesions with an attribute, which of one is not sure"


def test_the_classes_of_a_lesion_stand_in_its_own_group_with_their_numbers() -> None:
    found = KINDS["lesions with classes of their own"][0]
    segment, point, box = groups(report_of(found))
    for group in (segment, point):
        assert fact(group, "Solid nodule") == PRESENT
        assert fact(group, "Ground-glass nodule") == NOT_THERE
        assert numbers(group)["Probability of solid nodule"] == 91.0
        assert numbers(group)["Score of ground-glass nodule"] == 7.0
    assert numbers(segment)["Certainty of Finding"] == 80.0, "its own score is another thing"
    assert fact(box, "Solid nodule") == PRESENT
    assert "Score of ground-glass nodule" not in numbers(box)
    told = next(one for one in segment.ContentSequence if name(one) == "Probability of solid nodule")
    assert [one.TextValue for one in told.ContentSequence if name(one) == "Algorithm Name"] == [
        "lung-ct: type 1.0.0"
    ]


def test_a_viewer_that_shows_only_words_is_told_the_classes_too() -> None:
    told = texts(report_of(KINDS["lesions with classes of their own"][0]))
    (said,) = [one for one in told if one.startswith("nodule-1: ")]
    assert (
        "solid nodule present, calibrated probability 91.0 %, ground-glass nodule absent, score 7.0 %" in said
    )
    assert "Not calibrated: the probability of ground-glass nodule is a score of the network." in told


def test_a_region_without_a_score_has_its_class() -> None:
    told = texts(report_of(KINDS["lesions with classes of their own"][0]))
    assert any(one.startswith("nodule-3: ") and "solid nodule present" in one for one in told)


def test_of_an_attribute_a_group_says_the_value_and_not_what_is_absent() -> None:
    segment, point, box = groups(report_of(KINDS[COMPOSED][0]))
    assert fact(segment, "Composition") == "RDE1301.0"
    assert numbers(segment)["Probability of solid"] == 91.0
    assert numbers(segment)["Probability of ground glass"] == 7.0
    said = [name(one) for one in segment.ContentSequence if one.ValueType == "CODE"]
    assert "solid" not in said
    assert "ground glass" not in said
    assert (fact(box, "Composition"), fact(box, "Solid nodule")) == ("RDE1301.0", PRESENT)
    assert fact(point, "Composition") == UNDETERMINED, "none is sure: nobody may read that all are absent"


def test_words_tell_the_value_of_an_attribute_or_that_it_is_undetermined() -> None:
    told = texts(report_of(KINDS[COMPOSED][0]))
    (sure,) = [one for one in told if one.startswith("nodule-1: ")]
    (unsure,) = [one for one in told if one.startswith("nodule-2: ")]
    assert "composition solid, calibrated probability 91.0 %" in sure
    assert "ground glass" not in sure
    assert "composition undetermined" in unsure
    assert "absent" not in unsure

"""Words of single findings, where there is little room."""

from __future__ import annotations

from dataclasses import replace

from dicomnode.report.words.wording import present_classes
from tests.unit.report.kinds import COMPOSED, KINDS, TYPED

FINDING = KINDS["lesions with classes of their own"][0].segments[0]


def test_of_values_of_one_attribute_only_the_surest_is_said_as_in_the_report() -> None:
    solid, glass = COMPOSED
    both = replace(FINDING, classes=(replace(glass, probability=0.7), solid))
    assert present_classes(both) == ["solid, calibrated probability 91.0 %"]
    assert present_classes(replace(FINDING, classes=(replace(solid, probability=0.1), glass))) == []


def test_classes_that_stand_by_themselves_are_all_said_the_surest_first() -> None:
    solid, glass = TYPED
    classes = (replace(glass, probability=0.6), solid, replace(COMPOSED[0], label="firm"))
    several = replace(FINDING, classes=classes)
    assert present_classes(several) == [
        "Solid nodule, calibrated probability 91.0 %",
        "solid, calibrated probability 91.0 %",
        "Ground-glass nodule, score 60.0 %",
    ]

"""What is told of an attribute: one of its values, or that none is sure."""

from __future__ import annotations

from dicomnode.values import Classification, Code, plain_classes, told_attributes

COMPOSITION = Code("RDE1301", "RADELEMENT", "Composition")
MARGIN = Code("RDE1305", "RADELEMENT", "Morphology")


def value(label: str, probability: float, of: Code | None = COMPOSITION) -> Classification:
    type_ = Code(label.upper(), "99TEST", label)
    return Classification(label=label, type=type_, probability=probability, threshold=0.6, attribute=of)


def test_the_value_that_reaches_its_threshold_is_told_and_of_several_the_surest() -> None:
    one, two = value("solid", 0.7), value("cavity", 0.8)
    assert told_attributes([one, value("glass", 0.3)]) == [(COMPOSITION, one)]
    assert told_attributes([one, two]) == [(COMPOSITION, two)]


def test_none_that_reaches_it_is_told_as_none_and_not_left_out() -> None:
    assert told_attributes([value("solid", 0.5), value("glass", 0.5)]) == [(COMPOSITION, None)]


def test_each_attribute_is_told_by_itself_and_classes_without_one_stay_apart() -> None:
    plain, smooth = value("malignant", 0.9, None), value("smooth", 0.9, MARGIN)
    classes = [value("solid", 0.1), plain, smooth]
    assert told_attributes(classes) == [(COMPOSITION, None), (MARGIN, smooth)]
    assert plain_classes(classes) == [plain]
    assert told_attributes([plain]) == []

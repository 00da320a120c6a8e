"""The codes of reports are those of the standard."""

from __future__ import annotations

import pytest
from pydicom.sr._concepts_dict import concepts as dictionary

from dicomnode.report.concepts import (
    ANY_PROCEDURE,
    NOT_IN_DICTIONARY,
    PROCEDURES,
    all_concepts,
    coded,
    concept_of_class,
    procedure_of,
)
from dicomnode.values import Code
from dicomnode.values.codes import (
    CUBIC_MILLIMETRE,
    HOUNSFIELD,
    LEFT,
    MILLIMETRE,
    PERCENT,
    RIGHT,
)


def _meanings(code: Code) -> set[str]:
    """The meanings that DICOM's dictionary gives to a value of a scheme."""
    of_scheme = dictionary.get(code.scheme, {})
    return {meanings[code.value][0] for meanings in of_scheme.values() if code.value in meanings}


@pytest.mark.parametrize("name", sorted(all_concepts()))
def test_each_concept_has_value_and_meaning_of_the_dictionary(name: str) -> None:
    code = all_concepts()[name]
    if code in NOT_IN_DICTIONARY:
        assert not _meanings(code)  # else it belongs among the others
    else:
        assert code.meaning in _meanings(code)


@pytest.mark.parametrize("code", [HOUNSFIELD, MILLIMETRE, CUBIC_MILLIMETRE, PERCENT, LEFT, RIGHT], ids=str)
def test_units_and_sides_that_the_dictionary_lists_have_its_values(code: Code) -> None:
    assert _meanings(code)


def test_absent_is_the_code_that_dicom_uses() -> None:
    assert all_concepts()["ABSENT"].value == "272519000"  # 2667000 passes every judge and is not DICOM's


def test_a_modality_without_a_procedure_of_its_own_is_an_imaging_procedure() -> None:
    assert procedure_of("CT") == PROCEDURES["CT"]
    assert procedure_of("MG") == ANY_PROCEDURE


def test_a_code_keeps_its_parts_for_the_writers() -> None:
    made = coded(Code("1", "SCHEME", "Meaning"))
    assert (made.value, made.scheme_designator, made.meaning) == ("1", "SCHEME", "Meaning")


LONG = "1234567890123456"
OF_CLASSES = [
    Code("SOLID", "99ONE", "Solid"),
    Code("SOLID", "99TWO", "Made of one piece"),
    Code("52101004", "99ONE", "Something else"),
    Code("52101004", "SCT", "Present"),
    Code(LONG, "SCT", "Long"),
    Code(LONG, "99ONE", "As long"),
]


def test_the_number_of_a_class_has_a_code_that_no_other_class_has() -> None:
    made = [concept_of_class(one, calibrated=known) for one in OF_CLASSES for known in (True, False)]
    assert len({(one.value, one.scheme) for one in made}) == len(made)
    assert {one.scheme for one in made} == {"99DICOMNODE"}


def test_of_a_class_of_snomed_ct_the_code_shows_its_value() -> None:
    made = concept_of_class(Code("52101004", "SCT", "Present"), calibrated=True)
    assert (made.value, made.meaning) == ("P52101004", "Probability of present")

"""Whose work an object is, as a key: by the attribute that tells most, and never by name."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from dicomnode.assemble.annotations.authors import author_of
from dicomnode.assemble.annotations.opened import Opened


def opened(**attributes: object) -> Opened:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return Opened(header=SimpleNamespace(path=None), dataset=ds, kind="test")


def items(keyword: str, *names: str) -> Sequence:
    made = []
    for name in names:
        item = Dataset()
        setattr(item, keyword, name)
        made.append(item)
    return Sequence(made)


def observed(name: str) -> Dataset:
    item, concept = Dataset(), Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator = "121008", "DCM"
    concept.CodeMeaning = "Person Observer Name"
    item.ValueType, item.PersonName = "PNAME", name
    item.ConceptNameCodeSequence = Sequence([concept])
    return item


ADA = author_of(opened(ContentCreatorName="Lovelace^Ada"))


@pytest.mark.parametrize(
    "attributes",
    [
        {"ContentCreatorName": "LOVELACE^ADA"},
        {"ContentCreatorName": "Lovelace Ada^^"},
        {"ContentCreatorName": "Lovelace^Ada=ラブレス^エイダ"},
        {"OperatorsName": "Lovelace^Ada"},
        {"ContentCreatorName": "Lovelace^Ada", "OperatorsName": "Babbage^Bob"},
        {"ReviewerName": "Lovelace^Ada"},
        {"RTROIObservationsSequence": items("ROIInterpreter", "Lovelace^Ada", "Lovelace^Ada")},
        {"AuthorObserverSequence": items("PersonName", "Lovelace^Ada")},
        {"VerifyingObserverSequence": items("VerifyingObserverName", "Lovelace^Ada")},
        {
            "ContentSequence": Sequence([observed("Lovelace^Ada")]),
            "VerifyingObserverSequence": items("VerifyingObserverName", "Babbage^Bob"),
        },
    ],
)
def test_one_person_has_one_key_wherever_the_name_stands(attributes) -> None:
    assert author_of(opened(**attributes)) == ADA


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"ContentCreatorName": ""},
        {"ContentCreatorName": "^"},
        {"RTROIObservationsSequence": items("ROIInterpreter", "Lovelace^Ada", "Babbage^Bob")},
        {"OperatorsName": ["Lovelace^Ada", "Babbage^Bob"]},
        {"RTROIObservationsSequence": items("ROIInterpreter", "")},
    ],
)
def test_where_nobody_or_several_are_named_there_is_no_key(attributes) -> None:
    assert author_of(opened(**attributes)) == ""


def test_the_key_is_of_another_person_for_another_name_and_holds_nothing_of_it() -> None:
    assert author_of(opened(ContentCreatorName="Babbage^Bob")) != ADA
    assert len(ADA) == 16
    assert "ada" not in ADA


def test_two_people_who_are_written_in_ideographs_alone_are_two() -> None:
    """PS3.5 6.2.1: the alphabetic group may be empty."""
    first, second = (author_of(opened(ContentCreatorName=f"={name}")) for name in ("山田^太郎", "鈴木^花子"))
    assert first
    assert second
    assert first != second
    assert author_of(opened(ContentCreatorName="^^=^")) == ""

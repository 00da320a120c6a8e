"""Patients are told apart by numbers that say nothing of their IDs, and the same from run to run."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from dicomnode.evaluate.data import LabelledData, LabelledStudy, numbered


def data(*patients: str) -> LabelledData:
    """A study of each of these patients, in the order of their UIDs."""
    studies = [
        LabelledStudy(patient=one, study=SimpleNamespace(study_instance_uid=f"1.2.{n:05d}", series=()))
        for n, one in enumerate(patients)
    ]
    return LabelledData(studies=tuple(studies))


def keys(of: LabelledData) -> list[str]:
    return [study.patient for study in of.studies]


@given(st.lists(st.sampled_from("abcdef"), max_size=20))
def test_studies_share_a_number_where_they_share_a_patient(patients: list[str]) -> None:
    found = keys(numbered(data(*patients)))
    assert [a == b for a in found for b in found] == [a == b for a in patients for b in patients]
    assert len(numbered(data(*patients)).patients) == len(set(patients))


def test_the_key_of_a_patient_does_not_matter_to_the_number() -> None:
    assert keys(numbered(data("z", "a", "z", "m"))) == keys(numbered(data("a", "q", "a", "b")))
    assert keys(numbered(data("z", "a", "z"))) == ["patient-0001", "patient-0002", "patient-0001"]


def test_a_part_has_the_numbers_of_the_whole() -> None:
    whole = data("z", "a", "z", "m")
    assert keys(numbered(whole.only(["a", "m"]), among=whole)) == ["patient-0002", "patient-0003"]


def test_numbers_sort_as_they_count() -> None:
    found = keys(numbered(data(*(f"{n:05d}" for n in range(10_001)))))
    assert found == sorted(found)

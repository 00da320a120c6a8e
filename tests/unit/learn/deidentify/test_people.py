"""Which files are of one patient."""

from __future__ import annotations

import pytest

from dicomnode.learn.deidentify.people import Identity, name_people
from tests.unit.learn.deidentify.patients import exported, tell_all, write_ct, written


def groups(*told: tuple[str, str, str]) -> list[set[int]]:
    """Numbers of the identities (ID, issuer, study) that are of one patient, in order."""
    made = [Identity(patient=patient, issuer=issuer, study=study) for patient, issuer, study in told]
    names = name_people(made)
    found = [names[one] for one in made]
    return [{n for n, name in enumerate(found) if name == one} for one in dict.fromkeys(found)]


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ([("1", "", "a"), ("1", "", "b"), ("2", "", "c")], [{0, 1}, {2}]),
        ([("1", "HOSP", "a"), ("1", "", "a")], [{0, 1}]),  # a segmentation without the issuer
        ([("1", "HOSP", "a"), ("1", "", "b")], [{0, 1}]),
        ([("1", "HOSP", "a"), ("1", "CLINIC", "b")], [{0}, {1}]),
        ([("1", "HOSP", "a"), ("1", "", "a"), ("1", "CLINIC", "b")], [{0, 1}, {2}]),
        ([("1", "HOSP", "a"), ("", "", "a")], [{0, 1}]),
        ([("", "", "a"), ("", "", "b")], [{0}, {1}]),
        ([("1", "", "a"), ("2", "", "a"), ("", "", "a")], [{0}, {1}, {2}]),
    ],
)
def test_the_id_tells_patients_apart_and_its_issuer_where_two_gave_the_same(told, wanted):
    assert groups(*told) == wanted


def test_parts_of_a_study_of_which_some_name_no_issuer_fit_together_over_two_exports(tmp_path):
    def issued(header):
        tell_all(header)
        header.IssuerOfPatientID = "HOSP"

    write_ct(tmp_path / "one", edit=issued)
    write_ct(tmp_path / "two")
    exported(tmp_path / "one", tmp_path / "out-one")
    exported(tmp_path / "two", tmp_path / "out-two")
    first, second = written(tmp_path / "out-one")[0], written(tmp_path / "out-two")[0]
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "StudyDate"):
        assert first[keyword].value == second[keyword].value

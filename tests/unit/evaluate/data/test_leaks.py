"""What stands on both sides of a split is found: by patient, by UID, and by pixels under other names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from dicomnode.evaluate.data import check_leaks, find_leaks, read_labelled
from dicomnode.evaluate.data.leaks import LeakKind
from dicomnode.faults import SPLIT_LEAKS, NodeError


@pytest.fixture(scope="module")
def studies(volumes):
    """A study of each of two patients."""
    by_patient = {study.patient: study for study in read_labelled([volumes[0]]).studies}
    first, second, *_ = by_patient.values()
    return first, second


def _copied(volumes, place: str, to: Path, **attributes: str) -> Path:
    """Copy a study with other attributes; "+" is put behind what was there."""
    shutil.copytree(volumes[0] / place, to)
    for path in to.rglob("*.dcm"):
        dataset = dcmread(path)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, str(dataset[keyword].value) + value[1:] if value[0] == "+" else value)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(path)
    return to


NEW_UIDS = {
    "PatientID": "ANONYMOUS",
    "StudyInstanceUID": "+1",
    "SeriesInstanceUID": "+1",
    "SOPInstanceUID": "+1",
}


def test_two_patients_share_nothing(studies):
    first, second = studies
    assert find_leaks({"train": [first], "test": [second]}) == ()
    check_leaks({"train": [first], "test": [second]})


def test_the_same_patient_is_a_leak_with_both_places(studies):
    first, _ = studies
    (leak,) = find_leaks({"train": [first], "test": [first]})
    assert leak.kind is LeakKind.PATIENT
    assert leak.text == f"{first.place} (train) and {first.place} (test) have the same patient"


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"PatientID": "ANONYMOUS"}, LeakKind.STUDY),
        ({"PatientID": "ANONYMOUS", "StudyInstanceUID": "+1"}, LeakKind.SERIES),
        (
            {"PatientID": "ANONYMOUS", "StudyInstanceUID": "+1", "SeriesInstanceUID": "+1"},
            LeakKind.INSTANCE,
        ),
        (NEW_UIDS, LeakKind.PIXELS),
    ],
    ids=lambda one: str(one) if isinstance(one, LeakKind) else "",
)
def test_a_copy_under_another_name_is_found_by_what_it_kept(studies, volumes, tmp_path, attributes, kind):
    first, second = studies
    copy = _copied(volumes, first.place, tmp_path / "copy", **attributes)
    (other,) = read_labelled([copy]).studies
    (leak,) = find_leaks({"train": [second, first], "test": [other]})
    assert leak.kind is kind
    assert leak.parts == ("train", "test")


def test_pixels_are_the_same_in_another_transfer_syntax(studies, volumes, tmp_path):
    first, _ = studies
    copy = _copied(volumes, first.place, tmp_path / "copy", **NEW_UIDS)
    for path in copy.rglob("IM*.dcm"):
        dataset = dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    (other,) = read_labelled([copy]).studies
    (leak,) = find_leaks({"train": [first], "test": [other]})
    assert leak.kind is LeakKind.PIXELS


def test_black_slices_are_nobody_s_pixels(studies, volumes, tmp_path):
    first, second = studies
    folders = []
    for name, study in (("a", first), ("b", second)):
        folder = _copied(volumes, study.place, tmp_path / name)
        for path in folder.rglob("IM*.dcm"):
            dataset = dcmread(path)
            dataset.PixelData = bytes(len(dataset.PixelData))
            dataset.save_as(path)
        folders.append(read_labelled([folder]).studies)
    assert find_leaks({"train": folders[0], "test": folders[1]}) == ()


def test_a_leak_is_a_refusal_that_names_places_and_no_patient(studies):
    first, _ = studies
    with pytest.raises(NodeError) as caught:
        check_leaks({"train": [first], "test": [first]})
    assert caught.value.fault is SPLIT_LEAKS
    assert first.place in str(caught.value)
    assert first.patient not in str(caught.value)


def test_a_patient_with_an_issuer_here_and_none_there_is_one_person(volumes, tmp_path):
    number = {"PatientID": "one number"}
    a = _copied(volumes, "case-0001", tmp_path / "a", **NEW_UIDS | number, IssuerOfPatientID="A")
    b = _copied(volumes, "case-0002", tmp_path / "b", **NEW_UIDS | number, IssuerOfPatientID=" ")
    c = _copied(volumes, "case-0003", tmp_path / "c", **NEW_UIDS | number, IssuerOfPatientID="C")
    one, other, third = (read_labelled([folder]).studies[0] for folder in (a, b, c))
    assert one.patient != other.patient
    (leak,) = find_leaks({"train": [one], "test": [other]})
    assert leak.kind is LeakKind.PATIENT
    assert find_leaks({"train": [one], "test": [third]}) == ()

"""A folder of DICOM and a table become labelled studies, each file and row accounted for."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import (
    LABEL_ROW_UNUSED,
    LABELS_OF_OTHERS,
    LABELS_WRONG,
    NO_INSTANCES,
    NOT_DICOM,
    STUDY_OF_TWO,
    NodeError,
)


@pytest.fixture(scope="module")
def data(volumes):
    folder, _ = volumes
    return read_labelled([folder], folder / "labels.csv")


@pytest.fixture
def two(volumes, tmp_path) -> Path:
    """Two cases of the data, to be changed."""
    for name in ("case-0001", "case-0002"):
        shutil.copytree(volumes[0] / name, tmp_path / "two" / name)
    return tmp_path / "two"


def _rewrite(folder: Path, **attributes: str) -> None:
    for path in folder.rglob("*.dcm"):
        dataset = dcmread(path)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)


def _table(path: Path, key: str, rows: dict[str, str]) -> Path:
    path.write_text(f"{key},sick\n" + "".join(f"{name},{label}\n" for name, label in rows.items()))
    return path


def _study_uids(folder: Path) -> dict[str, str]:
    """Study Instance UID by case."""
    first = {one.name: next(one.rglob("*.dcm")) for one in folder.iterdir() if one.is_dir()}
    return {name: str(dcmread(path).StudyInstanceUID) for name, path in first.items()}


def test_every_study_has_its_images_its_objects_and_its_row(data, volumes):
    folder, _ = volumes
    with (folder / "labels.csv").open(newline="") as file:
        rows = {row["StudyInstanceUID"]: row for row in csv.DictReader(file)}
    assert len(data.studies) == len(rows) == 8
    for study in data.studies:
        row = rows[study.study.study_instance_uid]
        assert study.row["lesion"] == row["lesion"]
        segments = [one for annotation in study.annotations for one in annotation.segments]
        assert {"liver", "spleen"} <= {one.label for one in segments}
        sick = any(one.label.startswith("lesion") and not one.mask.is_empty for one in segments)
        assert sick == (row["lesion"] == "1")
        assert study.place.startswith("case-")
        assert study.synthetic


def test_a_study_is_synthetic_where_any_series_of_it_says_so(two):
    real = {"SyntheticData": "NO", "ManufacturerModelName": "Scanner"}
    _rewrite(two, **real)
    assert [one.synthetic for one in read_labelled([two]).studies] == [False, False]
    added = two / "case-0001" / "images" / "added.dcm"
    dataset = dcmread(next((two / "case-0001").rglob("IM*.dcm")))
    dataset.SyntheticData, dataset.SeriesInstanceUID = "YES", f"{dataset.SeriesInstanceUID}.9"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SOPInstanceUID}.9"
    dataset.save_as(added)
    found = {one.place: one.synthetic for one in read_labelled([two]).studies}
    assert found == {"case-0001/images": True, "case-0002/images": False}


def test_patients_are_the_same_key_in_all_their_studies_and_the_key_says_nothing(data, volumes):
    folder, _ = volumes
    of_patient: dict[str, set[str]] = {}
    for study in data.studies:
        header = dcmread(next((folder / study.place).rglob("IM*.dcm")))
        of_patient.setdefault(str(header.PatientID), set()).add(study.patient)
        assert re.fullmatch(r"[0-9a-f]{16}", study.patient)
        assert str(header.PatientID) not in repr(study)
    assert all(len(keys) == 1 for keys in of_patient.values())
    assert len(data.patients) == len(of_patient)


def test_what_is_read_as_an_annotation_is_not_set_aside_as_well(data):
    names = [one.file for one in data.set_aside if one.file and one.file.endswith(".dcm")]
    assert names == []


def test_a_study_without_a_patient_s_id_is_a_patient_of_its_own(two):
    _rewrite(two, PatientID="")
    first, second = read_labelled([two]).studies
    assert first.patient != second.patient


def test_the_issuer_tells_patients_of_one_number_apart(two):
    _rewrite(two, PatientID="4711")
    same = read_labelled([two])
    assert len(same.patients) == 1
    _rewrite(two / "case-0002", IssuerOfPatientID="OTHER HOSPITAL")
    assert len(read_labelled([two]).patients) == 2


def test_a_study_of_two_persons_is_nobody_s(two):
    path = next((two / "case-0001").rglob("IM*.dcm"))
    dataset = dcmread(path)
    dataset.PatientID = "SOMEBODY ELSE"
    dataset.save_as(path)
    read = read_labelled([two])
    assert [study.place for study in read.studies] == ["case-0002/images"]
    (aside,) = [one for one in read.set_aside if one.code == STUDY_OF_TWO.code]
    assert "SOMEBODY" not in aside.text


def test_rows_of_other_studies_are_set_aside_and_studies_without_a_row_stay(two):
    uids = _study_uids(two)
    table = _table(two / "t.csv", "StudyInstanceUID", {uids["case-0001"]: "1", "1.2.3.999": "0"})
    read = read_labelled([two], table)
    assert {study.study.study_instance_uid: dict(study.row) for study in read.studies} == {
        uids["case-0001"]: {"sick": "1"},
        uids["case-0002"]: {},
    }
    (unused,) = [one for one in read.set_aside if one.code == LABEL_ROW_UNUSED.code]
    assert "Row 3 of t.csv" in unused.text
    assert "1.2.3.999" not in unused.text


def test_a_table_of_other_data_is_refused(two):
    table = _table(two / "t.csv", "StudyInstanceUID", {"1.2.3.998": "1", "1.2.3.999": "0"})
    with pytest.raises(NodeError) as caught:
        read_labelled([two], table)
    assert caught.value.fault is LABELS_OF_OTHERS


def test_a_series_a_file_a_folder_and_an_accession_number_are_keys_too(two):
    path = next((two / "case-0001").rglob("IM*.dcm"))
    header = dcmread(path)
    read = read_labelled([two])
    (study,) = [one for one in read.studies if one.study.study_instance_uid == header.StudyInstanceUID]
    keys = {
        "SeriesInstanceUID": str(header.SeriesInstanceUID),
        "SOPInstanceUID": str(header.SOPInstanceUID),
        "file": str(path.relative_to(two)),
        "path": path.name,
        "filename": study.place,
        "AccessionNumber": str(header.AccessionNumber),
    }
    for name, key in keys.items():
        labelled = read_labelled([two], _table(two / "t.csv", name, {key: "1"}))
        told = {
            one.study.study_instance_uid: [dict(one.labels_of(stack)) for stack in one.stacks]
            for one in labelled.studies
        }
        assert told.pop(str(header.StudyInstanceUID)) == [{"sick": "1"}], name
        assert all(labels == [{}] for labels in told.values()), name


def test_slices_of_one_volume_with_different_labels_are_a_problem_by_their_rows(two):
    first, second = sorted((two / "case-0001").rglob("IM*.dcm"))[:2]
    table = _table(two / "t.csv", "file", {first.name: "1", second.name: "0"})
    with pytest.raises(NodeError) as caught:
        read_labelled([two], table)
    assert caught.value.fault is LABELS_WRONG
    assert "rows 2 and 3, column sick" in str(caught.value)


def test_a_name_that_several_files_have_must_be_written_as_a_path(two):
    name = next((two / "case-0001").rglob("IM*.dcm")).name
    shutil.copy(next((two / "case-0002").rglob("IM*.dcm")), two / name)
    table = _table(two / "t.csv", "file", {name: "1"})
    with pytest.raises(NodeError) as caught:
        read_labelled([two], table)
    assert "several files have this name" in str(caught.value)


def test_files_that_are_no_dicom_are_set_aside_and_nothing_at_all_is_a_failure(two, tmp_path):
    (two / "notes.txt").write_text("no DICOM")
    assert NOT_DICOM.code in {one.code for one in read_labelled([two]).set_aside}
    with pytest.raises(NodeError) as caught:
        read_labelled([tmp_path / "none"])
    assert caught.value.fault is NO_INSTANCES


def test_tables_and_the_kept_split_that_lie_beside_the_studies_are_no_failure(two):
    (two / "labels.csv").write_text("file,sick\ncase-0001,1\n")
    (two / "split.json").write_text("{}")
    assert NOT_DICOM.code not in {one.code for one in read_labelled([two]).set_aside}


def test_equal_data_have_an_equal_digest_and_a_label_more_makes_another(two):
    uids = _study_uids(two)
    table = _table(two.parent / "t.csv", "StudyInstanceUID", {uids["case-0001"]: "1"})
    plain, labelled = read_labelled([two]), read_labelled([two], table)
    assert plain.digest == read_labelled([two]).digest
    assert plain.digest != labelled.digest
    _table(table, "StudyInstanceUID", {uids["case-0001"]: "0"})
    assert read_labelled([two], table).digest != labelled.digest

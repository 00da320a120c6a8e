"""Labelled studies are looked at: copies under another name are found, what cannot be read is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from dicomnode.evaluate.data import LabelledData, read_labelled
from dicomnode.evaluate.dataset import answer_labels, column_labels, look_at_studies, look_document
from dicomnode.faults import DATA_WITHOUT_IMAGES, NodeError
from tests.unit.evaluate.evaluations import classification


@pytest.fixture(scope="module")
def folder(volumes, tmp_path_factory) -> Path:
    """The studies of a set, the first one once more under another name."""
    made = tmp_path_factory.mktemp("look") / "data"
    shutil.copytree(volumes[0], made)
    first = min(one for one in made.iterdir() if one.is_dir())
    copy = made / "copied"
    shutil.copytree(first, copy)
    known: dict[str, str] = {}
    for path in sorted(copy.rglob("*.dcm")):
        dataset = dcmread(path)
        if dataset.Modality not in {"CT", "MR"}:
            path.unlink()
            continue
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            uid = str(dataset[keyword].value)
            setattr(dataset, keyword, known.setdefault(uid, generate_uid(entropy_srcs=[uid])))
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(dataset.SOPInstanceUID)])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientID = "SOMEBODY ELSE"
        dataset.save_as(path)
    return made


def test_a_study_under_another_name_is_found(folder) -> None:
    data = read_labelled([folder], folder / "labels.csv")
    look = look_at_studies(data, column_labels(data, "lesion"))
    assert len(look.cases) == 9
    twins = [one for one in look.duplicates if not one.same_patient]
    named = [{look.cases[n].place.split("/")[0] for n in (one.first, one.second)} for one in twins]
    assert named[0] == {"copied", "case-0001"}
    # Phantoms of one patient have one anatomy: the copy has that of the patient whose it was
    whose = {case.place.split("/")[0]: case.patient for case in look.cases}
    assert {whose[name] for pair in named for name in pair - {"copied"}} == {whose["case-0001"]}
    assert sorted(set(look.labels)) == ["", "0", "1"]  # the copy has no row in the table


def test_the_look_is_written_as_json_without_a_number_that_is_none(folder) -> None:
    data = read_labelled([folder], folder / "labels.csv")
    look = look_at_studies(data, column_labels(data, "lesion"))
    written = json.loads(json.dumps(look_document(look), allow_nan=False))
    assert written["schema"] == 1
    assert len(written["cases"]) == 9
    assert [one["place"] for one in written["cases"]] == [case.place for case in look.cases]
    twin = written["near_duplicates"][0]
    assert (twin["first"], twin["second"]) == (look.duplicates[0].first, look.duplicates[0].second)
    assert written["label_suspects"]["judged"] == look.suspects.asked


def test_the_truth_of_an_evaluation_can_be_doubted_as_well() -> None:
    result = classification()
    labels = answer_labels(result)
    assert labels[result.cases[3].case.series_instance_uid] == "malignant"
    assert len(labels) == len(result.cases)


def test_what_cannot_be_decoded_is_left_out_and_told(folder, tmp_path) -> None:
    shutil.copytree(folder, tmp_path / "data")
    path = min((tmp_path / "data" / "copied").rglob("*.dcm"))
    dataset = dcmread(path)
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 4 * 2]
    dataset.save_as(path)
    look = look_at_studies(read_labelled([tmp_path / "data"]))
    assert len(look.cases) == 8
    (told,) = [text for text in look.remarks if "left out:" in text and "stacks" in text]
    assert told.startswith("1 of 9 stacks were left out: copied")


def test_studies_without_images_are_told_as_such() -> None:
    with pytest.raises(NodeError) as raised:
        look_at_studies(LabelledData(studies=()))
    assert raised.value.fault is DATA_WITHOUT_IMAGES

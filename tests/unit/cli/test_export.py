"""`dicomnode export`: what an operator sees, and how it exits."""

from __future__ import annotations

import json
from dataclasses import replace

import pydicom
import pytest

pytest.importorskip("dicomanonymizer")

from tests.unit.cli.test_commands import config, journal, run  # noqa: F401  fixtures
from tests.unit.journal.world import NOON, Ids, instance
from tests.unit.learn.deidentify.patients import SECRETS, write_ct, write_picture


def burn(dataset):
    dataset.BurnedInAnnotation = "YES"


@pytest.fixture
def data(tmp_path):
    write_ct(tmp_path / "data")
    return tmp_path / "data"


def test_a_folder_is_exported_with_its_labels_and_nothing_tells_of_the_patient(run, data, tmp_path):  # noqa: F811
    uid = pydicom.dcmread(next(data.rglob("*.dcm"))).StudyInstanceUID
    (tmp_path / "labels.csv").write_text(
        f"StudyInstanceUID,PatientName,nodule\n{uid},Quixbury,1\n2.25.9,,0\n"
    )
    (data / "notes.txt").write_text("Quixbury")
    out = tmp_path / "out"
    arguments = ["export", "--data", data, "--out", out, "--labels", tmp_path / "labels.csv"]
    status, printed, err = run(*arguments, "--key", tmp_path / "key", "--json")
    document = json.loads(printed)
    assert status == 0
    assert (document["files"], document["patients"], document["label_rows"], document["not_dicom"]) == (
        3,
        1,
        1,
        1,
    )
    labels = (out / "labels.csv").read_text().splitlines()
    after = pydicom.dcmread(next(out.rglob("*.dcm")))
    assert labels == ["StudyInstanceUID,nodule", f"{after.StudyInstanceUID},1"]
    assert not any(secret in printed + err for secret in SECRETS)
    assert run(*arguments, "--key", tmp_path / "key")[0] == 0  # again, over itself


def test_labels_that_tell_a_name_are_refused(run, data, tmp_path):  # noqa: F811
    uid = pydicom.dcmread(next(data.rglob("*.dcm"))).StudyInstanceUID
    (tmp_path / "labels.csv").write_text(f"StudyInstanceUID,remark\n{uid},Mrs Quixbury\n")
    arguments = ["export", "--data", data, "--out", tmp_path / "out", "--labels", tmp_path / "labels.csv"]
    status, _, err = run(*arguments)
    assert status == 2
    assert "DN-7248" in err
    assert "row 2" in err
    assert "Quixbury" not in err


@pytest.mark.parametrize(
    ("header", "cells", "problem"),
    [
        ("remark", "seen 15.03.2019", "row 2"),
        ("remark", "20190315", "row 2"),
        ("Quixbury", "1", "a column"),
        ("of 15.01.2024", "1", "a column"),
    ],
)
def test_labels_with_any_date_or_a_column_that_tells_a_name_are_refused(
    run,  # noqa: F811
    data,
    tmp_path,
    header,
    cells,
    problem,
):
    uid = pydicom.dcmread(next(data.rglob("*.dcm"))).StudyInstanceUID
    (tmp_path / "labels.csv").write_text(f"StudyInstanceUID,{header}\n{uid},{cells}\n")
    arguments = ["export", "--data", data, "--out", tmp_path / "out", "--labels", tmp_path / "labels.csv"]
    status, _, err = run(*arguments)
    assert status == 2
    assert "DN-7248" in err
    assert problem in err
    assert not (tmp_path / "out" / "labels.csv").exists()


def test_rows_of_series_that_are_not_exported_stay_at_home_and_old_ages_become_90(run, data, tmp_path):  # noqa: F811
    uid = pydicom.dcmread(next(data.rglob("*.dcm"))).SeriesInstanceUID
    (tmp_path / "labels.csv").write_text(
        f"SeriesInstanceUID,age,dosage,remark\n{uid},93,93,benign\n2.25.9,50,1,Mr Somebody Else\n"
    )
    arguments = ["export", "--data", data, "--out", tmp_path / "out", "--labels", tmp_path / "labels.csv"]
    assert run(*arguments)[0] == 0
    (row,) = (tmp_path / "out" / "labels.csv").read_text().splitlines()[1:]
    assert row.split(",")[1:] == ["90", "93", "benign"]


def test_an_accession_number_of_two_studies_labels_neither(run, data, tmp_path):  # noqa: F811
    write_ct(data, seed=2)
    (tmp_path / "labels.csv").write_text("AccessionNumber,nodule\nACC7788991,1\n")
    arguments = ["export", "--data", data, "--out", tmp_path / "out", "--labels", tmp_path / "labels.csv"]
    status, _, err = run(*arguments)
    assert (status, "DN-7248" in err, "row 2: 2 studies" in err.replace("\n", " ")) == (2, True, True)


def test_what_is_refused_is_listed_by_file_with_what_to_do(run, tmp_path):  # noqa: F811
    path = write_picture(tmp_path / "data", burn)
    status, out, err = run("export", "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert status == 3
    assert "DN-7241" in out
    assert path.name in out.replace("\n", "")
    assert "--mask" in err
    masked = ["export", "--data", tmp_path / "data", "--out", tmp_path / "out", "--mask", "0,0,8,2", "--json"]
    status, out, _ = run(*masked)
    assert (status, json.loads(out)["masked"]) == (0, 1)


def test_a_part_that_is_refused_is_told_by_the_exit_status(run, data, tmp_path):  # noqa: F811
    picture = write_picture(tmp_path / "other", burn)
    picture.rename(data / "page.dcm")
    assert run("export", "--data", data, "--out", tmp_path / "out")[0] == 4


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        (["--keep-dates", "all"], 2, "DN-9004"),
        (["--mask", "1,2,3"], 2, "DN-9004"),
        (["--mask", "0,0,0,1"], 2, "DN-9004"),
        (["1.2.3"], 2, "DN-9004"),
    ],
)
def test_a_wrong_use_is_told_and_nothing_is_written(run, data, tmp_path, more, status, code):  # noqa: F811
    found, printed, _ = run("export", "--data", data, "--out", tmp_path / "out", "--json", *more)
    assert (found, json.loads(printed)["error"]["code"]) == (status, code)
    assert not (tmp_path / "out").exists()


def test_an_export_never_lies_among_its_sources_nor_the_key_in_either(run, data, tmp_path):  # noqa: F811
    for out, key in ((data / "out", tmp_path / "key"), (tmp_path, tmp_path / "key")):
        status, printed, _ = run("export", "--data", data, "--out", out, "--key", key, "--json")
        assert (status, json.loads(printed)["error"]["code"]) == (2, "DN-7247")
    for key in (tmp_path / "out" / "key", data / "key"):
        status, printed, _ = run("export", "--data", data, "--out", tmp_path / "out", "--key", key, "--json")
        assert (status, json.loads(printed)["error"]["code"]) == (2, "DN-7244")


def test_studies_of_the_node_are_exported_by_their_uid(run, journal, config, data, tmp_path):  # noqa: F811
    paths = sorted(data.rglob("*.dcm"))
    study = pydicom.dcmread(paths[0]).StudyInstanceUID
    taken = [replace(instance(n, study=study), path=path) for n, path in enumerate(paths)]
    journal.add_instances([(one, Ids()) for one in taken], NOON)
    arguments = ["export", study, "--out", tmp_path / "out", "--config", config, "--json"]
    status, printed, _ = run(*arguments)
    assert (status, json.loads(printed)["files"]) == (0, 3)
    status, printed, _ = run("export", "1.2.999", *arguments[2:])
    assert (status, json.loads(printed)["error"]["code"]) == (3, "DN-6003")

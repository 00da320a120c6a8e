"""From files to studies and series: each file accounted for, in whatever order."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from dicomnode.assemble import find_files, read_studies
from dicomnode.faults import NodeError
from tests.unit.assemble.series import PLANES, Series, affine_of, write_all

SR = "1.2.840.10008.5.1.4.1.1.88.34"


def mixed(folder):
    """Two studies, one with two series and a report, and a note."""
    Series(number=2).write(folder / "b")
    Series(number=1).write(folder / "a")
    other = Series(number=1, affine=affine_of(*PLANES["coronal"])).datasets()
    for n, ds in enumerate(other):
        ds.SeriesInstanceUID += ".7"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.7.{n}"
    write_all(other, folder / "c")
    report = Series(number=1).datasets()[0]
    del report.PixelData
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = SR
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = "1.2.3.9"
    report.SeriesInstanceUID += ".8"
    report.Modality = "SR"
    write_all([report], folder / "d")
    (folder / "note.txt").write_text("read me")


def test_studies_and_series_are_sorted_and_every_file_is_accounted_for(tmp_path):
    mixed(tmp_path)
    reading = read_studies([tmp_path])
    first, second = reading.studies
    assert first.study_instance_uid < second.study_instance_uid
    assert [(one.modality, one.instances, len(one.stacks)) for one in first.series] == [
        ("CT", 6, 1),
        ("CT", 6, 1),
        ("SR", 1, 0),
    ]
    assert [one.code for one in reading.set_aside] == ["DN-3001", "DN-3002"]
    assert reading.set_aside[0].file == str(tmp_path / "note.txt")
    assert reading.set_aside[1].sop_instance_uid == "1.2.3.9"


def test_the_order_of_paths_and_whether_they_are_files_or_folders_changes_nothing(tmp_path):
    mixed(tmp_path)
    expected = read_studies([tmp_path])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    for seed in range(3):
        random.Random(seed).shuffle(files)
        again = read_studies([*files, files[0]])
        assert repr(again.set_aside) == repr(expected.set_aside)
        assert [one.series for one in again.studies] != []
        for study, other in zip(again.studies, expected.studies, strict=True):
            for series, other_series in zip(study.series, other.series, strict=True):
                assert [s.files for s in series.stacks] == [s.files for s in other_series.stacks]
                assert [s.facts for s in series.stacks] == [s.facts for s in other_series.stacks]


def test_a_stack_read_from_the_files_of_its_series_alone_has_the_same_number(tmp_path):
    mixed(tmp_path)
    for study in read_studies([tmp_path]).studies:
        for series in study.series:
            for stack in series.stacks:
                (again,) = read_studies(stack.files).studies
                (alone,) = again.series
                assert [one.facts for one in alone.stacks] == [stack.facts]


def test_what_is_linked_into_a_folder_is_read_once_and_a_circle_has_an_end(tmp_path):
    paths = Series().write(tmp_path / "elsewhere")
    data = tmp_path / "data"
    data.mkdir()
    (data / "first").symlink_to(tmp_path / "elsewhere")
    (data / "second").symlink_to(tmp_path / "elsewhere")
    (data / "circle").symlink_to(data)
    (data / "gone").symlink_to(tmp_path / "nothing")
    assert [path.name for path in find_files([data])] == [path.name for path in sorted(paths)]
    (study,) = read_studies([data]).studies
    assert [series.instances for series in study.series] == [len(paths)]
    assert read_studies([data]).set_aside == ()


def test_files_that_are_dicom_are_found_and_others_are_not(tmp_path):
    paths = Series().write(tmp_path / "a")
    (tmp_path / "note.txt").write_text("read me")
    (tmp_path / "DICOMDIR").write_bytes(paths[0].read_bytes())
    assert find_files([tmp_path, paths[0]]) == paths


@pytest.mark.parametrize("function", [find_files, read_studies])
def test_a_path_that_does_not_exist_is_said(tmp_path, function):
    with pytest.raises(NodeError, match="nowhere") as caught:
        function([tmp_path / "nowhere"])
    assert caught.value.fault.code == "DN-3015"


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(NodeError) as caught:
        read_studies([tmp_path])
    assert caught.value.fault.code == "DN-3015"


def test_progress_counts_files_to_their_number(tmp_path):
    paths = Series().write(tmp_path)
    told = []
    read_studies([tmp_path], lambda stage, done, total: told.append((stage, done, total)))
    assert told == [("reading headers", n, len(paths)) for n in range(len(paths) + 1)]


def test_the_face_of_the_room_loads_neither_pydicom_nor_numpy():
    code = "import sys, dicomnode.assemble as a; a.__all__; print({'pydicom', 'numpy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"

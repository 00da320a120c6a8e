"""Rows of lesions and of studies: what is measured is what the files hold, and what gives no row says why."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from dicomnode.analyse.radiomics import NAMES, row_of_region
from dicomnode.analyse.resample import Prepared
from dicomnode.assemble import load_volume
from dicomnode.engine import load_package
from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import ENGINE_WITHOUT_FEATURES, SHAPES_NEED_IMAGING, NodeError
from dicomnode.learn.features import LesionPlan, rows_by_engine, rows_of_lesions
from dicomnode.serve import Occasion
from dicomnode.serve.once.answering import Answering, AnsweringPlan
from tests.unit.learn.heads.test_package import ENGINE

AS_THEY_ARE = LesionPlan(of=("lesion",), spacing_mm=None)


@pytest.fixture(scope="module")
def read(synthetic):
    return read_labelled([synthetic], synthetic / "labels.csv")


@pytest.fixture(scope="module")
def truth(synthetic):
    with (synthetic / "labels.csv").open() as file:
        return {line["StudyInstanceUID"]: line for line in csv.DictReader(file)}


def test_each_outlined_lesion_is_a_row_with_the_volume_that_is_known(read, truth):
    made = rows_of_lesions(read.studies, AS_THEY_ARE)
    table, volume = made.table, made.table.names.index("shape_voxel_volume")
    assert not made.left_out
    assert table.of_lesions
    assert table.names == NAMES
    for uid, known in truth.items():
        rows = [n for n, row in enumerate(table.rows) if row.study_instance_uid == uid]
        assert len(rows) == int(known["lesions"])
        assert table.values[rows, volume].sum() == pytest.approx(1000 * float(known["lesion_volume_ml"]))
        assert {table.labels["lesion"][n] for n in rows} <= {known["lesion"]}
    assert set(table.labels["finding"]) == {"Lesion"}


def test_a_row_is_what_measuring_the_segment_on_the_images_gives(read):
    study = next(one for one in read.studies if any(s.label for a in one.annotations for s in a.segments))
    made = rows_of_lesions([study], LesionPlan(spacing_mm=None, bin_width=10.0))
    annotation = next(one for one in study.annotations if one.segments)
    segment = next(one for one in annotation.segments if not one.mask.is_empty)
    volume = load_volume(study.stacks[0])
    expected = row_of_region(Prepared(volume.voxels, volume.grid), segment.mask.to_array(), 10.0)
    key = segment.tracking_uid or f"{annotation.sop_instance_uid}:{segment.number}"
    (row,) = [n for n, one in enumerate(made.table.rows) if one.lesion == key]
    assert made.table.values[row] == pytest.approx(expected)
    assert made.table.units[NAMES.index("intensity_mean")] == "HU"


def test_on_voxels_of_equal_sides_the_volume_stays_nearly_the_same(read):
    coarse = rows_of_lesions(read.studies, replace(AS_THEY_ARE, spacing_mm=3.0)).table
    exact = rows_of_lesions(read.studies, AS_THEY_ARE).table
    at, mean = NAMES.index("shape_voxel_volume"), NAMES.index("intensity_mean")
    assert coarse.rows == exact.rows
    assert coarse.values[:, at] == pytest.approx(exact.values[:, at], rel=0.15)  # corners are cut
    assert coarse.values[:, mean] == pytest.approx(exact.values[:, mean], abs=8.0)


def test_a_table_names_nobody(read):
    table = rows_of_lesions(read.studies, AS_THEY_ARE).table
    for row in table.rows:
        assert len(row.patient) == 16
        assert set(row.patient) <= set("0123456789abcdef")
        assert row.lesion.replace(".", "").replace(":", "").isdigit(), "a UID, and no label that was typed"


def test_a_segment_on_images_that_are_not_there_is_left_out_with_the_reason(read):
    with_lesions = next(one for one in read.studies if rows_of_lesions([one], AS_THEY_ARE).table.rows)
    moved = tuple(replace(one, of_series="1.2.3.4") for one in with_lesions.annotations)
    made = rows_of_lesions([replace(with_lesions, annotations=moved)], AS_THEY_ARE)
    assert not made.table.rows
    assert {one.reason for one in made.left_out} == {"the images that it lies on are not there"}


def test_two_objects_that_speak_of_one_lesion_are_one_row(read):
    study = next(one for one in read.studies if rows_of_lesions([one], AS_THEY_ARE).table.rows)
    twice = replace(study, annotations=study.annotations * 2)
    once, made = rows_of_lesions([study], AS_THEY_ARE), rows_of_lesions([twice], AS_THEY_ARE)
    assert made.table.rows == once.table.rows
    assert len(made.left_out) == len(once.table.rows)
    assert all("there is a row of it already" in one.reason for one in made.left_out)


def test_shapes_without_scikit_image_say_what_to_install(read, monkeypatch):
    monkeypatch.setattr("dicomnode.learn.features.of_lesions.find_spec", lambda _name: None)
    with pytest.raises(NodeError) as caught:
        rows_of_lesions(read.studies, AS_THEY_ARE)
    assert caught.value.fault is SHAPES_NEED_IMAGING
    assert rows_of_lesions(read.studies, replace(AS_THEY_ARE, names=("glcm_contrast",))).table.rows


def answering(folder, text):
    folder.mkdir()
    (folder / "engine.toml").write_text(text)
    occasion = Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32)
    return Answering(load_package(folder), AnsweringPlan(threads=1, occasion=occasion))


def test_a_study_has_the_row_that_its_engine_gives_in_service(tmp_path, read):
    with answering(tmp_path / "texture", ENGINE) as answerer:
        made = rows_by_engine(read.studies, answerer)
    assert not made.left_out
    assert [row.study_instance_uid for row in made.table.rows] == [
        one.study.study_instance_uid
        for one in sorted(read.studies, key=lambda one: (one.patient, one.study.study_instance_uid))
    ]
    volume = load_volume(read.studies[0].stacks[0])
    row = [one.study_instance_uid for one in made.table.rows].index(volume.study_instance_uid)
    everything = np.ones(volume.grid.shape_kji, dtype=bool)
    names = made.table.names
    expected = row_of_region(Prepared(volume.voxels, volume.grid), everything, 10.0, names)
    assert made.table.values[row] == pytest.approx(expected, rel=1e-6)
    assert made.table.units[0] == "HU"
    assert made.table.labels["lesion"][row] == read.studies[0].row["lesion"]


def test_numbers_of_an_algorithm_that_knows_no_units_are_pure_ones(tmp_path, read):
    rows = ENGINE.replace("parameters = { bin_width = 10 }\n", "").replace('"radiomics"', '"blob_profile"')
    names = '["radius", "hu_mean"]'
    text = re.sub(r"names = \[.*\]", f"names = {names}", rows)
    with answering(tmp_path / "texture", text) as answerer:
        table = rows_by_engine(read.studies[:1], answerer).table
    assert (table.names, table.units) == (("radius", "hu_mean"), ("1", "1"))
    assert table.values[0, 0] > 1.0


def test_studies_that_an_engine_does_not_want_are_left_out_with_its_rule(tmp_path, read):
    with answering(tmp_path / "texture", ENGINE.replace('equals = "CT"', 'equals = "MR"')) as answerer:
        made = rows_by_engine(read.studies, answerer)
    assert not made.table.rows
    assert len(made.left_out) == len(read.studies)
    assert "Modality" in made.left_out[0].reason


def test_an_engine_whose_features_are_no_output_is_refused(tmp_path, read):
    lung = '{ scheme = "SCT", code = "39607008", meaning = "Lung" }'
    text = (
        ENGINE[: ENGINE.index("[[output]]")]
        + f"""[[step]]
algorithm = "lungs"
[[output]]
segment = "lung"
step = "lungs"
kind = "anatomy"
category = {lung}
type = {lung}
tracking = "Lungs"
"""
    )
    with answering(tmp_path / "texture", text) as answerer, pytest.raises(NodeError) as caught:
        rows_by_engine(read.studies, answerer)
    assert caught.value.fault is ENGINE_WITHOUT_FEATURES

"""Readers are told apart by their objects, compared structure by structure, and named nowhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.evaluate.data import numbered, read_labelled
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.page import readers_html
from dicomnode.evaluate.readers import (
    ReadClasses,
    ReadersResult,
    ReadOutlines,
    gather_readings,
    reader_columns,
    readers_document,
    readers_report,
)
from dicomnode.evaluate.running import Judging, data_facts
from dicomnode.learn.generate import SynthPlan, synth_cases
from tests.unit.evaluate.page.reading import balance, section, shown, tree
from tests.unit.evaluate.readers.people import ADA, BOB, drawn_by_hand, read_again, sign, without_headers

QUICK = Resampling(resamples=100)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("readers") / "made"
    synth_cases(SynthPlan(kind="volumes", cases=4, seed=5), folder)
    return folder


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory) -> Path:
    """Four studies: of the first three Ada's outlines and Bob's, one column away; of the last Ada's alone."""
    copy = tmp_path_factory.mktemp("two") / "data"
    shutil.copytree(made, copy)
    for n in range(1, 5):
        sign(copy / f"case-{n:04d}", ADA)
        if n < 4:
            read_again(copy / f"case-{n:04d}", BOB, n)
    return copy


def _liver(path: Path) -> np.ndarray:
    ds = dcmread(path)
    (number,) = [int(one.SegmentNumber) for one in ds.SegmentSequence if one.SegmentLabel == "liver"]
    numbers = [
        int(one.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        for one in ds.PerFrameFunctionalGroupsSequence
    ]
    return ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)[np.array(numbers) == number].astype(bool)


def _report(data, columns=()):
    known = reader_columns(columns, data.columns)
    return readers_report(gather_readings(data, known), data_facts(data, Judging()), QUICK)


def _liver_of(folder: Path) -> ReadersResult:
    found = _report(numbered(read_labelled([folder]))).results
    return next(one for one in found if one.readings.title == "Liver")


def test_outlines_of_two_authors_are_compared_and_those_of_one_alone_are_not(folder) -> None:
    data = numbered(read_labelled([folder]))
    report = _report(data)
    liver = next(one for one in report.results if one.readings.title == "Liver")
    assert isinstance(liver.readings, ReadOutlines)
    assert liver.readings.readers == ("reader 1", "reader 2")
    assert (liver.compared, liver.alone) == (3, 1)
    plain = []
    for n in range(1, 4):
        a, b = (_liver(folder / f"case-{n:04d}" / "truth" / name) for name in ("segments.dcm", "again.dcm"))
        plain.append(2 * (a & b).sum() / (a.sum() + b.sum()))
    found = {liver.readings.cases[one.case].place: one.dice for one in liver.readings.pairs}
    assert [found[f"case-{n:04d}/images"] for n in range(1, 4)] == pytest.approx(plain)
    assert liver.lead.figure.value == pytest.approx(np.mean(plain))


def test_nobody_is_named_on_the_page_or_in_the_json(folder) -> None:
    data = numbered(read_labelled([folder], folder / "labels.csv"))
    report = _report(data, ["lesion,liver_volume_ml"])
    page = readers_html(report)
    text = page + json.dumps(readers_document(report), allow_nan=False)
    for name in without_headers(folder):
        assert name not in text, name
    assert "liver_volume_ml" not in text  # a column may be called after its reader
    read = balance(page)
    assert not read.wrong
    assert not read.open
    assert tree(page).tag == "html"
    assert "reader 1, reader 2" in shown(section(page, "read-1"))


def test_equal_reports_give_equal_bytes(folder) -> None:
    data = numbered(read_labelled([folder]))
    assert readers_html(_report(data)) == readers_html(_report(data))


def test_an_rtstruct_of_another_person_is_the_same_structure_by_its_name(made, tmp_path) -> None:
    shutil.copytree(made / "case-0001", tmp_path / "data" / "case-0001")
    sign(tmp_path / "data" / "case-0001", ADA)
    drawn_by_hand(tmp_path / "data" / "case-0001", BOB)
    (liver,) = _report(numbered(read_labelled([tmp_path / "data"]))).results
    assert liver.readings.readers == ("reader 1", "reader 2")
    assert liver.lead.figure.value > 0.97
    assert liver.lead.low is None
    assert any("of one patient" in text for text in liver.warnings)


def test_objects_that_name_nobody_are_not_taken_for_one_person(made, tmp_path) -> None:
    case = tmp_path / "data" / "case-0001"
    shutil.copytree(made / "case-0001", case)
    sign(case, "")
    read_again(case, "", 1)
    (liver,) = [
        one for one in _report(read_labelled([tmp_path / "data"])).results if one.readings.title == "Liver"
    ]
    assert liver.readings.readers == ("unnamed 1", "unnamed 2")
    assert any("name no author" in text for text in liver.remarks)


def test_of_two_objects_of_one_person_the_last_counts_and_is_told(made, tmp_path) -> None:
    case = tmp_path / "data" / "case-0001"
    shutil.copytree(made / "case-0001", case)
    sign(case, ADA)
    read_again(case, BOB, 3)
    again = dcmread(read_again(case, BOB, 0, name="later.dcm"))
    again.ContentDate = "29990101"
    again.save_as(case / "truth" / "later.dcm")
    (liver,) = [
        one for one in _report(read_labelled([tmp_path / "data"])).results if one.readings.title == "Liver"
    ]
    assert liver.lead.figure.value == pytest.approx(1.0)
    assert any("a reader has several objects of it" in text for text in liver.remarks)


def test_what_machines_made_is_no_reader_unless_it_is_asked_for(folder) -> None:
    from dataclasses import replace

    from dicomnode.values import MadeBy

    data = read_labelled([folder])
    machines = replace(
        data,
        studies=tuple(
            replace(
                study,
                synthetic=False,
                annotations=tuple(
                    replace(
                        one,
                        made_by=MadeBy.MACHINE,
                        segments=tuple(replace(s, made_by=MadeBy.MACHINE) for s in one.segments),
                    )
                    for one in study.annotations
                ),
            )
            for study in data.studies
        ),
    )
    assert gather_readings(machines) == ()
    assert gather_readings(machines, machine_labels=True)


def test_columns_of_a_table_are_read_with_the_patients_of_the_data(folder) -> None:
    data = numbered(read_labelled([folder], folder / "labels.csv"))
    read = gather_readings(data, reader_columns(["x=lesion,lesions"], data.columns))[0]
    assert isinstance(read, ReadClasses)
    assert len(read.cases) == 4
    assert all(one.startswith("patient-") for one in read.patients)

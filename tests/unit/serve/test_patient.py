"""Images of two persons, or of nobody, are found before an engine runs, not by the report after it."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from dicomnode.analyse import Analyst
from dicomnode.assemble import read_studies
from dicomnode.engine import load_package
from dicomnode.faults import SOURCE_HEADER_WRONG, TAG_INCONSISTENT, NodeError
from dicomnode.journal import TaskKind, TaskState
from dicomnode.phantom import SeriesForm, write_series
from dicomnode.report import ReportProfile
from dicomnode.serve.analysing import analysis
from dicomnode.serve.analysing.again import taken_over
from dicomnode.serve.analysing.analysis import Occasion
from dicomnode.serve.analysing.patient import check_reportable
from dicomnode.serve.once import trial
from dicomnode.serve.once.trial import EngineResult, WalkPlan, walk
from dicomnode.serve.worker import Worker
from dicomnode.settings import AnalyseSettings, EngineSettings, Settings
from dicomnode.store.foreign import quiet
from dicomnode.values import Outcome, Remark, RemarkKind
from tests.fixtures.pictures import four_views, written
from tests.unit.journal.world import ENGINE
from tests.unit.serve import test_again
from tests.unit.serve.picture_engines import asymmetry
from tests.unit.serve.test_clerks import ARCHIVE, Room
from tests.unit.serve.test_several_series import GRID, ct_hu, mr_of, package
from tests.unit.store.findings import full_findings
from tests.wire.plain_engines import mean_engine, series

__all__ = ["package"]


def changed(files: list[Path], **values: object) -> list[Path]:
    """Write other values into headers; None: without the attribute."""
    for path in files:
        header = pydicom.dcmread(path)
        for keyword, value in values.items():
            if value is None:
                delattr(header, keyword)
            else:
                setattr(header, keyword, value)
        header.save_as(path)
    return files


def result_of(engine, folder: Path) -> EngineResult:
    plan = WalkPlan(
        packages=[engine],
        threads=1,
        profile=ReportProfile(),
        occasion=Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32),
    )
    (study,) = walk([folder], plan).studies
    (result,) = study.results
    return result


@pytest.fixture
def not_run(monkeypatch):
    """Nothing may be decoded, and no engine may run."""

    def run(*_, **__):
        raise AssertionError("an engine ran in vain")

    monkeypatch.setattr(analysis, "load_input", run)
    monkeypatch.setattr(Analyst, "analyse", run)


# ── two persons ──

OTHERS = {
    "PatientID": ("SOMEBODY-ELSE", "(0010,0020)"),
    "IssuerOfPatientID": ("ELSEWHERE", "(0010,0021)"),
    "PatientName": ("Somebody^Else", "(0010,0010)"),
    "PatientBirthDate": ("19010203", "(0010,0030)"),
}


@pytest.mark.parametrize("keyword", OTHERS)
def test_two_series_of_two_persons_are_not_analysed_together(package, tmp_path, keyword, not_run):
    value, tag = OTHERS[keyword]
    write_series(ct_hu(), GRID, tmp_path / "in" / "ct", seed=1)
    form = SeriesForm(modality="MR", series_number=3)
    changed(write_series(mr_of(GRID), GRID, tmp_path / "in" / "mr", seed=1, form=form), **{keyword: value})
    result = result_of(package, tmp_path / "in")
    assert result.findings.outcome is Outcome.NOT_ANALYSED
    (remark,) = result.findings.remarks
    assert remark.code == TAG_INCONSISTENT.code
    assert remark.text == f"{tag} {keyword} differs between the inputs ct, mr: 2 different values."
    (report,) = result.objects
    texts = [
        str(element.value)
        for element in pydicom.dcmread(BytesIO(report.content)).iterall()
        if element.keyword == "TextValue"
    ]
    assert any(remark.text in text for text in texts)
    assert not any(value in text for text in texts)


def test_two_series_of_one_person_are_analysed_although_one_does_not_tell_its_character_set(
    package,
    tmp_path,
):
    name = "Müller^Jörg"
    changed(
        write_series(ct_hu(), GRID, tmp_path / "in" / "ct", seed=1),
        SpecificCharacterSet="ISO_IR 192",
        PatientName=name,
    )
    form = SeriesForm(modality="MR", series_number=3)
    files = write_series(mr_of(GRID), GRID, tmp_path / "in" / "mr", seed=1, form=form)
    for path in changed(files, SpecificCharacterSet="ISO_IR 100", PatientName=name):
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b" " * 10))
    result = result_of(package, tmp_path / "in")
    assert result.findings.outcome is Outcome.FINDINGS
    for made in result.objects:
        assert str(pydicom.dcmread(BytesIO(made.content)).PatientName) == name


def test_one_view_of_somebody_else_among_four_is_found(tmp_path, not_run):
    views = four_views()
    views[2].PatientName = "Somebody^Else"
    engine = asymmetry(tmp_path / "asymmetry")
    result = result_of(engine, written(tmp_path / "in", *views))
    (remark,) = result.findings.remarks
    assert remark.text == (
        "(0010,0010) PatientName differs between the inputs lcc, rcc, lmlo, rmlo: 2 different values."
    )


def test_images_that_were_of_two_persons_are_analysed_once_they_are_of_one(store, journal, monkeypatch):
    mixed = Remark(kind=RemarkKind.NOT_ANALYSED, text="two persons", code=TAG_INCONSISTENT.code)
    found = full_findings(outcome=Outcome.NOT_ANALYSED, remarks=(mixed,))
    monkeypatch.setattr(test_again, "full_findings", lambda: found)
    digest = test_again.analysed(store, journal)
    new = [test_again.search(2)]
    dispatch = test_again.corrected(journal, "PatientName")
    assert taken_over(new, dispatch, journal, {ENGINE: digest}).tasks == new


# ── nobody ──

NOBODY = {
    "missing": {"PatientID": None},
    "too long": {"PatientID": "P" * 70},
    "an issuer that is too long": {"IssuerOfPatientID": "I" * 70},
}


@pytest.mark.parametrize("case", NOBODY)
def test_images_that_do_not_say_whose_they_are_are_refused_in_the_words_of_the_report(
    tmp_path, case, monkeypatch
):
    files = series(tmp_path / "ct", 1)
    with quiet():  # of values that are too long
        changed(files, **NOBODY[case])
    engine = mean_of(tmp_path)
    said = []
    for in_vain in (False, True):
        with monkeypatch.context() as patched:
            if in_vain:
                patched.setattr(trial, "check_reportable", lambda stack: None)
            else:
                patched.setattr(trial, "Analyst", None)  # no engine is loaded for it
            with pytest.raises(NodeError) as caught:
                result_of(engine, tmp_path / "ct")
        said.append((caught.value.fault, str(caught.value)))
    assert said[0] == said[1]
    assert said[0][0] is SOURCE_HEADER_WRONG


def mean_of(folder: Path):
    return load_package(mean_engine(folder / "mean"))


def test_an_empty_patient_id_is_one_that_may_be_reported(tmp_path):
    changed(series(tmp_path / "ct", 1), PatientID="")
    assert result_of(mean_of(tmp_path), tmp_path / "ct").objects


def test_what_messages_say_of_the_patient_takes_the_place_of_what_the_headers_say(tmp_path):
    files = changed(series(tmp_path / "ct", 1), PatientID=None)
    (study,) = read_studies(files).studies
    (stack,) = study.series[0].stacks
    check_reportable(stack, {"PatientID": "P1"})


def analysed(store, journal, folder: Path, mode: str) -> tuple[TaskState, str | None, int]:
    """Walk a study without Patient ID to its analysis: how that ended, its code, the number of Findings."""
    engine = EngineSettings(name="mean", path=mean_engine(folder / "mean"), mode=mode)
    settings = Settings(
        engine=(engine,), analyse=AnalyseSettings(runtime="onnxruntime"), destination=(ARCHIVE,)
    )
    room = Room(store, journal, settings)
    worker = Worker(room.frame, store, journal)
    try:
        uid = room.receive(changed(series(folder / "ct", 1), PatientID=None))
        room.do(TaskKind.DISPATCH, room.desk.work)
        state = room.do(TaskKind.ANALYSE, worker.work)
    finally:
        worker.close()
        room.ours.close()
        assert room.stopping.wait(5)
        room.theirs.close()
    (task,) = [one for one in journal.tasks(uid) if one.kind is TaskKind.ANALYSE]
    return state, task.error_code, len(journal.findings(uid))


def test_a_study_without_patient_id_waits_for_a_person_before_its_analysis(store, journal, tmp_path, not_run):
    found = analysed(store, journal, tmp_path, "live")
    assert found == (TaskState.PARKED, SOURCE_HEADER_WRONG.code, 0)


def test_what_is_not_reported_is_analysed_without_patient_id_too(store, journal, tmp_path):
    assert analysed(store, journal, tmp_path, "shadow") == (TaskState.DONE, None, 1)

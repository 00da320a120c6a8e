"""Images of two persons, or of nobody, are found before an engine runs, not by the report after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from dicomnode.analyse import Analyst
from dicomnode.assemble import read_studies, source_of
from dicomnode.engine import load_package
from dicomnode.faults import (
    JOURNAL_FAILED,
    SOURCE_HEADER_WRONG,
    SOURCES_DISAGREE,
    TAG_INCONSISTENT,
    NodeError,
)
from dicomnode.journal import Journal, TaskKind, TaskState
from dicomnode.phantom import SeriesForm, write_series
from dicomnode.report import ReportProfile, make_objects
from dicomnode.serve import worker as worker_room
from dicomnode.serve.analysing import analysis
from dicomnode.serve.analysing.again import taken_over
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.analysing.patient import check_reportable
from dicomnode.serve.asking.given_priors import priors_of
from dicomnode.serve.identity.patients import Patients
from dicomnode.serve.intake.ingest import ingest
from dicomnode.serve.once import trial
from dicomnode.serve.once.trial import EngineResult, WalkPlan, walk
from dicomnode.serve.worker import Worker
from dicomnode.settings import AnalyseSettings, EngineSettings, Settings
from dicomnode.store import Store
from dicomnode.store.foreign import quiet
from dicomnode.store.persons import NO_RENAMING, Renaming
from dicomnode.values import Findings, Outcome, Remark, RemarkKind
from tests.fixtures.pictures import four_views, written
from tests.unit.journal.world import ENGINE
from tests.unit.serve import test_again
from tests.unit.serve.picture_engines import asymmetry
from tests.unit.serve.test_clerks import ARCHIVE, Room
from tests.unit.serve.test_patients import merge
from tests.unit.serve.test_several_series import GRID, ct_hu, mr_of, package
from tests.unit.store.findings import full_findings
from tests.unit.store.part10 import NOON, receive
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


def result_of(engine, folder: Path, renaming: Renaming = NO_RENAMING) -> EngineResult:
    plan = WalkPlan(
        packages=[engine],
        threads=1,
        profile=ReportProfile(),
        occasion=Occasion(
            study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32, renaming=renaming
        ),
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
    hospital = {"IssuerOfPatientID": "HOSP", "PatientBirthDate": "19010204"}
    ct_and_mr(tmp_path / "in", hospital, {**hospital, keyword: value})
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


CT_AND_MR = {
    "an issuer in one": ({}, {"IssuerOfPatientID": "HOSP"}),
    "null components in one": (
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Yamada^Tarou^^^=山田^太郎"},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Yamada^Tarou=山田^太郎"},
    ),
    "ideographs in one": (
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Yamada^Tarou=山田^太郎"},
        {"PatientName": "Yamada^Tarou"},
    ),
    "accents as characters of their own in one": (
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Mu\u0308ller"},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller"},
    ),
}
BEFORE = {"PatientID": "OLD", "PatientName": "Doe^Jane", "PatientBirthDate": "19700102"}
AFTER = {"PatientID": "NEW", "PatientName": "Roe^Jane", "PatientBirthDate": "19700102"}


def ct_and_mr(folder: Path, ct: dict[str, object], mr: dict[str, object]) -> Path:
    """Two series for one engine, with other values in their headers."""
    changed(write_series(ct_hu(), GRID, folder / "ct", seed=1), **ct)
    form = SeriesForm(modality="MR", series_number=3)
    changed(write_series(mr_of(GRID), GRID, folder / "mr", seed=1, form=form), **mr)
    return folder


@pytest.mark.parametrize("case", CT_AND_MR)
def test_what_one_series_leaves_out_makes_no_second_person(package, tmp_path, case):
    result = result_of(package, ct_and_mr(tmp_path / "in", *CT_AND_MR[case]))
    assert result.findings.outcome is Outcome.FINDINGS
    assert result.objects


@pytest.mark.parametrize("told", [AFTER, {"PatientID": "NEW"}], ids=["with name", "by ID alone"])
def test_series_from_before_and_after_a_merge_are_analysed_and_reported_as_of_one(package, tmp_path, told):
    merged = Renaming(told=told, former=(BEFORE,))
    after = {**BEFORE, **told}
    result = result_of(package, ct_and_mr(tmp_path / "in", BEFORE, after), merged)
    assert result.findings.outcome is Outcome.FINDINGS
    for made in make_objects(result.findings, ReportProfile(), b"s" * 32, merged):
        header = pydicom.dcmread(BytesIO(made.content))
        assert {keyword: header[keyword].value for keyword in after} == after
    with pytest.raises(NodeError) as caught:
        make_objects(result.findings, ReportProfile(), b"s" * 32)
    assert caught.value.fault is SOURCES_DISAGREE


NOT_MERGED = {
    "of a third person": {"PatientID": "THIRD"},
    "of the old ID, but another name": {**BEFORE, "PatientName": "Roe^John"},
    "of the new ID, but another birth date": {**AFTER, "PatientBirthDate": "19990102"},
    "of the old ID of another issuer": {**BEFORE, "IssuerOfPatientID": "ELSEWHERE"},
}


@pytest.mark.parametrize("case", NOT_MERGED)
def test_a_merge_joins_nobody_whom_it_does_not_name(package, tmp_path, case, not_run):
    was = {**BEFORE, "IssuerOfPatientID": "HOSP"}
    merged = Renaming(told={**AFTER, "IssuerOfPatientID": "HOSP"}, former=(was,))
    result = result_of(package, ct_and_mr(tmp_path / "in", BEFORE, NOT_MERGED[case]), merged)
    assert [remark.code for remark in result.findings.remarks] == [TAG_INCONSISTENT.code]
    with pytest.raises(NodeError) as caught:
        make_objects(both_sources(result.findings, tmp_path / "in"), ReportProfile(), b"s" * 32, merged)
    assert caught.value.fault is SOURCES_DISAGREE


def both_sources(found: Findings, folder: Path) -> Findings:
    """Findings on all series of a folder, as they would be had nobody compared them before."""
    (study,) = read_studies([folder]).studies
    sources = tuple(source_of(stack, "x") for series in study.series for stack in series.stacks)
    return replace(found, sources=sources)


@contextmanager
def room_of(store: Store, journal: Journal, engine: EngineSettings) -> Iterator[tuple[Room, Worker]]:
    """A room with one engine, and its worker; both end with the block."""
    on_cpu = AnalyseSettings(runtime="onnxruntime")
    room = Room(store, journal, Settings(engine=(engine,), analyse=on_cpu, destination=(ARCHIVE,)))
    worker = Worker(room.frame, store, journal)
    try:
        yield room, worker
    finally:
        worker.close()
        room.ours.close()
        assert room.stopping.wait(5)
        room.theirs.close()


def analyse(room: Room, worker: Worker, files: Iterable[Path]) -> str:
    """Take a study in, and walk it to the end of its analysis: its UID."""
    uid = room.receive(sorted(files))
    assert room.do(TaskKind.DISPATCH, room.desk.work) is TaskState.DONE
    assert room.do(TaskKind.ANALYSE, worker.work) is TaskState.DONE
    return uid


@pytest.fixture
def installed(package) -> EngineSettings:
    return EngineSettings(name=package.manifest.name, path=package.folder)


def test_a_study_that_a_merge_parts_is_analysed_and_reported_under_the_new_id(
    installed, store, journal, tmp_path
):
    folder = ct_and_mr(tmp_path / "in", {"PatientID": "OLD"}, {"PatientID": "NEW"})
    for n, path in enumerate(sorted(folder.glob("ct/*"))):
        receive(store, path.read_bytes()[128:], NOON + timedelta(seconds=n))
    ingest(store, journal, datetime.now(UTC))
    assert merge(Patients(store, journal), "NEW", "OLD") == 1
    with room_of(store, journal, installed) as (room, worker):
        uid = analyse(room, worker, folder.glob("mr/*"))
        assert room.do(TaskKind.REPORT, room.desk.work) is TaskState.DONE
    ((_, _, path),) = journal.findings(uid)
    assert store.load_findings(path).outcome is Outcome.FINDINGS
    made = [pydicom.dcmread(one.path) for one in journal.objects(uid)]
    assert {str(one.PatientID) for one in made} == {"NEW"}
    assert {one.Modality for one in made} >= {"SEG", "SR"}


def test_a_merge_that_comes_while_two_series_are_compared_is_heard_of(
    installed, store, journal, tmp_path, monkeypatch
):
    folder = ct_and_mr(tmp_path / "in", {"PatientID": "OLD"}, {"PatientID": "NEW"})
    merged = []

    def meanwhile(*arguments):
        if not merged:
            merged.append(merge(Patients(store, journal), "NEW", "OLD", minutes=60))
        return priors_of(*arguments)

    monkeypatch.setattr(worker_room, "priors_of", meanwhile)
    with room_of(store, journal, installed) as (room, worker):
        uid = analyse(room, worker, folder.glob("*/*"))
    assert merged == [1]
    ((_, _, path),) = journal.findings(uid)
    assert store.load_findings(path).outcome is Outcome.FINDINGS


def test_a_try_that_died_before_its_commit_leaves_nothing_that_a_merge_has_put_right(
    installed, store, journal, tmp_path
):
    folder = ct_and_mr(tmp_path / "in", {"PatientID": "OLD"}, {"PatientID": "NEW"})
    keep = store.save_findings
    with room_of(store, journal, installed) as (room, worker):
        kept = []

        def killed(findings):
            kept.append(keep(findings))
            store.save_findings = keep
            raise NodeError(JOURNAL_FAILED, error="the power went")

        store.save_findings = killed
        uid = room.receive(sorted(folder.glob("*/*")))
        assert room.do(TaskKind.DISPATCH, room.desk.work) is TaskState.DONE
        assert room.do(TaskKind.ANALYSE, worker.work) is TaskState.RETRY
        assert store.load_findings(kept[0]).outcome is Outcome.NOT_ANALYSED
        assert merge(Patients(store, journal), "NEW", "OLD", minutes=60) == 1
        journal.retry(uid, None, datetime.now(UTC))
        assert room.do(TaskKind.ANALYSE, worker.work) is TaskState.DONE
    ((_, _, path),) = journal.findings(uid)
    assert store.load_findings(path).outcome is Outcome.FINDINGS


def test_what_an_engine_found_is_kept_although_a_message_came_meanwhile(
    store, journal, tmp_path, monkeypatch
):
    files = changed(series(tmp_path / "ct", 1), PatientID="OLD")
    asked = []

    def meanwhile(*arguments):
        asked.append(merge(Patients(store, journal), "NEW", "OLD", minutes=60))
        return priors_of(*arguments)

    monkeypatch.setattr(worker_room, "priors_of", meanwhile)
    engine = EngineSettings(name="mean", path=mean_engine(tmp_path / "mean"))
    with room_of(store, journal, engine) as (room, worker):
        analyse(room, worker, files)
    assert asked == [1], "it was looked at once"


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
                patched.setattr(trial, "check_reportable", lambda *_: None)
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
    check_reportable(stack, Renaming(told={"PatientID": "P1"}, former=({"PatientID": ""},)))


def analysed(store, journal, folder: Path, mode: str) -> tuple[TaskState, str | None, int]:
    """Walk a study without Patient ID to its analysis: how that ended, its code, the number of Findings."""
    engine = EngineSettings(name="mean", path=mean_engine(folder / "mean"), mode=mode)
    with room_of(store, journal, engine) as (room, worker):
        uid = room.receive(changed(series(folder / "ct", 1), PatientID=None))
        room.do(TaskKind.DISPATCH, room.desk.work)
        state = room.do(TaskKind.ANALYSE, worker.work)
    (task,) = [one for one in journal.tasks(uid) if one.kind is TaskKind.ANALYSE]
    return state, task.error_code, len(journal.findings(uid))


def test_a_study_without_patient_id_waits_for_a_person_before_its_analysis(store, journal, tmp_path, not_run):
    found = analysed(store, journal, tmp_path, "live")
    assert found == (TaskState.PARKED, SOURCE_HEADER_WRONG.code, 0)


def test_what_is_not_reported_is_analysed_without_patient_id_too(store, journal, tmp_path):
    assert analysed(store, journal, tmp_path, "shadow") == (TaskState.DONE, None, 1)

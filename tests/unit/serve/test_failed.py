"""An analysis that failed for good: a document says so, once, until one that works takes its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom import Dataset

from dicomnode.cli import why
from dicomnode.engine import configured_engine
from dicomnode.faults import (
    CUDA_MEMORY,
    FAULTS,
    IDENTITY_UNSURE,
    NETWORK_FAILED,
    PLAN_AWAITED,
    RUNTIME_MISSING,
    SOURCE_HEADER_WRONG,
    NodeError,
)
from dicomnode.journal import AnswerQuery, StudyState, TaskKind, TaskState
from dicomnode.report import ReportProfile
from dicomnode.serve.analysing.failed import reason_of
from dicomnode.serve.once.kept import kept_results
from dicomnode.serve.results import failing as failing_room
from dicomnode.serve.results.desk import Desk
from dicomnode.settings import AnalyseSettings, EngineSettings, Settings
from dicomnode.values import Outcome, no_progress
from tests.unit.journal.world import ALL_HERE
from tests.unit.serve.test_clerks import ARCHIVE, ENHANCED_SR
from tests.unit.serve.test_corrections import KOS, Walk
from tests.unit.serve.test_replaced import ids_of, named_in, told_in
from tests.wire.peers import EXPLICIT_LE, store_scp
from tests.wire.plain_engines import mean_engine, series

PDF = "1.2.840.10008.5.1.4.1.1.104.1"
BROKEN = NodeError(RUNTIME_MISSING, engine="mean", reasons="/opt/secret/libfoo.so Doe^Jane")
STATUS = ("111064", "111224")  # Summary of Detections: Failed


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return series(tmp_path / "ct", 1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    engine = EngineSettings(name="mean", path=mean_engine(tmp_path / "mean"))
    return Settings(engine=(engine,), analyse=AnalyseSettings(runtime="onnxruntime"), destination=(ARCHIVE,))


@pytest.fixture
def walk(store, journal, settings: Settings) -> Iterator[Walk]:
    contexts = [(one, (EXPLICIT_LE,)) for one in (ENHANCED_SR, KOS, PDF)]
    with store_scp(contexts=contexts) as archive:
        destination = dataclasses.replace(ARCHIVE, port=archive.peer.port)
        walk = Walk(store, journal, dataclasses.replace(settings, destination=(destination,)), archive)
        yield walk
        walk.worker.close()
    walk.ours.close()
    assert walk.stopping.wait(5)
    walk.theirs.close()


def dispatched(walk: Walk, files: list[Path]) -> str:
    uid = walk.receive(files)
    walk.do(TaskKind.DISPATCH, walk.desk.work)
    return uid


def fail(walk: Walk, error: Exception = BROKEN) -> TaskState:
    def action(_task, _pulse):
        raise error

    return walk.do(TaskKind.ANALYSE, action)


def failed(walk: Walk, files: list[Path]) -> str:
    """A study whose analysis failed for good, with what follows from that."""
    uid = dispatched(walk, files)
    assert fail(walk) is TaskState.PARKED
    walk.turn()
    return uid


def retry(walk: Walk, uid: str) -> None:
    assert walk.journal.retry(uid, None, datetime.now(UTC))


def texts_of(report: Dataset) -> list[str]:
    return [element.value for element in report.iterall() if element.keyword == "TextValue"]


def evaluations_of(report: Dataset) -> list[tuple[str, str]]:
    items = [one for one in report.iterall() if one.keyword == "ContentSequence"]
    return [
        (one.ConceptNameCodeSequence[0].CodeValue, one.ConceptCodeSequence[0].CodeValue)
        for sequence in items
        for one in sequence.value
        if one.ValueType == "CODE"
    ]


def documents(walk: Walk, uid: str) -> int:
    """How many answers say that an analysis failed."""
    outcomes = [walk.store.load_findings(path).outcome for _, _, path in walk.journal.findings(uid)]
    return outcomes.count(Outcome.FAILED)


def test_the_archive_is_told_in_plain_words_that_the_analysis_failed_and_the_study_needs_a_person(
    walk, files
):
    uid = failed(walk, files)
    (report,) = walk.arrived()
    assert STATUS in evaluations_of(report)
    texts = texts_of(report)
    assert "The analysis failed. This is not a statement that nothing is there." in texts
    title = configured_engine(walk.settings.engine[0]).manifest.title
    assert (
        f"The analysis of this series by {title} failed: the program cannot be started on this "
        "computer. (DN-4004)"
    ) in texts
    assert any(text.startswith("AI result, not for diagnosis without review.") for text in texts)
    assert not [text for text in texts if "secret" in text or "Doe" in text or "Traceback" in text]
    study = walk.journal.study(uid)
    assert study.state is StudyState.FAILED
    assert study.reason == RUNTIME_MISSING.text(**BROKEN.values)
    assert walk.told(uid, "analysis.failed") == [
        "The analysis by engine mean failed for good (DN-4004). archive will be told by a document."
    ]


def test_a_study_of_which_nobody_is_to_be_told_needs_a_person_at_once(walk, files):
    walk.desk._settings = dataclasses.replace(walk.settings, destination=())
    uid = failed(walk, files)
    assert walk.journal.study(uid).state is StudyState.FAILED
    assert (documents(walk, uid), walk.arrived()) == (1, [])
    (text,) = walk.told(uid, "analysis.failed")
    assert text.endswith("No destination is told.")


def test_results_take_the_place_of_the_document_once_a_person_has_had_it_tried_again(walk, files):
    uid = failed(walk, files)
    retry(walk, uid)
    walk.turn()
    first, second = walk.arrived()
    assert named_in(second) == [ids_of(first)]
    assert told_in(second)
    assert STATUS not in evaluations_of(second)
    assert ids_of(first)[1:] != ids_of(second)[1:]
    assert walk.journal.study(uid).state is StudyState.DONE
    assert not [one for one in walk.journal.tasks(uid) if one.state is TaskState.PARKED]
    assert [one.outcome for one in walk.journal.deliveries(uid)] == ["stored", "stored"]


def test_a_document_that_was_not_sent_yet_is_not_sent_after_it_has_worked(walk, files):
    uid = dispatched(walk, files)
    fail(walk)
    walk.do(TaskKind.REPORT, walk.desk.work)
    walk.do(TaskKind.REPORT, walk.desk.work)
    retry(walk, uid)
    walk.turn()
    (report,) = walk.arrived()
    assert STATUS not in evaluations_of(report)
    assert named_in(report) == []
    outcomes = {one.outcome: one.text for one in walk.journal.deliveries(uid)}
    assert outcomes["replaced"] == "The analysis that had failed has worked since."
    assert walk.journal.study(uid).state is StudyState.DONE


def test_a_document_whose_answer_was_lost_is_named_all_the_same(walk, files, monkeypatch):
    uid = dispatched(walk, files)
    fail(walk)
    walk.do(TaskKind.REPORT, walk.desk.work)
    walk.do(TaskKind.REPORT, walk.desk.work)
    task = walk.journal.claim([TaskKind.DELIVER], "dies", 60, datetime.now(UTC))
    with monkeypatch.context() as lost:
        lost.setattr(walk.journal, "record_delivery", lambda *_: None)
        lost.setattr(walk.journal, "finish", lambda *_, **__: None)
        walk.courier.work(task, SimpleNamespace(progress=no_progress))
    (first,) = walk.arrived()
    retry(walk, uid)
    walk.turn()
    assert named_in(walk.arrived()[-1]) == [ids_of(first)]


@pytest.mark.parametrize(
    "error",
    [
        NodeError(NETWORK_FAILED, engine="mean", error="busy"),
        NodeError(CUDA_MEMORY, device="GPU", doing="x", used_mb=1, free_mb=1),
        NodeError(PLAN_AWAITED, engine="mean", words="40 %"),
        ValueError("Doe^Jane"),
    ],
    ids=["network", "memory", "plan", "bug"],
)
def test_what_is_tried_again_by_itself_is_not_told(walk, files, error):
    uid = dispatched(walk, files)
    assert fail(walk, error) is TaskState.RETRY
    assert [one.kind for one in walk.journal.tasks(uid)] == [TaskKind.DISPATCH, TaskKind.ANALYSE]


def test_an_analysis_that_ended_three_workers_is_told(walk, files):
    uid = dispatched(walk, files)
    for _ in range(3):
        walk.journal.claim([TaskKind.ANALYSE], "w", 60, datetime.now(UTC))
        walk.journal.owner_died("w", datetime.now(UTC))
    assert walk.journal.claim([TaskKind.ANALYSE], "w", 60, datetime.now(UTC)) is None
    walk.turn()
    (report,) = walk.arrived()
    said = "failed: the program did not come to an end, or broke down, each time it was tried. (DN-6004)"
    assert [text for text in texts_of(report) if text.endswith(said)]
    assert documents(walk, uid) == 1


@pytest.mark.parametrize(
    "error",
    [
        NodeError(IDENTITY_UNSURE),
        NodeError(SOURCE_HEADER_WRONG, tag="(0010,0020)", keyword="PatientID", problem="missing"),
    ],
    ids=["unsure", "wrong"],
)
def test_nothing_is_told_of_whom_nobody_knows(walk, files, error):
    uid = dispatched(walk, files)
    assert fail(walk, error) is TaskState.PARKED
    assert [one.kind for one in walk.journal.tasks(uid)] == [TaskKind.DISPATCH, TaskKind.ANALYSE]
    assert walk.journal.study(uid).state is StudyState.FAILED


def test_nothing_is_told_where_it_is_not_known_any_more_whose_the_images_are(walk, files, monkeypatch):
    uid = dispatched(walk, files)
    fail(walk)

    def unsure(*_):
        raise NodeError(IDENTITY_UNSURE)

    monkeypatch.setattr(failing_room, "check_reportable", unsure)
    assert walk.do(TaskKind.REPORT, walk.desk.work) is TaskState.PARKED
    assert documents(walk, uid) == 0
    monkeypatch.undo()
    retry(walk, uid)
    fail(walk)
    walk.turn()
    assert documents(walk, uid) == len(walk.arrived()) == 1, "a person has seen whose they are"


def test_a_failure_in_shadow_is_kept_and_not_sent(walk, files):
    (engine,) = walk.settings.engine
    walk.desk._settings = dataclasses.replace(
        walk.settings, engine=(dataclasses.replace(engine, mode="shadow"),)
    )
    uid = failed(walk, files)
    assert (documents(walk, uid), walk.arrived()) == (1, [])


def test_nothing_is_told_of_an_engine_that_is_not_configured_any_more(walk, files):
    uid = dispatched(walk, files)
    fail(walk)
    walk.desk._settings = dataclasses.replace(walk.settings, engine=())
    assert walk.do(TaskKind.REPORT, walk.desk.work) is TaskState.DONE
    assert documents(walk, uid) == 0
    assert walk.journal.study(uid).state is StudyState.FAILED


def test_who_dies_while_it_is_told_leaves_one_document(walk, files, monkeypatch):
    uid = dispatched(walk, files)
    fail(walk)
    for _ in range(2):  # when the Findings are kept and the journal does not know of them yet
        task = walk.journal.claim([TaskKind.REPORT], "dies", 60, datetime.now(UTC))
        with monkeypatch.context() as killed:
            killed.setattr(walk.journal, "finish", lambda *_, **__: None)
            walk.desk.work(task, None)
        walk.journal.owner_died("dies", datetime.now(UTC))
    walk.do(TaskKind.REPORT, walk.desk.work)
    walk.turn()
    assert documents(walk, uid) == len(walk.arrived()) == 1
    assert len(list((walk.store.root / "findings").glob("*.findings"))) == 1


def test_a_person_who_is_quicker_than_the_document_has_none_written(walk, files):
    uid = dispatched(walk, files)
    fail(walk)
    retry(walk, uid)
    walk.do(TaskKind.REPORT, walk.desk.work)
    assert documents(walk, uid) == 0
    fail(walk)
    walk.turn()
    assert documents(walk, uid) == len(walk.arrived()) == 1


def test_an_analysis_that_works_while_its_failure_is_written_has_the_last_word(walk, files, logged):
    uid = dispatched(walk, files)
    fail(walk)
    writing = walk.journal.claim([TaskKind.REPORT], "slow", 60, datetime.now(UTC))
    retry(walk, uid)
    walk.do(TaskKind.ANALYSE, walk.worker.work)
    with pytest.raises(NodeError, match="DN-6005"):
        walk.desk.work(writing, None)
    walk.turn()
    assert documents(walk, uid) == 0
    (report,) = walk.arrived()
    assert STATUS not in evaluations_of(report)


def test_a_second_failure_of_the_same_images_is_not_told_again(walk, files):
    uid = failed(walk, files)
    retry(walk, uid)
    fail(walk, NodeError(SOURCE_HEADER_WRONG, tag="", keyword="", problem=""))
    retry(walk, uid)
    fail(walk)
    walk.turn()
    assert documents(walk, uid) == len(walk.arrived()) == 1
    assert walk.told(uid, "report.reopened") == []


def test_a_failure_undoes_no_result_and_what_works_takes_the_place_of_both(walk, files):
    uid = walk.receive(files[:4])
    walk.turn()
    walk.send(files[4].read_bytes())
    assert walk.journal.close_study(uid, ALL_HERE, datetime.now(UTC)) == 2
    walk.do(TaskKind.DISPATCH, walk.desk.work)
    fail(walk)
    walk.turn()
    result, failure = walk.arrived()
    assert named_in(failure) == []
    retry(walk, uid)
    walk.turn()
    assert set(named_in(walk.arrived()[-1])) == {ids_of(result), ids_of(failure)}
    walk.send(files[5].read_bytes())
    walk.complete(uid)
    assert named_in(walk.arrived()[-1]) == [ids_of(walk.arrived()[-2])]


def test_a_failure_takes_the_place_of_an_older_one(walk, files):
    uid = failed(walk, files[:4])
    walk.send(files[4].read_bytes())
    assert walk.journal.close_study(uid, ALL_HERE, datetime.now(UTC)) == 2
    walk.do(TaskKind.DISPATCH, walk.desk.work)
    fail(walk)
    walk.turn()
    first, second = walk.arrived()
    assert named_in(second) == [ids_of(first)]


def test_who_takes_the_engine_back_takes_back_that_it_failed(walk, files):
    uid = failed(walk, files)
    (answer,) = walk.journal.answers(AnswerQuery(engine="mean"))
    assert (answer.objects, answer.destinations) == (1, ("archive",))
    walk.journal.retract_answers(uid, [answer.key], "113001", "Q", datetime.now(UTC))
    walk.turn()
    assert len(walk.arrived(KOS)) == 1


def test_a_destination_that_wants_pages_gets_one_that_says_it(walk, files):
    (archive,) = walk.settings.destination
    pages = dataclasses.replace(archive, objects=("PDF",))
    walk.desk = Desk(
        dataclasses.replace(walk.settings, destination=(pages,)), walk.store, walk.journal, walk.stopping
    )
    uid = failed(walk, files)
    (document,) = walk.arrived(PDF)
    assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
    retry(walk, uid)
    walk.turn()
    first, second = walk.arrived(PDF)
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_why_tells_that_it_failed_and_what_has_taken_its_place(walk, files, tmp_path, capsys):
    uid = failed(walk, files)
    retry(walk, uid)
    walk.turn()
    rows = why._analyses(walk.journal, uid, walk.settings)
    told = [(one["engine"], one["outcome"], [said["code"] for said in one["remarks"]]) for one in rows]
    assert told == [("mean", "findings", []), ("mean", "failed", ["DN-4004"])]
    ((engine, kept),) = kept_results(walk.journal, uid, ReportProfile(), b"salt" * 8)
    assert (engine, kept.result.findings.outcome) == ("mean", Outcome.FINDINGS)


def test_a_reason_is_a_part_of_a_sentence_and_names_no_file_or_value():
    reasons = {reason_of(code) for code in (None, *FAULTS)}
    assert len(reasons) == 5
    for said in reasons:
        assert said[0].islower()
        assert not set("{}<>:_/.") & set(said)

"""Scheduler, desk, worker and courier on a real store and journal, one step at a time."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.deliver import FileOutcome
from dicomnode.faults import (
    DEVICE_OUT,
    ENGINE_NOT_FOUND,
    JOURNAL_FAILED,
    PEER_UNREACHABLE,
    PLAN_AWAITED,
    STORE_WRITE_FAILED,
    NodeError,
)
from dicomnode.journal import Event, Journal, StudyState, TaskKind, TaskState
from dicomnode.phantom import write_series
from dicomnode.serve import scheduler as scheduler_room
from dicomnode.serve.intake import ingest as ingest_room
from dicomnode.serve.intake.ingest import ingest
from dicomnode.serve.process.frame import ChildFrame
from dicomnode.serve.process.line import ChildLine, line_pair
from dicomnode.serve.results import courier as courier_room
from dicomnode.serve.results.courier import Courier
from dicomnode.serve.results.desk import Desk
from dicomnode.serve.scheduler import Scheduler
from dicomnode.serve.work import clerk as clerk_room
from dicomnode.serve.work.carry import carry_out
from dicomnode.serve.work.pulse import Pulse
from dicomnode.serve.worker import Worker
from dicomnode.settings import (
    AnalyseSettings,
    DestinationSettings,
    EngineSettings,
    ExpectSettings,
    QuerySettings,
    RuleSettings,
    Settings,
)
from dicomnode.store import Arriving, Store
from dicomnode.values import Grid, Outcome
from tests.unit.journal.world import ALL_HERE
from tests.unit.store.part10 import INSTANCE, NOON, behind_preamble, receive
from tests.wire.plain_engines import mean_engine, series
from tests.wire.receive_peer import wait_until

ARCHIVE = DestinationSettings(
    name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=104, confirm="status"
)
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
SLICES = 14


class Room:
    """What a child process has: settings, store, journal, and a line to a supervisor that only listens."""

    def __init__(self, store: Store, journal: Journal, settings: Settings) -> None:
        self.store, self.journal, self.settings = store, journal, settings
        self.ours, self.theirs = line_pair()
        self.frame = ChildFrame(settings=settings, line=ChildLine(self.theirs), listener=None)
        self.stopping = self.frame.line.stopping
        self.desk = Desk(settings, store, journal, self.stopping)
        self.courier = Courier(settings, ARCHIVE, journal, self.stopping)

    def do(self, kind: TaskKind, work) -> TaskState:
        task = self.journal.claim([kind], "w1", 60, datetime.now(UTC))
        assert task is not None, f"there is nothing to {kind}"
        carry_out(task, work, self.journal, 60)
        return next(t.state for t in self.journal.tasks() if t.id == task.id)

    def receive(self, files: list[Path]) -> str:
        for n, path in enumerate(files):
            receive(self.store, path.read_bytes()[128:], NOON + timedelta(seconds=n))
        ingest(self.store, self.journal, datetime.now(UTC))
        uid = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        assert self.journal.close_study(uid, ALL_HERE, datetime.now(UTC)) is not None
        return uid

    def to_delivery(self, files: list[Path]) -> str:
        """The walk up to the point where results wait to be sent; the engine refuses the images."""
        uid = self.receive(files)
        assert self.do(TaskKind.DISPATCH, self.desk.work) is TaskState.DONE
        worker = Worker(self.frame, self.store, self.journal)
        try:
            assert self.do(TaskKind.ANALYSE, worker.work) is TaskState.DONE
        finally:
            worker.close()
        assert self.do(TaskKind.REPORT, self.desk.work) is TaskState.DONE
        return uid


@pytest.fixture
def room(store, journal, lungs_engine):
    settings = Settings(engine=(EngineSettings(name="lungs", path=lungs_engine),), destination=(ARCHIVE,))
    room = Room(store, journal, settings)
    yield room
    room.ours.close()
    assert room.stopping.wait(5)
    room.theirs.close()


@pytest.fixture(scope="module")
def torn(tmp_path_factory) -> list[Path]:
    """A CT series of which a slice is missing."""
    grid = Grid((SLICES, 16, 16), np.diag([20.0, 20.0, 5.0, 1.0]), "1.2.826.9")
    voxels = np.zeros(grid.shape_kji) - 500
    files = write_series(voxels, grid, tmp_path_factory.mktemp("torn"), seed=5)
    return [path for n, path in enumerate(files) if n != SLICES // 2]


def test_images_that_are_no_volume_are_answered_with_not_analysed_and_the_reason(room, torn):
    uid = room.to_delivery(torn)
    ((_, version, path),) = room.journal.findings(uid)
    findings = room.store.load_findings(path)
    assert (findings.outcome, version) == (Outcome.NOT_ANALYSED, 1)
    (remark,) = findings.remarks
    assert remark.code == "DN-3005"
    (made,) = room.journal.objects(uid)
    assert made.sop_class_uid == ENHANCED_SR
    assert "DN-3005" in made.path.read_bytes().decode("latin-1")
    assert room.journal.study(uid).state is StudyState.DELIVERING


def test_a_broken_engine_is_left_out_and_told_and_the_others_are_asked(room, torn, tmp_path, logged):
    broken = EngineSettings(name="gone", path=tmp_path / "nowhere")
    settings = replace(room.settings, engine=(broken, *room.settings.engine))
    room.desk = Desk(settings, room.store, room.journal, room.stopping)
    uid = room.receive(torn)
    assert room.do(TaskKind.DISPATCH, room.desk.work) is TaskState.DONE
    assert [task.engine for task in room.journal.tasks(uid) if task.kind is TaskKind.ANALYSE] == ["lungs"]
    (event,) = [event for event in room.journal.events(uid) if event.what == "engine.failed"]
    assert (event.facts["engine"], event.facts["code"]) == ("gone", ENGINE_NOT_FOUND.code)
    room.desk._packages()
    (line,) = [line for line in logged if line["event"] == "engine.failed"]
    assert (line["engine"], line["code"]) == ("gone", ENGINE_NOT_FOUND.code)


def test_a_study_waits_with_the_reason_where_no_engine_can_be_loaded(room, torn, tmp_path):
    broken = EngineSettings(name="gone", path=tmp_path / "nowhere")
    room.desk = Desk(replace(room.settings, engine=(broken,)), room.store, room.journal, room.stopping)
    uid = room.receive(torn)
    assert room.do(TaskKind.DISPATCH, room.desk.work) is not TaskState.DONE
    (task,) = room.journal.tasks(uid)
    assert task.error_code == ENGINE_NOT_FOUND.code


def test_a_worker_whose_study_has_a_later_version_changes_nothing(room, torn, logged):
    uid = room.receive(torn[:-1])
    room.do(TaskKind.DISPATCH, room.desk.work)
    worker = Worker(room.frame, room.store, room.journal)

    def slow(task, pulse: Pulse) -> Event:
        receive(room.store, torn[-1].read_bytes()[128:], NOON)
        ingest(room.store, room.journal, datetime.now(UTC))
        return worker.work(task, pulse)

    assert room.do(TaskKind.ANALYSE, slow) is TaskState.SUPERSEDED
    worker.close()
    assert room.journal.findings(uid) == []
    assert room.journal.study(uid).version == 2
    assert logged[-1]["event"] == "task.dropped"


def test_a_worker_beats_while_it_loads_and_works_and_is_silent_when_its_loop_hangs(room):
    worker = Worker(room.frame, room.store, room.journal)
    assert worker.beat().state == "ready, 0 engines"
    worker._at_work = ("lungs", SimpleNamespace(words="window 3 of 9", busy_s=7.0))
    assert (worker.beat().state, worker.beat().busy_s) == ("lungs: window 3 of 9", 7.0)
    worker.engines.loading = ("lungs", time.monotonic() - 50)
    beat = worker.beat()
    assert (beat.state, beat.loading, round(beat.busy_s)) == ("loading lungs", "lungs", 50)
    worker._at_work = worker.engines.loading = None
    worker.turned_at -= 61
    assert worker.beat() is None


@pytest.fixture
def mean_room(store, journal, tmp_path):
    """A room whose engine has a network."""
    engine = EngineSettings(name="mean", path=mean_engine(tmp_path / "mean"))
    analyse = AnalyseSettings(runtime="onnxruntime")
    room = Room(store, journal, Settings(engine=(engine,), analyse=analyse, destination=(ARCHIVE,)))
    yield room
    room.ours.close()
    assert room.stopping.wait(5)
    room.theirs.close()


def test_the_second_study_of_an_engine_loads_nothing(mean_room, tmp_path, logged):
    worker = Worker(mean_room.frame, mean_room.store, mean_room.journal)
    sessions = []
    for seed in (1, 2):
        mean_room.receive(series(tmp_path / f"ct{seed}", seed))
        mean_room.do(TaskKind.DISPATCH, mean_room.desk.work)
        assert mean_room.do(TaskKind.ANALYSE, worker.work) is TaskState.DONE
        sessions.append(list(worker.engines.get("mean")._sessions.values()))
    worker.close()
    _, second = [line for line in logged if line["event"] == "task.done" and line["kind"] == "analyse"]
    assert second["load_s"] == 0
    assert [id(one) for one in sessions[0]] == [id(one) for one in sessions[1]]
    assert len([line for line in logged if line["event"] == "engine.ready"]) == 1


@pytest.mark.parametrize(
    "waits_for",
    [
        NodeError(PLAN_AWAITED, engine="mean", words="building plan for mean (tensorrt, fp16) 40%"),
        NodeError(DEVICE_OUT, device="NVIDIA H200", reason="it ended 3 processes within an hour"),
    ],
    ids=["a plan", "a device"],
)
def test_a_study_whose_engine_will_come_waits_and_says_for_what(mean_room, tmp_path, logged, waits_for):
    uid = mean_room.receive(series(tmp_path / "ct", 1))
    mean_room.do(TaskKind.DISPATCH, mean_room.desk.work)

    def wait(task, pulse):
        raise waits_for

    for _ in range(9):  # as often as it takes: it is no failure of the study
        assert mean_room.do(TaskKind.ANALYSE, wait) is TaskState.RETRY
        mean_room.journal.retry(uid, None, datetime.now(UTC))
    mean_room.do(TaskKind.ANALYSE, wait)
    study = mean_room.journal.study(uid)
    assert study.state is StudyState.QUEUED
    assert waits_for.fault.text(**waits_for.values) in study.reason
    assert not [line for line in logged if line["log_level"] == "error"]


def test_a_report_for_a_destination_that_is_gone_waits_for_a_person_and_says_so(room, torn):
    uid = room.receive(torn)
    room.do(TaskKind.DISPATCH, room.desk.work)
    worker = Worker(room.frame, room.store, room.journal)
    room.do(TaskKind.ANALYSE, worker.work)
    worker.close()
    without = Desk(replace(room.settings, destination=()), room.store, room.journal, room.stopping)
    assert room.do(TaskKind.REPORT, without.work) is TaskState.PARKED
    study = room.journal.study(uid)
    assert study.state is StudyState.FAILED
    assert "'archive'" in study.reason


def test_deliveries_to_a_destination_that_is_gone_are_parked_and_not_forgotten(room, torn, logged):
    uid = room.to_delivery(torn)
    frame = replace(room.frame, settings=replace(room.settings, destination=()))
    Scheduler(frame, room.store, room.journal).turn(datetime.now(UTC))
    assert room.journal.study(uid).state is StudyState.FAILED
    assert "task.failed" in [line["event"] for line in logged if line["log_level"] == "error"]
    assert room.journal.retry(None, "archive", datetime.now(UTC)) == 1
    Scheduler(room.frame, room.store, room.journal).turn(datetime.now(UTC))
    assert room.journal.study(uid).state is StudyState.DELIVERING


def _sending(monkeypatch, answer):
    """What the route is asked to send, with `answer(path)` for each file."""
    asked: list[Path] = []

    def send(files, *, on_outcome, on_negotiated, stop):
        assert on_negotiated({SEGMENTATION: True})
        outcomes = []
        for path in files:
            asked.append(path)
            outcomes.append(answer(path, stop))
            on_outcome(outcomes[-1])
        return outcomes

    route = SimpleNamespace(send=send)
    monkeypatch.setattr(courier_room, "route_to", lambda _destination, _calling_ae, **_: route)
    return asked


def _outcome(path: Path, word: str, fault: NodeError | None = None) -> FileOutcome:
    return FileOutcome(path=path, sop_instance_uid="1.2", outcome=word, fault=fault)


AWAY = NodeError(
    PEER_UNREACHABLE, name="archive", host="h", port=104, ae_title="ARCHIVE", error="connection refused"
)


@pytest.mark.parametrize(
    ("word", "fault", "state", "study"),
    [
        ("stored", None, TaskState.DONE, StudyState.DONE),
        ("retry", AWAY, TaskState.RETRY, StudyState.DELIVERING),
        ("retry", None, TaskState.READY, StudyState.DELIVERING),
        ("refused", AWAY, TaskState.PARKED, StudyState.FAILED),
    ],
    ids=["stored", "archive away", "stopped", "refused"],
)
def test_a_delivery_becomes_what_the_archive_said(room, torn, monkeypatch, word, fault, state, study):
    uid = room.to_delivery(torn)
    _sending(monkeypatch, lambda path, _stop: _outcome(path, word, fault))
    assert room.do(TaskKind.DELIVER, room.courier.work) is state
    assert room.journal.study(uid).state is study
    if fault is None and word == "retry":
        assert "deliver.given_back" in [event.what for event in room.journal.events(uid)]


def test_how_many_objects_are_sent_is_told_while_they_are(room, torn, monkeypatch):
    room.to_delivery(torn)
    told: list[tuple[str, int, int]] = []
    _sending(monkeypatch, lambda path, _stop: _outcome(path, "stored"))
    task = room.journal.claim([TaskKind.DELIVER], "w1", 60, datetime.now(UTC))
    room.courier.work(task, SimpleNamespace(progress=lambda *stage: told.append(stage)))
    assert told == [("sending", 1, 1)]


def test_what_is_stored_is_not_sent_again(room, torn, monkeypatch):
    uid = room.to_delivery(torn)
    asked = _sending(monkeypatch, lambda path, _stop: _outcome(path, "stored"))
    task = room.journal.claim([TaskKind.DELIVER], "dead", 60, datetime.now(UTC))
    (made,) = room.journal.objects(uid)
    room.journal.record_delivery(task, made.sop_instance_uid, "stored", 0, "stored", datetime.now(UTC))
    room.journal.owner_died("dead", datetime.now(UTC))  # the answer was written, the end was not
    assert room.do(TaskKind.DELIVER, room.courier.work) is TaskState.DONE
    assert asked == []


def test_an_object_whose_bytes_have_changed_on_disk_is_never_sent(room, torn, monkeypatch):
    uid = room.to_delivery(torn)
    (made,) = room.journal.objects(uid)
    made.path.write_bytes(made.path.read_bytes()[:-1] + b"\x7f")
    asked = _sending(monkeypatch, lambda path, _stop: _outcome(path, "stored"))
    assert room.do(TaskKind.DELIVER, room.courier.work) is TaskState.PARKED
    assert asked == []
    assert "SHA-256" in room.journal.study(uid).reason


def test_a_courier_whose_task_was_superseded_stops_sending(room, torn, monkeypatch, logged):
    uid = room.to_delivery(torn[:-1])

    def answer(path: Path, _stop) -> FileOutcome:
        receive(room.store, torn[-1].read_bytes()[128:], NOON)
        ingest(room.store, room.journal, datetime.now(UTC))
        return _outcome(path, "stored")

    _sending(monkeypatch, answer)
    assert room.do(TaskKind.DELIVER, room.courier.work) is TaskState.SUPERSEDED
    assert room.journal.study(uid).state is StudyState.RECEIVING
    assert logged[-1]["event"] == "task.dropped"


def test_a_clerk_outlives_a_journal_that_is_locked(room, torn, monkeypatch, logged):
    monkeypatch.setattr(clerk_room, "TROUBLE_S", 0.01)
    uid = room.receive(torn)
    claim, failures = room.journal.claim, iter(range(3))

    def locked(*args, **kwargs):
        if next(failures, None) is not None:
            raise NodeError(JOURNAL_FAILED, error="database is locked")
        return claim(*args, **kwargs)

    monkeypatch.setattr(room.journal, "claim", locked)
    thread = threading.Thread(target=room.desk.run)
    thread.start()
    wait_until(lambda: room.journal.study(uid).state is StudyState.QUEUED, "it is dispatched")
    room.stopping.set()
    thread.join(10)
    assert [line["event"] for line in logged][:3] == ["claim.failed"] * 3


@pytest.fixture
def scheduler(room, monkeypatch) -> Scheduler:
    """One that looks once a second, however long a look takes here."""
    monkeypatch.setattr("dicomnode.serve.scheduler._LOOK_SHARE", 0)
    return Scheduler(room.frame, room.store, room.journal)


def test_a_study_is_complete_when_it_was_quiet_and_nothing_of_it_waits(room, torn, scheduler):
    for n, path in enumerate(torn):
        receive(room.store, path.read_bytes()[128:], NOON + timedelta(seconds=n))
    came = datetime.now(UTC)
    assert scheduler.turn(came) == len(torn)
    (study,) = room.journal.studies()
    assert scheduler.turn(came + timedelta(seconds=59)) == 0
    assert room.journal.study(study.study_instance_uid).state is StudyState.RECEIVING
    scheduler.turn(came + timedelta(seconds=62))
    assert room.journal.study(study.study_instance_uid).state is StudyState.COMPLETE


def test_a_steady_stream_of_others_keeps_no_study_open_but_one_of_which_files_wait(
    room, torn, scheduler, monkeypatch
):
    for n, path in enumerate(torn):
        receive(room.store, path.read_bytes()[128:], NOON + timedelta(seconds=n))
    came = datetime.now(UTC)
    scheduler.turn(came)
    (study,) = room.journal.studies()
    monkeypatch.setattr(ingest_room, "_GROUP", 1)
    own = torn[0].read_bytes()[128:]
    for seconds, own_waits, state in [
        (61.0, True, StudyState.RECEIVING),
        (61.2, False, StudyState.RECEIVING),  # it looks once a second while files come
        (62.0, False, StudyState.COMPLETE),
    ]:
        at = came + timedelta(seconds=seconds)
        receive(room.store, behind_preamble(f"{INSTANCE}.{seconds}"), at)
        if own_waits:
            receive(room.store, own, at + timedelta(milliseconds=1))
        assert scheduler.turn(at) == 1, "the oldest file, which is of the other study"
        assert room.journal.study(study.study_instance_uid).state is state, seconds
        while own_waits and ingest(room.store, room.journal, at):
            pass


# Seconds since the last image, what an open association brings then, and what becomes of the study
ASSOCIATION = [
    (62.0, "this", StudyState.RECEIVING),
    (600.0, "this", StudyState.RECEIVING),
    (62.0, "another", StudyState.COMPLETE),
    (62.0, "it has ended", StudyState.COMPLETE),
    (3602.0, "this", StudyState.COMPLETE),
]


@pytest.mark.parametrize(("seconds", "brings", "state"), ASSOCIATION)
def test_p1_a_study_is_not_complete_by_the_clock_while_an_association_brings_it(
    room, torn, scheduler, seconds, brings, state
):
    for n, path in enumerate(torn):
        receive(room.store, path.read_bytes()[128:], NOON + timedelta(seconds=n))
    came = datetime.now(UTC)
    scheduler.turn(came)
    (study,) = room.journal.studies()
    association = Arriving(room.store.root)
    association.say(study.study_instance_uid)
    if brings == "another":
        association.say("1.2.3")
    elif brings == "it has ended":
        association.end()
    scheduler.turn(came + timedelta(seconds=seconds))
    assert room.journal.study(study.study_instance_uid).state is state
    association.end()


def test_p1_what_an_association_sealed_just_before_it_ended_is_waited_for(room, torn, scheduler, monkeypatch):
    for n, path in enumerate(torn[:-1]):
        receive(room.store, path.read_bytes()[128:], NOON + timedelta(seconds=n))
    came = datetime.now(UTC)
    scheduler.turn(came)
    (study,) = room.journal.studies()
    association = Arriving(room.store.root)
    association.say(study.study_instance_uid)
    look = scheduler_room.arriving_studies

    def last_image_meanwhile(root):
        receive(room.store, torn[-1].read_bytes()[128:], came)
        association.end()
        return look(root)

    monkeypatch.setattr(scheduler_room, "arriving_studies", last_image_meanwhile)
    scheduler.turn(came + timedelta(seconds=62))
    assert room.journal.study(study.study_instance_uid).state is StudyState.RECEIVING


def test_what_is_known_to_be_missing_is_written_once(room, torn, monkeypatch):
    expect = ExpectSettings(name="two", modalities=("CT", "PT"))
    frame = replace(room.frame, settings=replace(room.settings, expect=(expect,)))
    scheduler = Scheduler(frame, room.store, room.journal)
    for n, path in enumerate(torn):
        receive(room.store, path.read_bytes()[128:], NOON + timedelta(seconds=n))
    came = datetime.now(UTC)
    scheduler.turn(came)
    written: list[str] = []
    mark = room.journal.mark_incomplete

    def marked(uid, *rest):
        written.append(uid)
        return mark(uid, *rest)

    monkeypatch.setattr(room.journal, "mark_incomplete", marked)
    for n in range(5):
        scheduler.turn(came + timedelta(seconds=61 + n))
    (study,) = room.journal.studies()
    assert (study.state, study.shortfall) == (StudyState.INCOMPLETE, "1 of 2 series, by rule two")
    assert written == [study.study_instance_uid]


def test_a_source_is_asked_first_about_the_study_that_is_urgent(room, torn):
    stat = RuleSettings(name="stat", calling=("CT1",), priority="stat")
    query = QuerySettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=104)
    frame = replace(room.frame, settings=replace(room.settings, rule=(stat,), query=(query,)))
    scheduler = Scheduler(frame, room.store, room.journal)
    for n, path in enumerate(torn):
        receive(room.store, path.read_bytes()[128:], NOON + timedelta(seconds=n))
    came = datetime.now(UTC)
    scheduler.turn(came)
    scheduler.turn(came + timedelta(seconds=60))
    assert [(t.kind, t.priority) for t in room.journal.tasks()] == [(TaskKind.FETCH, 10)]


@pytest.mark.parametrize(
    ("error", "raises"),
    [
        (NodeError(JOURNAL_FAILED, error="database or disk is full"), False),
        (NodeError(STORE_WRITE_FAILED, path="/s", error=OSError(28, "No space left on device")), False),
        (NodeError(STORE_WRITE_FAILED, path="/s", error=OSError(5, "Input/output error")), True),
    ],
    ids=["journal full", "disk full", "disk broken"],
)
def test_ingest_waits_for_space_and_ends_for_a_broken_disk(scheduler, monkeypatch, logged, error, raises):
    completed: list[datetime] = []
    monkeypatch.setattr(scheduler_room, "TROUBLE_S", 0.001)
    monkeypatch.setattr(scheduler._closer, "turn", completed.append)

    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(scheduler_room, "ingest", fail)
    if raises:
        with pytest.raises(NodeError):
            scheduler.turn(NOON)
    else:
        assert scheduler.turn(NOON) == 0
        assert [line["event"] for line in logged] == ["ingest.failed"]
    assert completed == [], "files may wait that belong to a study"


def test_the_scheduler_is_silent_when_a_clerk_has_ended_or_its_loop_hangs(scheduler):
    assert scheduler.beat() is None, "no clerk runs yet"
    running = threading.Event()
    scheduler._threads = [threading.Thread(target=running.wait)]
    scheduler._threads[0].start()
    assert scheduler.beat().state == "scheduling"
    scheduler._late.words = "late: archive"
    assert scheduler.beat().state == "scheduling; late: archive"
    scheduler._turned_at -= 901
    assert scheduler.beat() is None
    scheduler._turned_at += 901
    running.set()
    scheduler._threads[0].join()
    assert scheduler.beat() is None

"""What the rules of the site do to a study, from its images in the store to the tasks of the journal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydicom import dcmread

from dicomnode.journal import TaskKind
from dicomnode.serve.intake.ingest import ingest
from dicomnode.serve.results.desk import Desk
from dicomnode.serve.scheduler import Scheduler
from dicomnode.serve.worker import Worker
from dicomnode.settings import DestinationSettings, EngineSettings, RuleSettings, Settings
from tests.unit.serve.test_clerks import ARCHIVE, Room
from tests.unit.store.part10 import NOON, receive
from tests.wire.plain_engines import mean_engine, series

STAT = RuleSettings(
    name="er", station=("ER*",), priority="stat", engines=("mean",), destinations=("archive",)
)
OTHER = DestinationSettings(name="other", ae_title="OTHER", host="127.0.0.1", port=105)


@pytest.fixture
def files(tmp_path):
    paths = series(tmp_path / "er", seed=3)
    for path in paths:
        dataset = dcmread(path)
        dataset.StationName = "ER-CT"
        dataset.save_as(path)
    return paths


@pytest.fixture
def room(store, journal, tmp_path):
    engines = tuple(
        EngineSettings(name=name, path=mean_engine(tmp_path / name)) for name in ("mean", "second")
    )
    room = Room(store, journal, Settings(engine=engines, destination=(ARCHIVE, OTHER), rule=(STAT,)))
    yield room
    room.ours.close()
    assert room.stopping.wait(5)
    room.theirs.close()


def tasks(room, kind):
    return [task for task in room.journal.tasks() if task.kind is kind]


def test_a_study_of_the_emergency_room_gets_its_lane_its_engine_and_its_destination(room, files):
    uid = room.receive(files)
    room.do(TaskKind.DISPATCH, room.desk.work)
    (analysis,) = tasks(room, TaskKind.ANALYSE)
    assert (analysis.engine, analysis.priority) == ("mean", 10)
    (note,) = [event for event in room.journal.events(uid) if event.what == "rule.asked"]
    assert note.text == (
        "Rule er fits: Station Name is ER-CT. It decides: only mean may run; priority stat; "
        "results go to archive only."
    )
    assert (note.facts["rule"], note.facts["fits"]) == ("er", True)
    barred = [verdict for verdict in room.journal.verdicts(uid) if verdict.engine == "second"]
    assert [(v.chosen, v.rule) for v in barred] == [(False, "rule er of this site lets the engine run")]
    worker = Worker(room.frame, room.store, room.journal)
    try:
        room.do(TaskKind.ANALYSE, worker.work)
    finally:
        worker.close()
    (report,) = tasks(room, TaskKind.REPORT)
    assert (report.destination, report.priority) == ("archive", 10)
    room.do(TaskKind.REPORT, room.desk.work)
    (delivery,) = tasks(room, TaskKind.DELIVER)
    assert (delivery.destination, delivery.priority) == ("archive", 10)


def test_another_study_is_as_the_configuration_says(room, tmp_path):
    uid = room.receive(series(tmp_path / "plain", seed=4))
    room.do(TaskKind.DISPATCH, room.desk.work)
    assert [(t.engine, t.priority) for t in tasks(room, TaskKind.ANALYSE)] == [("mean", 0), ("second", 0)]
    (note,) = [event for event in room.journal.events(uid) if event.what == "rule.asked"]
    assert not note.facts["fits"]


def test_an_urgent_study_is_dispatched_before_routine_ones_that_came_before(room, tmp_path, files):
    """Its station stands in headers that nobody has read yet: it may be urgent, so it goes first."""
    by_title = RuleSettings(name="title", calling=("SCU",), priority="low")
    room.frame = replace(room.frame, settings=replace(room.settings, rule=(STAT, by_title)))
    scheduler = Scheduler(room.frame, room.store, room.journal)
    routine = series(tmp_path / "plain", seed=4)
    for n, path in enumerate([*routine, *files]):
        receive(room.store, path.read_bytes()[128:], NOON + timedelta(seconds=n))
    ingest(room.store, room.journal, datetime.now(UTC))
    for study in room.journal.studies():
        assert scheduler._lane(study) == 10
    room.frame = replace(room.frame, settings=replace(room.settings, rule=(by_title,)))
    assert {Scheduler(room.frame, room.store, room.journal)._lane(s) for s in room.journal.studies()} <= {
        0,
        -10,
    }


def test_each_series_of_a_study_is_analysed_by_an_engine_that_takes_all(room, tmp_path):
    folder = mean_engine(tmp_path / "every")
    text = (folder / "engine.toml").read_text()
    assert '[[input]]\nname = "ct"' in text
    (folder / "engine.toml").write_text(
        text.replace('[[input]]\nname = "ct"', '[[input]]\nseries = "all"\nname = "ct"')
    )
    settings = replace(room.settings, engine=(EngineSettings(name="every", path=folder),), rule=())
    room.frame = replace(room.frame, settings=settings)
    room.desk = Desk(settings, room.store, room.journal, room.stopping)
    first, second = series(tmp_path / "a", seed=1), series(tmp_path / "b", seed=2)
    study = str(dcmread(first[0]).StudyInstanceUID)
    for path in second:
        dataset = dcmread(path)
        dataset.StudyInstanceUID = study
        dataset.PatientID = dcmread(first[0]).PatientID
        dataset.save_as(path)
    room.receive([*first, *second])
    room.do(TaskKind.DISPATCH, room.desk.work)
    assert [task.engine for task in tasks(room, TaskKind.ANALYSE)] == ["every", "every:2"]
    worker = Worker(room.frame, room.store, room.journal)
    try:
        for _ in range(2):
            room.do(TaskKind.ANALYSE, worker.work)
    finally:
        worker.close()
    records = room.journal.findings(study)
    assert [record.engine for record in records] == ["every", "every:2"]
    found = [room.store.load_findings(record.path) for record in records]
    assert len({one.sources[0].series_instance_uid for one in found}) == 2
    for _ in range(4):
        room.do(TaskKind.REPORT, room.desk.work)
    objects = room.journal.objects(study)
    assert len({made.sop_instance_uid for made in objects}) == len(objects) == 2
    assert sorted({made.engine for made in objects}) == ["every", "every:2"]
    assert len(tasks(room, TaskKind.DELIVER)) == 4

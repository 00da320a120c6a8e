"""Held results: nothing leaves until a person lets it, and what never left is taken back in silence."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.journal import AnswerQuery, StudyState, TaskKind, TaskState
from dicomnode.serve.results.courier import Courier
from tests.unit.serve import test_corrections
from tests.unit.serve.test_corrections import KOS, Walk, changed

walk, files = test_corrections.walk, test_corrections.files


@pytest.fixture
def holding(walk: Walk) -> Walk:
    """The walk whose archive gets nothing before a person lets it go."""
    (destination,) = walk.settings.destination
    held = dataclasses.replace(destination, hold=True)
    walk.courier = Courier(walk.settings, held, walk.journal, walk.stopping)
    return walk


def now() -> datetime:
    return datetime.now(UTC)


def to_held(walk: Walk, uid: str) -> None:
    """Do all up to the delivery, which a person must let go."""
    for kind, work in (
        (TaskKind.DISPATCH, walk.desk.work),
        (TaskKind.ANALYSE, walk.worker.work),
        (TaskKind.REPORT, walk.desk.work),
    ):
        assert walk.do(kind, work) is TaskState.DONE
    assert walk.do(TaskKind.DELIVER, walk.courier.work) is TaskState.PARKED
    assert walk.journal.study(uid).state is StudyState.HELD


def held(walk: Walk, files: list[Path]) -> str:
    uid = walk.receive(files)
    to_held(walk, uid)
    assert walk.archive.stored == []
    return uid


def test_what_is_held_goes_when_it_is_released_and_is_confirmed(holding, files):
    uid = held(holding, files)
    assert holding.journal.held(uid) == {uid: ["archive"]}
    assert holding.journal.release_results(uid, None, "Dr. Roe", now()) == ["archive"]
    assert holding.journal.study(uid).state is StudyState.DELIVERING
    holding.turn()
    assert len(holding.arrived()) == 1
    assert holding.journal.study(uid).state is StudyState.DONE
    (delivery,) = holding.journal.deliveries(uid)
    assert (delivery.outcome, delivery.confirmed_by) == ("stored", "status")
    assert holding.told(uid, "results.released") == ["Dr. Roe let the results go to archive."]


def test_what_is_held_and_taken_back_was_never_sent_and_nobody_is_told(holding, files):
    uid = held(holding, files)
    done = holding.journal.retract(uid, "113001", now())
    assert (done.objects, done.destinations, done.ended) == (1, (), True)
    holding.turn()
    assert holding.archive.stored == []
    assert holding.journal.study(uid).state is StudyState.RETRACTED
    assert holding.journal.release_results(uid, None, "Dr. Roe", now()) == []


def test_what_is_held_is_taken_back_by_its_engine_and_nobody_is_told(holding, files):
    uid = held(holding, files)
    (answer,) = holding.journal.answers(AnswerQuery(engine="mean"))
    assert (answer.objects, answer.destinations) == (1, ())
    done = holding.journal.retract_answers(uid, [answer.key], "113001", "Dr. Roe", now())
    assert (done.destinations, done.ended) == ((), True)
    holding.turn()
    assert holding.archive.stored == []


def test_what_was_released_and_may_have_been_sent_is_told_of_when_it_is_taken_back(holding, files):
    uid = held(holding, files)
    holding.journal.release_results(uid, None, "Dr. Roe", now())
    task = holding.journal.claim([TaskKind.DELIVER], "w1", 60, now())
    assert task is not None
    assert holding.journal.retract(uid, "113001", now()).destinations == ("archive",)


def test_a_new_version_takes_the_place_of_one_that_is_held(holding, files):
    uid = held(holding, files)
    holding.send(*(changed(path, PatientName="Right^Name") for path in files))
    assert holding.journal.close_study(uid, test_corrections.ALL_HERE, now()) == 2
    to_held(holding, uid)
    states = {
        task.study_version: task.state for task in holding.journal.tasks(uid) if task.kind is TaskKind.DELIVER
    }
    assert states == {1: TaskState.SUPERSEDED, 2: TaskState.PARKED}
    assert holding.journal.release_results(uid, None, "Dr. Roe", now()) == ["archive"]
    holding.turn()
    (arrived,) = holding.arrived()
    assert str(arrived.PatientName) == "Right^Name"
    assert "PredecessorDocumentsSequence" not in arrived, "the archive never had the first"


def test_trying_again_is_not_letting_go(holding, files):
    uid = held(holding, files)
    assert holding.journal.retry(uid, None, now()) == 1
    assert holding.do(TaskKind.DELIVER, holding.courier.work) is TaskState.PARKED
    assert holding.archive.stored == []


def test_a_rejection_note_is_not_held(holding, files):
    uid = held(holding, files)
    holding.journal.release_results(uid, None, "Dr. Roe", now())
    holding.turn()
    holding.journal.retract(uid, "113001", now())
    holding.turn()
    assert len(holding.arrived(KOS)) == 1


# ── taken back by engine, and the study comes again ──


def test_what_was_taken_back_by_its_engine_does_not_come_again_by_a_corrected_name(walk, files):
    uid = test_corrections.analysed(walk, files)
    (answer,) = walk.journal.answers(AnswerQuery(engine="mean", version="1.0.0"))
    assert answer.maker is not None
    done = walk.journal.retract_answers(uid, [answer.key], "113037", "Dr. Roe", now())
    assert done.ended
    walk.turn()
    assert len(walk.arrived(KOS)) == 1
    walk.send(*(changed(path, PatientName="Right^Name") for path in files))
    assert walk.journal.study(uid).state is StudyState.RETRACTED
    assert len(walk.arrived()) == 1

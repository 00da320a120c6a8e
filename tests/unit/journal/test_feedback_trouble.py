"""Answers of others in trouble: rejected, of a study that was renamed, older than the images."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.journal import (
    OBJECT,
    Event,
    FeedbackQuery,
    Journal,
    NewTask,
    RejectionNote,
    StudyState,
    TaskKind,
    schema,
)
from dicomnode.journal.feedback import FeedbackRecord
from tests.unit.journal.test_feedback import AT, SAID, SEG, THEIRS, comes, feedback_tasks
from tests.unit.journal.test_migrate import AT as WHEN
from tests.unit.journal.test_migrate import a_study, old_journal
from tests.unit.journal.world import (
    ENGINE,
    STUDY,
    Ids,
    claim,
    complete,
    instance,
    later,
    receive,
    until_delivery,
)

ANOTHER = "1.2.4"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        yield journal


@pytest.fixture
def answered(journal: Journal) -> Journal:
    """A journal whose study has results, and an answer to them that was read."""
    receive(journal)
    complete(journal)
    until_delivery(journal)
    comes(journal)
    hear(journal, SAID)
    return journal


def hear(journal: Journal, *said: FeedbackRecord) -> None:
    journal.finish(
        claim(journal, TaskKind.FEEDBACK, later(90)), Event.COMMITTED, later(90), feedback=list(said)
    )


def reject(journal: Journal, *uids: str, number: int = 1) -> None:
    note = RejectionNote(
        sop_instance_uid=f"{STUDY}.9.{number}",
        study_instance_uid=STUDY,
        code="113001",
        meaning="Rejected for Quality Reasons",
        instances=uids,
    )
    journal.add_instances([], later(100), corrections=[note])


def test_an_answer_that_is_rejected_takes_no_result_back_and_starts_no_work(answered: Journal) -> None:
    before, tasks = answered.study(STUDY), answered.tasks(STUDY)
    reject(answered, THEIRS)
    after = answered.study(STUDY)
    assert (after.version, after.state) == (before.version, before.state)
    assert [(one.id, one.state) for one in answered.tasks(STUDY)] == [(one.id, one.state) for one in tasks]
    assert "annotations.rejected" in [one.what for one in answered.events(STUDY)]
    assert THEIRS not in [one.sop_instance_uid for one in answered.instances(STUDY)]


def test_an_answer_that_is_rejected_together_with_an_image_is_no_more_than_the_image(
    answered: Journal,
) -> None:
    reject(answered, THEIRS, f"{STUDY}.1.0")
    assert answered.study(STUDY).version == 2
    (told,) = [one for one in answered.events(STUDY) if one.what == "study.rejected"]
    assert told.facts["instances"] == 1


def test_a_study_of_which_only_answers_are_left_is_taken_back_as_one_without_images(
    answered: Journal,
) -> None:
    reject(answered, *(f"{STUDY}.1.{n}" for n in range(3)))
    assert answered.study(STUDY).state is StudyState.RETRACTED
    reject(answered, THEIRS, number=2)
    assert answered.study(STUDY).state is StudyState.RETRACTED
    assert answered.study(STUDY).version == 2


def test_what_a_rejected_answer_said_is_said_no_more(answered: Journal) -> None:
    assert answered.feedback(FeedbackQuery()) == [SAID]
    reject(answered, THEIRS)
    assert answered.feedback(FeedbackQuery()) == []


def test_an_object_of_two_studies_is_an_answer_in_both(answered: Journal) -> None:
    """An archive that gives a study another UID may keep those of its objects."""
    answered.add_instances([(instance(n, study=ANOTHER), Ids()) for n in range(3)], later(70))
    complete(answered, ANOTHER, later(71))
    there = replace(instance(1, study=ANOTHER, series=8, at=AT), sop_instance_uid=THEIRS, sop_class_uid=SEG)
    answered.add_instances([(there, Ids())], later(72))
    same = replace(SAID, study_instance_uid=ANOTHER)
    dispatch = claim(answered, TaskKind.DISPATCH, later(73))
    task = NewTask(
        kind=TaskKind.FEEDBACK, study_instance_uid=ANOTHER, study_version=1, engine=THEIRS,
        payload={OBJECT: THEIRS},
    )  # fmt: skip
    answered.finish(dispatch, Event.COMMITTED, later(73), new_tasks=[task])
    hear(answered, same)
    assert answered.feedback(FeedbackQuery()) == [SAID, same]
    assert answered.feedback(FeedbackQuery(study_instance_uid=ANOTHER)) == [same]


def test_one_that_came_before_the_images_keeps_them_from_no_analysis(journal: Journal) -> None:
    comes(journal)
    assert complete(journal, at=later(200)) == 1
    journal.finish(claim(journal, TaskKind.DISPATCH, later(201)), Event.COMMITTED, later(201))
    assert feedback_tasks(journal) == []
    receive(journal, at=later(300))
    assert journal.study(STUDY).version == 2
    assert complete(journal, at=later(400)) == 2
    assert claim(journal, TaskKind.DISPATCH, later(401)).study_version == 2


def test_why_tells_which_answers_wait_and_how_many_are_before_them(answered: Journal) -> None:
    for number in (2, 3):
        comes(answered, number)
    waits = [one for one in answered.waits(STUDY, later(200)) if one.kind is TaskKind.FEEDBACK]
    assert [one.waits_for for one in waits] == [
        f"its turn: the comparison with our results ({before} before it, 0 at work)" for before in (0, 1)
    ]


def test_a_journal_of_before_keeps_its_tasks_and_what_is_at_work_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with old_journal(path, "0009") as execute:
        execute(a_study(STUDY, 1))
        for number, (kind, state) in enumerate((("analyse", "running"), ("deliver", "parked")), start=1):
            execute(
                "INSERT INTO task (id, kind, study_instance_uid, study_version, engine, destination, "
                "payload, state, priority, attempt, not_before, owner, lease_until, fence, lost, "
                f"created_at, changed_at) VALUES ({number}, '{kind}', '{STUDY}', 1, '{ENGINE}', '', "
                f"'{{}}', '{state}', 0, 1, '{WHEN}', 'w1', '{WHEN}', 7, 0, '{WHEN}', '{WHEN}')"
            )
    with Journal.open(f"sqlite:///{path}") as journal:
        assert [(one.id, str(one.state), one.fence) for one in journal.tasks()] == [
            (1, "running", 7),
            (2, "parked", 7),
        ]
        taken = claim(journal, TaskKind.ANALYSE)
        assert (taken.id, taken.fence) == (1, 8)
        comes(journal)
        complete(journal)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        sql = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'task' AND sql IS NOT NULL"
        found = {name for (name,) in database.execute(sql)}
    assert found == {index.name for index in schema.task.indexes}

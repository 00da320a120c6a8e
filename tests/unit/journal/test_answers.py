"""Answers of engines: found by engine, package and time, and taken back one study at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.journal import AnswerKey, AnswerQuery, Event, Journal, Maker, StudyState, TaskKind, TaskState
from dicomnode.journal import is_of_retraction as takes_back
from tests.unit.journal.world import (
    NOON,
    PACS,
    STUDY,
    analyse,
    claim,
    complete,
    deliver,
    later,
    receive,
    result,
)
from tests.unit.journal.world import report as report_task

OLD, NEW = Maker("1.0.0", "ab" * 32), Maker("1.1.0", "cd" * 32)
EVERY = AnswerQuery()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        yield journal


def answered(
    journal: Journal, engines: dict[str, Maker | None], *, version: int = 1, at: float = 0, sent: bool = True
) -> None:
    """Bring a complete study to where its results are sent, or wait for that."""
    tasks = [analyse(version=version, engine=engine) for engine in engines]
    journal.finish(claim(journal, TaskKind.DISPATCH, later(at)), Event.COMMITTED, later(at), new_tasks=tasks)
    for maker in engines.values():
        task = claim(journal, TaskKind.ANALYSE, later(at))
        journal.finish(
            task,
            Event.COMMITTED,
            later(at),
            finding_path=Path(f"/store/findings/{task.engine}-{version}"),
            maker=maker,
            new_tasks=[replace(report_task(version=version, engine=task.engine or ""), destination=PACS)],
        )
    for number in range(len(engines)):
        task = claim(journal, TaskKind.REPORT, later(at))
        made = [result(10 * number + n, kind, version=version, engine=task.engine or "")
                for n, kind in enumerate(("SEG", "SR"))]  # fmt: skip
        follows = [replace(deliver(version=version), engine=task.engine)]
        journal.finish(task, Event.COMMITTED, later(at), objects=made, new_tasks=follows)
        if sent:
            send(journal, at)


def send(journal: Journal, at: float = 0) -> None:
    task = claim(journal, TaskKind.DELIVER, later(at))
    for one in journal.undelivered(task):
        journal.record_delivery(task, one.sop_instance_uid, "stored", 0, "", later(at))
    journal.finish(task, Event.COMMITTED, later(at))


def keys(journal: Journal, query: AnswerQuery) -> list[tuple[int, str]]:
    return [tuple(one.key) for one in journal.answers(query)]


@pytest.fixture
def study(journal: Journal) -> Journal:
    receive(journal)
    complete(journal)
    answered(journal, {"lung-ct": OLD, "lung-ct:2": OLD, "lung-ct-2": NEW})
    return journal


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (EVERY, ["lung-ct", "lung-ct-2", "lung-ct:2"]),
        (AnswerQuery(engine="lung-ct"), ["lung-ct", "lung-ct:2"]),
        (AnswerQuery(engine="lung_ct"), []),
        (AnswerQuery(engine="lung-ct", version="1.0.0"), ["lung-ct", "lung-ct:2"]),
        (AnswerQuery(engine="lung-ct", version="1.1.0"), []),
        (AnswerQuery(digest="cdcdcdcdcdcd"), ["lung-ct-2"]),
        (AnswerQuery(digest="cdcdcdcdcdce"), []),
        (AnswerQuery(study_uid="1.2.4"), []),
        (AnswerQuery(found_from=NOON, found_before=later(1)), ["lung-ct", "lung-ct-2", "lung-ct:2"]),
        (AnswerQuery(found_from=later(1)), []),
        (AnswerQuery(found_before=NOON), []),
        (AnswerQuery(superseded=True), []),
    ],
)
def test_answers_are_found_by_engine_package_and_time(study, query, found):
    assert [engine for _, engine in keys(study, query)] == found


def test_an_answer_says_how_many_objects_stand_and_who_has_them(study):
    (one,) = study.answers(AnswerQuery(engine="lung-ct-2"))
    assert (one.objects, one.destinations, one.maker, one.accession_number) == (2, (PACS,), NEW, "A17")


def test_taking_back_one_engine_leaves_the_others(study):
    of = [one.key for one in study.answers(AnswerQuery(engine="lung-ct"))]
    done = study.retract_answers(STUDY, of, "113037", "A. Smith", NOON)
    assert (done.objects, done.destinations, done.ended) == (4, (PACS,), False)
    assert keys(study, EVERY) == [(1, "lung-ct-2")]
    assert study.study(STUDY).state is StudyState.DONE
    note = claim(study, TaskKind.REPORT)
    assert takes_back(note.engine)
    assert {one.engine for one in study.withdrawn(note)} == {"lung-ct", "lung-ct:2"}
    (event,) = [one for one in study.events(STUDY) if one.what == "results.retracted"]
    assert event.text == (
        "The results of lung-ct, lung-ct:2 (4 objects) are taken back by A. Smith (DCM 113037). "
        "PACS1 is told by a rejection note."
    )
    assert event.facts["by"] == "A. Smith"


def test_taking_back_the_last_answer_ends_the_study(study):
    for engine in ("lung-ct-2", "lung-ct"):
        of = [one.key for one in study.answers(AnswerQuery(engine=engine))]
        done = study.retract_answers(STUDY, of, "113001", "A. Smith", NOON)
        assert done.ended == (engine == "lung-ct")
    assert study.study(STUDY).state is StudyState.RETRACTED


def test_doing_it_again_changes_nothing(study):
    of = [one.key for one in study.answers(EVERY)]
    study.retract_answers(STUDY, of, "113001", "A. Smith", NOON)
    before = len(study.events(STUDY)), len(study.tasks(STUDY))
    done = study.retract_answers(STUDY, of, "113037", "A. Smith", NOON)
    assert (done.objects, done.destinations, done.ended) == (0, (), False)
    assert (len(study.events(STUDY)), len(study.tasks(STUDY))) == before
    assert study.answers(EVERY) == []


def test_what_a_whole_retraction_took_back_is_no_answer_any_more(study):
    study.retract(STUDY, "113001", NOON)
    assert study.answers(EVERY) == []


def test_results_that_wait_to_be_written_or_sent_go_nowhere(journal):
    receive(journal)
    complete(journal)
    answered(journal, {"one": OLD, "two": NEW}, sent=False)
    (one,) = journal.answers(AnswerQuery(engine="one"))
    assert (one.objects, one.destinations) == (2, ())
    done = journal.retract_answers(STUDY, [one.key], "113001", "A. Smith", NOON)
    assert (done.objects, done.destinations, done.ended) == (2, (), False)
    task = claim(journal, TaskKind.DELIVER)
    assert task.engine == "two"
    assert journal.claim(list(TaskKind), "w2", 60, NOON) is None, "a note, or what was taken back"


def test_an_answer_without_an_object_is_taken_back_too(journal):
    receive(journal)
    complete(journal)
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[analyse()])
    journal.finish(
        claim(journal, TaskKind.ANALYSE), Event.COMMITTED, NOON,
        finding_path=Path("/f"), maker=OLD, new_tasks=[report_task()],
    )  # fmt: skip
    running = claim(journal, TaskKind.REPORT)
    (one,) = journal.answers(AnswerQuery(version="1.0.0", engine="lung-ct"))
    assert one.objects == 0
    done = journal.retract_answers(STUDY, [one.key], "113001", "A. Smith", NOON)
    assert (done.objects, done.ended) == (0, True)
    assert {task.id: task.state for task in journal.tasks(STUDY)}[running.id] is TaskState.SUPERSEDED
    assert ("lung-ct", 1) in journal.rejected_answers(STUDY), "equal images would take it over"


def test_an_engine_in_shadow_has_no_answer_to_take_back(journal):
    receive(journal)
    complete(journal)
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[analyse()])
    journal.finish(
        claim(journal, TaskKind.ANALYSE), Event.COMMITTED, NOON, finding_path=Path("/f"), maker=OLD
    )
    assert journal.answers(EVERY) == []


def test_only_superseded_answers_where_that_is_wanted(study):
    receive(study, 1, first=10, at=later(10))
    complete(study, at=later(20))
    answered(study, {"lung-ct": NEW}, version=2, at=30)
    assert keys(study, AnswerQuery(engine="lung-ct", superseded=True)) == [(1, "lung-ct"), (1, "lung-ct:2")]
    done = study.retract_answers(
        STUDY, [AnswerKey(1, "lung-ct"), AnswerKey(1, "lung-ct:2")], "113001", "A. Smith", later(40)
    )
    assert (done.objects, done.ended) == (4, False)
    assert study.study(STUDY).state is StudyState.DONE


def test_what_was_taken_over_is_of_the_day_on_which_it_was_found(study):
    receive(study, 1, first=10, at=later(10))
    complete(study, at=later(20))
    answered(study, {"lung-ct": OLD._replace(taken_over_of=1)}, version=2, at=30)
    receive(study, 1, first=20, at=later(40))
    complete(study, at=later(50))
    answered(study, {"lung-ct": OLD._replace(taken_over_of=2)}, version=3, at=60)
    found = {one.key: one.found_at for one in study.answers(AnswerQuery(engine="lung-ct"))}
    assert found[AnswerKey(3, "lung-ct")] == found[AnswerKey(2, "lung-ct")] == NOON
    assert (3, "lung-ct") in keys(study, AnswerQuery(found_before=later(1)))


def test_of_an_older_journal_it_is_asked_which_package_it_was(journal):
    receive(journal)
    complete(journal)
    answered(journal, {"one": None, "two": NEW})
    query = AnswerQuery(engine="one", version="1.0.0")
    assert keys(journal, query) == []
    ((uid, record),) = journal.findings_without_maker(query)
    assert (uid, record.engine, record.path) == (STUDY, "one", Path("/store/findings/one-1"))
    journal.note_makers({(STUDY, AnswerKey(1, "one")): OLD})
    assert keys(journal, query) == [(1, "one")]
    assert journal.findings_without_maker(query) == []


def test_analyses_that_are_still_to_be_made_are_counted(journal):
    receive(journal)
    complete(journal)
    tasks = [analyse(engine=engine) for engine in ("one", "one:2", "two")]
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=tasks)
    claim(journal, TaskKind.ANALYSE)
    assert journal.analyses_under_way(AnswerQuery(engine="one")) == 2
    assert journal.analyses_under_way(AnswerQuery(study_uid=STUDY)) == 3
    assert journal.analyses_under_way(AnswerQuery(study_uid="1.2.4")) == 0


def test_results_of_a_study_are_analysed_again_when_a_person_wishes(study):
    of = [one.key for one in study.answers(AnswerQuery(engine="lung-ct"))]
    study.retract_answers(STUDY, of, "113037", "A. Smith", NOON)
    assert study.reanalyse(STUDY, "A. Smith", NOON) == 2

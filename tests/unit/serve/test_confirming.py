"""Whether a destination keeps what it stored: every way to ask; archives that say nothing, lie and lose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest

from dicomnode.faults import (
    COMMITMENT_REFUSED,
    PEER_REJECTED,
    PEER_UNREACHABLE,
    QUERY_FAILED,
    WEB_LOGIN_REFUSED,
    Fault,
    NodeError,
)
from dicomnode.journal import Event, Journal, StudyState, TaskKind, TaskState
from dicomnode.net.commitment import CommitmentAnswer
from dicomnode.serve.results import confirming as room
from dicomnode.serve.results.confirming import Confirming
from dicomnode.settings import DestinationSettings
from tests.unit.journal.delivery_contract import again, stored
from tests.unit.journal.world import NOON, PACS, STUDY, result

FIRST, SECOND = "2.25.1.0", "2.25.1.1"
ALL = frozenset({FIRST, SECOND})
DAY = timedelta(days=1)

Instances = Sequence[tuple[str, str]]
Answer = CommitmentAnswer | None


class Clock:
    """What the time is for the room: it goes on when nothing is due."""

    now_ = NOON

    def now(self, _zone: object = None) -> datetime:
        return self.now_


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(room, "datetime", clock)
    return clock


def failure(fault: Fault) -> NodeError:
    facts = dict.fromkeys(("name", "host", "port", "ae_title", "calling_ae", "url", "request"), "x")
    return NodeError(fault, **facts, reason="r", error="e")


class Archive:
    """A route that answers as told. asked: ways and times of the questions."""

    def __init__(
        self,
        clock: Clock,
        commits: Callable[[Instances], Answer] | Fault = COMMITMENT_REFUSED,
        lists: Callable[[], frozenset[str]] | Fault = QUERY_FAILED,
    ) -> None:
        self.clock, self.commits, self.has = clock, commits, lists
        self.asked: list[tuple[str, float]] = []

    def _note(self, way: str) -> None:
        self.asked.append((way, (self.clock.now_ - NOON).total_seconds()))

    def send(self, *_: object, **__: object) -> list[object]:
        raise AssertionError("nothing is sent here")

    def ask_commitment(self, transaction: str, instances: Instances) -> dict[str, CommitmentAnswer]:
        self._note("commitment")
        if isinstance(self.commits, Fault):
            raise failure(self.commits)
        answer = self.commits(instances)
        return {} if answer is None else {transaction: answer}

    def lists(self, _study: str, _series: object) -> frozenset[str]:
        self._note("query")
        if isinstance(self.has, Fault):
            raise failure(self.has)
        return self.has()

    def count(self, way: str) -> int:
        return sum(one == way for one, _ in self.asked)


def kept(instances: Instances) -> CommitmentAnswer:
    return CommitmentAnswer(committed=frozenset(uid for uid, _ in instances), failed={})


def none_kept(instances: Instances) -> CommitmentAnswer:
    return CommitmentAnswer(committed=frozenset(), failed={uid: 0x0213 for uid, _ in instances})


def others(_instances: Instances) -> CommitmentAnswer:
    return CommitmentAnswer(committed=frozenset({"9.9.9"}), failed={})


def later(_instances: Instances) -> None:
    return None


def ask(
    journal: Journal, clock: Clock, archive: Archive, confirm: str = "auto", until: timedelta = DAY
) -> None:
    """Do the confirm task as often as it is due, until that day is over, or something else is to be done."""
    journal.owner_died("w1", NOON)
    to = DestinationSettings(name=PACS, ae_title="PACS", host="127.0.0.1", confirm=confirm)
    confirming = Confirming(to, journal)
    while clock.now_ < NOON + until:
        task = journal.claim([TaskKind.CONFIRM], "c1", 60, clock.now_, destination=PACS)
        if task is not None:
            try:
                confirming.work(task, archive)
            except NodeError as error:  # as `carry_out` does where a person is needed
                journal.finish(task, Event.NEEDS_PERSON, clock.now_, error=error)
            continue
        due = [one.not_before for one in journal.tasks(STUDY) if one.state is TaskState.RETRY]
        if not due:
            return
        clock.now_ = max(clock.now_ + timedelta(microseconds=1), min(due))


def confirmed(journal: Journal) -> set[str | None]:
    return {one.confirmed_by for one in journal.deliveries(STUDY)}


def state(journal: Journal) -> StudyState:
    return journal.study(STUDY).state


# The site's word, what the archive does, and by what it is known in the end
KNOWN = [
    ("auto", {"commits": kept}, "commitment"),
    ("commitment", {"commits": kept}, "commitment"),
    ("auto", {"lists": lambda: ALL}, "query"),
    ("auto", {"commits": others, "lists": lambda: ALL}, "query"),
    ("auto", {"commits": later, "lists": lambda: ALL}, "query"),
    ("query", {"commits": kept, "lists": lambda: ALL}, "query"),
    ("auto", {}, "status"),
    ("auto", {"commits": PEER_REJECTED, "lists": PEER_REJECTED}, "status"),
    ("auto", {"lists": WEB_LOGIN_REFUSED}, "status"),
    ("auto", {"commits": later, "lists": QUERY_FAILED}, "status"),
]


@pytest.mark.parametrize(("wanted", "does", "by"), KNOWN)
def test_by_what_it_is_known_in_the_end(
    journal: Journal, clock: Clock, wanted: str, does: dict[str, object], by: str
) -> None:
    stored(journal)
    ask(journal, clock, Archive(clock, **does), wanted)
    assert confirmed(journal) == {by}
    assert state(journal) is StudyState.DONE


@pytest.mark.parametrize("answer", [others, later], ids=["it names others", "it says nothing"])
def test_where_the_site_wants_commitment_nothing_else_will_do(
    journal: Journal, clock: Clock, answer: Callable[[Instances], Answer]
) -> None:
    stored(journal)
    archive = Archive(clock, commits=answer, lists=lambda: ALL)
    ask(journal, clock, archive, "commitment")
    assert confirmed(journal) == {None}
    assert state(journal) is StudyState.FAILED
    assert archive.count("query") == 0


@pytest.mark.parametrize("wanted", ["auto", "commitment", "query"])
def test_an_archive_that_is_away_is_asked_until_it_is_back(
    journal: Journal, clock: Clock, wanted: str
) -> None:
    stored(journal)
    ask(journal, clock, Archive(clock, PEER_UNREACHABLE, PEER_UNREACHABLE), wanted)
    assert state(journal) is StudyState.UNCONFIRMED
    clock.now_ += timedelta(hours=1)
    ask(journal, clock, Archive(clock, kept, lambda: ALL), wanted, 3 * DAY)
    assert state(journal) is StudyState.DONE


def test_what_it_did_not_list_is_never_taken_for_stored_because_the_next_question_fails(
    journal: Journal, clock: Clock
) -> None:
    stored(journal)
    answers = iter([frozenset[str]()] * 4)

    def lists() -> frozenset[str]:
        found = next(answers, None)
        if found is None:
            raise failure(QUERY_FAILED)
        return found

    ask(journal, clock, Archive(clock, lists=lists), until=timedelta(hours=2))
    assert confirmed(journal) == {None}
    assert state(journal) is StudyState.UNCONFIRMED


def test_a_commitment_that_came_too_late_is_not_asked_for_again(journal: Journal, clock: Clock) -> None:
    stored(journal)
    archive = Archive(clock, commits=later, lists=PEER_UNREACHABLE)
    ask(journal, clock, archive)
    assert archive.count("commitment") == 1
    assert archive.count("query") > 10


@pytest.mark.parametrize(
    "does", [{"commits": none_kept}, {"lists": frozenset}], ids=["by commitment", "by query"]
)
def test_what_is_missing_is_lost_only_after_the_time_to_file_it(
    journal: Journal, clock: Clock, does: dict[str, object]
) -> None:
    stored(journal)
    archive = Archive(clock, **does)
    ask(journal, clock, archive)
    assert clock.now_ >= NOON + timedelta(seconds=60)
    assert [one.outcome for one in journal.deliveries(STUDY)] == ["retry"] * 2
    assert state(journal) is StudyState.DELIVERING


def test_a_rejection_note_that_the_archive_hides_is_not_lost(journal: Journal, clock: Clock) -> None:
    task = stored(journal)
    note = result(9, "KO", engine="(retraction 1)")
    journal.finish(task, Event.COMMITTED, NOON, new_tasks=[again(TaskKind.REPORT, "(retraction 1)")])
    task = journal.claim([TaskKind.REPORT], "w1", 60, NOON)
    assert task is not None
    deliver = again(TaskKind.DELIVER, "(retraction 1)")
    journal.finish(task, Event.COMMITTED, NOON, objects=[note], new_tasks=[deliver])
    task = journal.claim([TaskKind.DELIVER], "w1", 60, NOON)
    assert task is not None
    journal.record_delivery(task, note.sop_instance_uid, "stored", 0, "stored", NOON)
    confirm = again(TaskKind.CONFIRM, "(retraction 1)")
    journal.finish(task, Event.COMMITTED, NOON, new_tasks=[confirm])
    ask(journal, clock, Archive(clock, lists=frozenset))
    by = {one.kind: one.confirmed_by for one in journal.deliveries(STUDY)}
    assert by["KO"] == "status"


def test_a_way_that_does_not_work_is_not_tried_again_for_each_study(journal: Journal, clock: Clock) -> None:
    stored(journal)
    archive = Archive(clock, PEER_REJECTED, lambda: ALL)
    to = DestinationSettings(name=PACS, ae_title="PACS", host="127.0.0.1")
    confirming = Confirming(to, journal)
    journal.owner_died("w1", NOON)
    for _ in range(3):
        clock.now_ += timedelta(minutes=10)
        task = journal.claim([TaskKind.CONFIRM], "c1", 60, clock.now_)
        assert task is not None
        confirming.work(task, archive)
    assert (archive.count("commitment"), archive.count("query")) == (3, 1)
    assert not confirming._is_open("commitment")
    clock.now_ += timedelta(hours=2)
    assert confirming._is_open("commitment")

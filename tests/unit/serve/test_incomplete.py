"""An incomplete study's results say so, and a commitment is never affirmed of what is not whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.faults import STUDY_INCOMPLETE
from dicomnode.journal import (
    SHORTFALL,
    THEN,
    Holding,
    Journal,
    NewTask,
    Reference,
    TaskKind,
    TaskRecord,
    TaskState,
)
from dicomnode.serve.deciding.incomplete import carried_on, remarked
from dicomnode.serve.deciding.plan import refusal_of
from dicomnode.serve.intake.notice_intake import take_notices
from dicomnode.serve.results.committer import _failure
from dicomnode.store import Store
from dicomnode.values import Sender
from tests.unit.store.findings import not_analysed as findings

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHORT = "127 of 180 images, by the count of PACS1"
CT_CLASS, MR_CLASS = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


def task(**payload: str) -> TaskRecord:
    return TaskRecord(
        id=1, kind=TaskKind.DISPATCH, study_instance_uid="1.2.3", study_version=1, engine=None,
        destination=None, payload=payload, state=TaskState.RUNNING, attempt=1, fence=1,
        owner="w", priority=0, not_before=NOON, error_code=None, error_text=None, created_at=NOON,
    )  # fmt: skip


def analyse(**payload: str) -> NewTask:
    return NewTask(
        kind=TaskKind.ANALYSE, study_instance_uid="1.2.3", study_version=1, engine="lung-ct", payload=payload
    )


def as_record(new: NewTask) -> TaskRecord:
    return task(**{str(key): str(value) for key, value in new.payload.items()})


def test_the_analyses_of_a_whole_study_carry_nothing_on() -> None:
    wanted = [analyse(stack="0")]
    assert carried_on(wanted, task()) == wanted
    made = findings()
    assert remarked(made, task(stack="0")) is made


def test_findings_of_an_incomplete_study_say_what_is_missing_once() -> None:
    (new,) = carried_on([analyse(stack="0")], task(**{SHORTFALL: SHORT, THEN: "analyse"}))
    assert new.payload == {"stack": "0", SHORTFALL: SHORT}
    assert refusal_of(as_record(new)) is None
    said = remarked(findings(), as_record(new))
    assert said.remarks[-1].text == f"The study is incomplete: {SHORT}."
    assert remarked(said, as_record(new)) is said


def test_where_it_is_to_be_reported_that_is_why_no_engine_gets_its_series() -> None:
    of = task(**{SHORTFALL: SHORT, THEN: "report"})
    (new,) = carried_on([analyse(stack="0")], of)
    assert refusal_of(as_record(new)) == STUDY_INCOMPLETE.refusal(shortfall=SHORT)
    (tilted,) = carried_on([analyse(refusal_code="DN-3011", refusal_text="It is tilted.")], of)
    refusal = refusal_of(as_record(tilted))
    assert refusal is not None
    assert refusal.code == "DN-3011", "what keeps the engine from the series all the same is told"


def test_what_is_only_reported_is_not_searched_for_priors() -> None:
    search = replace(
        analyse(stack="0", asks="priors"), kind=TaskKind.FETCH, destination="archives", priority=3
    )
    (new,) = carried_on([search], task(**{SHORTFALL: SHORT, THEN: "report"}))
    assert (new.kind, new.destination, new.priority) == (TaskKind.ANALYSE, None, 3)
    assert new.payload["stack"] == "0"
    assert "asks" not in new.payload
    assert refusal_of(as_record(new)) == STUDY_INCOMPLETE.refusal(shortfall=SHORT)
    (searched,) = carried_on([search], task(**{SHORTFALL: SHORT, THEN: "analyse"}))
    assert searched.kind is TaskKind.FETCH


@pytest.fixture
def copy(store: Store) -> Holding:
    with store.new_part() as part:
        part.writev((b"DICM", b"x" * 1000))
        sealed = part.seal(Sender(calling_ae="CT1", called_ae="DICOMNODE", address="10.0.0.7"), NOON)
    return Holding(CT_CLASS, sealed.path, sealed.digest)


def test_r15_only_what_lies_whole_on_the_disk_is_committed(copy: Holding) -> None:
    wanted = Reference("1.2.3.1", CT_CLASS)
    assert _failure(wanted, [copy]) is None
    assert _failure(wanted, []) == 0x0112
    assert _failure(Reference("1.2.3.1", MR_CLASS), [copy]) == 0x0119
    assert _failure(wanted, [copy._replace(digest="0" * 16)]) == 0x0110, (
        "another object than the journal knows"
    )
    assert _failure(wanted, [copy._replace(path=Path("/nowhere"))]) == 0x0110
    assert _failure(wanted, [copy._replace(path=Path("/nowhere")), copy]) is None, "one whole copy is enough"
    with copy.path.open("r+b") as file:
        file.seek(600)
        file.write(b"y")
    assert _failure(wanted, [copy]) == 0x0110, "a flipped bit"


def test_a_notice_whose_file_is_damaged_goes_aside_and_the_others_go_on(
    store: Store, journal: Journal, logged
) -> None:
    store.put_notice(b'{"schema": 1, "kind": "st', NOON)
    store.put_notice(b'{"schema": 2}', NOON)
    whole = (
        b'{"schema": 1, "kind": "commitment", "uid": "1.9.7", "study_instance_uid": "", "status": "",'
        b' "calling_ae": "CT1", "address": "10.0.0.7", "received_at": "2026-03-01T12:00:00+00:00",'
        b' "references": [["1.2.3.1", "1.2.840.10008.5.1.4.1.1.2"]]}'
    )
    store.put_notice(whole, NOON)
    assert take_notices(store, journal, NOON) == 3
    assert take_notices(store, journal, NOON) == 0
    wanted = journal.due_commitment(NOON)
    assert wanted is not None
    assert wanted.transaction_uid == "1.9.7"
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["notice.quarantined"] * 2


def test_a_node_that_dies_between_row_and_file_has_the_notice_once(store: Store, journal: Journal) -> None:
    name = store.put_notice(b"{}", NOON)
    store.settle_notices([name])
    store.settle_notices([name])  # as after a crash between the two
    assert store.notices(10) == []

"""When the log tells that a destination is late: once, once a day while it lasts, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from dicomnode.faults import CONFIRMATION_LATE, PEER_UNREACHABLE, RESULTS_LATE, NodeError
from dicomnode.journal import Backlog, Event, Journal, TaskKind
from dicomnode.serve.results.late import Lateness, LateWatch, Queue, queues_of
from dicomnode.settings import DestinationSettings
from tests.unit.journal.delivery_contract import to_delivery
from tests.unit.journal.world import NOON, PACS, claim, later

HOUR, DAY = 3600.0, 86400.0
TO = DestinationSettings(name=PACS, ae_title="PACS", host="10.0.0.1")
AWAY = NodeError(PEER_UNREACHABLE, name=PACS, host="10.0.0.1", port=104, ae_title="PACS", error="no answer")


def queue(age_s: float, *, limit_s: float = HOUR, destination: str = PACS) -> Queue:
    return Queue(
        destination=destination,
        what="results",
        count=3,
        since=NOON,
        age=timedelta(seconds=age_s),
        limit=timedelta(seconds=limit_s),
    )


def told(looks: Sequence[tuple[float, float | None]], limit_s: float = HOUR) -> list[tuple[float, str]]:
    """What is told at looks of (seconds, age of the oldest in seconds; None: nothing waits)."""
    lateness, found = Lateness(), []
    for at_s, age_s in looks:
        queues = [] if age_s is None else [queue(age_s, limit_s=limit_s)]
        found += [
            (at_s, "over" if said.queue is None else "late") for said in lateness.look(queues, later(at_s))
        ]
    return found


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([(0, None), (60, 0), (HOUR, HOUR)], []),
        ([(HOUR + 1, HOUR + 1)], [(HOUR + 1, "late")]),
        ([(s, s) for s in range(0, 7200, 60)], [(3660, "late")]),
        ([(s, s) for s in range(0, 3 * 86400, 600)], [(4200, "late"), (90600, "late"), (177000, "late")]),
        ([(0, 4000), (60, 4060), (120, None), (180, None)], [(0, "late"), (120, "over")]),
        ([(0, 4000), (60, 3599), (120, 3601), (180, 3500)], [(0, "late")]),
        ([(0, 4000), (60, 1800), (120, 3601)], [(0, "late"), (60, "over"), (120, "late")]),
        ([(0, 4000), (-7200, 4000), (60, 4000)], [(0, "late")]),
    ],
    ids=["in time", "too old", "once", "once a day", "over", "around it", "again", "the clock goes back"],
)
def test_a_destination_that_is_late_is_told_of_once_and_once_a_day(
    looks: list[tuple[float, float | None]], expected: list[tuple[float, str]]
) -> None:
    assert told(looks) == expected


def test_without_a_limit_nothing_is_told() -> None:
    assert told([(s, s) for s in range(0, 7200, 60)], limit_s=0) == []


def test_each_destination_is_told_of_for_itself() -> None:
    lateness = Lateness()
    lateness.look([queue(4000), queue(10, destination="B")], NOON)
    assert lateness.late == [PACS]
    (said,) = lateness.look([queue(4060), queue(3700, destination="B")], later(60))
    assert (said.destination, lateness.late) == ("B", ["B", PACS])


def test_what_waits_outside_the_hours_of_a_destination_is_not_late_by_that() -> None:
    """Since noon of one day, and open from 19:00 to 20:00."""
    backlog = Backlog(destination=PACS, waiting=2, since=_wall("2026-03-01 12:00"))
    to = replace(TO, hours="19:00-20:00")
    ages = [
        next(queues_of(to, backlog, _wall(at))).age / timedelta(hours=1)
        for at in ("2026-03-01 18:59", "2026-03-01 19:30", "2026-03-02 12:00", "2026-03-02 19:30")
    ]
    assert ages == [0, 0.5, 1, 1.5]


def _wall(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def test_a_confirmation_is_late_when_the_time_that_it_may_take_is_over_too() -> None:
    backlog = Backlog(destination=PACS, unconfirmed=2, unconfirmed_since=NOON)
    to = replace(TO, confirm_wait_s=100.0, filed_within_s=20.0, warn_after_s=30.0)
    for at_s, count in ((149, 0), (151, 1)):
        said = Lateness().look(queues_of(to, backlog, later(at_s)), later(at_s))
        assert len(said) == count
    assert said[0].queue is not None
    assert said[0].queue.error.fault is CONFIRMATION_LATE
    assert str(said[0].queue.error).startswith("DN-6021 PACS1 stored 2 result object(s)")


def test_the_log_has_one_warning_of_an_archive_that_is_down_and_a_line_when_it_is_back(
    journal: Journal, logged: list[dict[str, object]]
) -> None:
    watch = LateWatch([TO], journal)
    task = to_delivery(journal)
    journal.finish(task, Event.FAILED, NOON, error=AWAY, not_before=later(2 * HOUR))
    for minute in range(0, 120, 5):
        watch.turn(later(60 * minute))
    (line,) = logged
    assert (line["event"], line["log_level"], line["code"]) == (
        "destination.late",
        "warning",
        RESULTS_LATE.code,
    )
    assert (line["destination"], line["count"], line["since"]) == (
        PACS,
        2,
        NOON.isoformat(timespec="seconds"),
    )
    assert "no answer" in str(line["text"])
    assert watch.words == f"late: {PACS}"
    task = claim(journal, TaskKind.DELIVER, later(2 * HOUR))
    for one in journal.undelivered(task):
        journal.record_delivery(task, one.sop_instance_uid, "stored", 0, "stored", later(2 * HOUR))
    journal.finish(task, Event.COMMITTED, later(2 * HOUR))
    watch.turn(later(2 * HOUR + 61))
    assert [one["event"] for one in logged] == ["destination.late", "destination.not_late"]
    assert watch.words == ""


def test_it_looks_now_and_then_only_and_not_at_all_where_nobody_wants_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    monkeypatch.setattr(journal, "backlogs", lambda: looks.append(0) or {})
    watch = LateWatch([replace(TO, warn_after_s=40.0), TO], journal)
    for second in range(31):
        watch.turn(later(second))
    assert len(looks) == 4, "every quarter of the shortest limit"
    never = LateWatch([replace(TO, warn_after_s=0.0)], journal)
    never.turn(NOON)
    assert len(looks) == 4

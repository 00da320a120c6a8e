"""An archive that is silent for a weekend: the node goes on trying, seldom, and then delivers everything."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from dicomnode.deliver import FileOutcome, decide
from dicomnode.faults import PEER_UNREACHABLE, NodeError
from dicomnode.journal import Event, Journal, StudyState, TaskKind, TaskState
from dicomnode.settings import DestinationSettings
from tests.unit.journal.delivery_contract import to_delivery
from tests.unit.journal.world import NOON, PACS, STUDY, claim

AWAY = NodeError(PEER_UNREACHABLE, name=PACS, host="10.0.0.1", port=104, ae_title="PACS", error="no answer")
TO = DestinationSettings(name=PACS, ae_title="PACS", host="10.0.0.1")
WEEKEND = timedelta(hours=62)


def test_p31_after_a_weekend_all_results_are_there_and_nobody_had_to_do_anything(journal: Journal) -> None:
    task, at, tries = to_delivery(journal), NOON, 0
    objects = journal.undelivered(task)
    silence = [FileOutcome(path=Path("a"), sop_instance_uid="", outcome="retry", fault=AWAY)]
    while at < NOON + WEEKEND:
        decision = decide(silence, task.attempt, TO, at, 0.5)
        assert decision.not_before is not None
        journal.finish(task, Event[decision.event], at, error=decision.fault, not_before=decision.not_before)
        (waiting,) = (one for one in journal.tasks(STUDY) if one.kind is TaskKind.DELIVER)
        assert (waiting.state, waiting.error_code) == (TaskState.RETRY, AWAY.fault.code)
        assert journal.study(STUDY).state is StudyState.DELIVERING
        at, tries = decision.not_before, tries + 1
        assert journal.claim([TaskKind.DELIVER], "w1", 60, at - timedelta(seconds=1)) is None
        task = claim(journal, TaskKind.DELIVER, at)
    assert WEEKEND / timedelta(seconds=TO.retry_longest_s) < tries < 160
    assert journal.undelivered(task) == objects
    for one in objects:
        journal.record_delivery(task, one.sop_instance_uid, "stored", 0, "stored", at)
    journal.finish(task, Event.COMMITTED, at)
    assert journal.undelivered(task) == []

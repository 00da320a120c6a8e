"""What every journal must do with what work makes: verdicts, findings, objects, deliveries, events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.faults import (
    NETWORK_FAILED,
    NO_ENGINE_WANTS,
    NodeError,
)
from dicomnode.journal import (
    DeliveryOutcome,
    Event,
    FindingRecord,
    Journal,
    NewDelivery,
    StudyState,
    TaskKind,
)
from tests.unit.journal.world import (
    ENGINE,
    NOON,
    PACS,
    STUDY,
    analyse,
    claim,
    complete,
    deliver,
    later,
    receive,
    report,
    result,
    until_delivery,
    verdict,
)

BROKEN = NodeError(NETWORK_FAILED, engine=ENGINE, error="no memory")


class ResultContract:
    """Needs the fixture `journal`."""

    def test_the_states_of_a_study_on_its_way(self, journal: Journal) -> None:
        def state() -> StudyState:
            return journal.study(STUDY).state

        receive(journal)
        seen = [state()]
        complete(journal)
        seen.append(state())
        task = claim(journal, TaskKind.DISPATCH)
        journal.finish(task, Event.COMMITTED, NOON, new_tasks=[analyse()], verdicts=[verdict()])
        seen.append(state())
        task = claim(journal, TaskKind.ANALYSE)
        seen.append(state())
        journal.finish(task, Event.COMMITTED, NOON, finding_path=Path("/f"), new_tasks=[report()])
        task = claim(journal, TaskKind.REPORT)
        seen.append(state())
        journal.finish(task, Event.COMMITTED, NOON, objects=[result(0)], new_tasks=[deliver()])
        seen.append(state())
        task = claim(journal, TaskKind.DELIVER)
        journal.record_delivery(task, "2.25.1.0", "stored", 0, "", NOON)
        journal.finish(task, Event.COMMITTED, NOON)
        seen.append(state())
        assert seen == ["receiving", "complete", "queued", "analysing", "analysing", "delivering", "done"]
        told = [event.what for event in journal.events(STUDY) if event.what.startswith("study.")]
        assert told == [
            f"study.{word}" for word in ("receiving", "complete", "queued", "analysing", "delivering", "done")
        ]

    def test_a_study_that_no_engine_wants_is_refused_with_the_reason(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(
            claim(journal, TaskKind.DISPATCH),
            Event.COMMITTED,
            NOON,
            error=NodeError(NO_ENGINE_WANTS),
            verdicts=[verdict(chosen=False)],
        )
        study = journal.study(STUDY)
        assert (study.state, study.reason) == (StudyState.REFUSED, "No engine wants this study.")
        assert journal.verdicts(STUDY) == [verdict(chosen=False)]

    def test_verdicts_of_a_second_try_replace_those_of_the_first(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(
            claim(journal, TaskKind.DISPATCH), Event.FAILED, NOON, verdicts=[verdict(chosen=False)]
        )
        journal.finish(
            claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, verdicts=[verdict(), verdict(stack=1)]
        )
        assert journal.verdicts(STUDY) == [verdict(), verdict(stack=1)]

    def test_the_first_committed_findings_win(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[analyse()])
        journal.finish(claim(journal, TaskKind.ANALYSE), Event.FAILED, NOON, finding_path=Path("/first"))
        journal.finish(claim(journal, TaskKind.ANALYSE), Event.COMMITTED, NOON, finding_path=Path("/second"))
        assert journal.findings(STUDY) == [FindingRecord(ENGINE, 1, Path("/first"))]
        assert journal.findings(STUDY) == [(ENGINE, 1, Path("/first"))]

    def test_each_destination_shall_get_each_object(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal, objects=2, destinations=(PACS, "PACS2"))
        assert journal.objects(STUDY) == journal.objects(STUDY, 1) == [result(0), result(1)]
        assert journal.objects(STUDY, 2) == []
        for _ in range(2):
            assert journal.undelivered(claim(journal, TaskKind.DELIVER)) == [result(0), result(1)]
        assert Counter(record.destination for record in journal.deliveries(STUDY)) == {PACS: 2, "PACS2": 2}

    def test_a_destination_may_want_some_objects_only(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[report()])
        journal.finish(
            claim(journal, TaskKind.REPORT),
            Event.COMMITTED,
            NOON,
            objects=[result(0), result(1, "SR")],
            new_tasks=[deliver()],
            deliveries=[NewDelivery(destination=PACS, sop_instance_uid="2.25.1.1")],
        )
        assert journal.undelivered(claim(journal, TaskKind.DELIVER)) == [result(1, "SR")]

    @pytest.mark.parametrize(
        ("outcome", "status", "named"),
        [("stored", 0, True), ("retry", None, True), ("refused", 0xA900, False)],
    )
    def test_a_destination_has_a_report_that_it_stored_or_of_which_its_answer_was_lost(
        self, journal: Journal, outcome: DeliveryOutcome, status: int | None, named: bool
    ) -> None:
        receive(journal)
        complete(journal)
        seg, sr = made = [result(0), result(1, "SR")]
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[report()])
        journal.finish(
            claim(journal, TaskKind.REPORT), Event.COMMITTED, NOON, objects=made, new_tasks=[deliver()]
        )
        assert journal.reports_at(STUDY, PACS) == [], "nothing is sent yet"
        task = claim(journal, TaskKind.DELIVER)
        assert journal.reports_at(STUDY, PACS) == [sr], "who knows what has arrived in mid-delivery"
        for one in (seg, sr):
            journal.record_delivery(task, one.sop_instance_uid, outcome, status, "", NOON)
        assert journal.reports_at(STUDY, PACS) == ([sr] if named else [])
        assert journal.reports_at(STUDY, "PACS2") == journal.reports_at("1.2.9", PACS) == []

    def test_a_report_that_is_rejected_stands_nowhere(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(
            claim(journal, TaskKind.DISPATCH),
            Event.COMMITTED,
            NOON,
            objects=[result(1, "SR")],
            new_tasks=[deliver()],
        )
        task = claim(journal, TaskKind.DELIVER)
        journal.record_delivery(task, "2.25.1.1", "stored", 0, "", NOON)
        journal.finish(task, Event.COMMITTED, NOON)
        assert journal.reports_at(STUDY, PACS) == [result(1, "SR")]
        journal.retract(STUDY, "113038", NOON)
        assert journal.reports_at(STUDY, PACS) == []

    def test_what_is_stored_is_not_sent_again_and_what_is_not_is(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal, objects=3)
        task = claim(journal, TaskKind.DELIVER)
        journal.record_delivery(task, "2.25.1.0", "stored", 0x0000, "", NOON)
        journal.record_delivery(task, "2.25.1.1", "retry", 0xA700, "Out of resources.", NOON)
        journal.record_delivery(task, "2.25.1.2", "refused", 0xA900, "Does not match.", NOON)
        assert journal.undelivered(task) == [result(1), result(2)]
        journal.finish(task, Event.FAILED, NOON, not_before=later(10))
        assert journal.study(STUDY).state is StudyState.DELIVERING
        again = claim(journal, TaskKind.DELIVER, later(10))
        assert journal.undelivered(again) == [result(1), result(2)]
        rows = {
            row.sop_instance_uid: (row.outcome, row.status, row.text) for row in journal.deliveries(STUDY)
        }
        assert rows == {
            "2.25.1.0": ("stored", 0, ""),
            "2.25.1.1": ("retry", 0xA700, "Out of resources."),
            "2.25.1.2": ("refused", 0xA900, "Does not match."),
        }

    def test_a_study_is_not_done_before_every_object_is_stored_everywhere(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal, objects=1, destinations=(PACS, "PACS2"))
        first, second = (claim(journal, TaskKind.DELIVER) for _ in range(2))
        journal.record_delivery(first, "2.25.1.0", "stored", 0, "", NOON)
        journal.finish(first, Event.COMMITTED, NOON)
        assert journal.study(STUDY).state is StudyState.DELIVERING
        journal.finish(second, Event.COMMITTED, NOON)  # says that it is done, and has not stored the object
        assert journal.study(STUDY).state is StudyState.UNCONFIRMED

    def test_an_answer_on_an_object_that_was_not_to_be_sent_is_a_bug_of_the_caller(
        self, journal: Journal
    ) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal)
        with pytest.raises(ValueError, match="was not to get"):
            journal.record_delivery(claim(journal, TaskKind.DELIVER), "1.2.9", "stored", 0, "", NOON)

    def test_a_finish_is_whole_or_not_at_all(self, journal: Journal) -> None:
        """The process may be killed between any two lines: here it is, after the first object."""

        class Killed(BaseException):
            pass

        def objects() -> Iterator[object]:
            yield result(0)
            raise Killed

        receive(journal)
        complete(journal)
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[report()])
        task = claim(journal, TaskKind.REPORT)
        before = (journal.tasks(), journal.events(STUDY), journal.studies())
        with pytest.raises(Killed):
            journal.finish(
                task,
                Event.COMMITTED,
                NOON,
                finding_path=Path("/x"),
                verdicts=[verdict()],
                objects=objects(),  # type: ignore[arg-type]
                new_tasks=[deliver()],
                deliveries=[],
            )
        assert (journal.tasks(), journal.events(STUDY), journal.studies()) == before
        assert journal.objects(STUDY) == []
        assert journal.findings(STUDY) == []
        assert journal.verdicts(STUDY) == []
        journal.finish(task, Event.COMMITTED, NOON, objects=[result(0)], new_tasks=[deliver()])
        assert journal.objects(STUDY) == [result(0)]

    def test_every_change_is_told_in_a_sentence(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        task = claim(journal, TaskKind.DISPATCH)
        journal.finish(task, Event.FAILED, NOON, error=BROKEN, not_before=later(10))
        journal.finish(
            claim(journal, TaskKind.DISPATCH, later(10)), Event.COMMITTED, later(11), new_tasks=[analyse()]
        )
        receive(journal, 1, first=9, at=later(20))
        events = journal.events(STUDY)
        assert [event.text for event in events] == [
            "The first image of the study came from CT1.",
            "The study is complete: 3 images in 1 series; nothing new came for 60 s.",
            "The choice of engines has started (try 1).",
            f"The choice of engines has failed and is tried again after 12:00:10 UTC. {BROKEN}",
            "The choice of engines has started (try 2).",
            "The choice of engines has ended.",
            "The study waits for its analysis.",
            "The analysis by engine lung-ct is not needed any more: the study has changed.",
            "One more image has come after the study was complete: version 2 begins.",
        ]
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert events[3].facts == {"task": task.id, "attempt": 1, "code": "DN-4006"}

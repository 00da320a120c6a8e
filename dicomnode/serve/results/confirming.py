"""Confirming: whether a destination keeps what it said that it stored.

By storage commitment where it offers that, else by asking what it has, else its answer to the sending is all
that is known; which of the three it was is written down. What it does not have is sent again.

What a try learns stands in the payload of its task (`Memory`): the next one may be in another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

import structlog

from dicomnode.deliver import Route, next_try_s
from dicomnode.faults import COMMITMENT_LATE, LOST_THERE, NodeError
from dicomnode.journal import Confirmation, Event, Journal, TaskRecord, Unconfirmed, is_of_retraction
from dicomnode.serve.deciding.plan import deliver_task
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.results.asking_whether import Memory, Way, is_over, is_passing
from dicomnode.settings import DestinationSettings

log = structlog.get_logger("dicomnode.serve")

_LOOK_AGAIN: Final = timedelta(seconds=5)
_MOST_LOSSES: Final = 3
_MOST_UNNAMED: Final = 3
# A way that one object could not be asked about is not tried for each of the next ones
_BARRED: Final = timedelta(hours=1)
_NO_JITTER: Final = 0.5  # the questions of one destination stand one behind the other


class _Waits(Exception):  # noqa: N818  not an error: the answer is still to come
    """Nothing is known yet. until: when to look again."""

    def __init__(self, until: datetime) -> None:
        super().__init__()
        self.until = until


class Confirming:
    """Does the `confirm` tasks of one destination."""

    def __init__(self, destination: DestinationSettings, journal: Journal) -> None:
        self._destination = destination
        self._journal = journal
        self._barred: dict[Way, datetime] = {}

    def work(self, task: TaskRecord, route: Route) -> Event:
        """Find out what the destination keeps, and write it; a destination that is away is asked again."""
        waiting = self._journal.unconfirmed(task)
        memory = Memory.of(task)
        try:
            missing, why = self._look(task, route, waiting, memory) if waiting else ([], "")
        except _Waits as waits:
            return self._again(task, memory, waits.until)
        except NodeError as error:
            if not is_passing(error):
                raise
            failures = memory.failed()
            to = self._destination
            wait_s = next_try_s(failures, to.retry_first_s, to.retry_longest_s, _NO_JITTER)
            return self._again(task, memory, datetime.now(UTC) + timedelta(seconds=wait_s), error)
        if missing:
            return self._lost(task, missing, why)
        if self._journal.undelivered(task):  # a person wants it tried again, or some of it was refused
            return self._deliver_again(task)
        self._journal.finish(task, Event.COMMITTED, datetime.now(UTC))
        return Event.COMMITTED

    def _again(
        self, task: TaskRecord, memory: Memory, until: datetime, error: NodeError | None = None
    ) -> Event:
        now = datetime.now(UTC)
        self._journal.finish(task, Event.FAILED, now, error=error, not_before=until, payload=memory.payload)
        return Event.FAILED

    def _look(
        self, task: TaskRecord, route: Route, waiting: Sequence[Unconfirmed], memory: Memory
    ) -> tuple[list[Unconfirmed], str]:
        """Confirm what can be; give what the destination has not, and how that is known. Raises _Waits."""
        wanted, left = self._destination.confirm, list(waiting)
        if wanted in ("auto", "commitment") and self._is_open("commitment"):
            failed, why, left = self._by_commitment(task, route, left, memory)
            if failed or not left:
                return failed, why
        if wanted in ("auto", "query") and self._is_open("query"):
            held = self._listed(task, route, left, memory)
            if held is not None:
                return self._by_query(task, left, held, memory)
        self._confirm(task, left, "status")
        return [], ""

    def _is_open(self, way: Way) -> bool:
        """Whether it is worth asking in that way: always where the site wants it, else after a while."""
        barred = self._barred.get(way)
        return self._destination.confirm == way or barred is None or barred < datetime.now(UTC)

    def _cannot(self, way: Way, error: NodeError, memory: Memory) -> None:
        """Note that the destination cannot be asked in that way; raises the error where it is to be asked."""
        if self._destination.confirm == way or not is_over(error, memory):
            raise error
        self._barred[way] = datetime.now(UTC) + _BARRED
        memory.answered()
        log.warning("delivery.not_asked", destination=self._destination.name, way=way, **fault_facts(error))

    def _by_commitment(
        self, task: TaskRecord, route: Route, waiting: list[Unconfirmed], memory: Memory
    ) -> tuple[list[Unconfirmed], str, list[Unconfirmed]]:
        """Give what failed and why, and what nothing was said of. Raises _Waits, NodeError."""
        if memory.late:
            return [], "", waiting
        asked = self._journal.asked_commitment(task)
        if asked is None:
            try:
                self._ask(task, route, waiting)
            except NodeError as error:
                self._cannot("commitment", error, memory)
                return [], "", waiting
            asked = self._journal.asked_commitment(task)
        memory.answered()
        if asked is None or asked.answered_at is None:
            until = (asked.asked_at if asked else datetime.now(UTC)) + self._wait
            if datetime.now(UTC) < until:
                raise _Waits(until)
            return self._too_late(task, waiting, memory)
        self._journal.settle_commitment(asked.transaction_uid)
        failed = [one for one in waiting if one.record.sop_instance_uid in asked.failed]
        kept = [one for one in waiting if one.record.sop_instance_uid in asked.committed]
        self._confirm(task, kept, "commitment")
        self._give_time(failed)
        known = {one.record.sop_instance_uid for one in (*failed, *kept)}
        left = [one for one in waiting if one.record.sop_instance_uid not in known]
        if left and not failed and self._destination.confirm == "commitment":
            memory.unnamed += 1
            if memory.unnamed < _MOST_UNNAMED:
                raise _Waits(datetime.now(UTC) + _LOOK_AGAIN)
            return self._too_late(task, left, memory)
        if failed and is_of_retraction(task.engine):
            return [], "", [*failed, *left]
        reasons = sorted({f"0x{asked.failed[one.record.sop_instance_uid]:04X}" for one in failed})
        return failed, f"It does not commit itself to them (failure reason {', '.join(reasons)}).", left

    @property
    def _wait(self) -> timedelta:
        return timedelta(seconds=self._destination.confirm_wait_s)

    def _too_late(
        self, task: TaskRecord, waiting: list[Unconfirmed], memory: Memory
    ) -> tuple[list[Unconfirmed], str, list[Unconfirmed]]:
        """Wait no longer for a commitment. Raises NodeError(COMMITMENT_LATE) where nothing else will do."""
        asked = self._journal.asked_commitment(task)
        if asked is not None:
            self._journal.settle_commitment(asked.transaction_uid)
        late = NodeError(
            COMMITMENT_LATE,
            name=self._destination.name,
            seconds=self._destination.confirm_wait_s,
            count=len(waiting),
        )
        if self._destination.confirm == "commitment":
            raise late
        memory.late = True
        log.warning("commitment.late", destination=self._destination.name, **fault_facts(late))
        return [], "", waiting

    def _ask(self, task: TaskRecord, route: Route, waiting: Sequence[Unconfirmed]) -> None:
        """Ask for commitment. Raises NodeError."""
        transaction = f"2.25.{uuid4().int}"
        self._journal.ask_commitment(task, transaction, datetime.now(UTC))
        try:
            answers = route.ask_commitment(
                transaction, [(one.record.sop_instance_uid, one.record.sop_class_uid) for one in waiting]
            )
        except NodeError:
            self._journal.settle_commitment(transaction)
            raise
        for asked, answer in answers.items():
            self._journal.answer_commitment(asked, answer.committed, answer.failed, datetime.now(UTC))

    def _listed(
        self, task: TaskRecord, route: Route, waiting: Sequence[Unconfirmed], memory: Memory
    ) -> frozenset[str] | None:
        """What the destination says that it has; None where it cannot be asked. Raises NodeError."""
        series = {one.record.series_instance_uid for one in waiting}
        try:
            held = route.lists(task.study_instance_uid, series)
        except NodeError as error:
            if memory.absent:  # it could be asked before, and had not all of it
                raise
            self._cannot("query", error, memory)
            return None
        memory.answered()
        return held

    def _by_query(
        self, task: TaskRecord, waiting: Sequence[Unconfirmed], held: frozenset[str], memory: Memory
    ) -> tuple[list[Unconfirmed], str]:
        """Confirm what is listed; give what is not although it had its time. Raises _Waits."""
        self._confirm(task, [one for one in waiting if one.record.sop_instance_uid in held], "query")
        missing = [one for one in waiting if one.record.sop_instance_uid not in held]
        if is_of_retraction(task.engine):
            # An archive that obeys a rejection note may hide it as well
            self._confirm(task, missing, "status")
            return [], ""
        memory.absent = bool(missing)
        self._give_time(missing)
        return missing, "It was asked, and does not list them."

    def _give_time(self, missing: Sequence[Unconfirmed]) -> None:
        """Raise _Waits while what is missing may still be filed: then it is listed, or committed to."""
        now, within = datetime.now(UTC), timedelta(seconds=self._destination.filed_within_s)
        if any(now < one.stored_at + within for one in missing):
            raise _Waits(now + min(_LOOK_AGAIN, within))

    def _confirm(self, task: TaskRecord, kept: Sequence[Unconfirmed], by: Confirmation) -> None:
        if kept:
            uids = [one.record.sop_instance_uid for one in kept]
            self._journal.confirm(task, uids, by, datetime.now(UTC))
            log.info(
                "delivery.confirmed",
                destination=self._destination.name,
                study=task.study_instance_uid,
                objects=len(uids),
                by=by,
            )

    def _lost(self, task: TaskRecord, missing: Sequence[Unconfirmed], why: str) -> Event:
        """Send again what the destination lost; a person must look where it loses it again and again."""
        now = datetime.now(UTC)
        log.error(
            "delivery.lost",
            destination=self._destination.name,
            study=task.study_instance_uid,
            objects=len(missing),
            reason=why,
        )
        self._journal.lose(task, [one.record.sop_instance_uid for one in missing], why, now)
        times = 1 + max(one.losses for one in missing)
        if times < _MOST_LOSSES:
            return self._deliver_again(task)
        fault = NodeError(LOST_THERE, name=self._destination.name, times=times, count=len(missing))
        self._journal.finish(task, Event.NEEDS_PERSON, now, error=fault)
        return Event.NEEDS_PERSON

    def _deliver_again(self, task: TaskRecord) -> Event:
        self._journal.finish(task, Event.COMMITTED, datetime.now(UTC), new_tasks=[deliver_task(task)])
        return Event.COMMITTED

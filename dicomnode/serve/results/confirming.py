"""Confirming: whether a destination keeps what it said that it stored.

By storage commitment where it offers that, else by asking what it has, else its answer to the sending is all
that is known; which of the three it was is written down. What it does not have is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

import structlog

from dicomnode.deliver import Route
from dicomnode.faults import (
    COMMITMENT_LATE,
    FETCH_LATE,
    LOST_THERE,
    PEER_BUSY,
    PEER_NOT_TRUSTED,
    PEER_REJECTED,
    PEER_UNREACHABLE,
    QUERY_FAILED,
    WEB_FAILED,
    WEB_LOGIN_REFUSED,
    WEB_NOT_TRUSTED,
    WEB_SECRET_UNREADABLE,
    WEB_UNREACHABLE,
    NodeError,
)
from dicomnode.journal import Confirmation, Event, Journal, TaskRecord, Unconfirmed
from dicomnode.serve.deciding.plan import deliver_task
from dicomnode.serve.logs import fault_facts
from dicomnode.settings import DestinationSettings

log = structlog.get_logger("dicomnode.serve")

# An archive may list an object only when it has filed it: nothing is lost before
_FILED_WITHIN: Final = timedelta(seconds=60)
_LOOK_AGAIN: Final = timedelta(seconds=5)
_MOST_LOSSES: Final = 3
# The destination is not there now: what can be asked of it, and how, is not known
_AWAY: Final = (
    PEER_UNREACHABLE,
    PEER_REJECTED,
    PEER_NOT_TRUSTED,
    PEER_BUSY,
    WEB_UNREACHABLE,
    WEB_NOT_TRUSTED,
    WEB_LOGIN_REFUSED,
    WEB_SECRET_UNREADABLE,
)
# It did not answer as it should: it may the next time, and if not, it cannot
_UNSURE: Final = (QUERY_FAILED, WEB_FAILED, FETCH_LATE)
_TRIES: Final = 3
PASSING: Final = (*_AWAY, *_UNSURE)  # what ends a try and no task


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

    def work(self, task: TaskRecord, route: Route) -> Event:
        """Find out what the destination keeps, and write it. Raises NodeError: it is to be tried again."""
        if self._journal.undelivered(task):  # a person wants it tried again, or the node died in between
            return self._deliver_again(task)
        waiting = self._journal.unconfirmed(task)
        try:
            missing, why = self._look(task, route, waiting) if waiting else ([], "")
        except _Waits as waits:
            self._journal.finish(task, Event.FAILED, datetime.now(UTC), not_before=waits.until)
            return Event.FAILED
        if not missing:
            self._journal.finish(task, Event.COMMITTED, datetime.now(UTC))
            return Event.COMMITTED
        return self._lost(task, missing, why)

    def _look(
        self, task: TaskRecord, route: Route, waiting: Sequence[Unconfirmed]
    ) -> tuple[list[Unconfirmed], str]:
        """Confirm what can be; give what the destination has not, and how that is known. Raises _Waits."""
        wanted, left = self._destination.confirm, list(waiting)
        if wanted in ("auto", "commitment"):
            failed, why, left = self._by_commitment(task, route, left)
            if failed or not left:
                return failed, why
        if wanted in ("auto", "query") and (held := self._listed(task, route, left)) is not None:
            return self._by_query(task, left, held)
        if wanted == "query":
            why = "it is asked by query, and can be asked nothing"
            log.warning("delivery.unconfirmed", destination=self._destination.name, reason=why)
        self._confirm(task, left, "status")
        return [], ""

    def _by_commitment(
        self, task: TaskRecord, route: Route, waiting: list[Unconfirmed]
    ) -> tuple[list[Unconfirmed], str, list[Unconfirmed]]:
        """Give what failed and why, and what nothing was said of. Raises _Waits, NodeError."""
        now, wait = datetime.now(UTC), timedelta(seconds=self._destination.confirm_wait_s)
        asked = self._journal.asked_commitment(task)
        if asked is None:
            if not self._ask(task, route, waiting):
                return [], "", waiting
            asked = self._journal.asked_commitment(task)
        if asked is None or asked.answered_at is None:
            if asked is not None and now < asked.asked_at + wait:
                raise _Waits(asked.asked_at + wait)
            late = NodeError(
                COMMITMENT_LATE,
                name=self._destination.name,
                seconds=self._destination.confirm_wait_s,
                count=len(waiting),
            )
            if asked is not None:
                self._journal.settle_commitment(asked.transaction_uid)
            if self._destination.confirm == "commitment":
                raise late
            log.warning("commitment.late", destination=self._destination.name, **fault_facts(late))
            return [], "", waiting
        failed = [one for one in waiting if one.record.sop_instance_uid in asked.failed]
        kept = [one for one in waiting if one.record.sop_instance_uid in asked.committed]
        self._confirm(task, kept, "commitment")
        self._journal.settle_commitment(asked.transaction_uid)
        reasons = sorted({f"0x{asked.failed[one.record.sop_instance_uid]:04X}" for one in failed})
        why = f"It does not commit itself to them (failure reason {', '.join(reasons)})."
        known = {one.record.sop_instance_uid for one in (*failed, *kept)}
        return failed, why, [one for one in waiting if one.record.sop_instance_uid not in known]

    def _ask(self, task: TaskRecord, route: Route, waiting: Sequence[Unconfirmed]) -> bool:
        """Ask for commitment; tell whether the destination can be asked. Raises NodeError."""
        transaction = f"2.25.{uuid4().int}"
        self._journal.ask_commitment(task, transaction, datetime.now(UTC))
        try:
            answer = route.ask_commitment(
                transaction, [(one.record.sop_instance_uid, one.record.sop_class_uid) for one in waiting]
            )
        except NodeError as error:
            self._journal.settle_commitment(transaction)
            if self._destination.confirm == "commitment" or not self._is_over(task, error):
                raise
            return False
        if answer is not None:
            self._journal.answer_commitment(transaction, answer.committed, answer.failed, datetime.now(UTC))
        return True

    def _listed(
        self, task: TaskRecord, route: Route, waiting: Sequence[Unconfirmed]
    ) -> frozenset[str] | None:
        """What the destination says that it has; None where it cannot be asked. Raises NodeError."""
        series = {one.record.series_instance_uid for one in waiting}
        try:
            return route.lists(task.study_instance_uid, series)
        except NodeError as error:
            if self._destination.confirm == "query" or not self._is_over(task, error):
                raise
            log.warning("delivery.not_listed", destination=self._destination.name, **fault_facts(error))
            return None

    def _is_over(self, task: TaskRecord, error: NodeError) -> bool:
        """Whether asking so again would bring no more."""
        if error.fault in _UNSURE:
            return task.attempt >= _TRIES
        return error.fault not in _AWAY

    def _by_query(
        self, task: TaskRecord, waiting: Sequence[Unconfirmed], held: frozenset[str]
    ) -> tuple[list[Unconfirmed], str]:
        """Confirm what is listed; give what is not although it had its time. Raises _Waits."""
        self._confirm(task, [one for one in waiting if one.record.sop_instance_uid in held], "query")
        missing = [one for one in waiting if one.record.sop_instance_uid not in held]
        now = datetime.now(UTC)
        if any(now < one.stored_at + _FILED_WITHIN for one in missing):
            raise _Waits(now + _LOOK_AGAIN)
        return missing, "It was asked, and does not list them."

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

"""What may become of a task: states, events, and one table. A pair that is not in it cannot happen.

The CHECK of the database and the diagram in the docs are made from what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class TaskKind(StrEnum):
    """What a task does."""

    FETCH = "fetch"  # ask the source: how many instances, are there priors
    DISPATCH = "dispatch"  # a study version: which engine gets which series
    ANALYSE = "analyse"  # from decoding to Findings
    REPORT = "report"  # from Findings to objects in the outbox
    DELIVER = "deliver"  # from the outbox to a destination
    CONFIRM = "confirm"  # the destination says that it has them
    FEEDBACK = "feedback"  # does what somebody else sent speak of our results, and what does it say
    PREFETCH = "prefetch"  # work ahead that may be thrown away


class TaskState(StrEnum):
    """Where a task stands."""

    WAITING = "waiting"  # for another task
    READY = "ready"  # may be claimed
    RUNNING = "running"  # a worker has a lease on it
    DONE = "done"
    RETRY = "retry"  # failed or was put off, and is tried again by itself, not before its time
    PARKED = "parked"  # needs a person, and says why
    SUPERSEDED = "superseded"  # a later version of the study made it pointless


class Event(StrEnum):
    """What can happen to a task."""

    RELEASED = "released"  # what it waited for is done
    CLAIMED = "claimed"  # a worker took it, with a lease
    COMMITTED = "committed"  # the worker has written its result
    FAILED = "failed"  # it will be tried again
    NEEDS_PERSON = "needs_person"  # trying again alone would not help
    GIVEN_UP = "given_up"  # it came to nothing, and what follows it goes on without
    GIVEN_BACK = "given_back"  # the worker stops and has not done it
    LEASE_EXPIRED = "lease_expired"  # the worker is gone
    LOST_TOO_OFTEN = "lost_too_often"  # each worker that took it is gone
    RETRIED = "retried"  # a person asked for another try
    REOPENED = "reopened"  # what came after it shows that it is to be done again
    POSTPONED = "postponed"  # it is not to be begun now
    SUPERSEDED = "superseded"  # the study has a later version


_S, _E = TaskState, Event

TRANSITIONS: Final[Mapping[tuple[TaskState, Event], TaskState]] = MappingProxyType(
    {
        (_S.WAITING, _E.RELEASED): _S.READY,
        (_S.WAITING, _E.SUPERSEDED): _S.SUPERSEDED,
        (_S.READY, _E.CLAIMED): _S.RUNNING,
        (_S.READY, _E.SUPERSEDED): _S.SUPERSEDED,
        (_S.RUNNING, _E.COMMITTED): _S.DONE,
        (_S.RUNNING, _E.FAILED): _S.RETRY,
        (_S.RUNNING, _E.NEEDS_PERSON): _S.PARKED,
        (_S.RUNNING, _E.GIVEN_UP): _S.DONE,
        (_S.RUNNING, _E.GIVEN_BACK): _S.READY,
        (_S.RUNNING, _E.LEASE_EXPIRED): _S.READY,
        (_S.RUNNING, _E.LOST_TOO_OFTEN): _S.PARKED,
        (_S.RUNNING, _E.SUPERSEDED): _S.SUPERSEDED,
        (_S.RETRY, _E.CLAIMED): _S.RUNNING,
        (_S.RETRY, _E.RETRIED): _S.READY,
        (_S.RETRY, _E.SUPERSEDED): _S.SUPERSEDED,
        (_S.PARKED, _E.RETRIED): _S.READY,
        (_S.DONE, _E.REOPENED): _S.READY,
        (_S.READY, _E.POSTPONED): _S.RETRY,
        (_S.RETRY, _E.POSTPONED): _S.RETRY,
        (_S.PARKED, _E.SUPERSEDED): _S.SUPERSEDED,
    }
)

# What a worker may say of a task that it has
FINISHING: Final = frozenset({Event.COMMITTED, Event.FAILED, Event.NEEDS_PERSON, Event.GIVEN_BACK})


class IllegalTransition(Exception):  # noqa: N818  a bug of the caller, never an answer to a user
    """This event cannot happen in this state."""


def step(state: TaskState, event: Event) -> TaskState:
    """State after the event; raises IllegalTransition for a pair that the table does not have."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a task that is {state} cannot be {event}") from None


def states_before(event: Event) -> frozenset[TaskState]:
    """States in which the event can happen."""
    return frozenset(state for state, possible in TRANSITIONS if possible is event)

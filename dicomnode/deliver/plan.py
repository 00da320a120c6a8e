"""What a deliver task becomes, decided from what its files came to. No I/O; the clock is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from dicomnode.deliver.outcome import FileOutcome
from dicomnode.deliver.retry import next_try_s
from dicomnode.faults import NodeError
from dicomnode.net import Peer
from dicomnode.settings.schema import DestinationSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of the task: the name of the journal's event, when to try again, and what went wrong."""

    event: Literal["COMMITTED", "FAILED", "NEEDS_PERSON", "GIVEN_BACK"]
    not_before: datetime | None = None
    fault: NodeError | None = None


def peer_of(destination: DestinationSettings) -> Peer:
    """The destination as a peer."""
    return Peer(
        name=destination.name,
        ae_title=destination.ae_title,
        host=destination.host,
        port=destination.port,
        timeout_s=destination.timeout_s,
    )


def decide(
    outcomes: Sequence[FileOutcome],
    attempt: int,
    destination: DestinationSettings,
    now: datetime,
    jitter: float,
) -> Decision:
    """Decide: all stored, done; something to try again, at a later time; else a person is needed.

    attempt: this one, counted from 1. now: time-zone aware. jitter: 0 to 1, see next_try_s.
    The fault is the first of those that decided. What was not tried because of a stop has not failed: the
    task is given back, and due at once.
    """
    again = [outcome for outcome in outcomes if outcome.outcome == "retry"]
    if again:
        fault = next((outcome.fault for outcome in again if outcome.fault), None)
        if fault is None:
            return Decision(event="GIVEN_BACK")
        wait_s = next_try_s(attempt, destination.retry_first_s, destination.retry_longest_s, jitter)
        return Decision(event="FAILED", not_before=now + timedelta(seconds=wait_s), fault=fault)
    for outcome in outcomes:
        if outcome.outcome == "refused":
            return Decision(event="NEEDS_PERSON", fault=outcome.fault)
    return Decision(event="COMMITTED")

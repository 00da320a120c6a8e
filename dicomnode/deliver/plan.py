"""What a deliver task becomes, decided from what its files came to. No I/O; the clock is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from dicomnode.deliver.outcome import FileOutcome
from dicomnode.deliver.retry import next_try_s
from dicomnode.faults import SENDER_NOT_KNOWN, NodeError
from dicomnode.net import Peer, is_ae_title
from dicomnode.net.login import trust_of
from dicomnode.settings import DestinationSettings
from dicomnode.values import Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of the task: the name of the journal's event, when to try again, and what went wrong."""

    event: Literal["COMMITTED", "FAILED", "NEEDS_PERSON", "GIVEN_BACK"]
    not_before: datetime | None = None
    fault: NodeError | None = None


def peer_of(destination: DestinationSettings, sender: Sender | None = None) -> Peer:
    """The destination as a peer. sender: of the study, where it goes back there.

    Raises NodeError(SENDER_NOT_KNOWN) where it does, and nobody is known who could be called.
    """
    ae_title, host = destination.ae_title, destination.host
    if destination.to_sender:
        if sender is None or not sender.address or not is_ae_title(sender.calling_ae):
            raise NodeError(SENDER_NOT_KNOWN, name=destination.name)
        ae_title, host = sender.calling_ae, sender.address
    return Peer(
        name=destination.name,
        ae_title=ae_title,
        host=host,
        port=destination.port,
        timeout_s=destination.timeout_s,
        trust=trust_of(destination) if destination.tls else None,
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

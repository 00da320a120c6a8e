"""An association that ends between its opening and the request: each request has no answer, and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt

from dicomnode.faults import COMMITMENT_NOT_REPORTED, ECHO_FAILED, QUERY_FAILED, Fault, NodeError
from dicomnode.net import (
    FetchLimits,
    Link,
    Meter,
    Peer,
    count_instances,
    echo,
    fetch_study,
    get_series,
    move_series,
)
from dicomnode.net.association import open_association
from dicomnode.net.commitment import Committed, report_commitment, request_commitment
from tests.wire.earlier import FIND, GET, MOVE, query_scp
from tests.wire.peers import CT, EXPLICIT_LE, VERIFICATION, until

pytestmark = pytest.mark.wire

AE, STUDY, SERIES = "DICOMNODE", "1.2.3", "1.2.3.1"
COMMITMENT = "1.2.840.10008.1.20.1"


def one_image(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
    found = Dataset()
    found.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
    found.StudyInstanceUID, found.SeriesInstanceUID = STUDY, SERIES
    found.SOPInstanceUID, found.SOPClassUID = f"{SERIES}.1", CT
    yield 0xFF00, found


def meter() -> Meter:
    return Meter("PACS1", FetchLimits())


# What the association that ends is for, what is asked, and what is said then
ASKED: dict[str, tuple[str, Callable[[Peer, Path], object], Fault]] = {
    "C-ECHO": (VERIFICATION, lambda peer, _: echo(peer, AE), ECHO_FAILED),
    "C-FIND": (FIND, lambda peer, _: count_instances(peer, AE, STUDY), QUERY_FAILED),
    "C-GET": (GET, lambda peer, _: get_series(peer, AE, STUDY, SERIES, [].append, meter()), QUERY_FAILED),
    "C-GET of a study": (GET, lambda peer, to: fetch_study(peer, AE, STUDY, to), QUERY_FAILED),
    "C-MOVE": (MOVE, lambda peer, _: move_series(peer, AE, STUDY, SERIES, meter()), QUERY_FAILED),
    "N-ACTION": (
        COMMITMENT,
        lambda peer, _: request_commitment(peer, AE, "1.9", [("1.2", CT)]),
        QUERY_FAILED,
    ),
    "N-EVENT-REPORT": (
        COMMITMENT,
        lambda peer, _: report_commitment(peer, AE, "1.9", [Committed("1.2", CT, None)]),
        COMMITMENT_NOT_REPORTED,
    ),
}


@pytest.mark.parametrize("request_of", ASKED)
def test_a_request_on_an_association_that_has_just_ended_has_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_of: str
) -> None:
    ends, ask, fault = ASKED[request_of]

    class Ended(Link):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            if any(uid == ends for uid, _ in self.accepted):
                self.association.abort()

    monkeypatch.setattr("dicomnode.net.association.Link", Ended)
    serves = (FIND, GET, MOVE, COMMITMENT, VERIFICATION)
    with query_scp(serves, (evt.EVT_C_FIND, one_image)) as peer, pytest.raises(NodeError) as caught:
        ask(peer, tmp_path)
    assert caught.value.fault is fault
    assert "or the association ended" in str(caught.value)


@pytest.mark.parametrize("state", ["Sta1", "Sta13"])
@pytest.mark.parametrize("event", ["Evt9", "Evt11", "Evt15", "Evt17"])
def test_what_is_asked_of_a_connection_that_has_ended_meanwhile_fails_no_thread(
    state: str, event: str
) -> None:
    """PS3.8 table 9-10 has no such event there: a request, or its end seen by who reads and by who writes."""
    with query_scp((FIND,)) as peer, open_association(peer, AE, [(FIND, (EXPLICIT_LE,))]) as link:
        link.drop()
        upper = link.association.dul
        until(lambda: not upper.is_alive(), "its thread has ended")
        upper.state_machine.current_state = state
        upper.state_machine.do_action(event)

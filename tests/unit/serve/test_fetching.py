"""The end of a fetch: when all that was taken is entered, whatever became of it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.faults import FETCH_INCOMPLETE, FETCH_LATE, QUERY_FAILED, NodeError
from dicomnode.journal import StudyState
from dicomnode.net import FetchLimits, Login, Meter, Peer, Trust, WebPeer
from dicomnode.serve.asking.fetching import SeriesFetch, WantedSeries, peer_to_ask
from dicomnode.serve.intake.ingest import ingest
from dicomnode.settings import QuerySettings, Settings
from dicomnode.values import Sender
from tests.unit.store.part10 import INSTANCE, NOON, SERIES, STUDY, behind_preamble

ARCHIVE = Peer("PACS1", "PACS", "127.0.0.1", 104)
WANTED = WantedSeries(study_instance_uid=STUDY, series_instance_uid=SERIES, wanted_by="1.2.100")


def test_the_peer_that_is_asked_is_the_one_of_the_settings_with_all_that_it_wants():
    dimse = QuerySettings(name="PACS1", ae_title=" PACS ", host="pacs", port=105, timeout_s=3.0)
    assert peer_to_ask(dimse) == Peer("PACS1", "PACS", "pacs", 105, 3.0)
    web = QuerySettings(
        name="WEB1",
        url="https://pacs/dicom-web",
        timeout_s=3.0,
        user="node",
        password="file:/etc/password",
        ca_file=Path("/ca.pem"),
        certificate=Path("/node.pem"),
        certificate_key=Path("/node.key"),
    )
    login = Login(user="node", password="file:/etc/password")
    trust = Trust(ca_file=Path("/ca.pem"), certificate=Path("/node.pem"), key=Path("/node.key"))
    assert peer_to_ask(web) == WebPeer("WEB1", "https://pacs/dicom-web", 3.0, login, trust)
    token = QuerySettings(name="WEB1", url="https://pacs/dicom-web", token="credential:pacs")
    assert peer_to_ask(token) == WebPeer("WEB1", token.url, 10.0, Login(token="credential:pacs"))


def take(store, content: bytes, *, calling_ae: str = "PACS", fetched: bool = True) -> None:
    sender = Sender(calling_ae=calling_ae, called_ae="DICOMNODE", address="10.0.0.9", fetched=fetched)
    with store.new_part() as part:
        part.write(content)
        part.seal(sender, NOON)


def test_after_a_c_move_that_failed_what_the_archive_sends_was_not_fetched(store, journal, monkeypatch):
    def refused(*_: object, **__: object) -> int:
        raise NodeError(QUERY_FAILED, name="PACS1", request="C-MOVE", reason="no", calling_ae="DICOMNODE")

    monkeypatch.setattr("dicomnode.serve.asking.fetching.get_series", refused)
    monkeypatch.setattr("dicomnode.serve.asking.fetching.move_series", refused)
    fetch = SeriesFetch(Settings(), store, journal, threading.Event())
    with pytest.raises(NodeError):
        fetch.bring(ARCHIVE, WANTED, 2, Meter("PACS1", FetchLimits(seconds=600.0)))
    at = datetime.now(UTC) + timedelta(seconds=1)
    sender = Sender(calling_ae="PACS", called_ae="DICOMNODE", address="10.0.0.9")
    with store.new_part() as part:
        part.write(behind_preamble())
        part.seal(sender, at)
    ingest(store, journal, at)
    assert journal.study(STUDY).state is StudyState.RECEIVING


@pytest.fixture
def arrived(store, journal):
    """Wait for so many to arrive, with ten minutes left or with none."""

    def wait(came: int, *, stopping: bool = False) -> list[str]:
        stop = threading.Event()
        if stopping:
            stop.set()
        fetch = SeriesFetch(Settings(), store, journal, stop)
        meter = Meter("PACS1", FetchLimits(seconds=600.0))
        return [one.sop_instance_uid for one in fetch._arrived(ARCHIVE, WANTED, came, meter)]

    return wait


def test_copies_conflicts_and_what_cannot_be_read_are_not_waited_for(store, journal, arrived):
    take(store, behind_preamble())
    take(store, behind_preamble())
    take(store, behind_preamble(pixels=b"\5\6\7\1"))
    take(store, behind_preamble(f"{INSTANCE}.2")[:-300] + b"\xff" * 40)
    ingest(store, journal, NOON)
    assert arrived(4) == [INSTANCE]


@pytest.mark.parametrize(("calling_ae", "fetched"), [("PACS", False), ("PACS-STORE", True)])
def test_what_came_without_being_counted_is_waited_for(store, journal, arrived, calling_ae, fetched):
    take(store, behind_preamble(), calling_ae=calling_ae, fetched=fetched)
    with pytest.raises(NodeError) as caught:
        arrived(0, stopping=True)
    assert caught.value.fault is FETCH_LATE
    turn = threading.Thread(target=ingest, args=(store, journal, NOON))
    turn.start()
    assert arrived(0) == [INSTANCE]
    turn.join(10.0)


def test_what_others_send_is_not_waited_for(store, journal, arrived):
    take(store, behind_preamble())
    ingest(store, journal, NOON)
    take(store, behind_preamble(f"{INSTANCE}.2"), calling_ae="CT1", fetched=False)
    assert arrived(1, stopping=True) == [INSTANCE]


def test_what_was_sent_and_is_not_here_is_a_failure_at_once(arrived):
    with pytest.raises(NodeError) as caught:
        arrived(2)
    assert caught.value.fault is FETCH_INCOMPLETE
    assert "0 of 2" in str(caught.value)


def test_a_series_that_is_not_entered_in_time_is_not_taken_for_whole(store, journal, arrived):
    take(store, behind_preamble())
    ingest(store, journal, NOON)
    take(store, behind_preamble(f"{INSTANCE}.2"))
    with pytest.raises(NodeError) as caught:
        arrived(2, stopping=True)
    assert caught.value.fault is FETCH_INCOMPLETE
    assert "1 of 2" in str(caught.value)

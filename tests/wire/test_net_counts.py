"""How many images a peer has, by C-FIND and QIDO-RS: by its count tags, or by listing without them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pynetdicom import AE, evt

from dicomnode.faults import (
    COMMITMENT_NOT_REPORTED,
    NO_PRESENTATION_CONTEXT,
    PEER_UNREACHABLE,
    QUERY_FAILED,
    WEB_FAILED,
    WEB_UNREACHABLE,
    NodeError,
)
from dicomnode.net import (
    Committed,
    Peer,
    WebPeer,
    count_by_web,
    count_instances,
    find_series,
    report_commitment,
)
from dicomnode.net.query import matches, open_find, series_count, told
from tests.wire.earlier import web_server
from tests.wire.peers import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    VERIFICATION,
    free_port,
    http_server,
    peer_at,
    socket_peer,
)

pytestmark = pytest.mark.wire

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
COMMITMENT = "1.2.840.10008.1.20.1"
STUDY = "1.2.3"
THERE = {"1.2.3.1": 3, "1.2.3.2": 2}


@contextmanager
def find_scp(
    counted: bool, last: int = 0x0000, sop_class: str = FIND, whole: int | None = None, times: int = 1
) -> Iterator[Peer]:
    """An archive with `THERE`; counted: whether it fills Number of Series Related Instances.

    whole: Number of Study Related Instances, if it fills that. times: how often it lists the study.
    """
    entity = AE("ARCHIVE")
    entity.add_supported_context(sop_class, [EXPLICIT_LE, IMPLICIT_LE])

    def answer(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        if asked.QueryRetrieveLevel == "STUDY":
            for _ in range(times if asked.StudyInstanceUID == STUDY else 0):
                match = Dataset()
                match.QueryRetrieveLevel, match.StudyInstanceUID = "STUDY", STUDY
                match.NumberOfStudyRelatedInstances = whole
                yield 0xFF00, match
        elif asked.StudyInstanceUID == STUDY:
            for uid, count in THERE.items():
                if asked.QueryRetrieveLevel == "SERIES":
                    match = Dataset()
                    match.QueryRetrieveLevel, match.SeriesInstanceUID = "SERIES", uid
                    if counted:
                        match.NumberOfSeriesRelatedInstances = count
                    yield 0xFF00, match
                elif asked.SeriesInstanceUID == uid:
                    for number in range(count):
                        match = Dataset()
                        match.QueryRetrieveLevel, match.SOPInstanceUID = "IMAGE", f"{uid}.{number}"
                        yield 0xFF00, match
        yield last, None

    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    try:
        yield peer_at(port)
    finally:
        server.shutdown()


@pytest.mark.parametrize("counted", [True, False], ids=["by its count", "by listing"])
def test_an_archive_is_asked_how_many_images_it_has(counted: bool) -> None:
    with find_scp(counted) as peer:
        count = count_instances(peer, "DICOMNODE", STUDY)
        assert (count.series, count.instances) == (THERE, 5)
        assert count_instances(peer, "DICOMNODE", "1.9").series == {}


@pytest.mark.parametrize("counted", [True, False], ids=["by its count", "by listing"])
def test_an_archive_that_cuts_its_answers_off_without_a_word_has_no_count(counted: bool) -> None:
    with find_scp(counted, whole=5) as peer:
        assert count_instances(peer, "DICOMNODE", STUDY).instances == 5
    with find_scp(counted, whole=6) as peer, pytest.raises(NodeError) as caught:
        count_instances(peer, "DICOMNODE", STUDY)
    assert caught.value.fault is QUERY_FAILED
    assert "of 6 images of the study it lists 5" in str(caught.value)


def test_a_study_that_an_archive_lists_twice_has_its_images_once() -> None:
    with find_scp(True, whole=5, times=2) as peer:
        assert count_instances(peer, "DICOMNODE", STUDY).instances == 5


def test_an_archive_that_cannot_answer_is_a_failure_and_never_a_count_of_none() -> None:
    with find_scp(True, last=0xA700) as peer, pytest.raises(NodeError) as caught:
        count_instances(peer, "DICOMNODE", STUDY)
    assert caught.value.fault is QUERY_FAILED
    with find_scp(True, sop_class=VERIFICATION) as peer, pytest.raises(NodeError) as caught:
        count_instances(peer, "DICOMNODE", STUDY)
    assert caught.value.fault is NO_PRESENTATION_CONTEXT


@contextmanager
def answering(answer: Callable[[evt.Event], Iterator[tuple[int, Dataset | None]]]) -> Iterator[Peer]:
    """An archive that answers a C-FIND by a function."""
    entity = AE("ARCHIVE")
    entity.add_supported_context(FIND, [EXPLICIT_LE, IMPLICIT_LE])
    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    try:
        yield peer_at(port, timeout_s=2.0)
    finally:
        server.shutdown()


def series_match(study_uid: str, number: int) -> Dataset:
    match = Dataset()
    match.QueryRetrieveLevel, match.StudyInstanceUID = "SERIES", study_uid
    match.SeriesInstanceUID, match.NumberOfSeriesRelatedInstances = f"{study_uid}.{number}", 10
    return match


def test_series_of_other_studies_are_not_counted() -> None:
    def all_that_it_has(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for study_uid in (STUDY, "1.2.4", "1.2.5"):
            yield 0xFF00, series_match(study_uid, 1)

    with answering(all_that_it_has) as peer:
        assert count_instances(peer, "DICOMNODE", STUDY).series == {f"{STUDY}.1": 10}


@pytest.mark.parametrize("end", ["abort", "release", "nothing"])
@pytest.mark.parametrize("ask", [count_instances, find_series], ids=["count", "series"])
def test_an_archive_that_ends_between_its_answers_has_not_answered(ask, end: str) -> None:
    def one_and_no_more(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, series_match(STUDY, 1)
        if end == "abort":
            event.assoc.abort()
        elif end == "release":
            event.assoc.acse.send_release()
        over.wait(30)

    over = threading.Event()
    with answering(one_and_no_more) as peer:
        try:
            with pytest.raises(NodeError) as caught:
                ask(peer, "DICOMNODE", STUDY)
        finally:
            over.set()
    assert caught.value.fault is QUERY_FAILED


def test_an_archive_that_ends_between_two_questions_has_not_answered() -> None:
    def of_the_study_alone(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if event.identifier.QueryRetrieveLevel != "STUDY":
            event.assoc.abort()
            return
        yield 0x0000, None

    with answering(of_the_study_alone) as peer, pytest.raises(NodeError) as caught:
        count_instances(peer, "DICOMNODE", STUDY)
    assert caught.value.fault is QUERY_FAILED


def test_an_association_that_has_ended_is_not_asked_a_second_time() -> None:
    def nothing(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield 0x0000, None

    with answering(nothing) as peer, open_find(peer, "DICOMNODE") as link:
        assert list(matches(link, "STUDY", {}, 1)) == []
        link.association.abort()
        with pytest.raises(NodeError) as caught:
            list(matches(link, "SERIES", {}, 1))
    assert caught.value.fault is QUERY_FAILED


def test_an_archive_with_answers_without_end_is_left() -> None:
    def without_end(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for number in range(1, 1500):  # the library of this server writes on for seconds when it was left
            yield 0xFF00, series_match(STUDY, number)

    with answering(without_end) as peer, pytest.raises(NodeError) as caught:
        count_instances(peer, "DICOMNODE", STUDY)
    assert caught.value.fault is QUERY_FAILED
    assert "more than 1000 answers" in str(caught.value)


def test_an_archive_whose_answers_trickle_is_left_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.net.query.ANSWERS_OF_A_STUDY", 0.5)
    end = threading.Event()

    def trickle(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for _number in range(400):
            if end.wait(0.05):
                return
            yield 0xFF00, series_match(STUDY, 1)

    with answering(trickle) as peer:
        try:
            with pytest.raises(NodeError) as caught:
                count_instances(peer, "DICOMNODE", STUDY)
        finally:
            end.set()
    assert caught.value.fault is QUERY_FAILED
    assert "did not end within 1 s" in str(caught.value)


def test_a_silent_archive_is_given_up_in_its_time() -> None:
    with socket_peer(lambda _: None, timeout_s=0.5) as peer, pytest.raises(NodeError) as caught:
        count_instances(peer, "DICOMNODE", STUDY)
    assert caught.value.fault is PEER_UNREACHABLE


Pages = Mapping[str, Sequence[Mapping[str, Any]]]


@contextmanager
def web_service(pages: Pages, status: int = 200) -> Iterator[WebPeer]:
    """A QIDO-RS service of the standard library: what it has stands in `pages`, by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = pages.get(self.path.partition("?")[0])
            content = json.dumps(found).encode() if found else b""
            self.send_response(status if found or status != 200 else 204)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http_server(Handler) as address:
        yield WebPeer("PACS1", f"{address}/dicom-web/")


def series(uid: str, count: int | None) -> dict[str, Any]:
    match: dict[str, Any] = {"0020000E": {"vr": "UI", "Value": [uid]}}
    return match if count is None else {**match, "00201209": {"vr": "IS", "Value": [count]}}


def test_a_web_service_is_asked_how_many_images_it_has() -> None:
    root = f"/dicom-web/studies/{STUDY}/series"
    listed = [{"00080018": {"vr": "UI", "Value": [f"1.2.3.2.{n}"]}} for n in range(2)]
    pages = {root: [series("1.2.3.1", 3), series("1.2.3.2", None)], f"{root}/1.2.3.2/instances": listed}
    with web_service(pages) as peer:
        assert count_by_web(peer, STUDY).series == THERE
        assert count_by_web(peer, "1.9").series == {}


def test_a_web_service_that_fails_is_a_failure_and_never_a_count_of_none() -> None:
    with web_service({}, status=503) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, STUDY)
    assert caught.value.fault is WEB_FAILED
    nobody = WebPeer("PACS1", f"http://127.0.0.1:{free_port()}", timeout_s=1.0)
    with pytest.raises(NodeError) as caught:
        count_by_web(nobody, STUDY)
    assert caught.value.fault is WEB_UNREACHABLE


@contextmanager
def report_scp(status: int, roles: bool) -> Iterator[tuple[Peer, list[tuple[int, Dataset]]]]:
    """A scanner that takes reports; roles: whether it answers the role selection."""
    entity = AE("ARCHIVE")
    more = {"scu_role": False, "scp_role": True} if roles else {}
    entity.add_supported_context(COMMITMENT, EXPLICIT_LE, **more)
    taken: list[tuple[int, Dataset]] = []

    def take(event: evt.Event) -> tuple[int, None]:
        taken.append((event.event_type, event.event_information))
        return status, None

    port = free_port()
    handlers = [(evt.EVT_N_EVENT_REPORT, take)]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        yield peer_at(port), taken
    finally:
        server.shutdown()


GOOD = Committed("1.2.3.1.1", "1.2.840.10008.5.1.4.1.1.2", None)
BAD = Committed("1.2.3.1.2", "1.2.840.10008.5.1.4.1.1.2", 0x0112)


@pytest.mark.parametrize("roles", [True, False], ids=["roles answered", "roles not answered"])
@pytest.mark.parametrize(
    ("outcome", "event_type"), [([GOOD], 1), ([GOOD, BAD], 2), ([BAD], 2)], ids=["all", "some", "none"]
)
def test_what_is_committed_is_reported(outcome: list[Committed], event_type: int, roles: bool) -> None:
    with report_scp(0x0000, roles) as (peer, taken):
        report_commitment(peer, "DICOMNODE", "1.9.7", outcome)
    ((found, told),) = taken
    assert (found, told.TransactionUID) == (event_type, "1.9.7")
    good = [item.ReferencedSOPInstanceUID for item in told.get("ReferencedSOPSequence", [])]
    bad = [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in told.get("FailedSOPSequence", [])]
    assert good == [one.sop_instance_uid for one in outcome if one.failure is None]
    assert bad == [(one.sop_instance_uid, 0x0112) for one in outcome if one.failure is not None]


def test_a_report_that_is_not_taken_is_a_failure() -> None:
    with report_scp(0x0110, roles=True) as (peer, _), pytest.raises(NodeError, match="0x0110") as caught:
        report_commitment(peer, "DICOMNODE", "1.9.7", [GOOD])
    assert caught.value.fault is COMMITMENT_NOT_REPORTED


def test_a_web_service_that_gives_no_counts_is_left_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.net.qido.ANSWERS_OF_A_STUDY", 0.1)
    asked: list[str] = []
    pause = threading.Event()

    def each_in_its_time(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        found = [series(f"{STUDY}.{number}", None) for number in range(400)]
        pause.wait(0.02)
        content = json.dumps(found if request.path.partition("?")[0].endswith("/series") else []).encode()
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    with web_server(each_in_its_time, timeout_s=5.0) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, STUDY)
    assert caught.value.fault is WEB_FAILED
    assert "did not end within 0.5 s" in str(caught.value)
    assert len(asked) < 100, "each answer is there in time, and there would be 400 of them"


@pytest.mark.parametrize("uid", ["../../other", "1.2.3/instances?x=", "*"])
def test_a_series_uid_that_is_none_is_no_part_of_a_path(uid: str) -> None:
    root = f"/dicom-web/studies/{STUDY}/series"
    with web_service({root: [series(uid, None)]}) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, STUDY)
    assert "Series Instance UID of an answer is none" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'[{"00081111": {"vr": 5, "BulkDataURI": []}}]',
        b'[{"00081111": {"vr": "UN", "InlineBinary": ["20250101", "P"]}}]',
    ],
    ids=["RecursionError", "IndexError", "OSError"],
)
def test_rubbish_of_a_web_service_is_no_count(content: bytes) -> None:
    def rubbish(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    with web_server(rubbish) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, STUDY)
    assert caught.value.fault is WEB_FAILED


def test_values_of_a_wrong_length_are_not_told() -> None:
    """An FD of 4 bytes: pydicom raises what is no ValueError, when the value is asked for."""
    answer = Dataset()
    answer[0x00201209] = RawDataElement(Tag(0x00201209), "FD", 4, b"\1\2\3\4", 0, False, True)
    assert told(answer, "NumberOfSeriesRelatedInstances") is None
    assert series_count(answer) is None

"""Finding and fetching earlier studies at real archives, and at ones that hang, refuse or send half."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, time
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt

from dicomnode.faults import (
    FETCH_INCOMPLETE,
    FETCH_LATE,
    FETCH_TOO_LARGE,
    NO_PRESENTATION_CONTEXT,
    PEER_UNREACHABLE,
    QUERY_FAILED,
    WEB_FAILED,
    WEB_UNREACHABLE,
    Fault,
    NodeError,
)
from dicomnode.net import (
    FetchLimits,
    Meter,
    Patient,
    PriorQuery,
    WebPeer,
    find_earlier,
    find_series,
    get_series,
    move_series,
    retrieve_series,
)
from tests.wire.earlier import (
    BEFORE_UID,
    FIND,
    GET,
    MOVE,
    NOW_UID,
    PATIENT_ID,
    SLICES,
    dicomweb_plugin,
    earlier_ones,
    fill,
    query_scp,
    until_gone,
    web_server,
)
from tests.wire.peers import DEADLINE_S, Orthanc, free_port, orthanc, peer_at, silent, socket_peer, store_scp

pytestmark = [pytest.mark.wire]

AE = "DICOMNODE"
SERIES_UID = f"{BEFORE_UID}.1"
QUERY = PriorQuery(
    patient=Patient(patient_id=PATIENT_ID),
    study_instance_uid=NOW_UID,
    earliest=date(2023, 6, 1),
    day=date(2026, 6, 1),
    time_of_day=time(10, 15),
    modality="CT",
)


def meter(**limits: float) -> Meter:
    return Meter("PACS1", FetchLimits(**limits))  # type: ignore[arg-type]


def refused(fault: Fault, error: pytest.ExceptionInfo[NodeError]) -> str:
    assert error.value.fault is fault, str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An Orthanc with the earlier studies; it moves to DICOMNODE at `move_port`."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "orthanc").mkdir()
    with orthanc(folder / "orthanc", DicomAlwaysAllowMove=True, DicomModalitiesInDatabase=True) as server:
        fill(server, earlier_ones(folder))
        yield server


@pytest.fixture(scope="module")
def web_archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebPeer]:
    plugin = dicomweb_plugin()
    folder = tmp_path_factory.mktemp("web-archive")
    (folder / "orthanc").mkdir()
    settings = {"Plugins": [str(plugin)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with orthanc(folder / "orthanc", **settings) as server:
        fill(server, earlier_ones(folder))
        yield WebPeer("WEB1", f"http://127.0.0.1:{server.http_port}/dicom-web", 10.0)


def takes(content: list[bytes]) -> list[str]:
    return sorted(str(pydicom.dcmread(BytesIO(one)).SOPInstanceUID) for one in content)


def test_an_archive_tells_the_earlier_study_of_the_patient_and_no_other(archive: Orthanc) -> None:
    (found,) = find_earlier(archive.peer, AE, QUERY)
    assert (found.study_instance_uid, found.day, found.description) == (BEFORE_UID, date(2025, 6, 1), "Chest")
    assert found.series == 1
    (series,) = find_series(archive.peer, AE, BEFORE_UID, ["ConvolutionKernel"])
    assert series.series_instance_uid == SERIES_UID
    assert series.tags["Modality"] == "CT"
    assert series.instances == SLICES


def test_a_series_is_fetched_by_c_get(archive: Orthanc) -> None:
    content: list[bytes] = []
    assert get_series(archive.peer, AE, BEFORE_UID, SERIES_UID, content.append, meter()) == SLICES
    assert len(takes(content)) == len(set(takes(content))) == SLICES


def test_a_series_is_fetched_by_c_move_to_our_listening_side(archive: Orthanc) -> None:
    import urllib.request

    with store_scp() as here:
        entry = json.dumps([AE, "127.0.0.1", here.peer.port]).encode()
        url = f"http://127.0.0.1:{archive.http_port}/modalities/dicomnode"
        urllib.request.urlopen(urllib.request.Request(url, entry, method="PUT"), timeout=DEADLINE_S).close()
        assert move_series(archive.peer, AE, BEFORE_UID, SERIES_UID, meter()) == SLICES
        assert len(set(here.stored)) == SLICES


def test_an_archive_that_does_not_know_where_to_move_to_says_so(archive: Orthanc) -> None:
    with pytest.raises(NodeError) as error:
        move_series(archive.peer, "NOBODY", BEFORE_UID, SERIES_UID, meter())
    assert "C-MOVE" in refused(QUERY_FAILED, error)


@pytest.mark.parametrize(
    ("limits", "fault"), [({"instances": 3}, FETCH_TOO_LARGE), ({"bytes": 5000}, FETCH_TOO_LARGE)]
)
def test_a_series_that_is_larger_than_allowed_is_not_taken(
    archive: Orthanc, limits: dict[str, float], fault: Fault
) -> None:
    content: list[bytes] = []
    with pytest.raises(NodeError) as error:
        get_series(archive.peer, AE, BEFORE_UID, SERIES_UID, content.append, meter(**limits))
    refused(fault, error)
    assert len(content) < 3


def test_a_web_archive_tells_and_gives_the_same(web_archive: WebPeer) -> None:
    (found,) = find_earlier(web_archive, AE, QUERY)
    assert (found.study_instance_uid, found.day) == (BEFORE_UID, date(2025, 6, 1))
    assert found.series == 1
    (series,) = find_series(web_archive, AE, BEFORE_UID, ["ConvolutionKernel"])
    assert (series.series_instance_uid, series.instances) == (SERIES_UID, SLICES)
    content: list[bytes] = []
    assert retrieve_series(web_archive, BEFORE_UID, SERIES_UID, content.append, meter()) == SLICES
    assert len(set(takes(content))) == SLICES


def test_a_web_archive_gives_no_more_than_allowed(web_archive: WebPeer) -> None:
    content: list[bytes] = []
    with pytest.raises(NodeError) as error:
        retrieve_series(web_archive, BEFORE_UID, SERIES_UID, content.append, meter(instances=3))
    refused(FETCH_TOO_LARGE, error)
    assert len(content) == 3


def test_a_web_archive_that_has_no_such_series_says_so(web_archive: WebPeer) -> None:
    with pytest.raises(NodeError) as error:
        retrieve_series(web_archive, "1.2.3.999", "1.2.3.999.1", [].append, meter())
    assert "404" in refused(WEB_FAILED, error)


# ── peers that behave as none should ──


def test_a_peer_that_never_answers_ends_in_its_time() -> None:
    with socket_peer(silent, timeout_s=0.5) as peer, pytest.raises(NodeError) as error:
        find_earlier(peer, AE, QUERY)
    assert "0.5 s" in refused(PEER_UNREACHABLE, error)


def test_nobody_there_is_told() -> None:
    with pytest.raises(NodeError) as error:
        find_earlier(peer_at(free_port()), AE, QUERY)
    refused(PEER_UNREACHABLE, error)
    with pytest.raises(NodeError) as error:
        find_earlier(WebPeer("WEB1", f"http://127.0.0.1:{free_port()}"), AE, QUERY)
    assert "refused" in refused(WEB_UNREACHABLE, error)


def test_a_query_that_is_refused_is_told() -> None:
    def refuse(_: evt.Event) -> Iterator[tuple[int, None]]:
        yield 0xA700, None

    with query_scp((FIND,), (evt.EVT_C_FIND, refuse)) as peer, pytest.raises(NodeError) as error:
        find_earlier(peer, AE, QUERY)
    assert "0xA700" in refused(QUERY_FAILED, error)


def test_a_peer_that_ignores_what_is_asked_gives_no_study_of_somebody_else() -> None:
    def everything(_: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for number in range(5):
            other = Dataset()
            other.PatientID, other.StudyInstanceUID = f"OTHER{number}", f"1.2.3.5{number}"
            other.StudyDate, other.StudyTime = "20250601", "101500"
            yield 0xFF00, other

    with query_scp((FIND,), (evt.EVT_C_FIND, everything)) as peer:
        assert find_earlier(peer, AE, QUERY) == []


def trickle_of_answers(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
    """Answer again and again, each time before the peer is given up."""
    pause = threading.Event()
    for _ in range(400):
        if event.assoc.is_aborted or not event.assoc.dul.is_alive():
            return
        other = Dataset()
        other.PatientID, other.StudyInstanceUID, other.StudyDate = "OTHER", "1.2.3.5", "20250601"
        yield 0xFF00, other
        pause.wait(0.05)


def test_a_query_whose_answers_trickle_ends_when_the_time_of_the_fetch_is_over() -> None:
    with query_scp((FIND,), (evt.EVT_C_FIND, trickle_of_answers)) as peer:
        with pytest.raises(NodeError) as error:
            find_earlier(peer, AE, QUERY, meter(seconds=0.6))
        refused(FETCH_LATE, error)
        with pytest.raises(NodeError) as error:
            find_series(peer, AE, BEFORE_UID, meter=meter(seconds=0.6))
        refused(FETCH_LATE, error)


def test_after_a_merge_the_archive_is_asked_for_both_ids() -> None:
    asked: list[str] = []

    def former(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        asked.append(event.identifier.PatientID)
        found = Dataset()
        found.PatientID, found.StudyInstanceUID = "FORMER", BEFORE_UID
        found.StudyDate, found.StudyTime = "20250601", "101500"
        yield 0xFF00, found

    patient = Patient(patient_id=PATIENT_ID, former=Patient(patient_id="FORMER"))
    with query_scp((FIND,), (evt.EVT_C_FIND, former)) as peer:
        (found,) = find_earlier(peer, AE, replace(QUERY, patient=patient))
    assert (found.study_instance_uid, asked) == (BEFORE_UID, [PATIENT_ID, "FORMER"])


def test_only_the_images_of_the_series_that_is_fetched_are_listed() -> None:
    asked: list[tuple[str, str]] = []

    def listed(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        asked.append((event.identifier.QueryRetrieveLevel, str(event.identifier.SeriesInstanceUID or "")))
        yield from one_series(event)

    def give(_: evt.Event) -> Iterator[object]:
        yield 2
        yield 0xFF00, image(1)
        yield 0xFF00, image(2)

    content: list[bytes] = []
    with query_scp((FIND, GET), (evt.EVT_C_FIND, listed), (evt.EVT_C_GET, give)) as peer:
        assert get_series(peer, AE, BEFORE_UID, SERIES_UID, content.append, meter()) == 2
    assert asked == [("IMAGE", SERIES_UID)]


def test_a_peer_with_answers_without_end_is_left() -> None:
    def without_end(_: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for _number in range(1500):  # the library of this server writes on for seconds when it was left
            other = Dataset()
            other.PatientID, other.StudyInstanceUID, other.StudyDate = "OTHER", "1.2.3.5", "20250601"
            yield 0xFF00, other

    with query_scp((FIND,), (evt.EVT_C_FIND, without_end)) as peer, pytest.raises(NodeError) as error:
        find_earlier(peer, AE, QUERY)
    assert "more than 1000 answers" in refused(QUERY_FAILED, error)


def one_series(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
    """What is there of the earlier study: a series of two images."""
    for number in (1, 2) if event.identifier.QueryRetrieveLevel == "IMAGE" else (1,):
        found = Dataset()
        found.SeriesInstanceUID, found.SOPInstanceUID = SERIES_UID, f"{SERIES_UID}.{number}"
        found.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        yield 0xFF00, found


def image(number: int) -> Dataset:
    found = Dataset()
    found.SOPClassUID, found.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"{SERIES_UID}.{number}"
    found.StudyInstanceUID, found.SeriesInstanceUID = BEFORE_UID, SERIES_UID
    found.file_meta = pydicom.dataset.FileMetaDataset()
    found.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    return found


def test_half_a_series_by_c_get_is_none() -> None:
    def half(_: evt.Event) -> Iterator[object]:
        yield 1
        yield 0xFF00, image(1)

    handlers = [(evt.EVT_C_FIND, one_series), (evt.EVT_C_GET, half)]
    content: list[bytes] = []
    with query_scp((FIND, GET), *handlers) as peer, pytest.raises(NodeError) as error:
        get_series(peer, AE, BEFORE_UID, SERIES_UID, content.append, meter())
    assert "1 of 2" in refused(FETCH_INCOMPLETE, error)


def test_a_peer_without_c_get_says_so_at_once() -> None:
    with query_scp((FIND,), (evt.EVT_C_FIND, one_series)) as peer, pytest.raises(NodeError) as error:
        get_series(peer, AE, BEFORE_UID, SERIES_UID, [].append, meter())
    refused(NO_PRESENTATION_CONTEXT, error)


def test_a_c_move_that_hangs_ends_when_the_time_is_over() -> None:
    go_on = threading.Event()

    def hang(_: evt.Event) -> Iterator[object]:
        yield "127.0.0.1", 1
        go_on.wait(DEADLINE_S)
        yield 0

    with query_scp((MOVE,), (evt.EVT_C_MOVE, hang)) as peer:
        with pytest.raises(NodeError) as error:
            move_series(peer, AE, BEFORE_UID, SERIES_UID, meter(seconds=0.6))
        go_on.set()
    refused(FETCH_LATE, error)


def test_a_c_move_of_more_bytes_than_allowed_ends_although_the_archive_says_nothing_of_it() -> None:
    go_on = threading.Event()
    came = iter(range(400, 10_000, 400))

    def send_much(_: evt.Event) -> Iterator[object]:
        yield "127.0.0.1", 1
        go_on.wait(DEADLINE_S)
        yield 0

    with query_scp((MOVE,), (evt.EVT_C_MOVE, send_much)) as peer:
        allowed = meter(bytes=1000, seconds=60.0)
        with pytest.raises(NodeError) as error:
            move_series(peer, AE, BEFORE_UID, SERIES_UID, allowed, weigh=lambda: next(came))
        go_on.set()
    assert "1e-06 GB" in refused(FETCH_TOO_LARGE, error)
    assert next(came) == 1600, "it was left at the first that was too much"


def test_a_web_service_that_never_answers_ends_in_its_time() -> None:
    with web_server(until_gone, timeout_s=0.5) as peer, pytest.raises(NodeError) as error:
        find_earlier(peer, AE, QUERY)
    assert "0.5 s" in refused(WEB_UNREACHABLE, error)


def test_a_web_service_that_trickles_ends_when_the_time_is_over() -> None:
    def trickle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", 'multipart/related; boundary="abc"')
        request.end_headers()
        request.connection.settimeout(0.05)
        while True:  # until the other side is gone
            request.wfile.write(b"x")
            request.wfile.flush()
            try:
                if not request.connection.recv(1):
                    break
            except TimeoutError:
                continue

    with web_server(trickle) as peer, pytest.raises(NodeError) as error:
        retrieve_series(peer, BEFORE_UID, SERIES_UID, [].append, meter(seconds=0.6))
    refused(FETCH_LATE, error)


@pytest.mark.parametrize("length", [True, False])
def test_half_an_answer_of_a_web_service_is_none(tmp_path: Path, length: bool) -> None:
    file = tmp_path / "one.dcm"
    image(1).save_as(file, enforce_file_format=True)
    part = b"--abc\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n"

    def half(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", 'multipart/related; type="application/dicom"; boundary=abc')
        if length:
            request.send_header("Content-Length", str(2 * len(part)))
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(part + part[:50])

    content: list[bytes] = []
    with web_server(half) as peer, pytest.raises(NodeError) as error:
        retrieve_series(peer, BEFORE_UID, SERIES_UID, content.append, meter())
    refused(WEB_FAILED, error)
    assert content == [file.read_bytes()]


@pytest.mark.parametrize(
    ("body", "word"),
    [(b"<html>", "no DICOM JSON"), (b'{"a": 1}', "no DICOM JSON"), (b'[{"0020000D": 7}]', "no DICOM JSON")],
)
def test_an_answer_that_is_no_dicom_json_is_told(body: bytes, word: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with web_server(answer) as peer, pytest.raises(NodeError) as error:
        find_earlier(peer, AE, QUERY)
    assert word in refused(WEB_FAILED, error)


def test_no_content_is_no_study() -> None:
    def nothing(request: BaseHTTPRequestHandler) -> None:
        request.send_response(204)
        request.end_headers()

    with web_server(nothing) as peer:
        assert find_earlier(peer, AE, QUERY) == []

"""Asking an archive what it holds, and bringing it back: C-ECHO, C-FIND and C-GET with Orthanc and others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID
from pynetdicom import AE, evt

from dicomnode.deliver import read_back, send_files
from dicomnode.faults import NodeError
from dicomnode.net import Peer, echo, fetch_study, find_instances
from dicomnode.net.query import list_instances
from tests.wire.peers import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    VERIFICATION,
    Orthanc,
    free_port,
    orthanc,
    peer_at,
    silent,
    socket_peer,
    store_scp,
    storescp,
)
from tests.wire.small_objects import CT, SEG, STUDY, write_object

pytestmark = pytest.mark.wire

RLE = "1.2.840.10008.1.2.5"


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sent")
    return [
        write_object(folder / "1.dcm", 1),
        write_object(folder / "2.dcm", 2, sop_class=SEG, SeriesInstanceUID=f"{STUDY}.2", Modality="SEG"),
        write_object(folder / "3.dcm", 3, syntax=IMPLICIT_LE),
        write_object(folder / "4.dcm", 4, syntax=RLE, pixels=encapsulate([bytes(64)])),
    ]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, sent: list[Path]) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        outcomes = send_files(running.peer, "DICOMNODE", sent)
        assert [outcome.outcome for outcome in outcomes] == ["stored"] * 4
        yield running


def test_orthanc_names_the_instances_of_the_study_in_all_its_series(archive: Orthanc) -> None:
    assert find_instances(archive.peer, "DICOMNODE", STUDY) == {f"{STUDY}.1.{n}" for n in (1, 2, 3, 4)}
    classes = {found.sop_class_uid for found in list_instances(archive.peer, "DICOMNODE", STUDY)}
    assert classes == {CT, SEG}


def test_a_study_that_the_archive_does_not_know_has_no_instances(archive: Orthanc, tmp_path: Path) -> None:
    assert find_instances(archive.peer, "DICOMNODE", "1.2.3.4") == set()
    assert fetch_study(archive.peer, "DICOMNODE", "1.2.3.4", tmp_path) == []


def test_what_orthanc_gives_back_is_what_was_sent(archive: Orthanc, sent: list[Path], tmp_path: Path) -> None:
    result = read_back(archive.peer, "DICOMNODE", STUDY, sent, tmp_path)
    assert result.is_whole
    assert sorted(result.same) == [f"{STUDY}.1.{n}" for n in (1, 2, 3, 4)]
    assert len(list(tmp_path.iterdir())) == 4


def test_only_the_series_of_what_was_sent_are_fetched(
    archive: Orthanc, sent: list[Path], tmp_path: Path
) -> None:
    result = read_back(archive.peer, "DICOMNODE", STUDY, [sent[1]], tmp_path)
    assert (result.same, result.is_whole) == ((f"{STUDY}.1.2",), True)
    assert [path.stem for path in tmp_path.iterdir()] == [f"{STUDY}.1.2"]


def test_reading_back_names_what_is_missing_and_what_differs(
    archive: Orthanc, sent: list[Path], tmp_path: Path
) -> None:
    never_sent = [
        write_object(tmp_path / "8.dcm", 8, SeriesInstanceUID=f"{STUDY}.8"),
        write_object(tmp_path / "9.dcm", 9),
    ]
    altered = write_object(tmp_path / "1.dcm", 1, Modality="MR", pixels=bytes(2047) + b"\1")
    folder = tmp_path / "fetched"
    folder.mkdir()
    result = read_back(archive.peer, "DICOMNODE", STUDY, [*never_sent, altered, sent[1]], folder)
    assert not result.is_whole
    assert result.missing == (f"{STUDY}.1.8", f"{STUDY}.1.9")
    assert result.different == {f"{STUDY}.1.1": ("00080060", "7FE00010")}
    assert result.same == (f"{STUDY}.1.2",)


def test_a_whole_study_is_fetched_under_the_uids_of_its_instances(archive: Orthanc, tmp_path: Path) -> None:
    files = fetch_study(archive.peer, "DICOMNODE", STUDY, tmp_path)
    assert [path.name for path in files] == [f"{STUDY}.1.{n}.dcm" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    "ask", [find_instances, lambda p, ae, uid: fetch_study(p, ae, uid, Path("/nowhere"))]
)
def test_a_peer_without_query_service_is_told_apart_from_one_with_an_empty_answer(ask: object) -> None:
    with store_scp() as scp, pytest.raises(NodeError) as failure:
        ask(scp.peer, "DICOMNODE", STUDY)  # type: ignore[operator]
    assert failure.value.fault.code == "DN-2003"


@pytest.mark.parametrize(
    ("statuses", "words"),
    [((0xA700,), "status 0xA700, it is out of resources"), ((0xC001,), "status 0xC001, it cannot process")],
)
def test_a_failed_query_names_the_status_and_its_meaning(statuses: tuple[int, ...], words: str) -> None:
    def answer(_event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for status in statuses:
            yield status, None

    ae = AE("ARCHIVE")
    ae.add_supported_context("1.2.840.10008.5.1.4.1.2.2.1")
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    assert server is not None
    try:
        with pytest.raises(NodeError) as failure:
            find_instances(peer_at(server.socket.getsockname()[1]), "DICOMNODE", STUDY)
    finally:
        server.shutdown()
    assert failure.value.fault.code == "DN-2009"
    assert words in str(failure.value)
    assert "'DICOMNODE'" in failure.value.remedy


def find_one(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
    """Answer any query with the one instance that there is."""
    match = Dataset()
    match.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
    match.StudyInstanceUID, match.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    if match.QueryRetrieveLevel == "IMAGE":
        match.SOPInstanceUID, match.SOPClassUID = f"{STUDY}.1.1", CT
    yield 0xFF00, match


@contextlib.contextmanager
def archive_that_gives(sop_instance_uid: str) -> Iterator[Peer]:
    """An archive that answers C-GET with one instance of this UID."""

    def give(_event: evt.Event) -> Iterator[object]:
        yield 1
        data = Dataset()
        data.SOPClassUID = CT
        data["SOPInstanceUID"] = DataElement("SOPInstanceUID", "UI", sop_instance_uid, validation_mode=IGNORE)
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = UID(EXPLICIT_LE)
        yield 0xFF00, data

    ae = AE("ARCHIVE")
    ae.add_supported_context("1.2.840.10008.5.1.4.1.2.2.1")
    ae.add_supported_context("1.2.840.10008.5.1.4.1.2.2.3")
    ae.add_supported_context(CT, [EXPLICIT_LE], scu_role=True, scp_role=True)
    handlers = [(evt.EVT_C_FIND, find_one), (evt.EVT_C_GET, give)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield peer_at(server.socket.getsockname()[1])
    finally:
        server.shutdown()


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_an_instance_whose_uid_is_a_path_is_not_written(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    with archive_that_gives("1.2.3") as peer:  # so it is the UID that matters
        assert fetch_study(peer, "DICOMNODE", STUDY, inner) == [inner / "1.2.3.dcm"]
    with archive_that_gives("../../evil") as peer, pytest.raises(NodeError) as failure:
        fetch_study(peer, "DICOMNODE", STUDY, inner)
    assert failure.value.fault.code == "DN-2009"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["1.2.3.dcm"]


# ── C-ECHO ────────────────────────────────────────────────────────────────────────────────────────


def test_an_echo_returns_when_storescp_answers(tmp_path: Path) -> None:
    with storescp(tmp_path) as peer:
        echo(peer, "DICOMNODE")


def test_an_echo_with_the_wrong_ae_title_is_rejected_with_the_reason(archive: Orthanc) -> None:
    peer = Peer("PACS1", "SOMEBODY", archive.peer.host, archive.peer.port)
    with pytest.raises(NodeError) as failure:
        echo(peer, "DICOMNODE")
    assert failure.value.fault.code == "DN-2002"
    assert "it does not go by the called AE title" in str(failure.value)
    assert "'DICOMNODE'" in failure.value.remedy


def test_an_echo_that_the_peer_does_not_offer_is_told_so(tmp_path: Path) -> None:
    with store_scp() as scp, pytest.raises(NodeError) as failure:
        echo(scp.peer, "DICOMNODE")
    assert failure.value.fault.code == "DN-2007"
    assert "Verification" in str(failure.value)


def test_an_echo_answered_with_a_failure_is_one() -> None:
    def refuse(_event: evt.Event) -> int:
        return 0x0122

    ae = AE("ARCHIVE")
    ae.add_supported_context(VERIFICATION)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, refuse)])
    assert server is not None
    try:
        with pytest.raises(NodeError) as failure:
            echo(peer_at(server.socket.getsockname()[1]), "DICOMNODE")
    finally:
        server.shutdown()
    assert failure.value.fault.code == "DN-2007"
    assert "status 0x0122" in str(failure.value)


def test_an_echo_to_nobody_and_to_a_silent_peer_ends_in_time() -> None:
    with pytest.raises(NodeError) as refused:
        echo(peer_at(free_port()), "DICOMNODE")
    assert "connection refused" in str(refused.value)
    with socket_peer(silent, timeout_s=0.5) as peer, pytest.raises(NodeError) as silence:
        echo(peer, "DICOMNODE")
    assert "within 0.5 s" in str(silence.value)
    assert silence.value.fault.code == "DN-2001"

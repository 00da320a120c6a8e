"""The receiver with senders of others: DCMTK and pynetdicom, every transfer syntax, several at a time."""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pynetdicom import AE

from dicomnode.faults import NodeError
from dicomnode.receive.dimse import ReceivingDimse
from dicomnode.settings import SenderSettings
from dicomnode.store import PartFile, SealedFile, read_ids
from dicomnode.values.uids import IMPLEMENTATION_CLASS_UID
from tests.wire.peers import DEADLINE_S, program
from tests.wire.receive_peer import (
    CT,
    EXPLICIT_LE,
    IMPLICIT_LE,
    NODE,
    PEER,
    QUICK,
    VERIFICATION,
    Closed,
    RawPeer,
    Running,
    data_set_of,
    pixels,
    running,
    small_ct,
    store_command,
    wait_until,
)

pytestmark = pytest.mark.wire


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "store") as node:
        yield node


def dcmtk(name: str, node: Running, *more: str, called: str = NODE, calling: str = PEER) -> list[str]:
    return [program(name), "-aet", calling, "-aec", called, *more, "127.0.0.1", str(node.port)]


def run(command: list[str], *files: Path) -> subprocess.CompletedProcess[str]:
    whole = [*command, *map(str, files)]
    return subprocess.run(whole, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def slices(folder: Path, count: int, size: int = 64) -> list[Path]:
    """Write a small series, Explicit VR Little Endian."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(1, count + 1):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = CT, f"1.2.3.{number}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.0"
        ds.PatientName, ds.PatientID, ds.Modality = "Phantom^Thorax", "P1", "CT"
        ds.InstanceNumber = number
        ds.Rows = ds.Columns = size
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelData = bytes([number]) * (size * size * 2)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.file_meta.TransferSyntaxUID = EXPLICIT_LE
        paths.append(folder / f"{number:04d}.dcm")
        dcmwrite(paths[-1], ds, enforce_file_format=True)
    return paths


def test_c_echo_is_answered_to_dcmtk_and_pynetdicom(node: Running) -> None:
    assert run(dcmtk("echoscu", node)).returncode == 0
    entity = AE(ae_title=PEER)
    entity.add_requested_context(VERIFICATION)
    association = entity.associate("127.0.0.1", node.port, ae_title=NODE)
    assert association.is_established
    assert association.send_c_echo().Status == 0
    assert association.acceptor.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert association.acceptor.maximum_length == QUICK.maximum_pdu
    association.release()


@pytest.mark.parametrize(("called", "calling"), [("OTHER", PEER), (NODE, "STRANGER")])
def test_echoscu_hears_why_it_is_rejected(node: Running, called: str, calling: str) -> None:
    done = run(dcmtk("echoscu", node, called=called, calling=calling))
    assert done.returncode != 0
    title = "Called" if called != NODE else "Calling"
    assert f"{title} AE Title Not Recognized" in done.stdout + done.stderr


def test_storescu_sends_a_series(node: Running, tmp_path: Path) -> None:
    sent = slices(tmp_path / "sent", 12)
    assert run(dcmtk("storescu", node), *sent).returncode == 0
    node.wait_stored(12)
    for path, (sealed, uid) in zip(sent, node.stored, strict=True):
        assert pydicom.dcmread(sealed.path).PixelData == pydicom.dcmread(path).PixelData
        ids = read_ids(sealed.path)
        assert (ids.sop_instance_uid, ids.study_instance_uid, ids.modality) == (uid, "1.2.3", "CT")
        meta = pydicom.dcmread(sealed.path, stop_before_pixels=True).file_meta
        assert (meta.SendingApplicationEntityTitle, meta.ReceivingApplicationEntityTitle) == (PEER, NODE)
        assert sealed.sender.address == "127.0.0.1"


def test_pynetdicom_sends_an_instance(node: Running, tmp_path: Path) -> None:
    (path,) = slices(tmp_path / "sent", 1)
    entity = AE(ae_title=PEER)
    entity.add_requested_context(CT, EXPLICIT_LE)
    association = entity.associate("127.0.0.1", node.port, ae_title=NODE)
    status = association.send_c_store(pydicom.dcmread(path))
    association.release()
    assert status.Status == 0
    node.wait_stored(1)
    assert data_set_of(node.stored[0][0].path) == data_set_of(path)


@pytest.mark.real_data
def test_dcmsend_sends_compressed_images_as_they_are(
    node: Running, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_data("traps-geometry-noise/mr-one-series-four-syntaxes")
    sent: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.dcm")):
        sent.setdefault(data_set_of(path)[0], path)
    assert len(sent) == 4
    for path in sent.values():
        assert run(dcmtk("dcmsend", node, "--decompress-never"), path).returncode == 0
    node.wait_stored(len(sent))
    received = {data_set_of(sealed.path)[0]: sealed.path for sealed, _ in node.stored}
    assert received.keys() == sent.keys()
    for syntax, path in sent.items():
        # DCMTK writes the data set anew, but the compressed pixels are those that it read
        assert pydicom.dcmread(received[syntax]).PixelData == pydicom.dcmread(path).PixelData


@pytest.mark.real_data
@pytest.mark.parametrize(
    "folder",
    [
        "codecs-one-ct-all-syntaxes",
        "codecs-wg04",
        "odd-pydicom-data",
        "seg-sr-pm-dcmqi",
        "pet-qin-headneck/seg",
        "rtstruct-rt-utils",
        "charsets-fo-dicom",
        "chest-ct-nlst-101287/sr",
    ],
)
def test_every_kind_of_data_set_arrives_byte_for_byte(
    node: Running, real_data: Callable[[str], Path], folder: str
) -> None:
    sent: dict[tuple[str, str], tuple[str, bytes]] = {}
    for path in sorted(path for path in real_data(folder).rglob("*") if path.is_file()):
        if path.read_bytes()[128:132] != b"DICM":
            continue
        syntax, content = data_set_of(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of them are odd on purpose
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            uids = [str(ds.get(name, "")) for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")]
        right = all(uid and set(uid) <= set("0123456789.") for uid in uids)
        cut = path.name == "emri_small_jpeg_2k_lossless_too_short.dcm"
        if right and not cut and syntax != "1.2.840.10008.1.2.1.99":
            sent.setdefault((uids[0], syntax), (uids[1], content))
    assert sent
    for (sop_class, syntax), (instance, content) in sent.items():
        with RawPeer(node.port) as peer:
            peer.associate((sop_class, [syntax]))
            assert peer.accepted == {1: syntax}
            assert peer.store(store_command(instance, sop_class), content).status == 0
            peer.release()
    node.wait_stored(len(sent))
    received = [data_set_of(sealed.path) for sealed, _ in node.stored]
    assert received == [(syntax, content) for (_, syntax), (_, content) in sent.items()]


def test_the_senders_first_choice_of_transfer_syntax_is_accepted(node: Running) -> None:
    jpeg_ls = "1.2.840.10008.1.2.4.80"
    with RawPeer(node.port) as peer:
        peer.associate((CT, [jpeg_ls, EXPLICIT_LE, IMPLICIT_LE]), (CT, [IMPLICIT_LE, EXPLICIT_LE, jpeg_ls]))
        assert peer.accepted == {1: jpeg_ls, 3: EXPLICIT_LE}
        peer.release()


def test_four_associations_at_a_time_lose_nothing(node: Running, tmp_path: Path) -> None:
    sent = slices(tmp_path / "sent", 40)
    command = dcmtk("storescu", node)
    senders = [
        subprocess.Popen([*command, *map(str, sent[n::4])], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for n in range(4)
    ]
    assert [sender.communicate(timeout=DEADLINE_S)[0] for sender in senders] == [b""] * 4
    assert [sender.returncode for sender in senders] == [0] * 4
    node.wait_stored(40)
    assert sorted(uid for _, uid in node.stored) == sorted(f"1.2.3.{n}" for n in range(1, 41))
    assert len(node.store.sealed()) == 40


def test_an_instance_that_comes_again_is_acknowledged_and_kept_once(node: Running) -> None:
    other = small_ct(more=pixels(2))
    with RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]))
        for data in (small_ct(), small_ct(), other):
            assert peer.store(store_command("1.2.3"), data).status == 0
        peer.release()
    adoptions = [node.store.adopt(sealed, read_ids(sealed.path)) for sealed in node.store.sealed()]
    assert [adoption.outcome for adoption in adoptions] == ["new", "same", "conflict"]


def test_success_is_not_said_before_the_file_is_durable(
    node: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, may_go_on = threading.Event(), threading.Event()
    seal = PartFile.seal

    def slowly(part: PartFile, *about: object) -> SealedFile:
        entered.set()
        assert may_go_on.wait(DEADLINE_S)
        return seal(part, *about)  # type: ignore[arg-type]

    monkeypatch.setattr(PartFile, "seal", slowly)
    with RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]))
        peer.send(1, 0x03, store_command("1.2.3"))
        peer.send(1, 0x02, small_ct())
        assert entered.wait(DEADLINE_S)
        readable, _, _ = select.select([peer.socket], [], [], 0.2)
        assert readable == []
        may_go_on.set()
        assert peer.response().status == 0


def test_a_sender_that_is_killed_leaves_no_file(
    node: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    take = ReceivingDimse._take_data

    def held(dimse: ReceivingDimse, fragment: memoryview, *, last: bool) -> None:
        begun.set()
        assert may_go_on.wait(DEADLINE_S)
        take(dimse, fragment, last=last)

    monkeypatch.setattr(ReceivingDimse, "_take_data", held)
    (path,) = slices(tmp_path / "sent", 1, size=4000)  # 32 MB: not all of it fits the sockets' buffers
    sender = subprocess.Popen([*dcmtk("storescu", node), str(path)], stderr=subprocess.DEVNULL)
    assert begun.wait(DEADLINE_S)
    sender.send_signal(signal.SIGKILL)
    sender.wait(DEADLINE_S)
    may_go_on.set()
    wait_until(lambda: node.receiver.active_associations == 0, "the association has ended")
    assert node.written() == []
    assert node.stored == []


# ── starting and stopping ───────────────────────────────────────────────────────────────────────


def test_stopping_lets_an_association_end(node: Running) -> None:
    with RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]))
        peer.send(1, 0x03, store_command("1.2.3"))
        stopping = threading.Thread(target=node.receiver.stop, args=(DEADLINE_S,))
        stopping.start()
        wait_until(lambda: not _listens(node.port), "no more is accepted")
        peer.send(1, 0x02, small_ct())
        assert peer.response().status == 0
        peer.release()
        stopping.join(DEADLINE_S)
        assert not stopping.is_alive()
    node.wait_stored(1)


def test_stopping_aborts_what_does_not_end(node: Running) -> None:
    with RawPeer(node.port) as peer, RawPeer(node.port) as silent:
        peer.associate((CT, [EXPLICIT_LE]))
        peer.send(1, 0x03, store_command("1.2.3"))
        peer.send(1, 0x00, small_ct())
        node.receiver.stop(0.1)
        assert peer.ended() is not None
        with pytest.raises((Closed, ConnectionError)):
            silent.read_pdu()
    assert node.written() == []
    node.receiver.stop(0.1)  # once more does no harm


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionError:
        return False
    return True


def test_a_port_that_is_taken_is_a_failure_with_its_reason(node: Running, tmp_path: Path) -> None:
    taken = replace(QUICK, port=node.port)
    with pytest.raises(NodeError) as caught, running(tmp_path / "other", taken):
        pass
    assert caught.value.fault.code == "DN-9003"


def test_an_inherited_socket_is_shared_and_stays_open(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with running(tmp_path / "a", listener=listener) as a, running(tmp_path / "b", listener=listener) as b:
            assert a.port == b.port == port
            for number in range(20):
                with RawPeer(port) as peer:
                    peer.associate((CT, [EXPLICIT_LE]))
                    uid = f"1.2.3.{number}"
                    assert peer.store(store_command(uid), small_ct(uid)).status == 0
                    peer.release()
            wait_until(lambda: len(a.stored) + len(b.stored) == 20, "all are stored in one of them")
        assert _listens(port)


def test_an_ipv4_sender_on_a_dual_stack_socket_is_known_by_its_ipv4_address(tmp_path: Path) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no dual-stack IPv6")
    senders = [SenderSettings(ae_title=PEER, address="127.0.0.1")]
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener,
        running(tmp_path, senders=senders, listener=listener) as node,
        RawPeer(node.port) as peer,
    ):
        assert peer.associate((CT, [EXPLICIT_LE]))[0] == 0x02
        assert peer.store(store_command("1.2.3"), small_ct()).status == 0
        peer.release()
        node.wait_stored(1)
        assert node.stored[0][0].sender.address == "127.0.0.1"


def test_what_was_received_reads_as_a_part_10_file(node: Running) -> None:
    with RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]))
        assert peer.store(store_command("1.2.3"), small_ct(more=pixels(8))).status == 0
    node.wait_stored(1)
    content = node.stored[0][0].path.read_bytes()
    ds = pydicom.dcmread(BytesIO(content))
    assert (ds.SOPInstanceUID, len(ds.PixelData)) == ("1.2.3", 8)
    assert content.endswith(small_ct(more=pixels(8)))

"""Patients merged and updated over a real socket: what is applied, and what is refused."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.faults import JOURNAL_FAILED, NodeError
from dicomnode.journal import StudyState
from dicomnode.receive.mllp import MllpLimits, MllpListener
from dicomnode.serve.identity.hl7 import Hl7Desk
from dicomnode.settings import AnalyseSettings, EngineSettings, Hl7Settings, Settings
from tests.unit.receive.test_hl7_message import MRG, PID, message
from tests.unit.serve.conftest import journal, logged, store
from tests.unit.serve.test_clerks import ARCHIVE, ENHANCED_SR
from tests.unit.serve.test_corrections import KOS, Walk, analysed, changed
from tests.wire.peers import DEADLINE_S, EXPLICIT_LE, free_port, store_scp
from tests.wire.plain_engines import mean_engine, series
from tests.wire.receive_peer import wait_until

__all__ = ["journal", "logged", "store"]

pytestmark = pytest.mark.wire


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = series(tmp_path / "ct", 1)
    for path in paths:
        path.write_bytes(changed(path, PatientID="P0", IssuerOfPatientID="HOSP", PatientName="Wrong^Name"))
    return paths


@pytest.fixture
def walk(store, journal, tmp_path: Path) -> Iterator[Walk]:
    with store_scp(contexts=[(one, (EXPLICIT_LE,)) for one in (ENHANCED_SR, KOS)]) as archive:
        settings = Settings(
            engine=(EngineSettings(name="mean", path=mean_engine(tmp_path / "mean")),),
            analyse=AnalyseSettings(runtime="onnxruntime"),
            destination=(dataclasses.replace(ARCHIVE, port=archive.peer.port),),
            hl7=Hl7Settings(port=free_port(), senders=("127.0.0.0/8",), timeout_s=0.5, maximum_message_kb=2),
        )
        walk = Walk(store, journal, settings, archive)
        yield walk
        walk.worker.close()
    walk.ours.close()
    assert walk.stopping.wait(DEADLINE_S)
    walk.theirs.close()


@pytest.fixture
def tell(walk: Walk) -> Iterator[Callable[[bytes], bytes]]:
    """Sends a message and gives what was answered."""
    stopping = threading.Event()
    desk = Hl7Desk(walk.settings, walk.store, walk.journal, stopping)
    thread = threading.Thread(target=desk.run, daemon=True)
    thread.start()

    def tell(content: bytes, *, framed: bool = True) -> bytes:
        with socket.create_connection(("127.0.0.1", desk.port), DEADLINE_S) as peer:
            peer.sendall(b"\x0b" + content + b"\x1c\r" if framed else content)
            return whole(peer)

    yield tell
    stopping.set()
    thread.join(DEADLINE_S)


def whole(peer: socket.socket) -> bytes:
    """An answer, or nothing where the connection was ended."""
    found = b""
    while not found.endswith(b"\x1c\r"):
        try:
            chunk = peer.recv(4096)
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            break
        found += chunk
    return found


def code_of(answer: bytes) -> str:
    return answer.decode().split("MSA|")[1][:2]


MERGE = message(PID, MRG, kind="ADT^A40^ADT_A39")


def test_a_merge_gives_the_results_to_the_right_patient_and_leaves_the_images_as_they_are(walk, files, tell):
    uid = analysed(walk, files)
    assert code_of(tell(MERGE)) == "AA"
    walk.turn()
    before, after = walk.arrived()
    assert (before.PatientID, str(before.PatientName)) == ("P0", "Wrong^Name")
    assert (after.PatientID, after.IssuerOfPatientID) == ("P1", "HOSP")
    assert str(after.PatientName) == "Right^Name^Middle^Dr^Jr"
    assert (after.PatientBirthDate, after.PatientSex) == ("19700203", "F")
    assert walk.analysed == 1, "the images are the same: nothing is analysed again"
    assert (walk.journal.study(uid).version, walk.journal.study(uid).state) == (2, StudyState.DONE)
    for instance, path in zip(walk.journal.instances(uid), files, strict=True):
        assert dcmread(instance.path).PatientID == "P0"
        assert instance.path.read_bytes()[128:] == path.read_bytes()[128:]
    (text,) = walk.told(uid, "study.identity")
    assert "ADT^A40 of 127.0.0.1" in text
    assert "P1" not in text
    assert "Right" not in text


def test_the_same_message_again_changes_nothing(walk, files, tell):
    uid = analysed(walk, files)
    for _ in range(2):
        assert code_of(tell(MERGE)) == "AA"
        walk.turn()
    assert walk.journal.study(uid).version == 2
    assert len(walk.arrived()) == 2


def test_updates_follow_the_id_that_a_merge_gave(walk, files, tell):
    uid = analysed(walk, files)
    tell(MERGE)
    walk.turn()
    assert code_of(tell(message("PID|||P1^^^HOSP||Married^Name"))) == "AA"
    walk.turn()
    assert str(walk.arrived()[-1].PatientName) == "Married^Name"
    assert walk.arrived()[-1].PatientID == "P1"
    assert walk.journal.study(uid).version == 3


@pytest.mark.parametrize(
    "content",
    [
        message("PID|||P9||Right^Name"),
        message("PID|||P0^^^ELSEWHERE||Right^Name"),
        message("PID|||P0||Wrong^Name"),
    ],
    ids=["another patient", "another issuer", "nothing new"],
)
def test_a_message_that_says_nothing_of_a_study_is_taken_and_changes_nothing(walk, files, tell, content):
    uid = analysed(walk, files)
    assert code_of(tell(content)) == "AA"
    assert walk.journal.study(uid).version == 1


def test_a_message_before_the_results_are_written_begins_no_version(walk, files, tell):
    uid = walk.receive(files)
    assert code_of(tell(MERGE)) == "AA"
    walk.turn()
    assert walk.journal.study(uid).version == 1
    assert [one.PatientID for one in walk.arrived()] == ["P1"]


def test_what_comes_under_a_merged_id_keeps_it_until_the_message_comes_again(walk, files, tell):
    assert code_of(tell(MERGE)) == "AA"
    uid = analysed(walk, files)
    assert [one.PatientID for one in walk.arrived()] == ["P0"], "as its images: the archive reconciles both"
    assert code_of(tell(MERGE)) == "AA"
    walk.turn()
    assert [one.PatientID for one in walk.arrived()] == ["P0", "P1"]
    assert walk.journal.study(uid).version == 2


def test_a_header_that_is_corrected_later_has_the_last_word(walk, files, tell):
    uid = analysed(walk, files)
    tell(MERGE)
    walk.turn()
    walk.send(*(changed(path, PatientID="P7", PatientName="Last^Word") for path in files))
    walk.complete(uid)
    assert [one.PatientID for one in walk.arrived()] == ["P0", "P1", "P7"]


def test_a_merge_survives_a_corrected_name(walk, files, tell):
    uid = analysed(walk, files)
    tell(MERGE)
    walk.turn()
    walk.send(*(changed(path, PatientName="Last^Word") for path in files))
    walk.complete(uid)
    after = walk.arrived()[-1]
    assert (after.PatientID, str(after.PatientName)) == ("P1", "Last^Word")
    assert (after.PatientBirthDate, after.PatientSex) == ("19700203", "F")


def test_a_birth_date_that_is_corrected_later_has_the_last_word(walk, files, tell):
    uid = analysed(walk, files)
    tell(MERGE)
    walk.turn()
    walk.send(*(changed(path, PatientBirthDate="19510202") for path in files))
    walk.complete(uid)
    after = walk.arrived()[-1]
    assert (after.PatientID, after.PatientBirthDate) == ("P1", "19510202")


def test_a_merge_that_does_not_say_which_id_follows_changes_nothing(walk, files, tell):
    uid = analysed(walk, files)
    two = message("PID|||P1^^^HOSP^MR~P2^^^HOSP^PI", MRG, kind="ADT^A40^ADT_A39")
    answer = tell(two)
    assert code_of(answer) == "AE"
    assert b"P2" not in answer
    assert walk.journal.study(uid).version == 1


def test_a_name_in_any_writing_reaches_the_results(walk, files, tell):
    analysed(walk, files)
    tell(message("PID|||P0||Иванов^Пётр", charset="UNICODE UTF-8", encoding="utf-8"))
    walk.turn()
    after = walk.arrived()[-1]
    assert after.SpecificCharacterSet == "ISO_IR 192"
    assert str(after.PatientName) == "Иванов^Пётр"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (message(PID, kind="ADT^A40"), "AE"),
        (b"noise", "AE"),
        (message(PID, kind="ADT^A01"), "AR"),
        (message(PID, mode="D"), "AR"),
    ],
)
def test_what_is_not_for_this_node_or_wrong_is_answered_so(tell, content, code, logged):
    answer = tell(content)
    assert code_of(answer) == code
    assert b"P1" not in answer
    assert "Right" not in str(logged)


def test_a_journal_in_trouble_is_answered_with_ar_and_it_may_come_again(walk, files, tell, monkeypatch):
    uid = analysed(walk, files)

    def broken(*_: object) -> None:
        raise NodeError(JOURNAL_FAILED, error="the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(walk.journal, "correct_identity", broken)
        assert code_of(tell(MERGE)) == "AR"
    assert walk.journal.study(uid).version == 1
    assert code_of(tell(MERGE)) == "AA"
    assert walk.journal.study(uid).version == 2


@pytest.mark.parametrize(
    ("content", "framed"),
    [(b"x" * 3000, True), (b"\x0bMSH|", False), (b"MSH|^", False), (MERGE + b"\x1c\r\x0bmore", True)],
    ids=["too long", "never whole", "no frame", "more behind it"],
)
def test_what_is_no_message_ends_the_connection_and_nothing_else(walk, files, tell, content, framed, logged):
    uid = analysed(walk, files)
    assert tell(content, framed=framed) == b""
    assert code_of(tell(MERGE)) == "AA"
    assert walk.journal.study(uid).version == 2
    assert [line for line in logged if line["event"] == "hl7.closed"]


def test_several_messages_on_one_connection_are_answered_in_order(walk, tell):
    with socket.create_connection(("127.0.0.1", walk.settings.hl7.port), DEADLINE_S) as peer:
        for kind, code in (("ADT^A08", "AA"), ("ADT^A01", "AR"), ("ADT^A08", "AA")):
            peer.sendall(b"\x0b" + message("PID|||P5", kind=kind) + b"\x1c\r")
            assert code_of(whole(peer)) == code


@pytest.mark.parametrize("between", [b"\r", b"\n", b"\r\n"])
def test_line_ends_between_messages_are_passed_over(walk, tell, between):
    with socket.create_connection(("127.0.0.1", walk.settings.hl7.port), DEADLINE_S) as peer:
        for _ in range(2):
            peer.sendall(b"\x0b" + message("PID|||P5") + b"\x1c\r" + between)
            assert code_of(whole(peer)) == "AA"
        peer.sendall(between + b"\x0b" + message("PID|||P5") + b"\x1c\r")
        assert code_of(whole(peer)) == "AA"


@pytest.fixture
def echo() -> Iterator[MllpListener]:
    """A listener that gives back what it is told, and does not wait long for the next message."""
    stopping = threading.Event()
    limits = MllpLimits(senders=("127.0.0.0/8",), message_bytes=1000, timeout_s=1.0, idle_s=1.0)
    listener = MllpListener("127.0.0.1", 0, limits, lambda content, _: content, stopping)
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()
    yield listener
    stopping.set()
    thread.join(DEADLINE_S)


@pytest.mark.parametrize(
    "sent", [b"", b"\x0bone\x1c\r", b"\r\n"], ids=["never spoke", "spoke once", "line ends"]
)
def test_who_is_silent_for_long_gives_its_place_back(echo, sent):
    with socket.create_connection(("127.0.0.1", echo.port), DEADLINE_S) as peer:
        peer.sendall(sent)
        assert whole(peer) == (sent if len(sent) > 2 else b"")
        assert whole(peer) == b""


def test_sixteen_may_talk_at_once_and_one_more_is_closed_without_an_answer():
    stopping = threading.Event()
    limits = MllpLimits(senders=("127.0.0.0/8",), message_bytes=1000, timeout_s=10.0)
    listener = MllpListener("127.0.0.1", 0, limits, lambda content, _: content, stopping)
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()

    def connect() -> socket.socket:
        return socket.create_connection(("127.0.0.1", listener.port), DEADLINE_S)

    def heard(peer: socket.socket) -> bool:
        with suppress(OSError):  # it was closed
            peer.sendall(b"\x0bone\x1c\r")
        return whole(peer) == b"\x0bone\x1c\r"

    with ExitStack() as open_ones:
        for _ in range(16):
            peer = open_ones.enter_context(connect())
            assert heard(peer)
        with connect() as one_more:
            assert whole(one_more) == b""
        assert heard(peer), "who talks already goes on"
        peer.close()
        wait_until(lambda: heard(open_ones.enter_context(connect())), "the place is free again")
    stopping.set()
    thread.join(DEADLINE_S)


def test_a_connection_without_a_thread_is_closed_and_takes_no_place(echo, monkeypatch):
    class Refused(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("dicomnode.receive.mllp.threading.Thread", Refused)
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", echo.port), DEADLINE_S) as peer:
                assert whole(peer) == b""
    with socket.create_connection(("127.0.0.1", echo.port), DEADLINE_S) as peer:
        peer.sendall(b"\x0bone\x1c\r")
        assert whole(peer) == b"\x0bone\x1c\r"


def test_who_is_not_among_the_senders_gets_no_answer(logged):
    stopping = threading.Event()
    limits = MllpLimits(senders=("192.0.2.0/24",), message_bytes=1000, timeout_s=1.0)
    listener = MllpListener("127.0.0.1", 0, limits, lambda *_: b"never", stopping)
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()
    with socket.create_connection(("127.0.0.1", listener.port), DEADLINE_S) as peer:
        assert whole(peer) == b""
    stopping.set()
    thread.join(DEADLINE_S)
    assert [line["address"] for line in logged if line["event"] == "hl7.refused"] == ["127.0.0.1"]

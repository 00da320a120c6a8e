"""The HL7 desk: it waits for the images that came before a message, and takes one message at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.serve.identity.hl7 import Hl7Desk
from dicomnode.serve.identity.patients import Patients
from dicomnode.serve.intake.ingest import ingest
from dicomnode.settings import Hl7Settings, Settings
from tests.unit.receive.test_hl7_message import message
from tests.unit.serve import test_patients
from tests.unit.serve.test_corrections import changed
from tests.unit.store.part10 import NOON, receive
from tests.wire.peers import free_port

files, patients = test_patients.files, test_patients.patients


@pytest.fixture
def desk(patients, store, journal) -> Iterator[Hl7Desk]:
    settings = Settings(hl7=Hl7Settings(port=free_port(), senders=("127.0.0.0/8",)))
    stopping = Turning()
    desk = Hl7Desk(settings, store, journal, stopping)
    yield desk
    stopping.set()
    desk.run()  # closes the port


class Turning(threading.Event):
    """The scheduler turns while somebody waits for the end of the service."""

    def __init__(self) -> None:
        super().__init__()
        self.turn: Callable[[], object] = lambda: None

    def wait(self, timeout: float | None = None) -> bool:
        self.turn()
        return super().wait(0 if timeout else None)


def test_the_service_finds_out_whose_its_studies_are_before_it_is_asked(desk, journal):
    desk.make_keys()
    assert journal.without_patient_key() == []


def test_a_study_that_cannot_be_read_keeps_the_service_from_no_other(desk, journal, monkeypatch, logged):
    monkeypatch.setattr("dicomnode.serve.identity.patients._BATCH", 1)
    journal.instances("1.2.0")[0].path.unlink()
    desk.make_keys()
    assert journal.without_patient_key() == ["1.2.0"]
    assert [line["study"] for line in logged if line["event"] == "hl7.key_failed"] == ["1.2.0"]


MERGE = message("PID|||P1", "MRG|P0", kind="ADT^A40^ADT_A39")


def test_a_message_reaches_images_that_were_acknowledged_before_it(desk, store, journal, files):
    receive(store, changed(files[0], StudyInstanceUID="1.2.9")[128:], NOON)
    desk._stopping.turn = lambda: ingest(store, journal, datetime.now(UTC))
    assert b"MSA|AA|" in desk.answer(MERGE, "127.0.0.1")
    assert journal.identity("1.2.9", 1) is not None


def test_a_message_looks_once_a_turn_however_many_images_wait(desk, store, journal, files, monkeypatch):
    """Each turn it asks for the newest of those that were there: it opens none, and looks at no other."""
    for number in range(5):
        receive(
            store,
            changed(files[0], StudyInstanceUID=f"1.2.9{number}")[128:],
            NOON + timedelta(seconds=number),
        )
    waiting = store.waiting()
    looked_at: list[Path] = []
    exists = Path.exists

    def counted(path: Path) -> bool:
        looked_at.extend({path}.intersection(waiting))
        return exists(path)

    turns = iter([lambda: None, lambda: None, lambda: ingest(store, journal, NOON)])

    def turn() -> None:
        with monkeypatch.context() as unpatched:
            unpatched.setattr(Path, "exists", exists)
            next(turns, lambda: None)()

    desk._stopping.turn = turn
    monkeypatch.setattr(Path, "exists", counted)
    desk._await_entry()
    assert set(looked_at) == {waiting[-1]}
    assert len(looked_at) == 4


def test_a_damaged_newest_image_that_is_put_aside_does_not_let_the_older_ones_be_overtaken(
    desk, store, journal, files
):
    receive(store, changed(files[0], StudyInstanceUID="1.2.9")[128:], NOON)
    newest = receive(store, files[1].read_bytes()[128:], NOON + timedelta(seconds=1))
    newest.path.write_bytes(b"damaged")
    turns = [lambda: ingest(store, journal, NOON), store.sealed]  # the one called first puts it aside only

    def turn() -> None:
        if turns:
            turns.pop()()

    desk._stopping.turn = turn
    assert b"MSA|AA|" in desk.answer(MERGE, "127.0.0.1")
    assert journal.identity("1.2.9", 1) is not None


def test_images_that_come_while_a_message_waits_are_not_waited_for(desk, store, journal, files):
    receive(store, changed(files[0], StudyInstanceUID="1.2.9")[128:], NOON)

    def turn() -> None:
        ingest(store, journal, NOON)
        receive(store, changed(files[0], StudyInstanceUID="1.2.10")[128:], NOON - timedelta(hours=1))

    desk._stopping.turn = turn
    assert b"MSA|AA|" in desk.answer(MERGE, "127.0.0.1")
    assert len(store.waiting()) == 1


def test_a_message_is_refused_while_images_that_came_before_it_are_not_entered(
    desk, store, journal, files, monkeypatch
):
    monkeypatch.setattr("dicomnode.serve.identity.hl7._ENTERED_S", 0.0)
    receive(store, changed(files[0], StudyInstanceUID="1.2.9")[128:], NOON)
    answer = desk.answer(MERGE, "127.0.0.1")
    assert b"MSA|AR|" in answer
    assert b"DN-2534" in answer
    assert journal.identity("1.2.0", 1) is None


class Door:
    """The lock of the desk, with a bell for each who comes."""

    def __init__(self) -> None:
        self.lock, self.rung = threading.Lock(), threading.Semaphore(0)

    def __enter__(self) -> None:
        self.rung.release()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


@pytest.mark.parametrize("first", ["answer", "make_keys"])
def test_two_messages_at_once_are_applied_one_after_the_other(desk, monkeypatch, first):
    desk._alone = Door()
    inside: list[str] = []
    second = threading.Thread(target=desk.answer, args=(MERGE, "127.0.0.1"))
    apply, make_keys = Patients.apply, Patients.make_keys

    def entered(name: str) -> None:
        inside.append(name)
        if len(inside) == 1:
            assert desk._alone.rung.acquire(timeout=10)
            second.start()
            assert desk._alone.rung.acquire(timeout=10), "nobody waits for the first to leave"
            assert inside == [name]

    def watched_apply(self, *arguments):
        entered("answer")
        return apply(self, *arguments)

    def watched_keys(self, batch):
        if not inside:
            entered("make_keys")
        return make_keys(self, batch)

    monkeypatch.setattr(Patients, "apply", watched_apply)
    monkeypatch.setattr(Patients, "make_keys", watched_keys)
    if first == "answer":
        assert b"MSA|AA|" in desk.answer(MERGE, "127.0.0.1")
    else:
        desk.make_keys()
    second.join(10)
    assert inside == [first, "answer"]

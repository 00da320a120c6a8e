"""One C-STORE request: what is stored, what is refused, and what the sender is told."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dicomnode.faults import STORE_WRITE_FAILED, NodeError
from dicomnode.receive.command import Answer, Command
from dicomnode.receive.storage import StorageService, StoreRequest
from dicomnode.store import PartFile, SealedFile, Store, read_ids
from dicomnode.values import Sender

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
SENDER = Sender(calling_ae="CT1", called_ae="NODE", address="10.0.0.1")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def ui(group: int, element: int, uid: str, *, implicit: bool = False) -> bytes:
    value = uid.encode() + b"\0" * (len(uid) % 2)
    if implicit:
        return struct.pack("<HHL", group, element, len(value)) + value
    return struct.pack("<HH2sH", group, element, b"UI", len(value)) + value


def data_set(
    sop_class: str = CT,
    instance: str = "1.2.3",
    study: str = "1.2.4",
    series: str = "1.2.5",
    *,
    implicit: bool = False,
) -> bytes:
    return b"".join(
        ui(*tag, uid, implicit=implicit)
        for tag, uid in (
            ((0x0008, 0x0016), sop_class),
            ((0x0008, 0x0018), instance),
            ((0x0020, 0x000D), study),
            ((0x0020, 0x000E), series),
        )
    )  # fmt: skip


def request(data: bytes | None = None, **changes: object) -> StoreRequest:
    encoded = data_set() if data is None else data
    command = Command(field=1, message_id=1, has_data_set=True, sop_class_uid=CT, sop_instance_uid="1.2.3")
    whole = StoreRequest(
        command=command,
        data=memoryview(encoded),
        size=len(encoded),
        abstract_syntax=CT,
        transfer_syntax=EXPLICIT_LE,
        sender=SENDER,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def asking(**changes: object) -> Command:
    return replace(request().command, **changes)  # type: ignore[arg-type]


class Room:
    """A service on a store of its own, and what it told."""

    def __init__(self, root: Path, reserve_gb: float = 0.0) -> None:
        self.store = Store.open(root, reserve_gb=reserve_gb)
        self.stored: list[tuple[SealedFile, str]] = []
        self.service = StorageService(self.store, 1e-4, lambda: NOW, self.on_stored)
        self.root = root

    def on_stored(self, sealed: SealedFile, uid: str) -> None:
        self.stored.append((sealed, uid))

    def take(self, wanted: StoreRequest) -> Answer:
        answers: list[Answer] = []
        self.service.take(wanted, answers.append)
        (answer,) = answers
        return answer

    def files(self) -> list[Path]:
        # names kept ready for parts are empty
        return [p for p in (self.root / "incoming").rglob("*") if p.is_file() and p.stat().st_size]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.store.close()


def test_an_instance_is_sealed_as_it_came_then_acknowledged_then_told(room: Room) -> None:
    order: list[str] = []
    service = StorageService(room.store, 1e-4, lambda: NOW, lambda *_: order.append("told"))
    service.take(request(), lambda answer: order.append(f"answered 0x{answer.status:04X}"))
    assert order == ["answered 0x0000", "told"]
    (sealed,) = room.store.sealed()
    assert sealed.path.read_bytes().endswith(data_set())
    assert (sealed.received_at, sealed.sender) == (NOW, SENDER)
    ids = read_ids(sealed.path)
    assert (ids.sop_instance_uid, ids.study_instance_uid, ids.transfer_syntax_uid) == (
        "1.2.3",
        "1.2.4",
        EXPLICIT_LE,
    )


def test_the_study_of_an_instance_is_announced_before_anybody_can_see_the_instance(room: Room) -> None:
    announced: list[tuple[str, int]] = []

    def announce(study_instance_uid: str) -> None:
        announced.append((study_instance_uid, len(room.files())))

    assert room.take(request(announce=announce)).status == 0
    assert (announced, len(room.files())) == ([("1.2.4", 0)], 1)
    assert room.take(request(data_set(study="x"), announce=announce)).status != 0
    assert len(announced) == 1, "what is refused brings no study"


def test_implicit_vr_is_read_again_by_the_store(room: Room) -> None:
    encoded = data_set(implicit=True)
    assert room.take(request(encoded, transfer_syntax=IMPLICIT_LE)).status == 0
    assert read_ids(room.stored[0][0].path).series_instance_uid == "1.2.5"


@pytest.mark.parametrize(
    ("wanted", "status", "code", "offending"),
    [
        (request(command=asking(sop_class_uid=None)), 0xC000, "DN-1003", 0x00000002),
        (request(command=asking(sop_instance_uid=None)), 0xC000, "DN-1003", 0x00001000),
        (request(command=asking(sop_instance_uid="")), 0x0117, "DN-1004", 0x00001000),
        (request(command=asking(sop_instance_uid="../../x")), 0x0117, "DN-1004", 0x00001000),
        (request(command=asking(sop_instance_uid="1.2." + "3" * 68)), 0x0117, "DN-1004", 0x00001000),
        (request(command=asking(sop_instance_uid="1.02")), 0x0117, "DN-1004", 0x00001000),
        (request(command=asking(sop_class_uid="")), 0x0122, "DN-1006", 0x00000002),
        (request(command=asking(sop_class_uid="1.2.840.10008.5.1.4.1.1.4")), 0x0122, "DN-1006", 0x00000002),
        (request(b""), 0xC000, "DN-1007", None),
        (request(data_set(sop_class="1.2.840.10008.5.1.4.1.1.4")), 0xA900, "DN-1005", 0x00080016),
        (request(data_set(instance="1.2.9")), 0xA900, "DN-1005", 0x00080018),
        (request(data_set(study="")), 0xA900, "DN-1016", 0x0020000D),
        (request(data_set(study="x")), 0xA900, "DN-1016", 0x0020000D),
        (request(data_set(series="")), 0xA900, "DN-1016", 0x0020000E),
        (request(b"\xff" * 300), 0xC000, "DN-1007", None),
        (request(data_set()[:-2]), 0xC000, "DN-1007", None),
        (request(data_set() + b"\xe0\x7f\x10\x00OW\0\0\x10\0\0\0only"), 0xC000, "DN-1007", None),
        (request(transfer_syntax=IMPLICIT_LE), 0xC000, "DN-1007", None),
        (request(b"", size=100_001), 0xA700, "DN-1015", None),
    ],
)  # fmt: skip
def test_a_refusal_has_its_status_its_element_and_one_log_line_and_leaves_no_file(
    room: Room, wanted: StoreRequest, status: int, code: str, offending: int | None
) -> None:
    with capture_logs() as lines:
        answer = room.take(wanted)
    assert (answer.status, answer.comment[:7]) == (status, code)
    assert answer.offending == (() if offending is None else (offending,))
    (line,) = lines
    assert (line["event"], line["code"], line["log_level"]) == ("instance.refused", code, "warning")
    assert (line["calling_ae"], line["status"]) == ("CT1", f"0x{status:04X}")
    assert len(line["text"]) < 300
    assert room.files() == []
    assert room.stored == []


def test_a_disk_below_its_reserve_refuses_before_anything_is_written(tmp_path: Path) -> None:
    room = Room(tmp_path, reserve_gb=1e9)
    answer = room.take(request())
    assert (answer.status, answer.comment[:7]) == (0xA700, "DN-1001")
    assert room.files() == []
    room.store.close()


def test_a_failing_disk_is_not_acknowledged(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> SealedFile:
        raise NodeError(STORE_WRITE_FAILED, path="/x", error="EIO")

    monkeypatch.setattr(PartFile, "seal", fail)
    answer = room.take(request())
    assert (answer.status, answer.comment[:7]) == (0xA700, "DN-1002")
    assert room.files() == []


def test_a_bug_is_answered_and_not_acknowledged(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> SealedFile:
        raise ZeroDivisionError("a secret of the patient")

    monkeypatch.setattr(PartFile, "seal", fail)
    answer = room.take(request())
    assert answer.status == 0x0110
    assert "secret" not in answer.comment
    assert room.files() == []


def test_a_listener_that_fails_takes_nothing_back(room: Room) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    answers: list[Answer] = []
    StorageService(room.store, 1e-4, lambda: NOW, fail).take(request(), answers.append)
    assert [answer.status for answer in answers] == [0]
    assert len(room.store.sealed()) == 1


def test_no_value_of_a_data_set_is_logged(room: Room) -> None:
    name = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 14) + b"SECRET^PATIENT"
    broken = data_set()[: -len(ui(0x20, 0xE, "1.2.5"))]
    with capture_logs() as lines:
        for encoded in (data_set() + name, broken + name, name + b"\xff" * 99, name):
            room.take(request(encoded))
    assert len(lines) == 4
    assert "SECRET" not in repr(lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.data(), st.booleans())
def test_what_is_acknowledged_the_store_can_read(room: Room, data: st.DataObject, implicit: bool) -> None:
    """Whatever a sender does to a data set: it is refused, or the next stage finds its UIDs."""
    rows = (
        struct.pack("<HHLH", 0x28, 0x10, 2, 1)
        if implicit
        else struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 1)
    )
    encoded = bytearray(data_set(implicit=implicit) + rows)
    for _ in range(data.draw(st.integers(0, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    syntax = IMPLICIT_LE if implicit else EXPLICIT_LE
    told = len(room.stored)
    answer = room.take(request(bytes(encoded), transfer_syntax=syntax))
    assert (answer.status == 0) == (len(room.stored) == told + 1)
    if answer.status == 0:
        assert read_ids(room.stored[-1][0].path).sop_instance_uid == "1.2.3"

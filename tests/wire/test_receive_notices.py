"""Procedure steps, availability notifications and commitment requests, as pynetdicom's SCUs send them."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from dicomnode.receive.command import N_ACTION_RQ, Command
from dicomnode.receive.notices import MAXIMUM_BYTES
from dicomnode.receive.storage import StoreRequest
from dicomnode.settings import ReceiveSettings
from dicomnode.values import Sender
from tests.wire.receive_peer import (
    CT,
    EXPLICIT_LE,
    IMPLICIT_LE,
    NODE,
    PEER,
    QUICK,
    RawPeer,
    Running,
    running,
    store_command,
)

pytestmark = pytest.mark.wire

STEP = "1.2.840.10008.3.1.2.3.3"
AVAILABILITY = "1.2.840.10008.5.1.4.33"
COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
STUDY = "1.2.3"
TAKES_ALL = replace(QUICK, commitment="report")


@contextmanager
def associated(node: Running, *syntaxes: str) -> Iterator[Association]:
    entity = AE(ae_title=PEER)
    for uid in (STEP, AVAILABILITY, COMMITMENT):
        entity.add_requested_context(uid, list(syntaxes or (EXPLICIT_LE, IMPLICIT_LE)))
    association = entity.associate("127.0.0.1", node.port, ae_title=NODE)
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def reference(uid: str, **more: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = CT
    item.ReferencedSOPInstanceUID = uid
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def step(status: str = "IN PROGRESS") -> Dataset:
    """What a CT puts into N-CREATE (PS3.4 table F.7.2-1), with a patient of whom nothing may be kept."""
    scheduled = Dataset()
    scheduled.StudyInstanceUID, scheduled.AccessionNumber = STUDY, "A17"
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName, ds.PatientID = "Doe^Jane", "P1"
    ds.ScheduledStepAttributesSequence = [scheduled]
    ds.PerformedProcedureStepID, ds.PerformedStationAETitle = "1", PEER
    ds.PerformedProcedureStepStatus, ds.Modality = status, "CT"
    ds.PerformedSeriesSequence = []
    return ds


def ended(count: int, status: str = "COMPLETED") -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID, series.SeriesDescription = "1.2.3.0", "THORAX"
    series.ReferencedImageSequence = [reference(f"1.2.3.{n}") for n in range(count)]
    series.ReferencedNonImageCompositeSOPInstanceSequence = [reference("1.2.3.99")]
    ds = Dataset()
    ds.PerformedProcedureStepStatus = status
    ds.PerformedSeriesSequence = [series]
    return ds


def available(count: int) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = "1.2.3.0"
    series.ReferencedSOPSequence = [
        *(
            reference(f"1.2.3.{n}", InstanceAvailability="ONLINE", RetrieveAETitle="PACS")
            for n in range(count)
        ),
        reference("1.2.3.98", InstanceAvailability="UNAVAILABLE", RetrieveAETitle="PACS"),
    ]
    ds = Dataset()
    ds.StudyInstanceUID = STUDY
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.ReferencedSeriesSequence = [series]
    return ds


def request(count: int) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = "1.9.7"
    ds.ReferencedSOPSequence = [reference(f"1.2.3.{n}") for n in range(count)]
    return ds


def kept(node: Running) -> list[dict[str, Any]]:
    return [json.loads(content) for _, content in node.store.notices(100)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "store", TAKES_ALL) as node:
        yield node


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, BIG_ENDIAN])
def test_a_procedure_step_is_kept_from_its_beginning_to_its_end(node: Running, syntax: str) -> None:
    with associated(node, syntax) as peer:
        status, _ = peer.send_n_create(step(), STEP, "1.9.1")
        assert status.Status == 0
        status, _ = peer.send_n_set(ended(3), STEP, "1.9.1")
        assert status.Status == 0
    begun, done = kept(node)
    assert [begun[key] for key in ("kind", "uid", "study_instance_uid", "status", "references")] == [
        "step", "1.9.1", STUDY, "IN PROGRESS", [],
    ]  # fmt: skip
    assert (done["uid"], done["status"], done["calling_ae"]) == ("1.9.1", "COMPLETED", PEER)
    assert done["references"] == [[f"1.2.3.{n}", CT] for n in (0, 1, 2, 99)]
    for path in (node.store.root / "notices").iterdir():
        assert b"Doe" not in path.read_bytes()


def test_an_availability_notification_names_what_is_available(node: Running) -> None:
    with associated(node) as peer:
        status, _ = peer.send_n_create(available(2), AVAILABILITY, "1.9.2")
        assert status.Status == 0
    (notice,) = kept(node)
    assert (notice["kind"], notice["study_instance_uid"]) == ("availability", STUDY)
    assert [uid for uid, _ in notice["references"]] == ["1.2.3.0", "1.2.3.1"]


def test_a_commitment_request_is_kept(node: Running) -> None:
    with associated(node) as peer:
        status, _ = peer.send_n_action(request(4), 1, COMMITMENT, COMMITMENT_INSTANCE)
        assert status.Status == 0
    (notice,) = kept(node)
    assert (notice["kind"], notice["uid"], len(notice["references"])) == ("commitment", "1.9.7", 4)


def lacking(keyword: str, ds: Dataset) -> Dataset:
    delattr(ds, keyword)
    return ds


def with_status(word: str) -> Dataset:
    ds = step()
    ds.PerformedProcedureStepStatus = word
    return ds


@pytest.mark.parametrize(
    ("dataset", "status"),
    [
        (lacking("ScheduledStepAttributesSequence", step()), 0x0120),
        (lacking("PerformedProcedureStepStatus", step()), 0x0120),
        (with_status("FINISHED"), 0x0110),
    ],
    ids=["no study", "no status", "a status that there is not"],
)
def test_a_step_that_cannot_be_used_is_refused_and_not_kept(
    node: Running, dataset: Dataset, status: int
) -> None:
    with associated(node) as peer:
        answer, _ = peer.send_n_create(dataset, STEP, "1.9.1")
        assert answer.Status == status
        assert answer.ErrorComment.startswith("DN-10")
        assert peer.send_n_create(step(), STEP, "1.9.1")[0].Status == 0, "the association goes on"
    assert len(kept(node)) == 1


def test_another_action_than_commitment_is_refused(node: Running) -> None:
    with associated(node) as peer:
        assert peer.send_n_action(request(1), 2, COMMITMENT, COMMITMENT_INSTANCE)[0].Status == 0x0123
        nothing = lacking("ReferencedSOPSequence", request(1))
        assert peer.send_n_action(nothing, 1, COMMITMENT, COMMITMENT_INSTANCE)[0].Status == 0x0120
        assert peer.send_n_get([0x00400252], STEP, "1.9.1")[0].Status == 0x0211
    assert kept(node) == []


@pytest.mark.parametrize("field", [0x0001, 0x0120, 0x0140], ids=["C-STORE", "N-SET", "N-CREATE"])
def test_an_operation_that_is_not_of_its_context_is_refused(node: Running, field: int) -> None:
    """A C-STORE on the context of a notice must not become an instance, nor the other way round."""
    with RawPeer(node.port) as peer:
        peer.associate((COMMITMENT, [IMPLICIT_LE]))
        answer = peer.store(store_command("1.2.3", COMMITMENT, command_field=field), b"\0" * 8)
        assert answer.status in (0x0122, 0x0211)
    assert node.stored == []
    assert kept(node) == []


def raw(tag: int, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, size) + value


HOSTILE = {
    "random": bytes(range(256)) * 8,
    "cut": raw(0x00081199, b"", 4000),
    "too large": raw(0x00081195, b"1.9.7 ") + raw(0x00091001, bytes(MAXIMUM_BYTES)),
    "too many": raw(0x00081195, b"1.9.7 ") + raw(0x00081199, raw(0xFFFEE000, b"") * 60_000),
    "nested": b"".join(raw(0x00081199, raw(0xFFFEE000, b"", 0xFFFFFFFF), 0xFFFFFFFF) for _ in range(5000)),
    "a path": raw(0x00081195, b"../../x "),
}


@pytest.mark.parametrize("data", list(HOSTILE.values()), ids=list(HOSTILE))
def test_hostile_bytes_are_refused_and_the_node_goes_on(node: Running, data: bytes) -> None:
    command = Command(
        field=N_ACTION_RQ, message_id=1, has_data_set=True, sop_class_uid=COMMITMENT,
        sop_instance_uid=COMMITMENT_INSTANCE, action_type=1,
    )  # fmt: skip
    sent = StoreRequest(
        command=command, data=memoryview(data), size=len(data), abstract_syntax=COMMITMENT,
        transfer_syntax=IMPLICIT_LE, sender=Sender(calling_ae=PEER, called_ae=NODE, address="127.0.0.1"),
    )  # fmt: skip
    answer = node.receiver._rules.notices.take(sent)
    assert answer.status in (0x0110, 0x0117, 0x0120)
    assert "DN-6099" not in answer.comment, "a refusal, not a bug"
    assert kept(node) == []


@pytest.mark.parametrize(
    ("settings", "offered"),
    [
        (QUICK, {STEP, AVAILABILITY}),
        (TAKES_ALL, {STEP, AVAILABILITY, COMMITMENT}),
        (replace(QUICK, notices=False), set()),
    ],
    ids=["as it comes", "with commitment", "without notices"],
)
def test_what_is_not_configured_is_not_offered(
    tmp_path: Path, settings: ReceiveSettings, offered: set[str]
) -> None:
    entity = AE(ae_title=PEER)
    for uid in (STEP, AVAILABILITY, COMMITMENT, CT):
        entity.add_requested_context(uid, [EXPLICIT_LE])
    with running(tmp_path / "store", settings) as node:
        association = entity.associate("127.0.0.1", node.port, ae_title=NODE)
        accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
        association.release()
    assert accepted == offered | {CT}


def test_a_full_disk_refuses_a_notice(tmp_path: Path) -> None:
    with running(tmp_path / "store", TAKES_ALL, reserve_gb=1e6) as node, associated(node) as peer:
        assert peer.send_n_create(step(), STEP, "1.9.1")[0].Status == 0xA700

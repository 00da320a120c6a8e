"""A whole node and real peers: what they say of a study decides when it is complete, and if it is not."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Self

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association

from dicomnode.deliver import push_study
from dicomnode.journal import EvidenceKind, StudyState, TaskState
from dicomnode.net.association import open_association
from dicomnode.phantom import SeriesForm, write_series
from dicomnode.store import arriving_studies, load_findings
from dicomnode.values import Grid
from tests.wire.node import Node, running_node
from tests.wire.peers import CT, DEADLINE_S, EXPLICIT_LE, free_port, orthanc, store_scp, until
from tests.wire.plain_engines import mean_engine, series
from tests.wire.receive_peer import QUICK, RawPeer, running, small_ct, store_command, wait_until
from tests.wire.test_walk import NOWHERE, RESULTS

pytestmark = [pytest.mark.wire, pytest.mark.slow]

STEP = "1.2.840.10008.3.1.2.3.3"
COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
NEVER_S = 600.0  # a quiet time that does not decide in these tests
CLOSED = {
    StudyState.DONE,
    StudyState.REFUSED,
    StudyState.FAILED,
    StudyState.UNCONFIRMED,
    StudyState.DELIVERING,
}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return series(tmp_path / "ct", 1)


def study_of(files: Sequence[Path]) -> str:
    return str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


def query(port: int, *more: str) -> list[str]:
    lines = ["[[query]]", 'name = "pacs"', 'ae_title = "ORTHANC"', 'host = "127.0.0.1"', f"port = {port}"]
    return [*lines, "timeout_s = 5", "ask_after_s = 0.5", *more]


@contextmanager
def node_for(tmp_path: Path, **settings: object) -> Iterator[Node]:
    engine = mean_engine(tmp_path / "mean")
    given = {"quiet_time_s": NEVER_S, "analyse": {"runtime": "onnxruntime"}, **settings}
    with running_node(tmp_path / "node", [engine], NOWHERE, **given) as node:
        yield node


def send(node: Node, files: Sequence[Path]) -> None:
    assert push_study(node.peer, "SCANNER", files).sent == len(files)


def deciding(node: Node, uid: str, version: int = 1) -> list[tuple[EvidenceKind, str]]:
    with node.journal() as journal:
        return [(one.kind, one.text) for one in journal.evidence(uid).get(version, []) if one.decided]


@contextmanager
def scanner(node: Node) -> Iterator[Association]:
    contexts = [(uid, (EXPLICIT_LE,)) for uid in (STEP, COMMITMENT, CT)]
    with open_association(node.peer, "SCANNER", contexts) as link:
        yield link.association


def references(files: Sequence[Path]) -> list[Dataset]:
    items = []
    for path in files:
        read = dcmread(path, stop_before_pixels=True)
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = read.SOPClassUID, read.SOPInstanceUID
        items.append(item)
    return items


def begin_step(association: Association, study_uid: str) -> None:
    scheduled, ds = Dataset(), Dataset()
    scheduled.StudyInstanceUID = study_uid
    ds.ScheduledStepAttributesSequence = [scheduled]
    ds.PerformedProcedureStepStatus, ds.PerformedSeriesSequence = "IN PROGRESS", []
    assert association.send_n_create(ds, STEP, "1.9.1")[0].Status == 0


def end_step(association: Association, files: Sequence[Path]) -> None:
    of_series, ds = Dataset(), Dataset()
    of_series.SeriesInstanceUID = dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID
    of_series.ReferencedImageSequence = references(files)
    ds.PerformedProcedureStepStatus, ds.PerformedSeriesSequence = "COMPLETED", [of_series]
    assert association.send_n_set(ds, STEP, "1.9.1")[0].Status == 0


@pytest.mark.long
def test_p6_the_count_of_the_archive_tells_what_is_missing_and_when_all_is_here(
    tmp_path: Path, files: list[Path]
) -> None:
    uid = study_of(files)
    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc") as archive:
        assert push_study(archive.peer, "SCANNER", files).sent == 6
        with node_for(tmp_path, quiet_time_s=1.0, more=query(archive.peer.port)) as node:
            send(node, files[:4])
            short = node.wait_for(uid, states={StudyState.INCOMPLETE})
            assert short.shortfall == "4 of 6 images, by the count of pacs"
            assert [line["code"] for line in node.lines("study.incomplete")] == ["DN-2500"]
            send(node, files[4:])
            done = node.wait_for(uid, states=CLOSED)
            assert (done.version, done.instances, done.shortfall) == (1, 6, None)
            assert done.complete_evidence == "6 of 6 images, by the count of pacs"
            assert deciding(node, uid) == [(EvidenceKind.COUNT, done.complete_evidence)]


@pytest.mark.long
def test_p6_what_never_comes_is_analysed_without_and_the_result_says_so(
    tmp_path: Path, files: list[Path]
) -> None:
    uid = study_of(files)
    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc") as archive, store_scp(contexts=RESULTS):
        assert push_study(archive.peer, "SCANNER", files).sent == 6
        wait = ["longest_wait_s = 2"]
        with node_for(tmp_path, quiet_time_s=1.0, assemble=wait, more=query(archive.peer.port)) as node:
            send(node, files[:5])
            done = node.wait_for(uid, states=CLOSED)
            assert done.shortfall == "5 of 6 images, by the count of pacs"
            until(lambda: bool(said_in_findings(node, uid)), "it is analysed")
            assert "The study is incomplete: 5 of 6 images, by the count of pacs." in said_in_findings(
                node, uid
            )


def said_in_findings(node: Node, uid: str) -> list[str]:
    with node.journal() as journal:
        return [
            remark.text for record in journal.findings(uid) for remark in load_findings(record.path).remarks
        ]


@pytest.mark.long
def test_an_archive_that_does_not_answer_is_a_recorded_reason_and_the_quiet_time_decides(
    tmp_path: Path, files: list[Path]
) -> None:
    uid = study_of(files)
    with node_for(tmp_path, quiet_time_s=1.0, more=query(free_port())) as node:
        send(node, files)
        done = node.wait_for(uid, states=CLOSED)
        assert done.complete_evidence is not None
        assert done.complete_evidence.startswith("nothing new for 1 s; pacs did not answer: DN-2001 ")
        with node.journal() as journal:
            fetches = [task.state for task in journal.tasks(uid) if task.kind == "fetch"]
        assert fetches == [TaskState.DONE]
        assert node.stop() == 0


def test_p3_a_procedure_step_decides_and_is_named(tmp_path: Path, files: list[Path]) -> None:
    uid = study_of(files)
    with node_for(tmp_path) as node:
        with scanner(node) as association:
            begin_step(association, uid)
            send(node, files)
            end_step(association, files)
        done = node.wait_for(uid, states=CLOSED)
        assert done.complete_evidence == "6 of 6 images, by the procedure step of SCANNER"
        assert deciding(node, uid) == [(EvidenceKind.STEP, done.complete_evidence)]


@pytest.mark.long
def test_a_notice_that_was_acknowledged_survives_a_killed_node(tmp_path: Path, files: list[Path]) -> None:
    uid = study_of(files)
    with node_for(tmp_path) as node:
        with scanner(node) as association:
            begin_step(association, uid)
        send(node, files[:5])
        with scanner(node) as association:
            end_step(association, files)
            node.kill()
        node.start()
        send(node, files[5:])
        done = node.wait_for(uid, states=CLOSED)
        assert done.complete_evidence == "6 of 6 images, by the procedure step of SCANNER"


@pytest.mark.long
def test_an_incomplete_study_is_still_incomplete_after_a_kill_and_not_forgotten(
    tmp_path: Path, files: list[Path]
) -> None:
    uid = study_of(files)
    wait = ["longest_wait_s = 8", 'incomplete = "hold"']
    with node_for(tmp_path, quiet_time_s=1.0, assemble=wait) as node:
        with scanner(node) as association:
            begin_step(association, uid)
            end_step(association, files)
        send(node, files[:5])
        node.wait_for(uid, states={StudyState.INCOMPLETE})
        node.kill()
        node.start()
        held = node.wait_for(uid, states={StudyState.HELD})
        assert held.shortfall == "5 of 6 images, by the procedure step of SCANNER"
        send(node, files[5:])
        done = node.wait_for(uid, states=CLOSED)
        assert (done.version, done.predecessor, done.shortfall) == (2, 1, None)


class Reports:
    """Takes storage commitment reports, as a scanner does."""

    def __init__(self) -> None:
        self.port = free_port()
        self.events: list[tuple[int, Dataset]] = []

    def __enter__(self) -> Self:
        entity = AE("SCANNER")
        entity.add_supported_context(COMMITMENT, EXPLICIT_LE, scu_role=False, scp_role=True)

        def take(event: evt.Event) -> tuple[int, None]:
            self.events.append((event.event_type, event.event_information))
            return 0x0000, None

        handlers = [(evt.EVT_N_EVENT_REPORT, take)]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


@pytest.mark.long
def test_p34_a_commitment_request_is_answered_truthfully_on_a_new_association(
    tmp_path: Path, files: list[Path]
) -> None:
    uid = study_of(files)
    with Reports() as reports, node_for(tmp_path, commitment_port=reports.port) as node:
        send(node, files[:5])
        request = Dataset()
        request.TransactionUID = "1.9.7"
        request.ReferencedSOPSequence = references(files)
        with scanner(node) as association:
            status, _ = association.send_n_action(request, 1, COMMITMENT, COMMITMENT_INSTANCE)
            assert status.Status == 0
        until(lambda: bool(reports.events), "the report comes", DEADLINE_S)
        ((event_type, told),) = reports.events
        assert (event_type, told.TransactionUID) == (2, "1.9.7")
        assert len(told.ReferencedSOPSequence) == 5
        (failed,) = told.FailedSOPSequence
        assert failed.FailureReason == 0x0112
        assert failed.ReferencedSOPInstanceUID == dcmread(files[5]).SOPInstanceUID
        send(node, files[5:])
        with scanner(node) as association:  # a request may name a part of a study: it closes none at once
            begin_step(association, uid)
            end_step(association, files)
        done = node.wait_for(uid, states=CLOSED)
        assert done.complete_evidence == "6 of 6 images, by the procedure step of SCANNER"
        assert node.stop() == 0


@pytest.mark.long
def test_a_request_for_a_part_of_a_study_does_not_close_it(tmp_path: Path, files: list[Path]) -> None:
    uid = study_of(files)
    with node_for(tmp_path, quiet_time_s=3.0, commitment_port=free_port()) as node:
        request = Dataset()
        request.TransactionUID = "1.9.7"
        request.ReferencedSOPSequence = references(files[:1])
        with scanner(node) as association:
            assert association.send_n_action(request, 1, COMMITMENT, COMMITMENT_INSTANCE)[0].Status == 0
        send(node, files)
        done = node.wait_for(uid, states=CLOSED)
        assert (done.version, done.complete_evidence) == (1, "nothing new for 3 s")


def two_series(folder: Path) -> tuple[list[Path], list[Path]]:
    """Two series of one study, of 3 slices each."""
    grid = Grid((3, 16, 20), np.diag([1.5, 1.5, 2.0, 1.0]), "1.2.3.9")
    voxels = np.random.default_rng(1).integers(-900, 900, grid.shape_kji)
    first, second = (
        write_series(voxels, grid, folder / str(number), seed=1, form=SeriesForm(series_number=number))
        for number in (1, 2)
    )
    return first, second


def store(association: Association, files: Sequence[Path]) -> None:
    for path in files:
        assert association.send_c_store(dcmread(path)).Status == 0


def brought(node: Node) -> frozenset[str]:
    """What open associations bring."""
    return arriving_studies(node.folder / "store")


def kinds(node: Node, uid: str) -> list[str]:
    with node.journal() as journal:
        return [task.kind.value for task in journal.tasks(uid)]


@pytest.mark.long
def test_p1_a_slow_sender_keeps_its_study_open_by_its_association(tmp_path: Path) -> None:
    first, second = two_series(tmp_path / "ct")
    uid = study_of(first)
    pause = Event()  # nobody sets it: the sender's own pause, longer than quiet time and look together
    with node_for(tmp_path, quiet_time_s=1.0) as node:
        with scanner(node) as association:
            store(association, first)
            for path in second:
                pause.wait(2.0)
                store(association, [path])
            pause.wait(2.0)
            node.wait_for(uid, states={StudyState.RECEIVING})
            assert kinds(node, uid) == [], "nothing is begun while the association is open"
            assert brought(node) == {uid}
        done = node.wait_for(uid, states=CLOSED)
        assert (done.version, done.instances, done.complete_evidence) == (1, 6, "nothing new for 1 s")
        assert deciding(node, uid) == [(EvidenceKind.QUIET, "nothing new for 1 s")]
        assert kinds(node, uid).count("analyse") == 1
        assert len(node.lines("study.complete")) == 1
        assert brought(node) == frozenset()


def test_p1_an_association_that_goes_on_with_another_study_lets_the_first_go(
    tmp_path: Path, files: list[Path]
) -> None:
    others = series(tmp_path / "another", 2)
    with node_for(tmp_path, quiet_time_s=1.0) as node:
        with scanner(node) as association:
            store(association, files)
            store(association, others)
            done = node.wait_for(study_of(files), states=CLOSED)
            assert (done.version, done.instances) == (1, 6)
            assert node.wait_for(study_of(others), states={StudyState.RECEIVING}).instances == 6
        assert node.wait_for(study_of(others), states=CLOSED).version == 1


@pytest.mark.parametrize("which", ["receiver", "node"])
def test_p1_what_a_killed_receiver_kept_open_is_complete_after_the_quiet_time(
    tmp_path: Path, files: list[Path], which: str
) -> None:
    uid = study_of(files)
    with node_for(tmp_path, quiet_time_s=1.0) as node:
        with scanner(node) as association:
            store(association, files)
            assert brought(node) == {uid}
            if which == "node":
                node.kill()
                node.start()
            else:
                (pid,) = (line["pid"] for line in node.lines("process.started") if line["process"] == which)
                os.kill(pid, signal.SIGKILL)
            done = node.wait_for(uid, states=CLOSED)
        assert (done.version, done.instances, done.complete_evidence) == (1, 6, "nothing new for 1 s")
        assert list((node.folder / "store" / "arriving").iterdir()) == []


@pytest.mark.parametrize("end", ["release", "abort", "hang up", "silence"])
def test_a_study_arrives_until_its_association_ends_however_that_ends(tmp_path: Path, end: str) -> None:
    patience = replace(QUICK, network_timeout_s=1.0 if end == "silence" else 10.0)
    with running(tmp_path, patience) as node, RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]))
        assert arriving_studies(tmp_path) == frozenset()
        assert peer.store(store_command("1.2.3"), small_ct()).status == 0
        assert arriving_studies(tmp_path) == {"1.2.4"}
        if end == "release":
            peer.release()
        elif end == "abort":
            peer.socket.sendall(struct.pack(">BxLL", 0x07, 4, 0))
        elif end == "hang up":
            peer.socket.close()
        wait_until(lambda: not arriving_studies(tmp_path), "nothing arrives any more")
        assert list((tmp_path / "arriving").iterdir()) == []

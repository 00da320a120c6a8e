"""Delivered means confirmed: a running node, and archives that commit themselves, list, lie and lose."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE

from dicomnode.deliver import push_study
from dicomnode.journal import StudyState
from tests.unit.serve.test_corrections import ENHANCED_SR
from tests.wire.archives import Archive, running_archive
from tests.wire.node import Node, running_node
from tests.wire.peers import until
from tests.wire.plain_engines import mean_engine, series

pytestmark = pytest.mark.wire

# What the archive offers, what the destination is told to want, and by what it is known in the end
WAYS = [
    ({"commits": "same"}, "auto", "commitment"),
    ({"commits": "later"}, "auto", "commitment"),
    ({"commits": "later"}, "commitment", "commitment"),
    ({}, "auto", "query"),
    ({"commits": "later"}, "query", "query"),
    ({"finds": False}, "auto", "status"),
    ({"commits": "later"}, "status", "status"),
]


SOON = ["filed_within_s = 0.5"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mean_engine(tmp_path_factory.mktemp("engine") / "mean")


def confirmed_by(node: Node, uid: str) -> list[str | None]:
    with node.journal() as journal:
        return [one.confirmed_by for one in journal.deliveries(uid)]


def events(node: Node, uid: str) -> list[str]:
    with node.journal() as journal:
        return [one.what for one in journal.events(uid)]


def send(node: Node, folder: Path, seed: int = 1) -> str:
    files = series(folder, seed)
    assert not push_study(node.peer, "SCANNER", files).failed
    return str(dcmread(files[0]).StudyInstanceUID)


def destination(name: str, archive: Archive, confirm: str) -> list[str]:
    lines = ["[[destination]]", f'name = "{name}"', 'ae_title = "ARCHIVE"', 'host = "127.0.0.1"']
    return [*lines, f"port = {archive.peer.port}", f'confirm = "{confirm}"']


@pytest.mark.long
def test_by_what_it_is_known_that_each_archive_keeps_it(tmp_path: Path, engine: Path) -> None:
    with ExitStack() as stack:
        archives = [stack.enter_context(running_archive([ENHANCED_SR], **offers)) for offers, _, _ in WAYS]
        more = [
            line
            for n, (archive, (_, wanted, _)) in enumerate(zip(archives, WAYS, strict=True))
            for line in destination(f"way-{n}", archive, wanted)
        ]
        first = stack.enter_context(running_archive([ENHANCED_SR]))
        node = stack.enter_context(running_node(tmp_path / "node", [engine], first.peer, more=more))
        for archive in archives:
            archive.node = node.peer
        uid = send(node, tmp_path / "ct")
        assert node.wait_for(uid).state is StudyState.DONE
        with node.journal() as journal:
            by = {one.destination: one.confirmed_by for one in journal.deliveries(uid)}
        expected = {f"way-{n}": by for n, (_, _, by) in enumerate(WAYS)}
        assert by == {"archive": "query", **expected}
        assert [len(archive.taken) for archive in archives] == [1] * len(WAYS)


@pytest.mark.long
@pytest.mark.parametrize("offers", [{"commits": "later"}, {"commits": "same"}], ids=["later", "same"])
def test_what_an_archive_lost_after_its_success_is_found_out_and_sent_again(
    tmp_path: Path, engine: Path, offers: dict[str, object]
) -> None:
    with (
        running_archive([ENHANCED_SR], loses=1, **offers) as archive,
        running_node(tmp_path / "node", [engine], archive.peer, more=SOON) as node,
    ):
        archive.node = node.peer
        uid = send(node, tmp_path / "ct")
        assert node.wait_for(uid).state is StudyState.DONE
        assert confirmed_by(node, uid) == ["commitment"]
        assert archive.taken == [*archive.objects] * 2, "the same object, twice"
        assert "objects.lost" in events(node, uid)


@pytest.mark.long
def test_an_archive_that_loses_again_and_again_needs_a_person(tmp_path: Path, engine: Path) -> None:
    with (
        running_archive([ENHANCED_SR], loses=3, commits="same") as archive,
        running_node(tmp_path / "node", [engine], archive.peer, more=SOON) as node,
    ):
        uid = send(node, tmp_path / "ct")
        study = node.wait_for(uid)
        assert study.state is StudyState.FAILED
        assert study.reason is not None
        assert "3 times" in study.reason
        with node.journal() as journal:
            assert journal.retry(uid, None, datetime.now(UTC)) == 1
        assert node.wait_for(uid, states={StudyState.DONE}).state is StudyState.DONE
        assert len(archive.taken) == 4


@pytest.mark.long
def test_p34_a_commitment_that_comes_with_the_next_request_is_heard(tmp_path: Path, engine: Path) -> None:
    more = ['confirm = "commitment"']
    with (
        running_archive([ENHANCED_SR], commits="next") as archive,
        running_node(tmp_path / "node", [engine], archive.peer, more=more) as node,
    ):
        first = send(node, tmp_path / "first", seed=1)
        until(lambda: len(archive.transactions) == 1, "the first is asked for")
        assert confirmed_by(node, first) == [None]
        send(node, tmp_path / "second", seed=2)
        assert node.wait_for(first).state is StudyState.DONE
        assert confirmed_by(node, first) == ["commitment"]


@pytest.mark.long
def test_a_commitment_that_never_comes_is_asked_for_by_query(tmp_path: Path, engine: Path) -> None:
    with (
        running_archive([ENHANCED_SR], commits="never") as archive,
        running_node(tmp_path / "node", [engine], archive.peer, more=["confirm_wait_s = 1.0"]) as node,
    ):
        uid = send(node, tmp_path / "ct")
        assert node.wait_for(uid).state is StudyState.DONE
        assert confirmed_by(node, uid) == ["query"]


@pytest.mark.long
def test_an_answer_comes_through_after_the_node_was_killed(tmp_path: Path, engine: Path) -> None:
    with (
        running_archive([ENHANCED_SR], commits="never") as archive,
        running_node(tmp_path / "node", [engine], archive.peer, more=['confirm = "commitment"']) as node,
    ):
        uid = send(node, tmp_path / "ct")
        until(lambda: bool(archive.transactions), "the node asks for commitment")
        node.wait_for(uid, states={StudyState.UNCONFIRMED})
        node.kill()
        node.start()
        archive.node = node.peer
        assert archive.report_later(request(archive)) == 0x0000
        assert node.wait_for(uid).state is StudyState.DONE
        assert confirmed_by(node, uid) == ["commitment"]


def test_an_archive_that_may_not_send_may_still_answer_and_nothing_else(tmp_path: Path, engine: Path) -> None:
    """ARCHIVE is no [[sender]] of the node: it is let in for what it was asked."""
    with (
        running_archive([ENHANCED_SR]) as archive,
        running_node(tmp_path / "node", [engine], archive.peer) as node,
    ):
        ae = AE("ARCHIVE")
        ae.add_requested_context(ENHANCED_SR)
        association = ae.associate("127.0.0.1", node.port, ae_title="DICOMNODE")
        assert not association.accepted_contexts
        association.abort()
        other = AE("STRANGER")
        other.add_requested_context(ENHANCED_SR)
        assert other.associate("127.0.0.1", node.port, ae_title="DICOMNODE").is_rejected


def request(archive: Archive) -> Dataset:
    """What the archive was asked, as it kept it."""
    said = Dataset()
    said.TransactionUID = archive.transactions[-1]
    said.ReferencedSOPSequence = []
    for one in archive.objects.values():
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        said.ReferencedSOPSequence.append(item)
    return said

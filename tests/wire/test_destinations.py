"""Results at all kinds of destinations of a running node, and those that are dead hold up no other."""

from __future__ import annotations

import json
import urllib.request
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.deliver import push_study
from dicomnode.faults import (
    FOLDER_FAILED,
    OUTSIDE_HOURS,
    PEER_NOT_TRUSTED,
    PEER_UNREACHABLE,
    WEB_UNREACHABLE,
)
from dicomnode.journal import DeliveryRecord, StudyState, TaskKind, TaskRecord, TaskState
from dicomnode.settings import ReceiveSettings, Settings, peer_side
from tests.unit.serve.test_corrections import ENHANCED_SR
from tests.wire.archives import Archive, running_archive
from tests.wire.certificates import Authority, server_context
from tests.wire.earlier import dicomweb_plugin
from tests.wire.node import Node, running_node
from tests.wire.peers import DEADLINE_S, Orthanc, free_port, orthanc, silent, socket_peer, until
from tests.wire.plain_engines import mean_engine, series
from tests.wire.test_tls import secured_scp

pytestmark = [pytest.mark.wire, pytest.mark.xdist_group("many destinations")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mean_engine(tmp_path_factory.mktemp("engine") / "mean")


def destination(name: str, **keys: object) -> list[str]:
    """A table of dicomnode.toml."""
    quick = {"timeout_s": 30, "retry_first_s": 0.2, "retry_longest_s": 1}
    lines = [f"{key} = {json.dumps(value)}" for key, value in (quick | keys).items()]
    return ["[[destination]]", f'name = "{name}"', *lines]


def at(archive: Archive, **keys: object) -> dict[str, object]:
    return {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": archive.peer.port, **keys}


def send(node: Node, folder: Path, seed: int = 1, calling_ae: str = "SCANNER") -> str:
    files = series(folder, seed)
    assert not push_study(node.peer, calling_ae, files).failed
    return str(dcmread(files[0]).StudyInstanceUID)


def outcomes(node: Node, uid: str) -> dict[str, DeliveryRecord]:
    with node.journal() as journal:
        return {one.destination: one for one in journal.deliveries(uid)}


def tasks(node: Node, uid: str, kind: TaskKind = TaskKind.DELIVER) -> dict[str, TaskRecord]:
    with node.journal() as journal:
        return {task.destination or "": task for task in journal.tasks(uid) if task.kind is kind}


def classes(archive: Orthanc) -> set[str]:
    """SOP Classes of what an Orthanc has."""
    return {str(dcmread(BytesIO(file)).SOPClassUID) for file in archive.files().values()}


def enter(archive: Orthanc, node: Node) -> None:
    """Enter the node at an Orthanc, as `dicomnode init --for orthanc` says."""
    said = peer_side("orthanc", Settings(receive=ReceiveSettings(port=node.port)))
    begin = said.index('"DicomModalities"')
    entry = json.loads("{" + said[begin : said.index("Put the address")] + "}")["DicomModalities"][
        "dicomnode"
    ]
    content = json.dumps(entry | {"Host": "127.0.0.1"}).encode()
    address = f"http://127.0.0.1:{archive.http_port}/modalities/dicomnode"
    request = urllib.request.Request(address, content, method="PUT")
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        assert answer.status == 200


def another_time() -> str:
    """Hours that begin in two hours and last for one."""
    wall = datetime.now(UTC).astimezone()
    begin, end = (f"{wall + timedelta(hours=n):%H:%M}" for n in (2, 3))
    return f"{begin}-{end}"


@pytest.mark.long
def test_every_kind_of_destination_gets_its_results_and_no_other_holds_them_up(
    tmp_path: Path, engine: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    shows, ours = authority.issue("archive"), authority.issue("node")
    share = tmp_path / "share"
    share.mkdir()
    web_folder = tmp_path / "orthanc"
    web_folder.mkdir()
    plugin = {"Plugins": [str(dicomweb_plugin())], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with ExitStack() as stack:
        web = stack.enter_context(orthanc(web_folder, **plugin))
        back = stack.enter_context(running_archive([ENHANCED_SR]))
        first = stack.enter_context(running_archive([ENHANCED_SR]))
        hole = stack.enter_context(socket_peer(silent, timeout_s=2.0))
        mutual = server_context(shows, authority.pair.certificate)
        secured, _ = stack.enter_context(secured_scp(mutual, storage=(ENHANCED_SR,)))
        tls = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": secured.port, "tls": True}
        trust = {"ca_file": str(authority.pair.certificate)}
        shown = trust | {"certificate": str(ours.certificate), "certificate_key": str(ours.key)}
        more = [
            *destination("web", url=f"http://127.0.0.1:{web.http_port}/dicom-web"),
            *destination("folder", folder=str(share)),
            *destination("back", to_sender=True, port=back.peer.port),
            *destination("tls", **tls, **shown, confirm="status"),
            *destination("stranger", **tls, confirm="status"),  # believes the system's authorities only
            *destination("slow", **at(first), rate_mb_s=0.02),
            *destination("dead", ae_title="ARCHIVE", host="127.0.0.1", port=free_port()),
            *destination("hole", ae_title="ARCHIVE", host="127.0.0.1", port=hole.port, timeout_s=2),
            *destination("web-dead", url=f"http://127.0.0.1:{free_port()}/dicom-web"),
            *destination("unmounted", folder=str(tmp_path / "none")),
            *destination("night", **at(first), hours=another_time()),
            *destination("commits", ae_title="ORTHANC", host="127.0.0.1", port=web.peer.port),
        ]
        node = stack.enter_context(running_node(tmp_path / "node", [engine], first.peer, more=more))
        enter(web, node)
        uid = send(node, tmp_path / "ct")
        good = {"archive", "web", "folder", "back", "tls", "slow", "commits"}
        until(
            lambda: {name for name, one in outcomes(node, uid).items() if one.confirmed_by} == good,
            "who is there has its results",
        )
        by = {name: one.confirmed_by for name, one in outcomes(node, uid).items() if one.confirmed_by}
        assert by == {
            "archive": "query",
            "web": "query",
            "folder": "status",
            "back": "query",
            "tls": "status",
            "slow": "query",
            "commits": "commitment",
        }
        assert classes(web) == {ENHANCED_SR}
        (file,) = share.rglob("*.dcm")
        assert str(dcmread(file).StudyInstanceUID) == uid
        assert len(back.objects) == 1

        waiting = tasks(node, uid)
        assert waiting["night"].error_code == OUTSIDE_HOURS.code
        assert waiting["night"].attempt == 0
        assert node_says(node, uid, "night gets results from")
        until(
            lambda: all(tasks(node, uid)[name].attempt >= 2 for name in ("dead", "web-dead", "unmounted")),
            "who is away is tried again",
        )
        for code in (PEER_UNREACHABLE.code, PEER_NOT_TRUSTED.code, WEB_UNREACHABLE.code, FOLDER_FAILED.code):
            assert node_says(node, uid, code)

        # Who was away is served by itself when it is there
        (tmp_path / "none").mkdir()
        until(lambda: outcomes(node, uid)["unmounted"].outcome == "stored", "the share is mounted")
        assert all(one.outcome != "stored" for name, one in outcomes(node, uid).items() if name == "night")


def node_says(node: Node, uid: str, words: str) -> bool:
    with node.journal() as journal:
        return any(words in event.text for event in journal.events(uid)) or words in (
            journal.study(uid).reason or ""
        )


@pytest.mark.long
def test_results_go_back_to_each_sender_and_a_dead_one_holds_up_nobody(tmp_path: Path, engine: Path) -> None:
    """Two scanners at one address, on one port: what is called says who is meant."""
    with ExitStack() as stack:
        first = stack.enter_context(running_archive([ENHANCED_SR]))
        back = stack.enter_context(running_archive([ENHANCED_SR], called="SCANNER"))
        more = [
            "[[sender]]",
            'ae_title = "SCANNER2"',
            *destination("back", to_sender=True, port=back.peer.port),
        ]
        node = stack.enter_context(running_node(tmp_path / "node", [engine], first.peer, more=more))
        dead = send(node, tmp_path / "one", 1, calling_ae="SCANNER2")
        until(lambda: "back" in tasks(node, dead), "it is to be delivered")
        until(lambda: tasks(node, dead)["back"].state is TaskState.RETRY, "it is refused by the wrong one")
        live = send(node, tmp_path / "two", 2)
        assert node.wait_for(live).state is StudyState.DONE
        assert len(back.objects) == 1
        assert tasks(node, dead)["back"].state in (TaskState.RETRY, TaskState.RUNNING)
        assert outcomes(node, dead)["archive"].outcome == "stored"

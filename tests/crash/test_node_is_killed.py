"""kill -9 in the middle of the walk, and a second start: the same objects, once, and nothing lost."""

from __future__ import annotations

import time

import pytest
from pydicom import dcmread

from dicomnode.deliver import push_study
from dicomnode.journal import StudyState
from tests.wire.node import STEP_S, running_node
from tests.wire.peers import store_scp
from tests.wire.test_walk import NOWHERE, RESULTS

pytestmark = [pytest.mark.crash, pytest.mark.wire, pytest.mark.slow]

# What the log says just before the kill: after it, something is half done
MOMENTS = ["instance.stored", "study.complete", "dispatch", "analyse", "report", "object.stored"]


def _reached(node, moment: str) -> bool:
    if moment == "object.stored":
        return any(line["logger"] == "dicomnode.deliver" for line in node.lines("instance.stored"))
    if "." in moment:
        return len(node.lines(moment)) > 20 if moment == "instance.stored" else bool(node.lines(moment))
    return any(line["kind"] == moment for line in node.lines("task.done"))


# One moment in every run, the others among the longest tests
@pytest.mark.parametrize(
    "moment",
    [m if m == "report" else pytest.param(m, marks=pytest.mark.long) for m in MOMENTS],
)
def test_a_node_killed_in_the_middle_ends_with_the_same_objects_once(
    tmp_path, small_phantom, lungs_engine, moment
):
    uid = str(dcmread(small_phantom.files[0], stop_before_pixels=True).StudyInstanceUID)
    with store_scp(contexts=RESULTS) as archive, running_node(tmp_path, [lungs_engine], archive.peer) as node:
        push_study(node.peer, "SCANNER", small_phantom.files)
        end = time.monotonic() + 60
        while not _reached(node, moment):
            assert time.monotonic() < end, node.log.read_text()
            time.sleep(STEP_S)
        node.kill()
        before = dict(archive.datasets)
        node.start()
        study = node.wait_for(uid)
        assert study.state is StudyState.DONE
        assert study.instances == len(small_phantom.files)
        with node.journal() as journal:
            wanted = {record.sop_instance_uid: record.path for record in journal.objects(uid)}
            assert len(journal.findings(uid)) == 1
    assert set(archive.datasets) == set(wanted), "other objects than those of the journal, or not all of them"
    assert len(wanted) == 2
    for instance_uid, content in before.items():  # sent before the kill, and perhaps again after it
        assert archive.datasets[instance_uid] == content


def test_a_killed_sender_and_a_killed_node_lose_nothing_that_was_acknowledged(
    tmp_path, small_phantom, lungs_engine
):
    uid = str(dcmread(small_phantom.files[0], stop_before_pixels=True).StudyInstanceUID)
    acknowledged = 0

    def count(done: int, _total: int) -> None:
        nonlocal acknowledged
        acknowledged = done
        if done == 50:
            node.kill()

    with running_node(tmp_path, [lungs_engine], NOWHERE, quiet_time_s=3.0) as node:
        result = push_study(node.peer, "SCANNER", small_phantom.files, count, prefer_dcmtk=False)
        assert result.sent >= 50
        assert result.failed
        node.start()
        study = node.wait_for(uid, states={StudyState.DELIVERING})
        assert result.sent <= study.instances <= result.sent + 1

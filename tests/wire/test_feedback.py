"""A running node hears what a doctor says of its result: once, and also after it was killed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicomnode.deliver import push_study
from dicomnode.journal import FeedbackQuery, FeedbackRecord, StudyState, TaskKind, TaskState
from tests.unit.serve.test_feedback import THEIRS, as_bytes, corrected
from tests.wire.node import Node, running_node
from tests.wire.peers import EXPLICIT_LE, Scp, store_scp, until
from tests.wire.plain_engines import block_series, bright_engine

pytestmark = pytest.mark.wire

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
REPORTS = ("1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.34")
CONTEXTS = [(uid, (EXPLICIT_LE,)) for uid in (SEG, *REPORTS)]


def our_seg(archive: Scp) -> Dataset:
    found = [dcmread(io.BytesIO(content), force=True) for content in archive.datasets.values()]
    (seg,) = [one for one in found if one.SOPClassUID == SEG]
    return seg


def send(node: Node, folder: Path, *contents: bytes) -> None:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{n}.dcm" for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert not push_study(node.peer, "SCANNER", paths).failed


def said(node: Node) -> list[FeedbackRecord]:
    with node.journal() as journal:
        return journal.feedback(FeedbackQuery())


def heard(node: Node, uid: str) -> bool:
    """Whether every object that came after the results was read."""
    with node.journal() as journal:
        states = [one.state for one in journal.tasks(uid) if one.kind is TaskKind.FEEDBACK]
    return bool(states) and set(states) == {TaskState.DONE}


def dicomnode(*arguments: object) -> dict[str, object]:
    command = [sys.executable, "-m", "dicomnode", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.long  # quick: tests/unit/serve/test_feedback.py
def test_a_corrected_segmentation_that_is_pushed_back_is_feedback_once_though_the_node_is_killed(
    tmp_path: Path,
) -> None:
    files = block_series(tmp_path / "ct", 1)
    uid = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    engine = bright_engine(tmp_path / "bright")
    with (
        store_scp(contexts=CONTEXTS) as archive,
        running_node(tmp_path / "node", [engine], archive.peer) as node,
    ):
        assert not push_study(node.peer, "SCANNER", files).failed
        assert node.wait_for(uid).state is StudyState.DONE
        stored = len(archive.stored)
        patient = str(our_seg(archive).PatientName)

        # An archive that sends our own object back, as it is and migrated under another UID, says nothing
        migrated = our_seg(archive)
        migrated.SOPInstanceUID = f"{THEIRS}.7"
        send(node, tmp_path / "back", as_bytes(our_seg(archive)), as_bytes(migrated))
        until(lambda: heard(node, uid), "the migrated object is read")
        assert said(node) == []

        send(node, tmp_path / "corrected", corrected(our_seg(archive)))
        node.kill()  # what was acknowledged holds
        node.start()
        until(lambda: bool(said(node)) and heard(node, uid), "the correction is heard")
        send(node, tmp_path / "corrected", corrected(our_seg(archive)))  # and says no more a second time

        (one,) = said(node)
        assert (one.kind, one.engine, one.their_uid) == ("changed", "bright", THEIRS)
        assert one.dice is not None
        assert 0.5 < one.dice < 1.0
        study = node.wait_for(uid)
        assert (study.version, study.state) == (1, StudyState.DONE)
        assert len(archive.stored) == stored, "nothing was analysed or sent again"
        why = dicomnode("why", uid, "--config", node.config)
        told = [event["what"] for event in why["what_happened"]]  # type: ignore[index,union-attr,attr-defined]
        assert told.count("feedback.recorded") == 1
        listed = dicomnode("feedback", "list", "--config", node.config)
        assert [month["changed"] for month in listed["months"]] == [1]  # type: ignore[attr-defined]
        logs = "".join(log.read_text() for log in node.folder.glob("node-*.log"))
        assert patient not in logs + json.dumps(why) + json.dumps(listed)
        assert node.stop() == 0

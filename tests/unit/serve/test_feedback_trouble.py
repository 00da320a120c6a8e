"""Answers of others that make trouble: hostile, edited while they are read, before the images, too many."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.faults import STORE_FULL, NodeError
from dicomnode.journal import StudyState, TaskKind, TaskState
from dicomnode.serve.feedback import apart, clerk
from dicomnode.serve.intake.ingest import ingest
from tests.unit.journal.world import ALL_HERE
from tests.unit.serve import test_feedback, test_of_another
from tests.unit.serve.test_clerks import SEGMENTATION
from tests.unit.serve.test_feedback import Answered, as_bytes, coded, corrected
from tests.unit.serve.test_of_another import ids_arrived, of_another_series
from tests.unit.store.part10 import NOON, receive
from tests.wire.plain_engines import block_series

answered = test_feedback.answered
walk, files, cured = test_of_another.walk, test_of_another.files, test_of_another.cured


def hear(answered: Answered) -> TaskState:
    return answered.do(TaskKind.FEEDBACK, answered.clerk.work)


def test_what_is_edited_while_it_is_read_is_read_again(answered: Answered, monkeypatch) -> None:
    sent = dcmread(BytesIO(corrected(answered.our_seg(), 0)))
    answered.send(as_bytes(sent))
    ask = clerk.answer_of

    def edited_meanwhile(*arguments: object) -> dict[str, object]:
        answer = ask(*arguments)
        (segment,) = sent.SegmentSequence
        segment.SegmentedPropertyTypeCodeSequence = [coded("4147007", "SCT", "Mass")]
        answered.send(as_bytes(sent))
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(clerk, "answer_of", edited_meanwhile)
        assert hear(answered) is TaskState.READY
    assert hear(answered) is TaskState.DONE
    assert [(one.kind, one.dice) for one in answered.said()] == [("changed", 1.0)]


@pytest.mark.parametrize("frames", [20_000, 2_000_000])
def test_a_segmentation_of_more_frames_than_it_has_costs_no_more_than_its_reading(
    answered: Answered, frames: int
) -> None:
    hostile = dcmread(BytesIO(corrected(answered.our_seg())))
    hostile.NumberOfFrames, hostile.Rows, hostile.Columns = frames, 20_000, 20_000
    answered.send(as_bytes(hostile))
    state = hear(answered)
    assert state is TaskState.DONE
    assert "feedback.unreadable" in answered.told()
    assert answered.said() == []


def test_a_full_disk_keeps_the_answer_waiting_and_loses_nothing(answered: Answered, monkeypatch) -> None:
    answered.send(corrected(answered.our_seg()))

    def full(*_: object) -> None:
        raise NodeError(STORE_FULL, path=answered.store.root, free_gb=0.0, floor_gb=1.0)

    with monkeypatch.context() as patched:
        patched.setattr(answered.store, "keep_label", full)
        assert hear(answered) is TaskState.RETRY
    assert answered.said() == []
    answered.journal.retry(answered.uid, None, datetime.now(UTC))
    assert hear(answered) is TaskState.DONE
    assert len(answered.said()) == 1


def test_the_process_gives_way_to_what_is_analysed() -> None:
    command = [sys.executable, "-P", "-m", apart.CHILD, str(os.getpid()), str(10**9)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        gave_way = threading.Event()
        for _ in range(600):
            if os.getpriority(os.PRIO_PROCESS, child.pid) > ours:
                gave_way.set()
                break
            gave_way.wait(0.05)
        child.kill()
    assert gave_way.is_set()


@pytest.mark.parametrize("order", ["before", "together"])
def test_an_answer_with_the_images_or_before_them_keeps_them_from_no_analysis(
    answered: Answered, tmp_path: Path, order: str
) -> None:
    files = block_series(tmp_path / "other", 9)
    header = dcmread(files[0], stop_before_pixels=True)
    uid = str(header.StudyInstanceUID)
    early = answered.our_seg()
    early.StudyInstanceUID = uid
    content = as_bytes(early) if order == "before" else corrected(early)
    receive(answered.store, content[128:], NOON)
    if order == "before":
        ingest(answered.store, answered.journal, datetime.now(UTC))
        assert answered.journal.close_study(uid, ALL_HERE, datetime.now(UTC)) == 1
        assert answered.do(TaskKind.DISPATCH, answered.desk.work) is TaskState.DONE
        assert answered.journal.study(uid).state is StudyState.REFUSED
    assert answered.receive(files) == uid
    assert answered.do(TaskKind.DISPATCH, answered.desk.work) is TaskState.DONE
    assert any(
        one.kind is TaskKind.ANALYSE and one.state is TaskState.READY for one in answered.journal.tasks(uid)
    )
    assert answered.journal.study(uid).version == (2 if order == "before" else 1)


def test_an_answer_under_the_wrong_id_holds_no_study_that_was_cured(walk, files, cured) -> None:
    """It is no image: what is made of the images names who they name."""
    answer = dcmread(of_another_series(files, 2))
    answer.SOPClassUID, answer.Modality, answer.SeriesInstanceUID = SEGMENTATION, "SEG", "1.2.3.78"
    late = dcmread(of_another_series(files))
    late.PatientID = "P2"
    walk.send(as_bytes(answer), as_bytes(late))
    walk.complete(cured)
    assert ids_arrived(walk)[1:] == ["P2", "P2"]

"""The worker's spare time: slices of studies that arrive are decoded, those that nobody wants are not."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.assemble import decode_here
from dicomnode.engine import Manifest, find_engine
from dicomnode.journal import Event, Journal, TaskKind, TaskRecord
from dicomnode.phantom import write_series
from dicomnode.serve.analysing import ahead as ahead_room
from dicomnode.serve.analysing.ahead import AheadOfAnalysis
from dicomnode.serve.intake.ingest import ingest
from dicomnode.serve.work.clerk import Clerk, Post
from dicomnode.store import Store
from dicomnode.values import Grid
from tests.unit.journal.world import ALL_HERE
from tests.unit.serve.test_corrections import changed
from tests.unit.store.part10 import NOON, receive

SLICES = 5
PLENTY = 10**9


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    grid = Grid((SLICES, 16, 16), np.diag([20.0, 20.0, 5.0, 1.0]), "1.2.826.9")
    return write_series(np.zeros(grid.shape_kji) - 500, grid, tmp_path_factory.mktemp("ct"), seed=5)


@pytest.fixture
def manifest() -> Manifest:
    return find_engine("lung-ct").manifest


def arrive(store: Store, journal: Journal, files: list[Path], modality: str = "CT") -> str:
    for n, path in enumerate(files):
        dataset = dcmread(path)
        content = path.read_bytes()[128:]
        if modality != "CT":
            content = content.replace(b"CS\x02\x00CT", b"CS\x02\x00" + modality.encode())
        receive(store, content, NOON + timedelta(seconds=n))
    ingest(store, journal, datetime.now(UTC))
    return str(dataset.StudyInstanceUID)


def turns(ahead: AheadOfAnalysis) -> None:
    while ahead.turn():
        pass


def test_slices_of_a_study_that_arrives_are_decoded(store, journal, files, manifest):
    ahead = AheadOfAnalysis(journal, lambda: [manifest], PLENTY, decode_here)
    arrive(store, journal, files[:2])
    turns(ahead)
    assert len(ahead.slices) == 2
    arrive(store, journal, files[2:])
    turns(ahead)
    assert len(ahead.slices) == SLICES


def test_a_slice_that_is_corrected_while_its_study_arrives_is_decoded_again(store, journal, files, manifest):
    ahead = AheadOfAnalysis(journal, lambda: [manifest], PLENTY, decode_here)
    arrive(store, journal, files)
    turns(ahead)
    content = changed(files[0], PatientName="Right^Name")
    receive(store, content[128:], NOON + timedelta(minutes=1))
    ingest(store, journal, datetime.now(UTC))
    uid = str(dcmread(files[0]).SOPInstanceUID)
    path = next(
        one.path
        for one in journal.instances(str(dcmread(files[0]).StudyInstanceUID))
        if one.sop_instance_uid == uid
    )
    for _ in range(2):  # at once, and after it was decoded ahead again
        (given,) = ahead.slices([ahead.slices.header_of(path)])
        assert b"Right^Name" in given.encoded_header
        turns(ahead)
    assert len(ahead.slices) == SLICES


def test_slices_that_no_engine_may_want_are_looked_at_once(store, journal, files, manifest):
    ahead = AheadOfAnalysis(journal, lambda: [manifest], PLENTY, decode_here)
    uid = arrive(store, journal, files, modality="MR")
    turns(ahead)
    assert len(ahead.slices) == 0
    assert all(ahead.slices.knows(one.path) for one in journal.instances(uid))


def test_the_images_of_a_study_are_asked_for_once_until_more_of_it_comes(
    store, journal, files, manifest, monkeypatch
):
    asked: list[str] = []
    instances = journal.instances
    monkeypatch.setattr(journal, "instances", lambda study: asked.append(study) or instances(study))
    ahead = AheadOfAnalysis(journal, lambda: [manifest], PLENTY, decode_here)
    uid = arrive(store, journal, files[:2])
    turns(ahead)
    asked.clear()
    turns(ahead)
    assert asked == []
    arrive(store, journal, files[2:])
    turns(ahead)
    assert set(asked) == {uid}
    assert len(ahead.slices) == SLICES


def test_what_is_not_looked_at_within_a_turn_is_looked_at_in_the_next(
    store, journal, files, manifest, monkeypatch
):
    monkeypatch.setattr(ahead_room, "_TURN_S", -1.0)
    ahead = AheadOfAnalysis(journal, lambda: [manifest], PLENTY, decode_here)
    arrive(store, journal, files)
    for slices in range(1, SLICES + 1):
        assert ahead.turn(), "there may be more"
        assert len(ahead.slices) == slices
    assert not ahead.turn()


def test_without_engines_or_memory_nothing_is_decoded(store, journal, files, manifest):
    arrive(store, journal, files)
    for ahead in (
        AheadOfAnalysis(journal, list, PLENTY, decode_here),
        AheadOfAnalysis(journal, lambda: [manifest], 0, decode_here),
    ):
        turns(ahead)
        assert len(ahead.slices) == 0


def test_slices_stay_until_their_study_is_decided(store, journal, files, manifest):
    ahead = AheadOfAnalysis(journal, lambda: [manifest], PLENTY, decode_here)
    uid = arrive(store, journal, files)
    turns(ahead)
    journal.close_study(uid, ALL_HERE, datetime.now(UTC))
    turns(ahead)
    assert len(ahead.slices) == SLICES  # they are what the analysis waits for
    task = journal.claim([TaskKind.DISPATCH], "w1", 60, datetime.now(UTC))
    journal.finish(task, Event.COMMITTED, datetime.now(UTC))  # no engine wants it
    turns(ahead)
    assert (len(ahead.slices), ahead.slices.held_bytes) == (0, 0)


class Spare(Clerk):
    """A clerk with something to do besides, which ends it."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(Post(name="w1", kinds=(TaskKind.ANALYSE,), lease_s=60), journal, threading.Event())
        self.left = 3

    def work(self, task: TaskRecord, pulse: object) -> None:
        raise AssertionError("there is no task")

    def aside(self) -> bool:
        self.left -= 1
        if not self.left:
            self._stopping.set()
        return True


def test_a_clerk_without_a_task_does_what_is_aside_without_waiting(journal):
    clerk = Spare(journal)
    clerk.run()
    assert clerk.left == 0

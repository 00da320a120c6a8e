"""Whose files wait in `incoming/`, without reading any of them twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from dicomnode.serve.intake import waiting as room
from dicomnode.serve.intake.ingest import ingest
from dicomnode.serve.intake.waiting import WaitingFiles
from tests.unit.store.part10 import INSTANCE, NOON, STUDY, behind_preamble, meta, receive


def test_the_studies_of_files_that_wait_are_known_until_ingest_has_taken_them(store, journal):
    waiting = WaitingFiles(store)
    assert waiting.studies() == frozenset()
    receive(store, behind_preamble())
    receive(store, behind_preamble(f"{INSTANCE}.2", study=f"{STUDY}.2"), NOON + timedelta(seconds=1))
    assert waiting.studies() == {STUDY, f"{STUDY}.2"}
    ingest(store, journal, NOON)
    assert waiting.studies() == frozenset()


def test_each_file_is_read_once(store, monkeypatch):
    read: list[Path] = []
    read_ids = room.read_ids

    def counted(path: Path):
        read.append(path)
        return read_ids(path)

    monkeypatch.setattr(room, "read_ids", counted)
    sealed = [receive(store, behind_preamble()), receive(store, meta())]
    waiting = WaitingFiles(store)
    assert waiting.studies() == waiting.studies() == {STUDY}, "one of them is no image"
    assert sorted(read) == sorted(one.path for one in sealed)

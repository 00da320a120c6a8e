"""From sealed files to rows: nothing acknowledged is lost or doubled, at whatever line the power goes."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path

import pytest

from dicomnode.faults import JOURNAL_FAILED, STORE_WRITE_FAILED, NodeError
from dicomnode.serve.intake import ingest as room
from dicomnode.serve.intake.ingest import ingest
from tests.unit.store.part10 import IMPLICIT, INSTANCE, NOON, STUDY, behind_preamble, data_set, meta, receive

LATER = NOON + timedelta(seconds=5)


def waiting(store) -> list[Path]:
    return sorted((store.root / "incoming").glob("*.dcm"))


def quarantined(store) -> list[str]:
    return sorted(path.parent.name for path in (store.root / "quarantine").rglob("*.dcm"))


def kept(store) -> list[Path]:
    return sorted((store.root / "studies").rglob("*.dcm"))


def test_what_waits_becomes_an_instance_of_its_study(store, journal):
    receive(store, behind_preamble())
    receive(store, behind_preamble(f"{INSTANCE}.2"))
    assert ingest(store, journal, LATER) == 2
    assert [i.sop_instance_uid for i in journal.instances(STUDY)] == [INSTANCE, f"{INSTANCE}.2"]
    assert sorted(i.path for i in journal.instances(STUDY)) == kept(store)
    assert waiting(store) == []
    assert ingest(store, journal, LATER) == 0


def test_the_same_instance_twice_is_kept_once(store, journal):
    receive(store, behind_preamble())
    ingest(store, journal, LATER)
    receive(store, behind_preamble(), NOON + timedelta(seconds=1))
    assert ingest(store, journal, LATER) == 1
    assert len(journal.instances(STUDY)) == len(kept(store)) == 1
    assert (waiting(store), quarantined(store)) == ([], [])
    assert journal.study(STUDY).version == 1


def test_another_content_under_the_same_uid_is_quarantined_loudly_and_the_first_is_kept(
    store, journal, logged
):
    receive(store, behind_preamble())
    ingest(store, journal, LATER)
    before = journal.instances(STUDY)
    receive(store, behind_preamble(pixels=b"\5\6\7\1"), NOON + timedelta(seconds=1))
    ingest(store, journal, LATER)
    assert journal.instances(STUDY) == before
    assert quarantined(store) == ["conflict"]
    assert waiting(store) == []
    (line,) = [line for line in logged if line["event"] == "instance.conflict"]
    assert (line["log_level"], line["count"], line["study"]) == ("error", 1, STUDY)


def conflicts(journal) -> list[str]:
    found = [event for event in journal.events(STUDY) if event.what == "instance.conflict"]
    for event in found:
        assert event.facts["sop_instance_uid"] in event.text
        assert event.text.endswith("the first is kept, the second is quarantined. (DN-1008)")
    return [event.facts["sop_instance_uid"] for event in found]


def test_each_conflict_is_told_in_the_story_once_however_often_it_comes(store, journal, logged):
    receive(store, behind_preamble())
    receive(store, behind_preamble(f"{INSTANCE}.2"))
    ingest(store, journal, LATER)
    for batch in range(2):
        for uid in (INSTANCE, f"{INSTANCE}.2", f"{INSTANCE}.2"):
            receive(store, behind_preamble(uid, pixels=b"\5\6\7\1"), NOON + timedelta(seconds=batch))
        ingest(store, journal, LATER)
    assert sorted(conflicts(journal)) == [INSTANCE, f"{INSTANCE}.2"]
    assert quarantined(store) == ["conflict"] * 2
    lines = [line for line in logged if line["event"] == "instance.conflict"]
    assert [line["count"] for line in lines] == [3, 3], "one line a batch"


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
def test_a_conflict_is_told_once_on_either_side_of_a_crash(store, journal, monkeypatch, committed):
    receive(store, behind_preamble())
    ingest(store, journal, LATER)
    receive(store, behind_preamble(pixels=b"\5\6\7\1"))
    add = journal.add_instances

    def crash(*arguments: object) -> None:
        if committed:
            add(*arguments)
        raise NodeError(JOURNAL_FAILED, error="the power went")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "add_instances", crash)
        with pytest.raises(NodeError):
            ingest(store, journal, LATER)
    ingest(store, journal, LATER)
    assert (conflicts(journal), quarantined(store), waiting(store)) == ([INSTANCE], ["conflict"], [])


def test_the_same_instance_in_another_encoding_is_no_conflict(store, journal, logged):
    receive(store, behind_preamble())
    ingest(store, journal, LATER)
    before = journal.instances(STUDY)
    receive(store, meta(syntax=IMPLICIT) + data_set(syntax=IMPLICIT))
    ingest(store, journal, LATER)
    assert journal.instances(STUDY) == before
    assert (conflicts(journal), quarantined(store), waiting(store)) == ([], [], [])
    assert [line for line in logged if line["log_level"] == "error"] == []


def test_what_no_one_can_read_is_quarantined_and_holds_up_nothing(store, journal, logged):
    receive(store, behind_preamble()[:-300] + b"\xff" * 40)
    receive(store, behind_preamble(f"{INSTANCE}.2"), NOON + timedelta(seconds=1))
    assert ingest(store, journal, LATER) == 2
    assert [i.sop_instance_uid for i in journal.instances(STUDY)] == [f"{INSTANCE}.2"]
    assert (waiting(store), quarantined(store)) == ([], ["DN-1007"])
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["instance.quarantined"]


def test_a_disk_that_does_not_give_a_file_says_nothing_about_the_instance(store, journal, monkeypatch):
    receive(store, behind_preamble())

    def refused(path: Path) -> None:
        raise NodeError(STORE_WRITE_FAILED, path=path, error=OSError(errno.EMFILE, "Too many open files"))

    with monkeypatch.context() as patched:
        patched.setattr(room, "read_ids", refused)
        with pytest.raises(NodeError):
            ingest(store, journal, LATER)
    assert (len(waiting(store)), quarantined(store)) == (1, [])
    assert ingest(store, journal, LATER) == 1
    assert len(journal.instances(STUDY)) == 1


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
def test_a_crash_on_either_side_of_the_commit_changes_nothing(store, journal, monkeypatch, committed):
    receive(store, behind_preamble())
    add = journal.add_instances

    def crash(*arguments: object) -> None:
        if committed:
            add(*arguments)
        raise NodeError(JOURNAL_FAILED, error="the power went")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "add_instances", crash)
        with pytest.raises(NodeError):
            ingest(store, journal, LATER)
    assert len(waiting(store)) == 1, "its name in incoming/ is the promise that it is entered"
    assert ingest(store, journal, LATER) == 1
    (instance,) = journal.instances(STUDY)
    assert (instance.path, instance.path.exists()) == (kept(store)[0], True)
    assert journal.study(STUDY).version == 1
    assert waiting(store) == []

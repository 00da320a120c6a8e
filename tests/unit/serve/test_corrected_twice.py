"""Several corrections of one image: what counts is all that differs from what the journal knew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicomnode.faults import JOURNAL_FAILED, NodeError
from dicomnode.journal import StudyState
from dicomnode.serve.intake.ingest import ingest
from tests.unit.serve import test_corrections
from tests.unit.serve.test_corrections import KOS, Walk, analysed, changed, note_on
from tests.unit.store.part10 import NOON, receive

walk, files = test_corrections.walk, test_corrections.files

HEAVIER = {"PatientWeight": "81"}
RENAMED = {"PatientName": "Right^Name"}


def wait_in_one_group(walk: Walk, *contents: bytes) -> None:
    """Let files wait in the order in which they came, so that one turn of ingest takes them all."""
    for n, content in enumerate(contents):
        receive(walk.store, content[128:], NOON + timedelta(minutes=5, seconds=n))


def twice(files: list[Path], first: dict[str, str], then: dict[str, str]) -> list[bytes]:
    return [changed(path, **values) for values in (first, first | then) for path in files]


def crash_before_the_commit(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise NodeError(JOURNAL_FAILED, error="the power went")

    with monkeypatch.context() as patched:
        patched.setattr(walk.journal, "add_instances", crash)
        with pytest.raises(NodeError):
            ingest(walk.store, walk.journal, datetime.now(UTC))


@pytest.mark.parametrize("crashed", [False, True], ids=["at once", "after a crash"])
@pytest.mark.parametrize(("first", "then"), [(HEAVIER, RENAMED), (RENAMED, HEAVIER)])
def test_a_weight_and_a_name_corrected_in_one_group_are_analysed_again(
    walk, files, monkeypatch, first, then, crashed
):
    uid = analysed(walk, files)
    wait_in_one_group(walk, *twice(files, first, then))
    if crashed:
        crash_before_the_commit(walk, monkeypatch)
    ingest(walk.store, walk.journal, datetime.now(UTC))
    (text,) = walk.told(uid, "study.corrected")
    assert "PatientName, PatientWeight" in text
    walk.complete(uid)
    assert walk.analysed == 2


def test_two_renamings_in_one_group_are_one_and_need_no_analysis(walk, files):
    uid = analysed(walk, files)
    wait_in_one_group(walk, *twice(files, RENAMED, {"PatientID": "P2"}))
    ingest(walk.store, walk.journal, datetime.now(UTC))
    assert walk.journal.corrected_since(uid, 2) == {"PatientID", "PatientName"}
    walk.complete(uid)
    assert walk.analysed == 1


def test_images_that_come_and_are_corrected_in_one_group_are_known_as_they_are(walk, files):
    wait_in_one_group(walk, *(path.read_bytes() for path in files), *twice(files, RENAMED, HEAVIER))
    ingest(walk.store, walk.journal, datetime.now(UTC))
    uid = str(dcmread(files[0]).StudyInstanceUID)
    assert walk.journal.corrected_since(uid, 1) == {"PatientName", "PatientWeight"}
    for instance in walk.journal.instances(uid):
        assert instance.path.stat().st_size == instance.size


def test_a_rejection_note_and_its_renamed_copy_are_not_lost_by_a_crash(walk, files, monkeypatch):
    uid = analysed(walk, files)
    note = note_on(files[:1], "113001")
    copy = dcmread(BytesIO(note))
    copy.PatientName = "Right^Name"
    renamed = BytesIO()
    copy.save_as(renamed)
    wait_in_one_group(walk, note, renamed.getvalue())
    crash_before_the_commit(walk, monkeypatch)
    ingest(walk.store, walk.journal, datetime.now(UTC))
    assert len(walk.told(uid, "study.rejected")) == 1
    assert len([one for one in walk.journal.instances(uid) if one.sop_class_uid != KOS]) == len(files) - 1


# ── stamps ──


def stamped(path: Path, night: str) -> bytes:
    """The file as a router passes it on that night."""
    header = dcmread(path)
    original = Dataset()
    original.AttributeModificationDateTime = f"{night}020000"
    original.ModifyingSystem = "ROUTER"
    original.SourceOfPreviousValues = ""
    original.ReasonForTheAttributeModification = "COERCE"
    original.ModifiedAttributesSequence = [Dataset()]
    header.OriginalAttributesSequence = [original]
    header.InstanceCreationTime = "020000"
    target = BytesIO()
    header.save_as(target)
    return target.getvalue()


def test_a_copy_that_a_router_stamps_at_each_transfer_is_the_same_image(walk, files):
    uid = analysed(walk, files)
    for night in ("20260301", "20260302"):
        walk.send(*(stamped(path, night) for path in files))
    study = walk.journal.study(uid)
    assert (study.version, study.state) == (1, StudyState.DONE)
    assert not list((walk.store.root / "history").rglob("*.dcm"))

"""Corrected, rejected and withdrawn data, from the files to an archive that answers on a socket."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom import ko, sr
from pydicom import Dataset, dcmread

from dicomnode.cli import why
from dicomnode.faults import JOURNAL_FAILED, LEASE_LOST, STORE_WRITE_FAILED, NodeError
from dicomnode.journal import Retracted, StudyState, TaskKind, TaskState, is_of_retraction
from dicomnode.report import Rejection, make_rejection_note
from dicomnode.serve.intake.ingest import ingest
from dicomnode.serve.results.courier import Courier
from dicomnode.serve.worker import Worker
from dicomnode.settings import AnalyseSettings, EngineSettings, Settings
from dicomnode.values.rejection import REJECTIONS
from tests.unit.journal.world import ALL_HERE
from tests.unit.serve.test_clerks import ARCHIVE, ENHANCED_SR, Room
from tests.unit.store.part10 import NOON, receive
from tests.wire.peers import EXPLICIT_LE, Scp, store_scp
from tests.wire.plain_engines import mean_engine, series

KOS = "1.2.840.10008.5.1.4.1.1.88.59"
TOLD = Retracted(objects=1, destinations=("archive",), ended=True)


class Walk(Room):
    """A room with a worker, and an archive that listens."""

    def __init__(self, store, journal, settings: Settings, archive: Scp) -> None:
        super().__init__(store, journal, settings)
        self.archive = archive
        self.courier = Courier(settings, settings.destination[0], journal, self.stopping)
        self.worker = Worker(self.frame, store, journal)
        self.analysed = 0
        analyse = self.worker.engines.get

        def get(name: str):
            self.analysed += 1
            return analyse(name)

        self.worker.engines.get = get

    def turn(self) -> None:
        """Do all that is to be done."""
        done = True
        while done:
            done = False
            for kind, clerk in (
                (TaskKind.DISPATCH, self.desk),
                (TaskKind.ANALYSE, self.worker),
                (TaskKind.REPORT, self.desk),
                (TaskKind.DELIVER, self.courier),
            ):
                if any(t.kind is kind and t.state is TaskState.READY for t in self.journal.tasks()):
                    assert self.do(kind, clerk.work) is TaskState.DONE
                    done = True

    def send(self, *files: bytes) -> None:
        for n, content in enumerate(files):
            receive(self.store, content[128:], NOON + timedelta(minutes=5, seconds=n))
        ingest(self.store, self.journal, datetime.now(UTC))

    def complete(self, uid: str) -> None:
        assert self.journal.close_study(uid, ALL_HERE, datetime.now(UTC)) is not None
        self.turn()

    def arrived(self, sop_class: str = ENHANCED_SR) -> list[Dataset]:
        """What the archive has of a class, in the order in which it came."""
        found = [dcmread(BytesIO(self.archive.datasets[uid]), force=True) for uid in self.archive.stored]
        return [one for one in found if one.SOPClassUID == sop_class]

    def told(self, uid: str, what: str) -> list[str]:
        return [event.text for event in self.journal.events(uid) if event.what == what]


@pytest.fixture
def walk(store, journal, tmp_path: Path) -> Iterator[Walk]:
    with walking(store, journal, tmp_path) as walk:
        yield walk


@contextmanager
def walking(store, journal, tmp_path: Path, **second: object) -> Iterator[Walk]:
    """A walk; with a second destination of the same archive, where settings of that are given."""
    contexts = [(one, (EXPLICIT_LE,)) for one in (ENHANCED_SR, KOS)]
    with store_scp(contexts=contexts) as archive:
        destination = dataclasses.replace(ARCHIVE, port=archive.peer.port)
        destinations = (destination, *([dataclasses.replace(destination, **second)] if second else []))
        engine = EngineSettings(name="mean", path=mean_engine(tmp_path / "mean"))
        settings = Settings(
            engine=(engine,), analyse=AnalyseSettings(runtime="onnxruntime"), destination=destinations
        )
        walk = Walk(store, journal, settings, archive)
        yield walk
        walk.worker.close()
    walk.ours.close()
    assert walk.stopping.wait(5)
    walk.theirs.close()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return series(tmp_path / "ct", 1)


def changed(path: Path, **values: str) -> bytes:
    """The file with another header."""
    header = dcmread(path)
    for keyword, value in values.items():
        setattr(header, keyword, value)
    target = BytesIO()
    header.save_as(target)
    return target.getvalue()


def note_on(paths: list[Path], code: str) -> bytes:
    """A rejection note of somebody else."""
    evidence = [dcmread(path) for path in paths]
    for one in evidence:
        for keyword in (
            "StudyID",
            "AccessionNumber",
            "ReferringPhysicianName",
            "StudyTime",
            "PatientBirthDate",
        ):
            one.setdefault(keyword, "")
    title = sr.CodedConcept(value=code, scheme_designator="DCM", meaning=REJECTIONS.get(code, "Of Interest"))
    content = ko.KeyObjectSelection(document_title=title, referenced_objects=evidence)
    note = ko.KeyObjectSelectionDocument(
        evidence=evidence, content=content, series_instance_uid="1.2.9.1", series_number=1,
        sop_instance_uid=f"1.2.9.1.{code}", instance_number=1, manufacturer="SOMEBODY",
    )  # fmt: skip
    target = BytesIO()
    note.save_as(target, enforce_file_format=True)
    return target.getvalue()


def analysed(walk: Walk, files: list[Path]) -> str:
    uid = walk.receive(files)
    walk.turn()
    assert walk.journal.study(uid).state is StudyState.DONE
    return uid


def mean_of(walk: Walk, uid: str) -> list[tuple[float, ...]]:
    found = [walk.store.load_findings(one.path) for one in walk.journal.findings(uid)]
    return [tuple(one.value for one in of.measurements) for of in found]


# ── corrected ──


def test_a_corrected_name_is_a_new_version_with_the_same_findings_and_no_second_analysis(walk, files):
    uid = analysed(walk, files)
    walk.send(*(changed(path, PatientName="Right^Name", PatientID="P2") for path in files))
    study = walk.journal.study(uid)
    assert (study.version, study.state) == (2, StudyState.RECEIVING)
    walk.complete(uid)
    assert walk.journal.study(uid).state is StudyState.DONE
    assert walk.analysed == 1
    first, second = mean_of(walk, uid)
    assert np.array_equal(first, second)
    before, after = walk.arrived()
    assert before.SOPInstanceUID != after.SOPInstanceUID
    assert (str(after.PatientName), after.PatientID) == ("Right^Name", "P2")
    (text,) = walk.told(uid, "study.corrected")
    assert "PatientID, PatientName" in text
    assert "Right" not in text
    assert len(list((walk.store.root / "history").rglob("*.dcm"))) == len(files)


def test_a_header_that_an_engine_may_have_seen_is_analysed_again(walk, files):
    uid = analysed(walk, files)
    walk.send(*(changed(path, PatientWeight="81") for path in files))
    walk.complete(uid)
    assert walk.analysed == 2
    assert walk.journal.study(uid).version == 2


def test_half_a_study_corrected_is_not_reported_as_one_patient(walk, files):
    uid = analysed(walk, files)
    walk.send(changed(files[0], PatientID="P2"))
    assert walk.journal.close_study(uid, ALL_HERE, datetime.now(UTC)) == 2
    with pytest.raises(AssertionError):
        walk.turn()
    assert walk.journal.study(uid).state is StudyState.FAILED
    assert "DN-5002" in {task.error_code for task in walk.journal.tasks(uid)}


def test_a_correction_of_what_was_never_complete_begins_no_version(walk, files):
    for path in files:
        walk.send(path.read_bytes())
    uid = str(dcmread(files[0]).StudyInstanceUID)
    walk.send(changed(files[0], PatientName="Right^Name"))
    assert walk.journal.study(uid).version == 1
    assert len(walk.told(uid, "study.corrected")) == 1


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
def test_a_correction_is_entered_once_on_either_side_of_a_crash(walk, files, monkeypatch, committed):
    uid = analysed(walk, files)
    add = walk.journal.add_instances

    def crash(*arguments: object) -> None:
        if committed:
            add(*arguments)
        raise NodeError(JOURNAL_FAILED, error="the power went")

    with monkeypatch.context() as patched:
        patched.setattr(walk.journal, "add_instances", crash)
        with pytest.raises(NodeError):
            walk.send(*(changed(path, PatientName="Right^Name") for path in files))
    ingest(walk.store, walk.journal, datetime.now(UTC))
    assert walk.journal.study(uid).version == 2
    assert len(walk.told(uid, "study.corrected")) == 1
    assert list((walk.store.root / "incoming").glob("*.dcm")) == []
    for instance in walk.journal.instances(uid):
        assert str(dcmread(instance.path).PatientName) == "Right^Name"
        assert instance.path.stat().st_size == instance.size


def test_a_late_copy_of_what_was_corrected_changes_nothing_and_is_told_once(walk, files):
    uid = analysed(walk, files)
    walk.send(changed(files[0], PatientName="Right^Name"))
    version = walk.journal.study(uid).version
    for _ in range(2):
        walk.send(files[0].read_bytes())
    assert walk.journal.study(uid).version == version
    assert len(walk.told(uid, "instance.outdated")) == 1


# ── rejected ──


@pytest.mark.parametrize("code", sorted(REJECTIONS))
def test_a_rejection_note_sets_its_images_aside_and_takes_back_what_was_made_of_them(walk, files, code):
    uid = analysed(walk, files)
    (result,) = walk.arrived()
    walk.send(note_on(files[:1], code))
    assert [i.sop_instance_uid for i in walk.journal.instances(uid) if i.sop_class_uid != KOS] == [
        str(dcmread(path).SOPInstanceUID) for path in files[1:]
    ]
    walk.turn()
    (sent,) = walk.arrived(KOS)
    assert sent.ConceptNameCodeSequence[0].CodeValue == code
    (of_series,) = sent.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [one.ReferencedSOPInstanceUID for one in of_series.ReferencedSOPSequence] == [
        result.SOPInstanceUID
    ]
    walk.complete(uid)
    assert walk.journal.study(uid).state is StudyState.DONE
    assert len(walk.arrived()) == 2
    assert len(walk.arrived(KOS)) == 1, "the new result is not taken back"
    (text,) = walk.told(uid, "study.rejected")
    assert REJECTIONS[code] in text


def test_a_key_object_document_of_another_title_rejects_nothing(walk, files):
    uid = analysed(walk, files)
    walk.send(note_on(files[:1], "113000"))
    assert len(walk.journal.instances(uid)) == len(files) + 1
    assert walk.told(uid, "study.rejected") == []


def test_a_study_of_which_all_images_are_rejected_is_retracted(walk, files):
    uid = analysed(walk, files)
    walk.send(note_on(files, "113038"))
    walk.turn()
    assert walk.journal.study(uid).state is StudyState.RETRACTED
    assert len(walk.arrived(KOS)) == 1


def test_an_image_that_comes_after_the_note_that_rejects_it_is_set_aside(walk, files):
    walk.send(note_on(files[:1], "113001"))
    uid = walk.receive(files)
    assert str(dcmread(files[0]).SOPInstanceUID) not in {
        i.sop_instance_uid for i in walk.journal.instances(uid)
    }
    assert len(walk.told(uid, "instances.rejected")) == 1


@pytest.mark.parametrize("without", ["CurrentRequestedProcedureEvidenceSequence", "ConceptNameCodeSequence"])
def test_a_rejection_note_that_says_too_little_sets_nothing_aside(walk, files, logged, without):
    uid = analysed(walk, files)
    note = dcmread(BytesIO(note_on(files[:1], "113001")))
    delattr(note, without)
    target = BytesIO()
    note.save_as(target)
    walk.send(target.getvalue())
    assert len(walk.journal.instances(uid)) == len(files) + 1
    told = [line["code"] for line in logged if line["event"] == "rejection.unreadable"]
    assert told == (["DN-2521"] if without.startswith("Current") else [])


def test_a_rejection_note_twice_is_one(walk, files):
    uid = analysed(walk, files)
    for _ in range(2):
        walk.send(note_on(files[:1], "113037"))
    assert walk.journal.study(uid).version == 2
    assert len(walk.told(uid, "study.rejected")) == 1


def test_a_note_that_names_our_own_result_before_it_is_sent_leaves_nothing_to_wait_for(walk, files):
    uid = walk.receive(files)
    walk.do(TaskKind.DISPATCH, walk.desk.work)
    walk.do(TaskKind.ANALYSE, walk.worker.work)
    walk.do(TaskKind.REPORT, walk.desk.work)
    (made,) = walk.journal.objects(uid)
    other = changed(files[0], StudyInstanceUID="1.2.9.5", SOPInstanceUID="1.2.9.6")
    (made_note,) = [note_on([made.path], "113001")]
    note = dcmread(BytesIO(made_note))
    note.StudyInstanceUID = "1.2.9.5"  # as one that names objects of several studies
    target = BytesIO()
    note.save_as(target)
    walk.send(other, target.getvalue())
    walk.turn()
    assert walk.arrived() == []
    assert walk.journal.study(uid).state is StudyState.DONE


def test_an_image_of_the_same_version_that_came_before_the_note_is_not_told_as_late(walk, files):
    for path in files:
        walk.send(path.read_bytes())
    uid = str(dcmread(files[0]).StudyInstanceUID)
    walk.send(note_on(files[:1], "113001"))
    assert walk.told(uid, "instances.rejected") == []


def test_each_image_that_comes_late_is_told(walk, files):
    walk.send(note_on(files[:2], "113001"))
    uid = str(dcmread(files[0]).StudyInstanceUID)
    for path in files:
        walk.send(path.read_bytes())
        walk.send(path.read_bytes())
    assert len(walk.told(uid, "instances.rejected")) == 2


def test_a_late_image_that_was_rejected_before_begins_no_version(walk, files):
    uid = walk.receive(files[1:])
    walk.turn()
    walk.send(note_on(files[:1], "113001"))
    version = walk.journal.study(uid).version
    walk.send(files[0].read_bytes())
    study = walk.journal.study(uid)
    assert (study.version, study.state) == (version, StudyState.DONE)
    assert len(walk.told(uid, "instances.rejected")) == 1
    assert walk.journal.same_images_since(uid, version) == version


def test_a_retracted_study_stays_so_when_a_rejected_image_comes_late(walk, files):
    uid = walk.receive(files[1:])
    walk.turn()
    walk.send(note_on(files, "113038"))
    walk.turn()
    assert walk.journal.study(uid).state is StudyState.RETRACTED
    walk.send(files[0].read_bytes())
    assert walk.journal.study(uid).state is StudyState.RETRACTED


def test_a_rejection_note_that_cannot_be_read_is_told_of_its_study(walk, files):
    uid = analysed(walk, files)
    note = dcmread(BytesIO(note_on(files[:1], "113001")))
    del note.CurrentRequestedProcedureEvidenceSequence
    target = BytesIO()
    note.save_as(target)
    for _ in range(2):
        walk.send(target.getvalue())
    (text,) = walk.told(uid, "rejection.unreadable")
    assert "cannot be read" in text


def test_a_disk_that_does_not_give_a_rejection_note_is_a_fault_and_it_still_waits(walk, files, monkeypatch):
    uid = analysed(walk, files)

    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "the disk")

    with monkeypatch.context() as patched:
        patched.setattr(pydicom, "dcmread", broken)
        with pytest.raises(NodeError) as caught:
            walk.send(note_on(files[:1], "113001"))
    assert caught.value.fault is STORE_WRITE_FAILED
    ingest(walk.store, walk.journal, datetime.now(UTC))
    assert len(walk.told(uid, "study.rejected")) == 1


# ── retracted ──


def test_retracted_results_are_rejected_at_the_archive_that_has_them(walk, files):
    uid = analysed(walk, files)
    (result,) = walk.arrived()
    assert walk.journal.retract(uid, "113037", datetime.now(UTC)) == TOLD
    assert walk.journal.study(uid).state is StudyState.RETRACTED
    walk.turn()
    (sent,) = walk.arrived(KOS)
    assert (sent.PatientID, str(sent.PatientName)) == (result.PatientID, str(result.PatientName))
    assert sent.ContentSequence[-1].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == result.SOPInstanceUID
    assert walk.journal.study(uid).state is StudyState.RETRACTED
    assert set(walk.journal.rejected(uid)) == {result.SOPInstanceUID}
    assert walk.journal.retract(uid, "113037", datetime.now(UTC)) == Retracted(
        objects=0, destinations=(), ended=False
    )


def test_an_archive_that_may_have_a_result_of_which_the_answer_was_lost_is_told(walk, files):
    uid = walk.receive(files)
    walk.do(TaskKind.DISPATCH, walk.desk.work)
    walk.do(TaskKind.ANALYSE, walk.worker.work)
    walk.do(TaskKind.REPORT, walk.desk.work)
    sending = walk.journal.claim([TaskKind.DELIVER], "gone", 60, datetime.now(UTC))
    assert sending is not None
    assert walk.journal.retract(uid, "113001", datetime.now(UTC)) == TOLD
    walk.turn()
    assert len(walk.arrived(KOS)) == 1
    assert walk.arrived() == []
    (made,) = [one for one in walk.journal.objects(uid) if one.kind == "SR"]
    with pytest.raises(NodeError) as caught:
        walk.journal.record_delivery(sending, made.sop_instance_uid, "stored", 0, "", datetime.now(UTC))
    assert caught.value.fault is LEASE_LOST


def test_a_result_that_is_gone_from_the_outbox_needs_a_person_and_the_archive_is_not_forgotten(walk, files):
    uid = analysed(walk, files)
    (made,) = walk.journal.objects(uid)
    content = made.path.read_bytes()
    made.path.unlink()
    walk.journal.retract(uid, "113001", datetime.now(UTC))
    assert walk.do(TaskKind.REPORT, walk.desk.work) is TaskState.PARKED
    study = walk.journal.study(uid)
    assert study.state is StudyState.FAILED
    assert "cannot be read" in (study.reason or "")
    made.path.write_bytes(content)
    assert walk.journal.retry(uid, None, datetime.now(UTC)) == 1
    walk.turn()
    assert len(walk.arrived(KOS)) == 1
    assert walk.journal.study(uid).state is StudyState.RETRACTED


def test_a_taking_back_that_failed_is_told_whatever_the_next_version_becomes(walk, files):
    uid = walk.receive(files[:-1])
    walk.turn()
    (made,) = walk.journal.objects(uid)
    content = made.path.read_bytes()
    made.path.unlink()
    walk.journal.retract(uid, "113001", datetime.now(UTC))
    assert walk.do(TaskKind.REPORT, walk.desk.work) is TaskState.PARKED
    walk.send(files[-1].read_bytes())
    walk.complete(uid)
    study = walk.journal.study(uid)
    assert (study.version, study.state) == (2, StudyState.FAILED), "the archive keeps what was retracted"
    made.path.write_bytes(content)
    walk.journal.retry(uid, None, datetime.now(UTC))
    walk.turn()
    assert walk.journal.study(uid).state is StudyState.DONE


def test_why_tells_what_was_taken_back(walk, files):
    uid = analysed(walk, files)
    walk.journal.retract(uid, "113001", datetime.now(UTC))
    walk.turn()
    rows = why._parts(walk.journal, uid)["results"]
    assert {row["kind"]: row["state"].partition(" (")[2] for row in rows} == {
        "SR": "taken back, DCM 113001)",
        "KO": "",
    }
    (text,) = walk.told(uid, "results.retracted")
    assert text == (
        "The results (1 object) are taken back (DCM 113001). archive is told by a rejection note."
    )


def test_what_was_not_sent_when_it_was_retracted_is_never_sent(walk, files):
    uid = walk.receive(files)
    walk.do(TaskKind.DISPATCH, walk.desk.work)
    walk.do(TaskKind.ANALYSE, walk.worker.work)
    walk.do(TaskKind.REPORT, walk.desk.work)
    assert walk.journal.retract(uid, "113001", datetime.now(UTC)) == Retracted(
        objects=1, destinations=(), ended=True
    )
    walk.turn()
    assert walk.archive.stored == []
    assert walk.journal.study(uid).state is StudyState.RETRACTED


def test_images_that_come_after_a_retraction_are_analysed_as_ever(walk, files):
    uid = walk.receive(files[:-1])
    walk.turn()
    walk.journal.retract(uid, "113001", datetime.now(UTC))
    walk.send(files[-1].read_bytes())
    walk.complete(uid)
    assert walk.journal.study(uid).state is StudyState.DONE
    assert len(walk.arrived(KOS)) == 1, "the retraction outlived the new version"


def test_p43_one_result_of_a_study_is_active_when_the_earlier_ones_are_rejected(walk, files):
    """A wrong or outdated result stays in the archive: the old one is rejected, the new one stays."""
    uid = analysed(walk, files)
    walk.send(*(changed(path, PatientID="P2") for path in files))
    walk.complete(uid)
    old, new = walk.arrived()
    assert walk.journal.retract(uid, "113038", datetime.now(UTC), earlier_only=True) == dataclasses.replace(
        TOLD, ended=False
    )
    walk.turn()
    (note,) = walk.arrived(KOS)
    rejected = {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in note.ContentSequence[-1:]}
    assert rejected == {old.SOPInstanceUID}
    assert set(walk.archive.stored) - rejected == {new.SOPInstanceUID, note.SOPInstanceUID}
    assert walk.journal.study(uid).state is StudyState.DONE


def test_a_rejection_note_is_the_same_object_however_often_it_is_written(walk, files):
    uid = analysed(walk, files)
    walk.journal.retract(uid, "113001", datetime.now(UTC))
    task = walk.journal.claim([TaskKind.REPORT], "dead", 60, datetime.now(UTC))
    assert task is not None
    assert is_of_retraction(task.engine)
    walk.desk.work(task, None)
    (first,) = [one for one in walk.journal.objects(uid) if one.kind == "KO"]
    content = first.path.read_bytes()
    first.path.unlink()
    again = make_rejection_note(
        Rejection(
            objects=tuple(one.path for one in walk.journal.withdrawn(task)),
            code="113001",
            name=task.engine or "",
            destination="archive",
            made_at=task.created_at.astimezone(),
        ),
        walk.store.salt,
    )
    assert again.content == content

"""A corrected segmentation that comes after our result: compared in a process of its own, kept as a label."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import pack_bits

from dicomnode.faults import FEEDBACK_CHILD_ENDED
from dicomnode.journal import FeedbackQuery, FeedbackRecord, Journal, StudyState, TaskKind, TaskState
from dicomnode.serve.feedback import apart
from dicomnode.serve.feedback.clerk import FeedbackClerk
from dicomnode.serve.intake.ingest import ingest
from dicomnode.settings import AnalyseSettings, EngineSettings, Settings
from dicomnode.store import Store
from tests.unit.serve.test_clerks import ARCHIVE, Room
from tests.unit.store.part10 import NOON, receive
from tests.wire.peers import EXPLICIT_LE
from tests.wire.plain_engines import block_series, bright_engine

THEIRS = "1.2.826.0.1.3680043.10.1.99.1"


class Answered(Room):
    """A room whose study has been analysed and reported, and the clerk that hears what others say of it."""

    def __init__(self, store, journal, settings: Settings, files: list[Path], *, done: bool = False) -> None:
        """done: the store and the journal are those of a room in which it was."""
        super().__init__(store, journal, settings)
        self.clerk = FeedbackClerk(settings, store, journal, self.stopping)
        self.uid = self._study(files) if done else self.to_delivery(files)
        (made,) = [one for one in journal.objects(self.uid) if one.kind == "SEG"]
        self.made = made

    def _study(self, files: list[Path]) -> str:
        return str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)

    def our_seg(self) -> Dataset:
        return dcmread(self.made.path)

    def send(self, *files: bytes) -> None:
        for n, content in enumerate(files):
            receive(self.store, content[128:], NOON + timedelta(minutes=5, seconds=n))
        ingest(self.store, self.journal, datetime.now(UTC))

    def said(self) -> list[FeedbackRecord]:
        return self.journal.feedback(FeedbackQuery())

    def told(self) -> list[str]:
        return [event.what for event in self.journal.events(self.uid)]


@contextmanager
def answering(place: Path, engine: Path, files: list[Path]) -> Iterator[Answered]:
    """A room whose study has been analysed and reported: once at this place, and each time as it was then.

    The same place: a journal names the files of its store.
    """
    settings = Settings(
        engine=(EngineSettings(name=engine.name, path=engine),),
        analyse=AnalyseSettings(runtime="onnxruntime"),
        destination=(ARCHIVE,),
    )
    root, kept = place / "store", place / "kept"
    done = kept.exists()
    shutil.rmtree(root, ignore_errors=True)
    if done:
        shutil.copytree(kept, root)
    with Store.open(root) as store, Journal.open(f"sqlite:///{root}/journal.sqlite") as journal:
        room = Answered(store, journal, settings, files, done=done)
        if not done:
            shutil.copytree(root, kept, ignore=shutil.ignore_patterns("*-shm"))  # of connections, not of data
        yield room
        room.ours.close()
        assert room.stopping.wait(5)
        room.theirs.close()


@pytest.fixture
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    place = tmp_path_factory.getbasetemp() / "answered"  # of all files with such tests
    if not place.exists():
        bright_engine(place / "bright")
        block_series(place / "ct", 1)
    with answering(place, place / "bright", sorted((place / "ct").iterdir())) as room:
        yield room


def as_bytes(one: Dataset) -> bytes:
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = EXPLICIT_LE
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    target = BytesIO()
    one.save_as(target, enforce_file_format=True)
    return target.getvalue()


def corrected(ours: Dataset, cut: int = 3, uid: str = THEIRS) -> bytes:
    """Our segmentation as a person gives it back, its first `cut` columns wiped out in every frame."""
    pixels = ours.pixel_array.reshape(-1, ours.Rows, ours.Columns).copy()
    columns = np.flatnonzero(pixels.any(axis=(0, 1)))[:cut]
    pixels[:, :, columns] = 0
    ours.PixelData = pack_bits(pixels.ravel())
    ours.SOPInstanceUID, ours.SeriesInstanceUID = uid, f"{uid}.0"
    for segment in ours.SegmentSequence:
        segment.SegmentAlgorithmType = "SEMIAUTOMATIC"
    return as_bytes(ours)


def test_a_corrected_segmentation_is_recorded_with_its_dice_and_kept_as_a_label(answered: Answered) -> None:
    before = answered.journal.study(answered.uid)
    ours = answered.our_seg()
    voxels = int(ours.pixel_array.sum())
    answered.send(corrected(ours))
    left = int(dcmread(BytesIO(corrected(answered.our_seg()))).pixel_array.sum())
    assert answered.do(TaskKind.FEEDBACK, answered.clerk.work) is TaskState.DONE
    (said,) = answered.said()
    assert (said.kind, said.engine, said.label) == ("changed", "bright", "bright")
    assert said.recognised_by == "tracking"
    assert said.dice == pytest.approx(2 * left / (left + voxels))
    assert said.difference_ml == pytest.approx((left - voxels) * 1.5 * 1.5 * 2.0 / 1000)
    assert (said.object_uid, said.their_uid) == (answered.made.sop_instance_uid, THEIRS)
    after = answered.journal.study(answered.uid)
    assert (after.version, after.state) == (before.version, before.state)
    assert "feedback.recorded" in answered.told()
    (label,) = (answered.store.root / "labels").rglob("*.dcm")
    assert dcmread(label).SOPInstanceUID == THEIRS
    record = json.loads(label.with_suffix(".json").read_text())
    assert record["engines"] == ["bright"]
    assert len(record["images"]) == 6
    assert {one["sop_instance_uid"] for one in record["images"]} < {
        one.sop_instance_uid for one in answered.journal.instances(answered.uid)
    }


def test_our_own_segmentation_that_comes_back_under_its_uid_or_another_is_no_feedback(
    answered: Answered,
) -> None:
    migrated = answered.our_seg()
    migrated.SOPInstanceUID = THEIRS
    answered.send(as_bytes(answered.our_seg()), as_bytes(migrated))
    assert answered.do(TaskKind.FEEDBACK, answered.clerk.work) is TaskState.DONE
    assert answered.said() == []
    assert "feedback.none" in answered.told()
    assert answered.journal.claim([TaskKind.FEEDBACK], "w", 60, datetime.now(UTC)) is None
    assert not list((answered.store.root / "labels").rglob("*.dcm"))


def test_an_object_that_cannot_be_read_says_so_and_needs_nobody(answered: Answered) -> None:
    broken = answered.our_seg()
    broken.SOPInstanceUID = THEIRS
    del broken.SegmentSequence
    answered.send(as_bytes(broken))
    assert answered.do(TaskKind.FEEDBACK, answered.clerk.work) is TaskState.DONE
    (told,) = [one for one in answered.journal.events(answered.uid) if one.what == "feedback.unreadable"]
    assert "DN-70" in told.text
    assert answered.said() == []
    assert answered.journal.study(answered.uid).state is not StudyState.FAILED


def test_done_twice_as_after_a_crash_it_says_the_same_once(answered: Answered) -> None:
    """The process died between the label and the journal: the label is there, and all is done again."""
    answered.send(corrected(answered.our_seg()))
    finish = answered.journal.finish

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    answered.journal.finish = die  # type: ignore[method-assign]
    task = answered.journal.claim([TaskKind.FEEDBACK], "scheduler-1-feedback", 60, datetime.now(UTC))
    assert task is not None
    with pytest.raises(SystemExit):
        answered.clerk.work(task, PulseOfNobody())  # type: ignore[arg-type]
    answered.journal.finish = finish  # type: ignore[method-assign]
    assert answered.said() == []
    answered.journal.owner_died("scheduler-1-feedback", datetime.now(UTC))
    assert answered.do(TaskKind.FEEDBACK, answered.clerk.work) is TaskState.DONE
    assert len(answered.said()) == 1
    assert len(list((answered.store.root / "labels").rglob("*.dcm"))) == 1


class PulseOfNobody:
    """A pulse that nobody feels."""

    def progress(self, stage: str, done: int, total: int) -> None:
        del stage, done, total


def test_a_process_that_dies_costs_one_try_and_the_node_goes_on(
    answered: Answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered.send(corrected(answered.our_seg()))
    with monkeypatch.context() as patched:
        patched.setattr(apart, "_waited", _killed)
        assert answered.do(TaskKind.FEEDBACK, answered.clerk.work) is TaskState.RETRY
    (task,) = [one for one in answered.journal.tasks() if one.kind is TaskKind.FEEDBACK]
    assert task.error_code == FEEDBACK_CHILD_ENDED.code
    assert "SIGKILL" in (task.error_text or "")
    answered.journal.retry(answered.uid, None, datetime.now(UTC))
    assert answered.do(TaskKind.FEEDBACK, answered.clerk.work) is TaskState.DONE
    assert len(answered.said()) == 1


def _killed(child: subprocess.Popen[bytes], *_: object) -> bytes:
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    return b""


def test_a_node_that_stops_gives_the_comparison_back(answered: Answered) -> None:
    answered.send(corrected(answered.our_seg()))
    answered.stopping.set()
    assert answered.do(TaskKind.FEEDBACK, answered.clerk.work) is TaskState.READY


def test_a_correction_that_a_note_rejects_is_not_read(answered: Answered, monkeypatch) -> None:
    answered.send(corrected(answered.our_seg()))
    monkeypatch.setattr(answered.journal, "instances", lambda _: [])
    assert answered.do(TaskKind.FEEDBACK, answered.clerk.work) is TaskState.DONE
    assert "feedback.gone" in answered.told()
    assert answered.said() == []


# ── reports ──


def coded(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def our_report(answered: Answered) -> Dataset:
    (made,) = [one for one in answered.journal.objects(answered.uid) if one.kind == "SR"]
    return dcmread(made.path)


def in_place_of(report: Dataset) -> Dataset:
    """A new report that names the one it was edited from (PS3.3 C.17.2)."""
    same, series, study = Dataset(), Dataset(), Dataset()
    same.ReferencedSOPClassUID, same.ReferencedSOPInstanceUID = report.SOPClassUID, report.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = report.SeriesInstanceUID, [same]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = report.StudyInstanceUID, [series]
    report.PredecessorDocumentsSequence = [study]
    report.SOPInstanceUID, report.SeriesInstanceUID = THEIRS, f"{THEIRS}.0"
    return report


def verified(report: Dataset) -> Dataset:
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = "Reader^Rita", "HOSPITAL"
    observer.VerificationDateTime = "20260301120000"
    observer.VerifyingObserverIdentificationCodeSequence = []
    report.VerificationFlag = "VERIFIED"
    report.VerifyingObserverSequence = [observer]
    return report


def volumes(report: Dataset) -> list[Dataset]:
    found = [one for one in report.iterall() if one.keyword == "MeasuredValueSequence" and one.value]
    return [one.value[0] for one in found if one.value[0].MeasurementUnitsCodeSequence[0].CodeValue == "ml"]


def assessment(answered: Answered, meaning: str) -> Dataset:
    """A report of no known template that names our segmentation and says what is thought of it."""
    made = our_report(answered)
    of, answer, named = Dataset(), Dataset(), Dataset()
    of.RelationshipType, of.ValueType = "CONTAINS", "COMPOSITE"
    named.ReferencedSOPClassUID = answered.made.sop_class_uid
    named.ReferencedSOPInstanceUID = answered.made.sop_instance_uid
    of.ReferencedSOPSequence = [named]
    answer.RelationshipType, answer.ValueType = "CONTAINS", "CODE"
    answer.ConceptNameCodeSequence = [coded("Q1", "99SITE", "Assessment Decision")]
    answer.ConceptCodeSequence = [coded("A1", "99SITE", meaning)]
    made.ConceptNameCodeSequence = [coded("R1", "99SITE", "AI Result Assessment")]
    del made.ContentTemplateSequence
    made.ContentSequence = [of, answer]
    made.SOPInstanceUID, made.SeriesInstanceUID = THEIRS, f"{THEIRS}.0"
    return made


def kinds_said(answered: Answered, report: Dataset) -> list[tuple[str, str]]:
    answered.send(as_bytes(report))
    assert answered.do(TaskKind.FEEDBACK, answered.clerk.work) is TaskState.DONE
    return [(one.kind, one.recognised_by) for one in answered.said()]


def test_a_verified_report_accepts_what_it_leaves_as_it_was(answered: Answered) -> None:
    assert kinds_said(answered, verified(in_place_of(our_report(answered)))) == [("accepted", "tracking")]
    assert answered.said()[0].verified
    assert "Rita" not in str(answered.said())


def test_an_edited_report_changes_by_how_much_it_says(answered: Answered) -> None:
    report = in_place_of(our_report(answered))
    (number,) = volumes(report)
    before = float(number.NumericValue)
    number.NumericValue = "1.25"
    if "FloatingPointValue" in number:
        number.FloatingPointValue = 1.25
    assert kinds_said(answered, report) == [("changed", "tracking")]
    assert answered.said()[0].difference_ml == pytest.approx(1.25 - before)


def test_our_report_that_comes_back_under_another_uid_is_no_feedback(answered: Answered) -> None:
    report = our_report(answered)
    report.SOPInstanceUID = THEIRS
    assert kinds_said(answered, report) == []


@pytest.mark.parametrize(
    ("meaning", "kind"),
    [
        ("Result Accepted", "accepted"),
        ("Result Rejected", "rejected"),
        ("Result Modified", "changed"),
    ],
)
def test_an_assessment_that_names_our_segmentation_is_feedback_on_its_findings(
    answered: Answered, meaning: str, kind: str
) -> None:
    assert kinds_said(answered, assessment(answered, meaning)) == [(kind, "reference")]


def test_a_report_of_another_kind_says_nothing_of_our_results_and_alarms_nobody(answered: Answered) -> None:
    assert kinds_said(answered, assessment(answered, "Undecided")) == []
    assert "feedback.none" in answered.told()

"""A writer that is broken on purpose: nothing leaves; what it wrote is in quarantine, with two pictures."""

from __future__ import annotations

import dataclasses
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from dicomnode.cli.why import _parts
from dicomnode.faults import GEOMETRY_GUARD, STORE_WRITE_FAILED, NodeError
from dicomnode.journal import StudyState, TaskKind, TaskState
from dicomnode.report import ReportProfile, draw_mismatch, make_objects
from dicomnode.report.guard.presentation_states import check_presentation_state
from dicomnode.report.guard.structure_sets import check_structure_set
from dicomnode.report.mismatch.error import MismatchError
from dicomnode.report.outlines import outlines
from dicomnode.report.segmentation import binary, head, labelmap
from dicomnode.serve.results.stopped import put_aside
from dicomnode.serve.worker import Worker
from dicomnode.settings import AnalyseSettings, EngineSettings, Settings
from dicomnode.store import Store
from dicomnode.values import Findings
from dicomnode.values.codes import LEFT, RIGHT
from tests.unit.report.outlines.finished import written
from tests.unit.report.segmentation.test_labelmap import apart
from tests.unit.report.sources import SALT, findings
from tests.unit.serve.test_clerks import ARCHIVE, Room
from tests.wire.plain_engines import block_series, bright_engine

PATIENT = ("Müller", "Jörg", "PAT-7", "PHANTOM")


def _repacked(change):
    """Packing that packs another mask than it was given."""
    real = binary.pack_frames

    def pack(frames):
        moved = [(type(mask).from_array(change(mask.to_array())), k) for mask, k in frames]
        return real(moved)

    return pack


def shift_columns(monkeypatch) -> str:
    monkeypatch.setattr(binary, "pack_frames", _repacked(lambda voxels: np.roll(voxels, 1, axis=2)))
    return "other voxels"


def flip_rows(monkeypatch) -> str:
    monkeypatch.setattr(binary, "pack_frames", _repacked(lambda voxels: voxels[:, ::-1]))
    return "other voxels"


def wrong_laterality(monkeypatch) -> str:
    real = head._code_item
    other = {LEFT: RIGHT, RIGHT: LEFT}
    monkeypatch.setattr(head, "_code_item", lambda code, *more: real(other.get(code, code), *more))
    return "side"


def shift_labels(monkeypatch) -> str:
    real = labelmap.encode_bands
    monkeypatch.setattr(
        labelmap, "encode_bands", lambda labels, *more: real(np.roll(labels, 1, axis=1), *more)
    )
    return "other voxels"


def shift_lines(monkeypatch) -> str:
    real = outlines.without_straight_points
    # Half a pixel: not beyond the edge of the image, where the library refuses it
    shift = lambda ring: np.maximum(real(ring) - 0.5, -0.5)  # noqa: E731
    monkeypatch.setattr(outlines, "without_straight_points", shift)
    return "voxels on slice"


BROKEN = [
    ("SEG", shift_columns),
    ("SEG", flip_rows),
    ("SEG", wrong_laterality),
    ("LABELMAP", shift_labels),
    ("GSPS", shift_lines),
    ("RTSTRUCT", shift_lines),
]
CLASSES = {
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "LABELMAP": "1.2.840.10008.5.1.4.1.1.66.7",
    "GSPS": "1.2.840.10008.5.1.4.1.1.11.1",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
}


def pictures_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png"))


@pytest.mark.parametrize(("kind", "breaking"), BROKEN)
def test_what_a_broken_writer_wrote_lies_in_quarantine_with_two_pictures(
    kind, breaking, monkeypatch, store: Store
) -> None:
    words = breaking(monkeypatch)
    found = apart(findings())  # a label map holds no two segments at one place
    with pytest.raises(NodeError, match=words) as caught, put_aside(found, store):
        make_objects(found, ReportProfile(kinds=(kind,)), SALT)
    assert caught.value.fault is GEOMETRY_GUARD
    folder = store.root / "quarantine" / "geometry-guard"
    (object_,) = folder.glob("*.dcm")
    assert dcmread(object_).SOPClassUID == CLASSES[kind]
    assert len(pictures_of(folder)) == 2
    for path in (object_, *pictures_of(folder)):
        assert str(path) in str(caught.value)
        assert not any(word in path.name for word in PATIENT)
        if path.suffix == ".png":
            assert not any(word.encode() in path.read_bytes() for word in PATIENT)
            assert Image.open(BytesIO(path.read_bytes())).size[0] > 500


def test_doing_it_again_keeps_the_same_files(monkeypatch, store: Store) -> None:
    shift_columns(monkeypatch)
    found = findings()
    for _ in range(2):
        with pytest.raises(NodeError), put_aside(found, store):
            make_objects(found, ReportProfile(kinds=("SEG",)), SALT)
    assert len(list((store.root / "quarantine").rglob("*.*"))) == 3


def test_where_the_disk_takes_nothing_the_failure_stands(monkeypatch, store: Store, logged) -> None:
    shift_columns(monkeypatch)

    def full(*_: object) -> None:
        raise NodeError(STORE_WRITE_FAILED, path=store.root, error="no space")

    monkeypatch.setattr(Store, "quarantine_new", full)
    found = findings()
    with pytest.raises(MismatchError, match="other voxels"), put_aside(found, store):
        make_objects(found, ReportProfile(kinds=("SEG",)), SALT)
    assert [line["code"] for line in logged if line["event"] == "quarantine.failed"] == [
        STORE_WRITE_FAILED.code
    ]


def test_other_failures_pass(store: Store) -> None:
    with pytest.raises(NodeError, match="no space"), put_aside(findings(), store):
        raise NodeError(STORE_WRITE_FAILED, path=store.root, error="no space")
    assert list((store.root / "quarantine").rglob("*.*")) == []


# ── the pictures ──


def _colours(png: bytes) -> np.ndarray:
    """Where a picture has colour: bool (rows, columns)."""
    pixels = np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)
    coloured: np.ndarray = np.ptp(pixels, axis=2) > 40
    return coloured


def mismatch_of(found: Findings) -> MismatchError:
    with pytest.raises(MismatchError) as caught:
        make_objects(found, ReportProfile(kinds=("SEG",)), SALT)
    return caught.value


def test_the_pictures_show_where_the_two_differ(monkeypatch) -> None:
    flip_rows(monkeypatch)
    found = findings()
    mismatch = mismatch_of(found)
    pictures = draw_mismatch(mismatch.contents, found, mismatch.difference)
    assert pictures is not None
    there, back = map(_colours, pictures)
    assert there.sum() > 1000
    assert abs(int(there.sum()) - int(back.sum())) < 0.2 * there.sum()
    assert (there != back).sum() > 0.2 * there.sum()


def test_of_an_object_that_differs_in_words_alone_both_pictures_show_the_same(monkeypatch) -> None:
    wrong_laterality(monkeypatch)
    found = findings()
    mismatch = mismatch_of(found)
    pictures = draw_mismatch(mismatch.contents, found, mismatch.difference)
    assert pictures is not None
    there, back = map(_colours, pictures)
    assert np.array_equal(there, back)


@pytest.mark.parametrize(
    ("kind", "check"), [("RTSTRUCT", check_structure_set), ("GSPS", check_presentation_state)]
)
def test_outlines_are_drawn_too(kind, check, monkeypatch) -> None:
    real = outlines.without_straight_points
    monkeypatch.setattr(outlines, "without_straight_points", lambda ring: real(ring) * 0.5)
    found = findings()
    (content,) = written(kind, found)
    with pytest.raises(MismatchError) as caught:
        check(content, found)
    pictures = draw_mismatch(caught.value.contents, found, caught.value.difference)
    assert pictures is not None
    there, back = map(_colours, pictures)
    assert back.any()
    assert (there != back).any()


@pytest.mark.parametrize("damage", [b"", b"\0" * 200, b"half"])
def test_what_cannot_be_read_is_said_so(damage: bytes) -> None:
    found = findings()
    whole = make_objects(found, ReportProfile(kinds=("SEG",)), SALT)[0].content
    content = whole[: len(whole) // 2] if damage == b"half" else damage
    pictures = draw_mismatch((content,), found, "it cannot be read")
    assert pictures is not None
    assert _colours(pictures[0]).any()


def test_without_a_grid_there_is_nothing_to_draw() -> None:
    found = findings()
    source = dataclasses.replace(found.sources[0], grid=None)
    assert draw_mismatch((b"",), dataclasses.replace(found, sources=(source,), segments=()), "no") is None


# ── in the service ──


@pytest.fixture
def room(store, journal, tmp_path: Path):
    engine = EngineSettings(name="bright", path=bright_engine(tmp_path / "bright"))
    settings = Settings(
        engine=(engine,), analyse=AnalyseSettings(runtime="onnxruntime"), destination=(ARCHIVE,)
    )
    room = Room(store, journal, settings)
    yield room
    room.ours.close()
    assert room.stopping.wait(5)
    room.theirs.close()


def test_the_task_waits_for_a_person_and_the_story_and_the_log_name_the_files(
    room, tmp_path, monkeypatch, logged
) -> None:
    uid = room.receive(block_series(tmp_path / "ct", 1))
    assert room.do(TaskKind.DISPATCH, room.desk.work) is TaskState.DONE
    worker = Worker(room.frame, room.store, room.journal)
    try:
        assert room.do(TaskKind.ANALYSE, worker.work) is TaskState.DONE
    finally:
        worker.close()
    with monkeypatch.context() as broken:
        shift_columns(broken)
        assert room.do(TaskKind.REPORT, room.desk.work) is TaskState.PARKED
    assert room.journal.objects(uid) == []
    assert room.journal.study(uid).state is StudyState.FAILED
    files = sorted((room.store.root / "quarantine" / "geometry-guard").iterdir())
    assert sorted(path.suffix for path in files) == [".dcm", ".png", ".png"]
    (line,) = [one for one in logged if one["event"] == "task.failed"]
    assert line["code"] == "DN-5003"
    told = json.dumps(_parts(room.journal, uid)["what_happened"]), room.journal.study(uid).reason or ""
    for path in files:
        for text in (line["text"], *told):
            assert str(path) in text
    # The writer is right again: a person has it done once more
    room.journal.retry(uid, None, room.journal.tasks(uid)[0].created_at)
    assert room.do(TaskKind.REPORT, room.desk.work) is TaskState.DONE
    assert {one.kind for one in room.journal.objects(uid)} == {"SEG", "SR"}

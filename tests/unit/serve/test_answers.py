"""A doctor's answer without an object: written once, the last word, and a label that says no more than he."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from pydicom import Dataset, dcmread

from dicomnode.evaluate.data import LabelledStudy, read_labelled
from dicomnode.faults import (
    ANSWER_NO_RESULT,
    ANSWER_UNKNOWN_FINDING,
    ANSWER_WHICH_ENGINE,
    FILE_NOT_WRITTEN,
    LABEL_GONE,
    STUDY_NOT_FOUND,
    USAGE,
    NodeError,
)
from dicomnode.journal import BY_HAND, FeedbackQuery, FindingRecord, TaskKind, TaskState
from dicomnode.phantom import write_series
from dicomnode.serve.feedback import answers
from dicomnode.serve.feedback.answers import Answer, Told, account_key, give_answer
from dicomnode.serve.feedback.kept import KeptLabels, kept_labels
from dicomnode.settings import AnalyseSettings, EngineSettings, Settings
from dicomnode.store import load_findings
from dicomnode.store.findings_file import pack_findings
from dicomnode.values import Grid, MadeBy, SourceFrame
from tests.unit.analyse.forms import LESION, TISSUE, engine, node, onnx_bytes, step
from tests.unit.serve.test_clerks import ARCHIVE, Room
from tests.unit.serve.test_feedback import Answered, answering, as_bytes, corrected

AT = datetime(2026, 3, 1, 13, tzinfo=UTC)
GRID = Grid((6, 16, 20), np.diag([1.5, 1.5, 2.0, 1.0]), "1.2.3.9")
SPOTS = ((slice(1, 5), slice(2, 8), slice(2, 8)), (slice(2, 4), slice(10, 13), slice(12, 16)))
INPUT = """
[[input]]
name = "ct"
kind = "volume"
require = [{ tag = "Modality", equals = "CT" }]
"""
OF_LESION = f"""
[[output]]
segment = "NAME"
step = "net"
kind = "lesion"
category = {LESION}
type = {LESION}
tracking = "Spot NAME {{number}}"
"""
OUTPUTS = (
    OF_LESION.replace("NAME", "big")
    + OF_LESION.replace("NAME", "small")
    + f"""
[[output]]
segment = "warm"
step = "net"
kind = "tissue"
category = {TISSUE}
type = {TISSUE}
tracking = "Warm"
measure = ["volume_ml"]
"""
)


def spots_engine(folder: Path) -> Path:
    """Outlines what is above 500 and above 0 as two lesions of one type, and above -500 as tissue."""
    nodes = [node("Sub", ["x", "x"], ["none"])]
    for name, above in (("big", "hot"), ("small", "zero"), ("warm", "low")):
        nodes += [
            node("Greater", ["x", above], [f"{name}_is"]),
            node("Cast", [f"{name}_is"], [f"{name}_all"], to=TensorProto.FLOAT),
        ]
    nodes += [
        node("Sub", ["small_all", "big_all"], ["small"]),
        node("Sub", ["warm_all", "small_all"], ["warm"]),
        node("Concat", ["none", "big_all", "small", "warm"], ["labels"], axis=1),
    ]
    limits = {name: np.array(at, np.float32) for name, at in (("hot", 500), ("zero", 0), ("low", -500))}
    shape = [1, 1, "k", "j", "i"]
    outputs = [("labels", [1, 4, "k", "j", "i"], TensorProto.FLOAT)]
    network = onnx_bytes(nodes, [("x", shape)], outputs, limits)
    engine(folder, step(keys='interpret = "labels"\n') + OUTPUTS, {"net.onnx": network}, INPUT)
    return folder


def spotted(folder: Path) -> list[Path]:
    """A study with two spots and a warm slab."""
    voxels = np.full(GRID.shape_kji, -900, np.int16)
    voxels[:, 14:, :] = -100
    for box, value in zip(SPOTS, (700, 300), strict=True):
        voxels[box] = value
    return write_series(voxels, GRID, folder, seed=1)


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Path]]:
    place = tmp_path_factory.mktemp("spots")
    return place, spots_engine(place / "spots"), spotted(place / "ct")


@pytest.fixture
def room(spots: tuple[Path, Path, list[Path]]) -> Iterator[Answered]:
    with answering(*spots) as room:
        yield room


def say(room: Answered, kind: str, *findings: str, after_s: int = 0, **more: str) -> Told:
    answer = Answer(kind=kind, reader="radiologist", account="1000", findings=findings, **more)  # type: ignore[arg-type]
    return give_answer(room.journal, room.store, room.uid, answer, AT + timedelta(seconds=after_s))


def kinds(room: Answered) -> dict[str, str]:
    return {one.label: one.kind for one in room.said()}


def kept(room: Answered, folder: Path) -> KeptLabels:
    folder.mkdir(exist_ok=True)
    return kept_labels(room.journal, FeedbackQuery(), folder)


def learned(room: Answered, folder: Path) -> LabelledStudy:
    """The study as training reads it."""
    (one,) = kept(room, folder).studies
    (study,) = read_labelled([*one.images, *one.labels]).studies
    return study


def masks(study: LabelledStudy) -> dict[str, int]:
    """Voxels of each segment of its one label."""
    (label,) = study.annotations
    return {one.label: one.mask.count for one in label.segments}


def voxels(box: tuple[slice, slice, slice]) -> int:
    return int(np.prod([one.stop - one.start for one in box]))


def test_all_findings_are_accepted_at_once_and_become_a_label_that_a_person_has_judged(
    room: Answered, tmp_path: Path
) -> None:
    told = say(room, "accepted")
    assert (told.engine, told.engine_version, told.new) == ("spots", "1.0.0", 3)
    assert kinds(room) == {"big-1": "accepted", "small-1": "accepted", "warm": "accepted"}
    assert {(one.their_uid, one.recognised_by) for one in room.said()} == {(BY_HAND, "command")}
    study = learned(room, tmp_path / "made")
    assert masks(study) == {"big-1": voxels(SPOTS[0]), "small-1": voxels(SPOTS[1]), "warm": 2 * 20 * 6}
    (label,) = study.annotations
    assert {one.made_by for one in label.segments} == {MadeBy.SEMI}
    assert {one.tracking_uid for one in label.segments} == {one.finding for one in room.said()}


def test_a_label_lies_where_our_outline_lies(room: Answered, tmp_path: Path) -> None:
    say(room, "accepted")
    (label,) = learned(room, tmp_path / "made").annotations
    for box in SPOTS:
        there = np.zeros(GRID.shape_kji, bool)
        there[box] = True
        assert any(np.array_equal(one.mask.to_array(), there) for one in label.segments)


def test_a_rejected_finding_is_a_segment_without_a_voxel_and_the_others_stay(
    room: Answered, tmp_path: Path
) -> None:
    say(room, "accepted")
    say(room, "rejected", "small-1", after_s=1)
    assert masks(learned(room, tmp_path / "made")) == {
        "big-1": voxels(SPOTS[0]),
        "small-1": 0,
        "warm": 2 * 20 * 6,
    }


def test_all_rejected_says_that_there_is_nothing(room: Answered, tmp_path: Path) -> None:
    say(room, "rejected")
    assert masks(learned(room, tmp_path / "made")) == {"big-1": 0, "small-1": 0, "warm": 0}
    (study,) = kept(room, tmp_path / "made").studies
    assert not study.accepted
    made = dcmread(study.labels[0])
    assert (made.NumberOfFrames, int(made.pixel_array.sum())) == (1, 0)
    assert "DimensionOrganizationType" not in made


@pytest.mark.parametrize("kind", ["accepted", "rejected"])
def test_one_lesion_of_several_says_nothing_of_the_others_and_is_no_label_by_itself(
    room: Answered, tmp_path: Path, kind: str
) -> None:
    """A network would learn that the lesion which nobody answered is tissue without one."""
    say(room, kind, "big-1")
    assert kinds(room) == {"big-1": kind}
    nothing = kept(room, tmp_path / "made")
    assert nothing.studies == ()
    assert [one.fault for one in nothing.left_out] == [LABEL_GONE]
    say(room, "accepted", "warm", after_s=1)
    assert masks(learned(room, tmp_path / "made")) == {"warm": 2 * 20 * 6}
    say(room, "rejected", "small-1", after_s=2)
    assert masks(learned(room, tmp_path / "made"))["small-1"] == 0


def test_said_again_it_changes_nothing_and_said_otherwise_it_is_the_last_word(room: Answered) -> None:
    say(room, "accepted", "big-1")
    before = (room.said(), room.told())
    assert say(room, "accepted", "big-1", after_s=5).new == 0
    assert (room.said(), room.told()) == before
    assert say(room, "rejected", "big-1", after_s=6).new == 1
    assert kinds(room) == {"big-1": "rejected"}
    assert say(room, "accepted", "big-1", after_s=7).new == 1
    assert room.told().count("feedback.answered") == 3


def test_a_comment_is_told_once_and_names_the_role_and_no_account(room: Answered) -> None:
    for after_s in (0, 1):
        say(room, "rejected", "small-1", after_s=after_s, comment="a vessel")
    (event,) = [one for one in room.journal.events(room.uid) if one.what == "feedback.answered"]
    assert event.text == ('A reader (radiologist) has rejected small-1 of spots, by command: "a vessel".')
    assert event.facts["account"] == account_key("1000", room.store.salt)
    assert account_key("1001", room.store.salt) != event.facts["account"]
    assert "1000" not in event.text


@pytest.mark.parametrize(
    "said", ["as Miller told", "MILLER: a vessel", "a vessel (SYN-4711)", "müller-jane", "见王小東"]
)
def test_a_comment_that_names_the_patient_is_refused_and_not_quoted(
    room: Answered, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    header = Dataset()
    header.PatientName, header.PatientID = "Miller^Jané=王^小東", "SYN-4711"
    monkeypatch.setattr(answers, "_header", lambda _: header)
    with pytest.raises(NodeError) as caught:
        say(room, "rejected", comment=said)
    assert caught.value.fault is USAGE
    assert "names the patient" in str(caught.value)
    assert "miller" not in str(caught.value).lower()
    assert (room.said(), "feedback.answered" in room.told()) == ([], False)
    assert say(room, "rejected", comment="a milled vessel, 47 HU").new == 3


def test_what_is_answered_is_kept_as_a_label_without_a_byte_more(room: Answered) -> None:
    say(room, "accepted", "big-1")
    (path,) = (room.store.root / "labels").rglob("*.dcm")
    assert path.samefile(room.made.path)
    record = json.loads(path.with_suffix(".json").read_text())
    assert (record["engines"], len(record["images"])) == (["spots"], 6)


def test_a_drawing_that_comes_later_is_the_last_word_and_the_label(room: Answered, tmp_path: Path) -> None:
    early = datetime(2020, 1, 1, tzinfo=UTC)
    answer = Answer(kind="rejected", reader="radiologist", account="1")
    give_answer(room.journal, room.store, room.uid, answer, early)
    room.send(corrected(room.our_seg(), 0))
    assert room.do(TaskKind.FEEDBACK, room.clerk.work) is TaskState.DONE
    study = learned(room, tmp_path / "made")
    assert [one.sop_instance_uid for one in study.annotations] != []
    assert masks(study)["big-1"] == voxels(SPOTS[0])


def test_an_answer_against_a_drawing_that_came_before_it_leaves_the_study_out(
    room: Answered, tmp_path: Path
) -> None:
    room.send(corrected(room.our_seg(), 0))
    assert room.do(TaskKind.FEEDBACK, room.clerk.work) is TaskState.DONE
    later = max(one.at for one in room.said()) + timedelta(hours=1)
    for kind, left_out in (("accepted", 0), ("rejected", 1)):
        answer = Answer(kind=kind, reader="radiologist", account="1", findings=("big-1",))  # type: ignore[arg-type]
        give_answer(room.journal, room.store, room.uid, answer, later)
        found = kept(room, tmp_path / "made")
        assert len(found.left_out) == left_out
    (error,) = found.left_out
    assert "big-1 was accepted by a drawing, and rejected after it" in error.fault.text(**error.values)


@pytest.mark.parametrize(
    ("more", "fault", "words"),
    [
        ({"findings": ("spot-9",)}, ANSWER_UNKNOWN_FINDING, "big-1, small-1, warm"),
        ({"engine": "lung-ct"}, ANSWER_NO_RESULT, "findings have spots"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(room: Answered, more, fault, words: str) -> None:
    answer = Answer(kind="accepted", reader="radiologist", account="1", **more)
    with pytest.raises(NodeError) as caught:
        give_answer(room.journal, room.store, room.uid, answer, AT)
    assert caught.value.fault is fault
    assert words in fault.text(**caught.value.values)
    assert room.said() == []
    with pytest.raises(NodeError) as caught:
        give_answer(room.journal, room.store, "1.2.999", answer, AT)
    assert caught.value.fault is STUDY_NOT_FOUND


def test_a_result_that_was_taken_back_cannot_be_answered(room: Answered) -> None:
    room.journal.retract(room.uid, "113001", datetime.now(UTC))
    with pytest.raises(NodeError) as caught:
        say(room, "accepted")
    assert caught.value.fault is ANSWER_NO_RESULT


def test_of_several_engines_one_must_be_named(room: Answered, monkeypatch: pytest.MonkeyPatch) -> None:
    (record,) = room.journal.findings(room.uid)
    two = [record, record._replace(engine="others")]
    monkeypatch.setattr(room.journal, "findings", lambda _: two)
    with pytest.raises(NodeError) as caught:
        say(room, "accepted")
    assert caught.value.fault is ANSWER_WHICH_ENGINE
    assert "others, spots" in str(caught.value.values["engines"])
    assert say(room, "accepted", engine="others").engine == "others"


def test_the_made_label_is_a_segmentation_whose_numbers_agree(room: Answered, tmp_path: Path) -> None:
    say(room, "accepted")
    say(room, "rejected", "big-1", after_s=1)
    (study,) = kept(room, tmp_path / "made").studies
    made = dcmread(study.labels[0])
    assert made.SOPInstanceUID != room.made.sop_instance_uid
    assert [one.SegmentNumber for one in made.SegmentSequence] == [1, 2, 3]
    assert made.NumberOfFrames == len(made.PerFrameFunctionalGroupsSequence) == len(made.pixel_array)
    for group, pixels in zip(made.PerFrameFunctionalGroupsSequence, made.pixel_array, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert group.FrameContentSequence[0].DimensionIndexValues[0] == number
        assert pixels.any()
    again = kept(room, tmp_path / "again").studies[0].labels[0]
    assert again.read_bytes() == study.labels[0].read_bytes()
    assert b"Rita" not in as_bytes(made)


def dark_engine(folder: Path) -> Path:
    """Tells whether the mean is below 0, with a probability of 1 or 0."""
    nodes = [
        node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        node("Less", ["mean", "zero"], ["is"]),
        node("Cast", ["is"], ["dark"], to=TensorProto.FLOAT),
    ]
    weights = {"axes": np.array([2, 3, 4]), "zero": np.array(0.0, np.float32)}
    shape = [1, 1, "k", "j", "i"]
    network = onnx_bytes(nodes, [("x", shape)], [("dark", [1, 1], TensorProto.FLOAT)], weights)
    body = step(keys='interpret = "classes"\n[step.classes]\nactivation = "none"\n')
    body += f'\n[[output]]\nclassification = "dark"\nstep = "net"\nchannel = 0\ntype = {LESION}\n'
    engine(folder, body, {"net.onnx": network}, INPUT)
    return folder


def test_a_class_is_answered_by_its_label_and_our_report_is_the_label_where_it_is_accepted(
    store, journal, tmp_path: Path
) -> None:
    entry = EngineSettings(name="dark", path=dark_engine(tmp_path / "dark"))
    settings = Settings(
        engine=(entry,), analyse=AnalyseSettings(runtime="onnxruntime"), destination=(ARCHIVE,)
    )
    room = Room(store, journal, settings)
    try:
        uid = room.to_delivery(spotted(tmp_path / "ct"))
        (report,) = [one for one in journal.objects(uid) if one.kind == "SR"]
        for kind, labels in (("rejected", ()), ("accepted", (report.path,))):
            answer = Answer(kind=kind, reader="radiologist", account="1", findings=("dark",))  # type: ignore[arg-type]
            give_answer(journal, store, uid, answer, AT)
            (said,) = journal.feedback(FeedbackQuery())
            assert (said.label, said.kind, said.object_uid) == ("dark", kind, report.sop_instance_uid)
            assert said.finding in str(dcmread(report.path))
            found = kept_labels(journal, FeedbackQuery(), tmp_path).studies
            assert tuple(path for one in found for path in one.labels) == labels
        assert found[0].accepted == {report.sop_instance_uid}
    finally:
        room.ours.close()
        assert room.stopping.wait(5)
        room.theirs.close()


def test_the_same_said_again_after_a_drawing_said_otherwise_is_the_last_word(
    room: Answered, tmp_path: Path
) -> None:
    early = datetime(2020, 1, 1, tzinfo=UTC)
    answer = Answer(kind="rejected", reader="radiologist", account="1", findings=("big-1",))
    give_answer(room.journal, room.store, room.uid, answer, early)
    room.send(corrected(room.our_seg(), 0))
    assert room.do(TaskKind.FEEDBACK, room.clerk.work) is TaskState.DONE
    later = max(one.at for one in room.said()) + timedelta(hours=1)
    told = give_answer(room.journal, room.store, room.uid, answer, later)
    assert told.new == 1
    (error,) = kept(room, tmp_path / "made").left_out
    assert "big-1 was accepted by a drawing, and rejected after it" in error.fault.text(**error.values)
    assert give_answer(room.journal, room.store, room.uid, answer, later + timedelta(hours=1)).new == 0


def test_what_was_accepted_of_a_result_that_was_taken_back_since_is_no_label(
    room: Answered, tmp_path: Path
) -> None:
    say(room, "accepted")
    assert len(kept(room, tmp_path / "made").studies) == 1
    room.journal.retract(room.uid, "113001", datetime.now(UTC))
    (error,) = kept(room, tmp_path / "made").left_out
    assert "taken back" in error.fault.text(**error.values)


def test_what_was_rejected_and_taken_back_is_still_not_there(room: Answered, tmp_path: Path) -> None:
    say(room, "rejected")
    room.journal.retract(room.uid, "113001", datetime.now(UTC))
    assert set(masks(learned(room, tmp_path / "made")).values()) == {0}


def of_version(room: Answered, version: int, images: str) -> FindingRecord:
    """What the engine would say of a later version, under other tracking UIDs."""
    (first,) = [one for one in room.journal.findings(room.uid) if one.study_version == 1]
    known = load_findings(first.path)
    later = replace(
        known,
        segments=tuple(replace(one, tracking_uid=f"{one.tracking_uid}.{version}") for one in known.segments),
        sources=tuple(
            replace(one, frames=(*one.frames[1:], SourceFrame("1.2.3.77"))) if images == "more" else one
            for one in known.sources
        ),
    )
    path = room.store.root / f"of-{version}-{images}.npz"
    path.write_bytes(pack_findings(later))
    return first._replace(study_version=version, path=path)


def test_images_that_came_after_an_answer_make_it_no_label_until_it_is_given_anew(
    room: Answered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lesion on the slices that came later would be taken for tissue without one."""
    say(room, "accepted")
    real = room.journal.findings(room.uid)
    for what, left_out in (("same", 0), ("more", 1)):
        both = [*real, of_version(room, 2, what)]
        monkeypatch.setattr(room.journal, "findings", lambda _, both=both: both)
        found = kept(room, tmp_path / "made")
        assert len(found.left_out) == left_out
    (error,) = found.left_out
    assert "answer the results of version 2" in error.fault.text(**error.values)


def test_a_study_whose_result_cannot_be_read_is_left_out_and_told(room: Answered, tmp_path: Path) -> None:
    say(room, "accepted")
    (record,) = room.journal.findings(room.uid)
    for path in (room.made.path, record.path):
        path.write_bytes(b"damaged")
        (error,) = kept(room, tmp_path / "made").left_out
        assert error.fault is LABEL_GONE
        assert path.name in error.fault.text(**error.values)


def test_where_labels_cannot_be_written_it_is_told_as_a_fault(room: Answered, tmp_path: Path) -> None:
    say(room, "accepted")
    with pytest.raises(NodeError) as caught:
        kept_labels(room.journal, FeedbackQuery(), tmp_path / "not there")
    assert caught.value.fault is FILE_NOT_WRITTEN


def test_what_is_accepted_after_a_drawing_that_does_not_have_it_leaves_the_study_out(
    room: Answered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.send(corrected(room.our_seg(), 0))
    assert room.do(TaskKind.FEEDBACK, room.clerk.work) is TaskState.DONE
    later = max(one.at for one in room.said()) + timedelta(hours=1)
    both = [*room.journal.findings(room.uid), of_version(room, 2, "same")]
    monkeypatch.setattr(room.journal, "findings", lambda _: both)
    for kind, left_out in (("rejected", 0), ("accepted", 1)):
        answer = Answer(kind=kind, reader="radiologist", account="1", findings=("small-1",))  # type: ignore[arg-type]
        assert give_answer(room.journal, room.store, room.uid, answer, later).study_version == 2
        found = kept(room, tmp_path / "made")
        assert len(found.left_out) == left_out
    (error,) = found.left_out
    assert "small-1 was accepted after a drawing that does not have it" in error.fault.text(**error.values)


def test_a_lesion_that_was_accepted_of_another_engine_is_not_learned_as_tissue(
    room: Answered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the live engine found is accepted whole, and of the one in shadow one more."""
    say(room, "accepted")
    both = [*room.journal.findings(room.uid), of_version(room, 1, "same")._replace(engine="shadow")]
    monkeypatch.setattr(room.journal, "findings", lambda _: both)
    say(room, "rejected", "small-1", engine="shadow", after_s=1)
    assert kept(room, tmp_path / "made").left_out == ()
    say(room, "accepted", "small-1", engine="shadow", after_s=2)
    (error,) = kept(room, tmp_path / "made").left_out
    assert "small-1 of shadow was accepted" in error.fault.text(**error.values)


def test_answers_that_are_given_at_once_leave_one_word_on_each_finding(room: Answered) -> None:
    """Of several processes each writes as one step: none is lost half, and none stands twice."""

    def answer(n: int) -> Told:
        return say(room, ("accepted", "rejected")[n % 2], after_s=n)

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(answer, range(8)))
    assert len(told) == 8
    said = room.said()
    assert sorted(one.label for one in said) == ["big-1", "small-1", "warm"]
    assert len({(one.kind, one.at) for one in said}) == 1

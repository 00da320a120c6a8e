"""`dicomnode feedback`: what doctors said, over time and as labels that others can learn from."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.cli import main
from dicomnode.evaluate.data import read_labelled
from dicomnode.journal import FeedbackQuery, RejectionNote, TaskKind, TaskState
from dicomnode.serve.feedback.kept import kept_labels
from dicomnode.values import MadeBy
from tests.unit.serve import test_feedback
from tests.unit.serve.test_feedback import Answered, corrected

answered = test_feedback.answered


@pytest.fixture
def run(capsys, answered: Answered, tmp_path: Path):
    config = tmp_path / "dicomnode.toml"
    config.write_text(
        f"""schema = 1
[store]
path = {json.dumps(str(answered.store.root))}
[[sender]]
ae_title = "SCANNER"
[[engine]]
name = "lung-ct"
[[destination]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
"""
    )

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["feedback", *arguments, "--config", str(config)])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


def hear(answered: Answered, content: bytes) -> None:
    answered.send(content)
    assert answered.do(TaskKind.FEEDBACK, answered.clerk.work) is TaskState.DONE


def test_without_feedback_there_is_nothing_to_list_or_to_export(run, tmp_path):
    assert run("list")[0] == 3
    assert run("export", "--out", str(tmp_path / "out"))[0] == 3
    assert not (tmp_path / "out").exists()


def test_a_month_of_an_engine_and_each_finding_are_listed(run, answered):
    hear(answered, corrected(answered.our_seg()))
    status, out, _ = run("list")
    assert status == 0
    for word in ("bright", "1.0.0", "2026-03", "changed"):
        assert word in out
    document = json.loads(run("list", "--json", "--engine", "bright", "--since", "2020-01-01")[1])
    (month,) = document["months"]
    (said,) = document["feedback"]
    assert (month["changed"], month["accepted"], month["median_dice"]) == (1, 0, said["dice"])
    assert (said["kind"], said["finding"]) == ("changed", "bright")
    assert run("list", "--engine", "other")[0] == 3
    assert run("list", "--since", "2099-01-01")[0] == 3


def test_nothing_of_the_patient_or_the_reader_is_in_what_is_listed(run, answered):
    ours = answered.our_seg()
    ours.ContentCreatorName = "Reader^Rita"
    hear(answered, corrected(ours))
    told = run("list", "--json")[1] + run("list")[1]
    for word in ("Rita", str(ours.PatientID), str(ours.PatientName)):
        assert word not in told


def test_a_corrected_study_is_exported_as_data_that_evaluate_and_train_read(run, answered, tmp_path):
    hear(answered, corrected(answered.our_seg()))
    out = tmp_path / "out"
    status, told, err = run("export", "--out", str(out))
    assert status == 0
    assert "not de-identified" in err
    assert "bright" in told
    data = read_labelled([out])
    (study,) = data.studies
    (label,) = study.annotations
    (segment,) = label.segments
    assert label.sop_instance_uid == test_feedback.THEIRS
    assert segment.made_by is MadeBy.SEMI
    assert 0 < segment.mask.count < int(answered.our_seg().pixel_array.sum())
    listed = json.loads((out / "feedback.json").read_text())
    assert listed["deidentified"] is False
    assert listed["studies"][0]["images"] == 6
    assert not any(b"DICOMSEA" in path.read_bytes()[:128] for path in out.rglob("*.dcm"))
    assert run("export", "--out", str(out))[0] == 2


def test_the_last_correction_alone_is_the_label(run, answered, tmp_path):
    hear(answered, corrected(answered.our_seg(), 5))
    hear(answered, corrected(answered.our_seg(), 1, uid="1.2.826.0.1.3680043.10.1.99.2"))
    assert run("export", "--out", str(tmp_path / "out"), "--json")[0] == 0
    (study,) = read_labelled([tmp_path / "out"]).studies
    assert [one.sop_instance_uid for one in study.annotations] == ["1.2.826.0.1.3680043.10.1.99.2"]
    document = json.loads(run("list", "--json")[1])
    assert [len(document["feedback"]), document["months"][0]["changed"]] == [2, 1]


def test_what_was_accepted_as_it_is_exports_what_the_person_sent(run, answered, tmp_path):
    hear(answered, corrected(answered.our_seg(), 0))
    assert json.loads(run("list", "--json")[1])["months"][0]["accepted"] == 1
    assert run("export", "--out", str(tmp_path / "out"))[0] == 0
    (study,) = read_labelled([tmp_path / "out"]).studies
    assert study.annotations[0].made_by is MadeBy.SEMI


def test_a_study_whose_images_are_gone_is_left_out_and_told(run, answered, tmp_path):
    hear(answered, corrected(answered.our_seg()))
    first = answered.journal.instances(answered.uid)[0]
    first.path.unlink()
    status, _, err = run("export", "--out", str(tmp_path / "out"))
    assert status == 4
    assert "DN-7304" in err


def test_labels_of_a_study_of_the_wrong_patient_or_order_are_left_out(run, answered, tmp_path):
    hear(answered, corrected(answered.our_seg()))
    answered.journal.retract(answered.uid, "113038", datetime.now(UTC))
    status, _, err = run("export", "--out", str(tmp_path / "out"))
    assert status == 4
    assert "wrong patient or order" in err
    assert not list((tmp_path / "out").rglob("*.dcm"))


def test_an_answer_that_was_rejected_is_neither_listed_nor_exported(run, answered, tmp_path):
    hear(answered, corrected(answered.our_seg()))
    note = RejectionNote(
        sop_instance_uid="1.2.3.9",
        study_instance_uid=answered.uid,
        code="113001",
        meaning="Rejected for Quality Reasons",
        instances=(test_feedback.THEIRS,),
    )
    answered.journal.add_instances([], datetime.now(UTC), corrections=[note])
    assert run("list")[0] == 3
    assert run("export", "--out", str(tmp_path / "out"))[0] == 3


def test_the_answers_to_two_engines_are_both_labels(answered, tmp_path, monkeypatch):
    """Each corrected with a file of its own: the later one says nothing of the other engine."""
    hear(answered, corrected(answered.our_seg()))
    (said,) = answered.said()
    other = test_feedback.THEIRS + "2"
    hear(answered, corrected(answered.our_seg(), 1, uid=other))
    later = replace(answered.said()[-1], engine="other")
    monkeypatch.setattr(answered.journal, "feedback", lambda _: [said, later])
    (study,) = kept_labels(answered.journal, FeedbackQuery(), tmp_path).studies
    assert [str(dcmread(one).SOPInstanceUID) for one in study.labels] == [test_feedback.THEIRS, other]

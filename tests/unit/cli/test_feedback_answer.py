"""`dicomnode feedback accept|reject`: what a doctor says by command, and where it is found again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.cli.train_feedback import DataAsked, read_data
from dicomnode.evaluate.data import patient_named, read_labelled
from dicomnode.evaluate.truth import labels_for
from dicomnode.journal import IdentityChange
from dicomnode.values import no_progress
from tests.unit.cli import test_feedback
from tests.unit.serve import test_feedback as heard
from tests.unit.serve.test_feedback import Answered

answered = heard.answered
run = test_feedback.run


@pytest.fixture
def say(run, answered: Answered):
    """Answer the study; give (exit status, stdout, stderr)."""

    def call(kind: str, *arguments: str) -> tuple[int, str, str]:
        return run(kind, answered.uid, "--reader", "radiologist", *arguments)

    return call


def test_what_is_accepted_is_told_listed_and_exported_as_a_label_of_a_person(
    say, run, answered: Answered, tmp_path: Path
) -> None:
    assert say("accept")[:2] == (0, "bright of bright 1.0.0: accepted.\n")
    listed = json.loads(run("list", "--json")[1])
    (one,) = listed["feedback"]
    assert (one["kind"], one["recognised_by"], one["their_object"]) == ("accepted", "command", None)
    assert listed["months"][0]["accepted"] == 1
    assert "command" in run("list")[1]
    assert listed["labels"]["objects"] == 1
    assert listed["labels"]["bytes"] == answered.made.path.stat().st_size
    assert run("export", "--out", str(tmp_path / "out"))[0] == 0
    (study,) = read_labelled([tmp_path / "out"]).studies
    (label,) = labels_for(study, None, None).annotations
    assert label.segments[0].mask.count == int(answered.our_seg().pixel_array.sum())
    exported = json.loads((tmp_path / "out" / "feedback.json").read_text())
    assert exported["studies"][0]["accepted_as_they_are"]


def test_training_learns_from_it_and_from_a_rejection_that_there_is_nothing(
    say, answered: Answered, tmp_path: Path
) -> None:
    asked = DataAsked(data=(), from_feedback=True, config=tmp_path / "dicomnode.toml")
    for kind, voxels in (("accept", int(answered.our_seg().pixel_array.sum())), ("reject", 0)):
        say(kind)
        data, came = read_data(asked, no_progress, quiet=True)  # type: ignore[arg-type]
        assert came == {"studies": 1, "left_out": []}
        (label,) = data.studies[0].annotations
        assert [one.mask.count for one in label.segments] == [voxels]


def test_a_study_that_was_given_to_another_patient_is_learned_from_as_his(
    say, answered: Answered, tmp_path: Path
) -> None:
    """Else one study of a patient might be learned from, and another one of him tested with."""
    say("accept")
    asked = DataAsked(data=(), from_feedback=True, config=tmp_path / "dicomnode.toml")
    before = read_data(asked, no_progress, quiet=True)[0].studies[0].patient  # type: ignore[arg-type]
    header = dcmread(answered.journal.instances(answered.uid)[0].path)
    path = answered.store.put_identity(
        answered.uid, {"PatientID": "NEW-7"}, [{"PatientID": str(header.PatientID)}]
    )
    change = IdentityChange(path=path, keywords=("PatientID",), source="ADT^A40 of 10.0.0.1", after=0)
    answered.journal.correct_identity(answered.uid, change, datetime.now(UTC))
    (study,) = read_data(asked, no_progress, quiet=True)[0].studies  # type: ignore[arg-type]
    assert study.patient == patient_named("NEW-7") != before
    assert before == patient_named(str(header.PatientID), str(header.get("IssuerOfPatientID", "")))


def test_the_same_again_says_that_nothing_has_changed(say) -> None:
    assert json.loads(say("reject", "--json")[1])["new"] == 1
    status, out, _ = say("reject")
    assert (status, "It was said before" in out) == (0, True)
    assert json.loads(say("accept", "--finding", "bright", "--json")[1]) | {"study_instance_uid": ""} == {
        "schema": 1,
        "study_instance_uid": "",
        "study_version": 1,
        "engine": "bright",
        "engine_version": "1.0.0",
        "kind": "accepted",
        "findings": ["bright"],
        "new": 1,
    }


def test_why_tells_who_said_what_in_a_role(say, answered: Answered, capsys, tmp_path: Path) -> None:
    from dicomnode.cli import main

    say("reject", "--comment", "not there")
    with pytest.raises(SystemExit):
        main(["why", answered.uid, "--config", str(tmp_path / "dicomnode.toml"), "--json"])
    told = [one["text"] for one in json.loads(capsys.readouterr().out)["what_happened"]]
    assert 'A reader (radiologist) has rejected bright of bright, by command: "not there".' in told


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--finding", "nodule-3"), 3, "it has bright"),
        (("--engine", "other"), 3, "findings have bright"),
        (("--comment", "a" * 201), 2, "200 printable characters"),
        (("--comment", "a\nb"), 2, "200 printable characters"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(say, run, arguments, status: int, words: str) -> None:
    code, _, err = say("accept", *arguments)
    assert (code, words in " ".join(err.split())) == (status, True)
    assert run("list")[0] == 3


@pytest.mark.parametrize("reader", ["Dr. Rita Reader", "", "Rita^Reader"])
def test_a_reader_is_a_role_and_no_name(run, answered: Answered, reader: str) -> None:
    status, _, err = run("accept", answered.uid, "--reader", reader)
    assert (status, "role" in err) == (2, True)
    assert answered.said() == []


def test_a_study_that_is_not_known_has_no_answer(run) -> None:
    assert run("accept", "1.2.3.999", "--reader", "resident")[0] == 3

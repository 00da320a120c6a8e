"""Of the wrong patient or order: what that stops, holds and takes to go on, from files to an archive."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.faults import PATIENTS_MIXED, WAITS_FOR_ANOTHER
from dicomnode.journal import AnswerKey, StudyState, TaskKind, TaskState
from dicomnode.serve.intake.ingest import ingest
from dicomnode.serve.results import desk as desk_room
from dicomnode.serve.results.courier import Courier
from tests.unit.journal.world import ALL_HERE
from tests.unit.serve import test_corrections
from tests.unit.serve.test_corrected_twice import wait_in_one_group
from tests.unit.serve.test_corrections import Walk, analysed, changed, note_on, walking
from tests.unit.serve.test_taken_back import patient_id_of

walk, files = test_corrections.walk, test_corrections.files
WRONG = "113038"


def now() -> datetime:
    return datetime.now(UTC)


def reports_of(walk: Walk, uid: str) -> list[Path]:
    return [one.path for one in walk.journal.objects(uid) if one.kind == "SR"]


def ids_arrived(walk: Walk) -> list[str]:
    return [str(one.PatientID) for one in walk.arrived()]


def of_another_series(files: list[Path], number: int = 1) -> Path:
    """An image of another series of the study, which the engine does not want."""
    header = dcmread(files[0])
    header.SeriesInstanceUID, header.Modality, header.SeriesNumber = "1.2.3.77", "MR", 9
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.77.{number}"
    path = files[0].with_name(f"other-{number}.dcm")
    header.save_as(path)
    return path


@pytest.fixture
def cured(walk: Walk, files: list[Path]) -> str:
    """A study whose results were of the wrong patient, and were made anew for the right one."""
    uid = analysed(walk, files)
    walk.journal.retract(uid, WRONG, now())
    walk.turn()
    walk.send(*(changed(path, PatientID="P2") for path in files))
    walk.complete(uid)
    assert ids_arrived(walk) == [patient_id_of(files), "P2"]
    return uid


def close(walk: Walk, uid: str) -> TaskState:
    """Close a study: how its dispatch ends."""
    assert walk.journal.close_study(uid, ALL_HERE, now()) is not None
    return walk.do(TaskKind.DISPATCH, walk.desk.work)


@pytest.mark.parametrize("right", ["header", "person"])
def test_a_late_series_under_the_wrong_id_holds_a_study_that_was_cured(walk, files, cured, right):
    late = of_another_series(files)
    walk.send(late.read_bytes())
    assert close(walk, cured) is TaskState.PARKED
    study = walk.journal.study(cured)
    assert study.state is StudyState.FAILED
    assert study.reason == PATIENTS_MIXED.text(tag="(0010,0020)", keyword="PatientID")
    if right == "header":
        walk.send(changed(late, PatientID="P2"))
    else:
        assert walk.journal.reanalyse(cured, "A. Smith", now()) == 4
    walk.complete(cured)
    assert ids_arrived(walk)[2:] == ["P2"]
    if right == "person":
        walk.send(of_another_series(files, 2).read_bytes())
        assert close(walk, cured) is TaskState.PARKED, "nobody has looked at that one"


@pytest.mark.parametrize(
    "values",
    [{"PatientID": "P2"}, {"PatientID": " p2 "}, {"PatientID": "P2", "AccessionNumber": ""}],
    ids=["the same", "in other letters", "without an order"],
)
def test_a_late_series_of_the_right_patient_holds_nothing(walk, files, cured, values):
    walk.send(changed(of_another_series(files), **values))
    assert close(walk, cured) is TaskState.DONE


def test_a_late_series_of_another_order_holds_a_study_that_was_cured(walk, files):
    uid = analysed(walk, files)
    walk.journal.retract(uid, WRONG, now())
    walk.turn()
    walk.send(*(changed(path, AccessionNumber="B2") for path in files))
    walk.complete(uid)
    walk.send(changed(of_another_series(files), AccessionNumber="B1"))
    assert close(walk, uid) is TaskState.PARKED
    assert "(0008,0050) AccessionNumber" in (walk.journal.study(uid).reason or "")


def test_a_study_that_was_never_of_another_is_not_asked(walk, files):
    uid = analysed(walk, files)
    walk.send(changed(of_another_series(files), PatientID="P2"))
    assert close(walk, uid) is TaskState.DONE


def test_a_rejected_answer_that_was_cured_is_not_made_for_the_wrong_patient_again(walk, files):
    uid = analysed(walk, files)
    walk.send(note_on(reports_of(walk, uid), WRONG))
    walk.send(*(changed(path, PatientID="P2") for path in files))
    walk.complete(uid)
    walk.send(*(changed(path, PatientComments="as it was") for path in files))
    walk.complete(uid)
    assert ids_arrived(walk) == [patient_id_of(files), "P2"]
    assert walk.journal.study(uid).state is StudyState.REFUSED


@pytest.mark.parametrize("how", ["a note", "its engine"])
def test_a_person_is_heard_where_an_old_answer_withholds_an_engine(walk, files, how):
    uid = analysed(walk, files[:-1])
    walk.send(*(changed(path, PatientName="Right^Name") for path in files[:-1]))
    walk.complete(uid)
    if how == "a note":
        walk.send(note_on(reports_of(walk, uid)[:1], WRONG))
    else:
        walk.journal.retract_answers(uid, [AnswerKey(1, "mean")], WRONG, "A. Smith", now())
        walk.turn()
    assert walk.journal.reanalyse(uid, "A. Smith", now()) is None, "the results of the last version stand"
    walk.send(changed(files[-1], PatientName="Right^Name"))
    walk.complete(uid)
    assert walk.journal.study(uid).state is StudyState.REFUSED
    assert walk.journal.reanalyse(uid, "A. Smith", now()) == 4
    walk.complete(uid)
    assert (walk.journal.study(uid).state, len(walk.arrived())) == (StudyState.DONE, 3)


def test_a_rejected_answer_is_not_let_go_to_another_destination(store, journal, tmp_path, files):
    with walking(store, journal, tmp_path, name="second", hold=True) as walk:
        second = Courier(walk.settings, walk.settings.destination[1], journal, walk.stopping)
        uid = walk.receive(files)
        for kind, work in (
            (TaskKind.DISPATCH, walk.desk.work),
            (TaskKind.ANALYSE, walk.worker.work),
            (TaskKind.REPORT, walk.desk.work),
            (TaskKind.REPORT, walk.desk.work),
            (TaskKind.DELIVER, walk.courier.work),
            (TaskKind.DELIVER, second.work),
        ):
            walk.do(kind, work)
        assert journal.held(uid) == {uid: ["second"]}
        sent = [one.path for one in journal.objects(uid) if one.sop_instance_uid in walk.archive.stored]
        walk.send(note_on(sent, WRONG))
        assert journal.held(uid) == {}
        assert journal.release_results(uid, None, "Dr. Roe", now()) == []
        assert journal.study(uid).state is StudyState.DONE


def test_a_note_that_comes_while_later_images_are_dispatched_is_heard_of(walk, files, monkeypatch):
    uid = analysed(walk, files[:-1])
    walk.send(files[-1].read_bytes())
    decide, notes = desk_room.decide, [note_on(reports_of(walk, uid), WRONG)]

    def meanwhile(*arguments):
        if notes:
            walk.send(notes.pop())
        return decide(*arguments)

    monkeypatch.setattr(desk_room, "decide", meanwhile)
    walk.complete(uid)
    assert (walk.journal.study(uid).state, walk.analysed) == (StudyState.REFUSED, 1)


def test_two_corrections_of_the_right_patient_in_one_group_are_a_cure(walk, files):
    uid = analysed(walk, files)
    walk.journal.retract(uid, WRONG, now())
    walk.turn()
    wait_in_one_group(
        walk,
        *(changed(path, PatientID="P2") for path in files),
        *(changed(path, PatientID="P2", PatientName="Right^Name") for path in files),
    )
    ingest(walk.store, walk.journal, now())
    assert walk.journal.study(uid).state is StudyState.RECEIVING


def test_that_a_study_waits_for_the_right_patient_is_in_the_log_its_reason_and_its_story(walk, files, logged):
    uid = analysed(walk, files[:-1])
    walk.journal.retract(uid, WRONG, now())
    walk.turn()
    walk.send(files[-1].read_bytes())
    assert walk.journal.study(uid).reason == WAITS_FOR_ANOTHER.text()
    (line,) = [one for one in logged if one["event"] == "study.stays_taken_back"]
    assert (line["code"], line["study"], line["log_level"]) == (WAITS_FOR_ANOTHER.code, uid, "warning")
    (text,) = walk.told(uid, "study.stays_taken_back")
    assert WAITS_FOR_ANOTHER.code in text

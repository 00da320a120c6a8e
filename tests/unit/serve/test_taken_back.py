"""What was taken back as wrong stays so when the study is only renamed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydicom import dcmread

from dicomnode.journal import StudyState
from tests.unit.serve import test_corrections
from tests.unit.serve.test_corrections import KOS, analysed, changed, note_on

walk, files = test_corrections.walk, test_corrections.files


def test_results_that_were_taken_back_do_not_come_again_by_a_corrected_name(walk, files):
    uid = analysed(walk, files)
    walk.journal.retract(uid, "113037", datetime.now(UTC))
    walk.turn()
    for name in ("Right^Name", "More^Right"):
        walk.send(*(changed(path, PatientName=name) for path in files))
        assert walk.journal.study(uid).state is StudyState.RETRACTED
        assert walk.journal.close_study(uid, test_corrections.ALL_HERE, datetime.now(UTC)) is None
        walk.turn()
    assert walk.analysed == 1
    assert len(walk.arrived()) == 1
    assert str(dcmread(walk.journal.instances(uid)[0].path).PatientName) == "More^Right"


def test_half_the_names_before_the_results_were_taken_back_and_half_after_make_none_again(walk, files):
    uid = analysed(walk, files)
    walk.send(changed(files[0], PatientName="Right^Name"))
    walk.journal.retract(uid, "113037", datetime.now(UTC))
    walk.send(*(changed(path, PatientName="Right^Name") for path in files[1:]))
    walk.turn()
    assert walk.journal.study(uid).state is StudyState.RETRACTED


def test_results_of_the_wrong_patient_are_made_anew_once_the_patient_is_corrected(walk, files):
    uid = analysed(walk, files)
    walk.journal.retract(uid, "113038", datetime.now(UTC))
    walk.turn()
    walk.send(*(changed(path, PatientID="P2") for path in files))
    walk.complete(uid)
    assert walk.journal.study(uid).state is StudyState.DONE
    assert walk.analysed == 2, "what was taken back was taken over"


@pytest.mark.parametrize("values", [{"PatientWeight": "81"}, {"PatientWeight": "81", "PatientName": "A^B"}])
def test_what_an_engine_may_see_is_analysed_anew_after_results_were_taken_back(walk, files, values):
    uid = analysed(walk, files)
    walk.journal.retract(uid, "113037", datetime.now(UTC))
    walk.send(*(changed(path, **values) for path in files))
    walk.complete(uid)
    assert (walk.journal.study(uid).state, walk.analysed) == (StudyState.DONE, 2)


def test_a_study_without_usable_images_stays_ended_whatever_is_corrected(walk, files):
    uid = analysed(walk, files)
    walk.send(note_on(files, "113038"))
    walk.turn()
    walk.send(*(changed(path, PatientID="P2", PatientWeight="81") for path in files))
    assert walk.journal.study(uid).state is StudyState.RETRACTED
    assert len(walk.arrived(KOS)) == 1

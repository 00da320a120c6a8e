"""What was taken back as wrong stays so when the study is only renamed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydicom import dcmread

from dicomnode.journal import StudyState
from dicomnode.receive.hl7_message import parse, read_changes
from dicomnode.serve.identity.patients import Patients
from tests.unit.receive.test_hl7_message import message
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


# What leaves a study with the patient and the order that it was wrongly of
SAME_PATIENT = {
    "an issuer": {"IssuerOfPatientID": "HOSP"},
    "a physician": {"ReferringPhysicianName": "X^Y"},
    "other IDs": {"OtherPatientIDs": "123"},
    "a description": {"StudyDescription": "CT thorax"},
    "a weight": {"PatientWeight": "81"},
    "a birth date where none was": {"PatientBirthDate": "19700101"},
    "the name in other letters": {"PatientName": "Phantom^Thorax^^"},
}


@pytest.mark.parametrize("values", SAME_PATIENT.values(), ids=SAME_PATIENT.keys())
def test_results_of_the_wrong_patient_are_not_sent_to_him_again_whatever_else_is_corrected(
    walk, files, values
):
    uid = analysed(walk, files)
    walk.journal.retract(uid, "113038", datetime.now(UTC))
    walk.turn()
    walk.send(*(changed(path, **values) for path in files))
    assert walk.journal.study(uid).state is StudyState.RETRACTED
    walk.send(*(changed(path, **values, PatientID="P2") for path in files))
    walk.complete(uid)
    assert (walk.journal.study(uid).state, walk.analysed) == (StudyState.DONE, 2), "the right one is the cure"
    assert [one.PatientID for one in walk.arrived()][-1] == "P2"


def test_of_two_reasons_a_correction_cures_only_its_own(walk, files):
    uid = analysed(walk, files)
    walk.journal.retract(uid, "113037", datetime.now(UTC))
    walk.journal.retract(uid, "113038", datetime.now(UTC))
    for values in ({"PatientWeight": "81"}, {"PatientID": "P2", "PatientWeight": "82"}):
        assert walk.journal.study(uid).state is StudyState.RETRACTED
        walk.send(*(changed(path, **values) for path in files))
    walk.complete(uid)
    assert (walk.journal.study(uid).state, walk.analysed) == (StudyState.DONE, 2)


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


# ── whose it is, by a message ──


def tell(walk, patient_id: str, *, merged: str = "") -> None:
    """A message on the patient: another name, or that he is another one's."""
    segments = [f"PID|||{patient_id}||Right^Name", *([f"MRG|{merged}"] if merged else [])]
    told = message(*segments, kind="ADT^A40^ADT_A39" if merged else "ADT^A08^ADT_A01")
    changes = read_changes(parse(told, "8859/1", "10.0.0.1"), "10.0.0.1")
    Patients(walk.store, walk.journal).apply(changes, "ADT of 10.0.0.1", datetime.now(UTC))


def patient_id_of(files) -> str:
    return str(dcmread(files[0]).PatientID)


@pytest.mark.parametrize("code", ["113038", "113037", "113001"], ids=["wrong patient", "unsafe", "bad"])
@pytest.mark.parametrize("merged", [True, False], ids=["merge", "update"])
def test_no_message_cures_what_was_taken_back(walk, files, code, merged):
    uid = analysed(walk, files)
    walk.journal.retract(uid, code, datetime.now(UTC))
    walk.turn()
    mine = patient_id_of(files)
    tell(walk, "P2" if merged else mine, merged=mine if merged else "")
    walk.turn()
    study = walk.journal.study(uid)
    assert (study.version, study.state, walk.analysed) == (1, StudyState.RETRACTED, 1)
    (text,) = walk.told(uid, "study.identity")
    assert "Its results will have it." in text
    assert walk.journal.reanalyse(uid, "A. Smith", datetime.now(UTC)) == 2, "a person may say so"
    walk.complete(uid)
    assert [str(one.PatientName) for one in walk.arrived()][-1] == "Right^Name"


def test_an_archive_that_follows_a_merge_cures_nothing_either(walk, files):
    uid = analysed(walk, files)
    walk.journal.retract(uid, "113038", datetime.now(UTC))
    walk.turn()
    tell(walk, "P2", merged=patient_id_of(files))
    walk.send(*(changed(path, PatientID="P2", PatientName="Right^Name") for path in files))
    assert walk.journal.study(uid).state is StudyState.RETRACTED
    walk.send(*(changed(path, PatientID="P3", PatientName="Right^Name") for path in files))
    assert walk.journal.study(uid).state is StudyState.RECEIVING, "nobody told of that one"


def test_a_series_that_an_archive_sends_with_the_told_id_leaves_the_others_under_it(walk, files, tmp_path):
    other = tmp_path / "other.dcm"
    header = dcmread(files[0])
    header.SeriesInstanceUID, header.Modality, header.SeriesNumber = "1.2.3.77", "MR", 9
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = "1.2.3.78"
    header.save_as(other)
    uid = analysed(walk, [*files, other])
    tell(walk, "P2", merged=patient_id_of(files))
    walk.turn()
    walk.send(changed(other, PatientID="P2", PatientName="Right^Name"))
    walk.complete(uid)
    assert [one.PatientID for one in walk.arrived()] == [patient_id_of(files), "P2", "P2"]
    assert str(walk.arrived()[-1].PatientName) == "Right^Name"


# ── a person wants it again ──


def test_a_person_has_a_study_analysed_again_whose_results_were_taken_back(walk, files):
    uid = analysed(walk, files)
    walk.journal.retract(uid, "113037", datetime.now(UTC))
    walk.turn()
    walk.send(*(changed(path, PatientName="Right^Name") for path in files))
    assert walk.journal.study(uid).state is StudyState.RETRACTED
    assert walk.journal.reanalyse(uid, "A. Smith", datetime.now(UTC)) == 3
    walk.complete(uid)
    assert (walk.journal.study(uid).state, walk.analysed) == (StudyState.DONE, 2)
    assert str(walk.arrived()[-1].PatientName) == "Right^Name"
    (text,) = walk.told(uid, "study.reanalysed")
    assert text == (
        "A. Smith wants the study analysed again, whose results were taken back (DCM 113037): "
        "version 3 begins."
    )
    assert walk.journal.reanalyse(uid, "A. Smith", datetime.now(UTC)) is None, "its results stand"


def test_a_study_without_usable_images_is_not_analysed_again_at_a_persons_wish(walk, files):
    uid = analysed(walk, files)
    walk.send(note_on(files, "113038"))
    walk.turn()
    assert walk.journal.reanalyse(uid, "A. Smith", datetime.now(UTC)) is None
    assert walk.journal.study(uid).state is StudyState.RETRACTED

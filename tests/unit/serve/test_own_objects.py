"""What an archive sends back to the node, and notes on what the node made: neither is analysed again."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset

from dicomnode.journal import StudyState
from dicomnode.values.rejection import REJECTIONS
from tests.unit.serve import test_corrections
from tests.unit.serve.test_corrections import ALL_HERE, KOS, analysed, changed, note_on
from tests.unit.serve.test_taken_back import SAME_PATIENT, patient_id_of, tell
from tests.wire.peers import EXPLICIT_LE

walk, files = test_corrections.walk, test_corrections.files


def as_file(one: Dataset) -> bytes:
    """What an archive holds, as a file of its own."""
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = EXPLICIT_LE
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    content = BytesIO()
    one.save_as(content, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return content.getvalue()


def note_on_report(walk, files, code: str) -> bytes:
    """A rejection note of another maker that names the report of the node, and no image."""
    (report,) = walk.arrived()
    note = dcmread(BytesIO(note_on(files[:1], code)))
    series = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.SeriesInstanceUID = report.SeriesInstanceUID
    items = [series, *(item for item in note.ContentSequence if "ReferencedSOPSequence" in item)]
    for item in items:
        item.ReferencedSOPSequence[0].ReferencedSOPClassUID = report.SOPClassUID
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = report.SOPInstanceUID
    content = BytesIO()
    note.save_as(content, enforce_file_format=True)
    return content.getvalue()


def test_a_report_that_the_archive_sends_back_begins_no_version_and_is_told_once(walk, files):
    uid = analysed(walk, files)
    (report,) = walk.arrived()
    images = len(walk.journal.instances(uid))
    for _ in range(2):
        walk.send(as_file(report))
        assert walk.journal.close_study(uid, ALL_HERE, datetime.now(UTC)) is None
        walk.turn()
    study = walk.journal.study(uid)
    assert (study.version, study.state, walk.analysed) == (1, StudyState.DONE, 1)
    assert len(walk.journal.instances(uid)) == images
    assert len(walk.told(uid, "object.returned")) == 1
    assert len(walk.arrived()) == 1


def test_a_report_that_comes_back_with_another_header_corrects_nothing(walk, files):
    uid = analysed(walk, files)
    (report,) = walk.arrived()
    walk.send(as_file(report))
    report.PatientName = "Coerced^Name"
    walk.send(as_file(report))
    assert (walk.journal.study(uid).version, walk.journal.study(uid).state) == (1, StudyState.DONE)


def test_an_image_that_comes_with_a_report_of_the_node_begins_a_version_without_it(walk, files):
    uid = analysed(walk, files[1:])
    (report,) = walk.arrived()
    walk.send(as_file(report), changed(files[0]))
    study = walk.journal.study(uid)
    assert (study.version, study.state) == (2, StudyState.RECEIVING)
    assert sorted(one.sop_instance_uid for one in walk.journal.instances(uid)) == sorted(
        str(dcmread(path).SOPInstanceUID) for path in files
    )


def test_a_retracted_study_stays_so_when_the_note_on_its_results_comes_back(walk, files):
    uid = analysed(walk, files)
    walk.journal.retract(uid, "113037", datetime.now(UTC))
    walk.turn()
    (note,) = walk.arrived(KOS)
    walk.send(as_file(note))
    study = walk.journal.study(uid)
    assert (study.version, study.state, walk.analysed) == (1, StudyState.RETRACTED, 1)
    assert len(walk.told(uid, "object.returned")) == 1


@pytest.mark.parametrize("code", sorted(REJECTIONS))
def test_a_note_that_rejects_the_report_alone_begins_no_version(walk, files, code):
    uid = analysed(walk, files)
    (report,) = walk.arrived()
    walk.send(note_on_report(walk, files, code))
    assert walk.journal.close_study(uid, ALL_HERE, datetime.now(UTC)) is None
    walk.turn()
    study = walk.journal.study(uid)
    assert (study.version, study.state, walk.analysed) == (1, StudyState.DONE, 1)
    assert walk.journal.rejected(uid) == {report.SOPInstanceUID: code}


# ── and what comes after such a note ──


def test_a_result_that_somebody_else_rejected_does_not_come_again_by_a_corrected_name(walk, files):
    uid = analysed(walk, files)
    walk.send(note_on_report(walk, files, "113001"))
    for version, name in ((2, "Right^Name"), (3, "More^Right")):
        walk.send(*(changed(path, PatientName=name) for path in files))
        walk.complete(uid)
        study = walk.journal.study(uid)
        assert (study.version, study.state) == (version, StudyState.REFUSED)
        assert "rejected by a note of somebody else (DCM 113001)" in (study.reason or "")
    assert (len(walk.arrived()), walk.analysed) == (1, 1)
    assert walk.journal.reanalyse(uid, "A. Smith", datetime.now(UTC)) == 4
    walk.complete(uid)
    assert (walk.journal.study(uid).state, walk.analysed) == (StudyState.DONE, 2)
    assert len(walk.arrived()) == 2


@pytest.mark.parametrize("code", ["113001", "113037", "113038"])
def test_a_result_that_somebody_else_rejected_does_not_come_again_by_a_message(walk, files, code):
    uid = analysed(walk, files)
    walk.send(note_on_report(walk, files, code))
    tell(walk, "P2", merged=patient_id_of(files))
    walk.turn()
    assert (walk.journal.study(uid).version, len(walk.arrived())) == (1, 1)
    assert walk.journal.reanalyse(uid, "A. Smith", datetime.now(UTC)) == 2
    walk.complete(uid)
    assert [one.PatientID for one in walk.arrived()][-1] == "P2"


@pytest.mark.parametrize("values", [{"PatientID": "P2"}, {"PatientID": "P2", "PatientWeight": "81"}])
def test_a_result_that_somebody_else_rejected_as_of_the_wrong_patient_is_made_anew_for_the_right_one(
    walk, files, values
):
    uid = analysed(walk, files)
    walk.send(note_on_report(walk, files, "113038"))
    walk.send(*(changed(path, **values) for path in files))
    walk.complete(uid)
    assert (walk.journal.study(uid).state, walk.analysed) == (StudyState.DONE, 2)
    assert [one.PatientID for one in walk.arrived()][-1] == "P2"


@pytest.mark.parametrize("values", SAME_PATIENT.values(), ids=SAME_PATIENT.keys())
def test_a_result_that_somebody_else_rejected_as_of_the_wrong_patient_is_not_sent_to_him_again(
    walk, files, values
):
    uid = analysed(walk, files)
    walk.send(note_on_report(walk, files, "113038"))
    for more in ({}, {"PatientComments": "twice"}):
        walk.send(*(changed(path, **values, **more) for path in files))
        walk.complete(uid)
        assert (walk.journal.study(uid).state, walk.analysed) == (StudyState.REFUSED, 1)
        assert "(DCM 113038)" in (walk.journal.study(uid).reason or "")
    assert walk.journal.reanalyse(uid, "A. Smith", datetime.now(UTC)) == 4
    walk.complete(uid)
    assert (walk.journal.study(uid).state, len(walk.arrived())) == (StudyState.DONE, 2)


def test_after_a_rejected_result_other_images_are_analysed_as_ever(walk, files):
    uid = analysed(walk, files[1:])
    walk.send(note_on_report(walk, files, "113001"))
    walk.send(files[0].read_bytes())
    walk.complete(uid)
    assert (walk.journal.study(uid).state, walk.analysed) == (StudyState.DONE, 2)

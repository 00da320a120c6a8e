"""The whole walk: a study pushed over DICOM comes back to an archive as SEG and SR."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from pydicom import dcmread

from dicomnode.deliver import push_study
from dicomnode.evaluate import dice
from dicomnode.faults import PEER_REJECTED, NodeError
from dicomnode.journal import StudyState
from dicomnode.phantom import SeriesForm, study_uid, thorax, write_series
from dicomnode.store import Store
from dicomnode.values import Grid
from tests.wire.node import running_node
from tests.wire.peers import EXPLICIT_LE, IMPLICIT_LE, free_port, orthanc, peer_at, store_scp

pytestmark = pytest.mark.wire

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
RESULTS = [(uid, (EXPLICIT_LE, IMPLICIT_LE)) for uid in (SEG, ENHANCED_SR)]


NOWHERE = peer_at(free_port())


def _push(node, files, calling_ae="SCANNER"):
    result = push_study(node.peer, calling_ae, files)
    assert not result.failed
    return result


def _uid(files) -> str:
    return str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


def _why(node, study_uid: str) -> dict:
    command = [sys.executable, "-m", "dicomnode", "why", study_uid, "--config", str(node.config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_study_pushed_with_storescu_comes_back_as_seg_and_sr(tmp_path, small_phantom):
    with store_scp(contexts=RESULTS) as archive, running_node(tmp_path, ["lung-ct"], archive.peer) as node:
        _push(node, small_phantom.files)
        study = node.wait_for(_uid(small_phantom.files))
        assert study.state is StudyState.DONE
        by_class = _by_class(archive.datasets.values())
        assert set(by_class) == {SEG, ENHANCED_SR}
        assert len(archive.stored) == 2
        for made in by_class.values():
            assert made.StudyInstanceUID == _uid(small_phantom.files)
            assert made.PatientID == dcmread(small_phantom.files[0]).PatientID
        labels = [str(s.SegmentLabel) for s in by_class[SEG].SegmentSequence]
        assert any("lung" in label.lower() for label in labels)
        with node.journal() as journal:
            ((_, _, path),) = journal.findings(study.study_instance_uid)
        assert "PHANTOM" not in node.log.read_text(), "a patient's name or ID is in the log"
        assert node.stop() == 0
    store = Store.open(tmp_path / "store")
    findings = store.load_findings(path)
    store.close()
    lungs = {s.label: s.mask.to_array() for s in findings.segments if s.label.startswith("lung")}
    assert dice(lungs["lung-right"], small_phantom.truth.lung_right.to_array()) > 0.93
    assert dice(lungs["lung-left"], small_phantom.truth.lung_left.to_array()) > 0.93


def test_why_names_the_rule_that_kept_every_engine_from_a_study(tmp_path, small_phantom, lungs_engine):
    phantom = thorax(3, "small", nodules=False)
    grid = Grid(
        (20, *phantom.grid.shape_kji[1:]), phantom.grid.affine_lps, phantom.grid.frame_of_reference_uid
    )
    form = SeriesForm(modality="MR")
    files = write_series(phantom.voxels[:20] + 1024, grid, tmp_path / "mr", seed=3, form=form)
    with running_node(tmp_path / "node", [lungs_engine], NOWHERE) as node:
        _push(node, files)
        study = node.wait_for(study_uid(3))
        assert study.state is StudyState.REFUSED
        explained = _why(node, study_uid(3))
    (verdict,) = explained["verdicts"]
    assert not verdict["chosen"]
    assert (verdict["rule"], verdict["found"]) == ("Modality is CT", "MR")
    assert explained["study"]["reason"] == "No engine wants this study."


def test_a_series_with_a_missing_slice_is_answered_with_the_reason(tmp_path, small_phantom, lungs_engine):
    files = [path for n, path in enumerate(small_phantom.files) if n != 40]
    with store_scp(contexts=RESULTS) as archive, running_node(tmp_path, [lungs_engine], archive.peer) as node:
        _push(node, files)
        node.wait_for(_uid(files))
        (content,) = archive.datasets.values()
    report = dcmread(io.BytesIO(content))
    assert report.SOPClassUID == ENHANCED_SR
    (reason,) = [e.value for e in report.iterall() if e.keyword == "TextValue" and "DN-3005" in e.value]
    assert "5.000 mm" in reason, "the distance at the gap is named"


def test_results_wait_for_an_archive_that_is_down_and_arrive_when_it_is_back(
    tmp_path, small_phantom, lungs_engine
):
    port = free_port()
    with running_node(tmp_path, [lungs_engine], peer_at(port)) as node:
        _push(node, small_phantom.files)
        uid = _uid(small_phantom.files)
        waiting = node.wait_for(uid, states={StudyState.DELIVERING})
        assert waiting.state is StudyState.DELIVERING
        with store_scp(contexts=RESULTS, port=port) as archive:
            node.wait_for(uid, states={StudyState.DONE})
            assert sorted(archive.stored) == sorted(archive.datasets)
            assert len(archive.stored) == 2


@pytest.mark.long
def test_a_late_image_makes_a_new_version_whose_report_in_the_archive_names_the_one_before(
    tmp_path, small_phantom, lungs_engine
):
    late, early = small_phantom.files[-1:], small_phantom.files[:-1]
    uid = _uid(early)
    with orthanc(tmp_path) as archive, running_node(tmp_path / "node", [lungs_engine], archive.peer) as node:
        _push(node, early)
        assert node.wait_for(uid).version == 1
        first = _by_class(archive.files().values())
        _push(node, late)
        node.wait_for(uid, states={StudyState.RECEIVING, StudyState.ANALYSING, StudyState.QUEUED})
        study = node.wait_for(uid)
        assert (study.version, study.instances) == (2, len(small_phantom.files))
        old = {made.SOPInstanceUID for made in first.values()}
        files = archive.files()
        assert len(files) == 4
        second = _by_class(content for name, content in files.items() if name not in old)
    assert set(first) == set(second) == {SEG, ENHANCED_SR}
    assert "PredecessorDocumentsSequence" not in first[ENHANCED_SR]
    (of_study,) = second[ENHANCED_SR].PredecessorDocumentsSequence
    (of_series,) = of_study.ReferencedSeriesSequence
    (named,) = of_series.ReferencedSOPSequence
    assert of_study.StudyInstanceUID == uid
    assert of_series.SeriesInstanceUID == first[ENHANCED_SR].SeriesInstanceUID
    assert named.ReferencedSOPInstanceUID == first[ENHANCED_SR].SOPInstanceUID


def _by_class(contents):
    """The objects by their SOP class, of which each is there once."""
    read = [dcmread(io.BytesIO(content)) for content in contents]
    by_class = {made.SOPClassUID: made for made in read}
    assert len(by_class) == len(read)
    return by_class


def test_a_sender_that_is_not_configured_is_rejected_and_the_log_says_how_to_let_it_in(
    tmp_path, small_phantom, lungs_engine
):
    with running_node(tmp_path, [lungs_engine], NOWHERE) as node:
        with pytest.raises(NodeError) as caught:
            push_study(node.peer, "STRANGER", small_phantom.files[:1], prefer_dcmtk=False)
        assert caught.value.fault is PEER_REJECTED
        assert 'ae_title = "STRANGER"' in json.dumps(node.lines()).replace('\\"', '"')


@pytest.mark.long
def test_a_shadow_engine_keeps_its_findings_and_sends_nothing(tmp_path, small_phantom, lungs_engine):
    with (
        store_scp(contexts=RESULTS) as archive,
        running_node(tmp_path, [lungs_engine], archive.peer, mode="shadow") as node,
    ):
        _push(node, small_phantom.files)
        study = node.wait_for(_uid(small_phantom.files))
        with node.journal() as journal:
            assert len(journal.findings(study.study_instance_uid)) == 1
            assert journal.objects(study.study_instance_uid) == []
        assert archive.stored == []
        [analysis] = _why(node, study.study_instance_uid)["analyses"]
        assert (analysis["mode"], analysis["outcome"]) == ("shadow", "findings")
        assert analysis["found"] == "lung-right, lung-left"

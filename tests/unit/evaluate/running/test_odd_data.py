"""Data as they come: truth drawn by hand, on another grid, as a label map, twice; images of nothing."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import pack_bits
from pydicom.uid import generate_uid

from dicomnode.evaluate.data import numbered, read_labelled
from dicomnode.evaluate.evaluation import Evaluation, RunState
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.page import report_html
from dicomnode.evaluate.running import Judging, judge
from dicomnode.faults import NodeError
from dicomnode.serve import Answering, AnsweringPlan, Occasion
from tests.unit.evaluate.page.reading import section, shown
from tests.unit.evaluate.readers.people import ADA, BOB, drawn_by_hand, read_again, sign
from tests.unit.evaluate.running.engines import liver_engine

PLAN = AnsweringPlan(
    threads=1, occasion=Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32)
)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return liver_engine(tmp_path_factory.mktemp("engines") / "liver")


@pytest.fixture
def case(volumes, tmp_path) -> Path:
    """One study, with nothing said of it."""
    made = tmp_path / "data" / "case-0001"
    shutil.copytree(volumes[0] / "case-0001", made)
    return made


def _judged(package, folder: Path) -> Evaluation:
    with Answering(package, PLAN) as answering:
        data = numbered(read_labelled([folder]))
        return judge(data, answering, Judging(resampling=Resampling(resamples=100))).evaluation


def _liver(evaluation: Evaluation):
    return next(one for one in evaluation.segmentations if one.output.label == "liver")


def _only(case: Path, *names: str) -> None:
    for path in (case / "truth").iterdir():
        if path.name not in names:
            path.unlink()


@pytest.fixture
def usual(package, case) -> float:
    """The Dice by the segmentation of the phantom."""
    return _liver(_judged(package, case.parent)).cases[0].dice


def test_an_rtstruct_is_a_truth_as_good_as_a_seg(package, case, usual) -> None:
    drawn_by_hand(case, ADA)
    _only(case, "structures.dcm")
    (one,) = _liver(_judged(package, case.parent)).cases
    assert one.dice == pytest.approx(usual, abs=0.01)


def test_a_segmentation_on_a_coarser_grid_is_laid_onto_the_images(package, case, usual) -> None:
    path = case / "truth" / "segments.dcm"
    ds = dcmread(path)
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    coarse = frames.reshape(len(frames), ds.Rows // 2, 2, ds.Columns // 2, 2).mean(axis=(2, 4)) >= 0.5
    (measures,) = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    measures.PixelSpacing = [2 * float(one) for one in measures.PixelSpacing]
    for groups in ds.PerFrameFunctionalGroupsSequence:
        position = groups.PlanePositionSequence[0]
        x, y, z = (float(one) for one in position.ImagePositionPatient)
        half = float(measures.PixelSpacing[0]) / 4
        position.ImagePositionPatient = [x + half, y + half, z]
    ds.Rows, ds.Columns = coarse.shape[1:]

    ds.PixelData = pack_bits(coarse.astype(np.uint8))
    ds.save_as(path)
    _only(case, "segments.dcm")
    (one,) = _liver(_judged(package, case.parent)).cases
    assert usual - 0.1 < one.dice < 1.0
    assert one.dice != usual


def test_a_label_map_is_a_truth(package, case, usual) -> None:
    seg = dcmread(case / "truth" / "segments.dcm")
    images = sorted(
        (dcmread(one) for one in (case / "images").glob("*.dcm")),
        key=lambda one: float(one.ImagePositionPatient[2]),
    )
    heights = [float(one.ImagePositionPatient[2]) for one in images]
    labels = np.zeros((len(images), seg.Rows, seg.Columns), dtype=np.uint8)
    numbers = {str(one.SegmentLabel): int(one.SegmentNumber) for one in seg.SegmentSequence}
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        if groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber == numbers["liver"]:
            z = float(groups.PlanePositionSequence[0].ImagePositionPatient[2])
            labels[int(np.argmin(np.abs(np.array(heights) - z)))] |= frame.astype(np.uint8)
    described = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="liver",
        segmented_property_category=hd.sr.CodedConcept("123037004", "SCT", "Anatomical structure"),
        segmented_property_type=hd.sr.CodedConcept("10200004", "SCT", "Liver"),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    made = hd.seg.Segmentation(
        source_images=images,
        pixel_array=labels,
        segmentation_type=hd.seg.SegmentationTypeValues.LABELMAP,
        segment_descriptions=[described],
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Nobody",
        manufacturer_model_name="None",
        software_versions="1",
        device_serial_number="1",
    )
    made.save_as(case / "truth" / "labelmap.dcm")
    _only(case, "labelmap.dcm")
    (one,) = _liver(_judged(package, case.parent)).cases
    assert one.dice == pytest.approx(usual)


def test_two_who_outline_it_differently_are_told_and_half_of_them_decide(package, case) -> None:
    sign(case, ADA)
    read_again(case, BOB, 6)
    liver = _liver(_judged(package, case.parent))
    alone = dcmread(case / "truth" / "segments.dcm").pixel_array
    assert alone.any()
    assert any("several objects outline it" in text for text in liver.remarks)


def test_one_who_outlines_it_and_one_who_says_that_there_is_none(package, case) -> None:
    sign(case, ADA)
    read_again(case, BOB, 0, empty=True)
    liver = _liver(_judged(package, case.parent))
    assert any("among themselves they have a mean Dice of 0.000" in text for text in liver.remarks)


def test_images_that_show_nothing_are_refused_or_answered_and_never_lost(package, volumes, tmp_path) -> None:
    for n in (1, 2):
        shutil.copytree(volumes[0] / f"case-{n:04d}", tmp_path / "data" / f"case-{n:04d}")
    for path in (tmp_path / "data" / "case-0002" / "images").glob("*.dcm"):
        ds = dcmread(path)
        ds.PixelData = bytes(len(ds.PixelData))
        ds.save_as(path)
    evaluation = _judged(package, tmp_path / "data")
    assert len(evaluation.runs) == 2
    places = {run.case.place: run.state for run in evaluation.runs}
    blank = places["case-0002/images"]
    liver = _liver(evaluation)
    if blank is RunState.ANALYSED:
        (one,) = [one for one in liver.cases if one.case.place == "case-0002/images"]
        assert one.dice == 0.0
        assert any("nothing was outlined of what is there" in text for text in liver.headline.warnings)
    else:
        assert [one.place for one in liver.unanswered] == ["case-0002/images"]


def _second_series(case: Path, *, elsewhere: bool) -> None:
    """Write the images once more as another series; elsewhere: in a space of their own."""
    for path in sorted((case / "images").glob("*.dcm")):
        ds = dcmread(path)
        # Of two that fit equally the engine takes the one of the lower UID
        ds.SeriesInstanceUID = f"1.2.{ds.SeriesNumber}"
        if elsewhere:
            ds.FrameOfReferenceUID = generate_uid(entropy_srcs=["second", str(ds.FrameOfReferenceUID)])
        ds.SOPInstanceUID = generate_uid(entropy_srcs=["second", str(ds.SOPInstanceUID)])
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(case / f"second-{path.name}")


def test_a_truth_on_another_series_of_the_same_space_counts(package, case, usual) -> None:
    _second_series(case, elsewhere=False)
    (one,) = _liver(_judged(package, case.parent)).cases
    assert one.case.series_instance_uid.startswith("1.2.")
    assert one.dice == pytest.approx(usual)


def test_a_truth_on_a_series_that_the_engine_does_not_take_is_told_as_such(package, case) -> None:
    _second_series(case, elsewhere=True)
    with pytest.raises(NodeError, match="1 case with a truth without an answer"):
        _judged(package, case.parent)


def test_what_else_lies_in_a_folder_is_counted_and_disturbs_nothing(package, case, usual) -> None:
    folder = case.parent
    (folder / "a" / "b").mkdir(parents=True)
    case.rename(folder / "a" / "b" / "case")
    (folder / "link").symlink_to(folder / "a")
    for name, content in {
        "x.zip": b"PK\x03\x04 no archive",
        "empty.dcm": b"",
        "rubbish.dcm": bytes(range(256)) * 20,
        "Thumbs.db": b"\xd0\xcf\x11\xe0",
        "half.dcm": next(folder.rglob("*.dcm")).read_bytes()[:200],
    }.items():
        (folder / name).write_bytes(content)
    evaluation = _judged(package, folder)
    assert _liver(evaluation).cases[0].dice == pytest.approx(usual)
    assert evaluation.data.studies == 1
    assert sum(evaluation.data.set_aside.values()) == 5


def test_of_one_patient_no_figure_has_an_interval_and_the_page_says_why(package, case) -> None:
    evaluation = _judged(package, case.parent)
    for result in evaluation.results:
        assert all(one.low is None for one in result.intervals)
    page = report_html(evaluation)
    assert "Only 1 patient: all figures may be far off." in shown(section(page, "first"))
    assert "there is one only" in shown(section(page, "limits"))

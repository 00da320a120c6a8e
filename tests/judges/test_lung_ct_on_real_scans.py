"""The shipped lung engine on real scans, judged by what radiologists marked.

Truth: NLST 101287, boxes of the readers of Sybil (a TID 1500 report); LIDC-IDRI-0001 and -0003, outlines of
four readers each. The scans were never trained on. Four lesions prove little; losing one proves something.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmread

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.engine import find_engine
from dicomnode.values import Findings, Outcome, RemarkKind, Segment, Volume
from dicomnode.values.codes import LEFT, RIGHT

pytestmark = [pytest.mark.judge, pytest.mark.real_data]

FindData = Callable[[str], Path]
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    volume: Volume
    findings: Findings

    def segment(self, label: str) -> Segment:
        return next(one for one in self.findings.segments if one.label == label)

    @property
    def candidates(self) -> list[Segment]:
        return [one for one in self.findings.segments if one.score is not None]

    def said(self, kind: RemarkKind) -> list[str]:
        return [one.text for one in self.findings.remarks if one.kind == kind]

    @property
    def doubts(self) -> list[str]:
        """What is said against the lungs; sentences on candidates are no doubts."""
        return [text for text in self.said(RemarkKind.QUALITY) if not text.startswith("Nodule candidate")]

    def index(self, segment: Segment) -> np.ndarray:
        return self.volume.grid.to_index_kji(segment.centre_lps_mm)


@pytest.fixture(scope="module")
def analyst() -> Iterator[Analyst]:
    loaded = Analyst(find_engine("lung-ct"), threads=2, node_version="0")
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def analyse(analyst: Analyst, real_data: FindData) -> Callable[[str], Case]:
    """Assemble and analyse a folder of the real data; each once."""
    done: dict[str, Case] = {}

    def run(name: str) -> Case:
        if name not in done:
            (study,) = read_studies([real_data(name)]).studies
            (stack,) = [stack for series in study.series for stack in series.stacks]
            volume = load_volume(stack)
            done[name] = Case(volume, analyst.analyse(analysis_of(volume)))
        return done[name]

    return run


def analysis_of(volume: Volume) -> Analysis:
    return Analysis(volumes={"ct": volume}, salt=b"j" * 32, study_version=1, made_at=WHEN)


def slice_of(volume: Volume, sop_instance_uid: str) -> int:
    return [frame.sop_instance_uid for frame in volume.frames].index(sop_instance_uid)


def boxes_of(report: Dataset, volume: Volume) -> np.ndarray:
    """The readers' boxes as rows (k, first column, first row, last column, last row)."""
    found = []

    def walk(item: Dataset) -> None:
        if item.get("ValueType") == "SCOORD":
            columns, rows = np.array(item.GraphicData, dtype=float).reshape(-1, 2).T
            source = item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            corners = (columns.min(), rows.min(), columns.max(), rows.max())
            found.append((slice_of(volume, source), *corners))
        for child in item.get("ContentSequence", ()):
            walk(child)

    walk(report)
    return np.array(found)


def readers_of(path: Path, volume: Volume) -> list[np.ndarray]:
    """The lesion as each reader outlined it, as masks; the outline itself lies outside the lesion."""
    masks = []
    for annotation in json.loads(path.read_text())["annotations"]:
        mask = np.zeros(volume.voxels.shape, dtype=bool)
        for contour in annotation["contours"]:
            plane = Image.new("1", (volume.voxels.shape[2], volume.voxels.shape[1]))
            points = [tuple(point) for point in contour["points"]]
            ImageDraw.Draw(plane).polygon(points, fill=1, outline=0)
            k = slice_of(volume, contour["sop_instance_uid"])
            mask[k] = mask[k] | np.array(plane) if contour["inclusion"] else mask[k] & ~np.array(plane)
        masks.append(mask)
    return masks


NLST, ACRIN = "chest-ct-nlst-101287/ct", "chest-ct-acrin-042/ct"
LIDC = ("chest-ct-lidc-0001", "chest-ct-lidc-0003")


@pytest.mark.slow
@pytest.mark.parametrize("name", [NLST, ACRIN])
def test_both_lungs_of_a_whole_chest_are_found_and_plausible(analyse, name):
    case = analyse(name)
    right, left = case.segment("lung-right"), case.segment("lung-left")
    assert (right.laterality, left.laterality) == (RIGHT, LEFT)
    assert right.centre_lps_mm[0] < left.centre_lps_mm[0]
    for lung in (right, left):
        values = {one.name: one.value for one in lung.measurements}
        assert 1500 < values["volume_ml"] < 4000
        assert -910 < values["mean_hu"] < -750
        crop = lung.mask.crop()
        assert np.array_equal(crop.any(axis=(1, 2)), np.ones(crop.shape[0], dtype=bool))
    assert not (right.mask.to_array() & left.mask.to_array()).any()
    assert case.doubts == []


@pytest.mark.slow
def test_the_lesion_at_the_left_apex_is_the_first_candidate(analyse, real_data):
    case = analyse(NLST)
    report = dcmread(real_data("chest-ct-nlst-101287/sr/sybil-boxes.dcm"))
    boxes = boxes_of(report, case.volume)
    assert case.findings.outcome == Outcome.FINDINGS
    first = case.candidates[0]
    assert first.score is not None
    assert first.score >= 0.5
    assert first.laterality == LEFT
    k, j, i = case.index(first)
    assert boxes[:, 0].min() - 0.5 <= k <= boxes[:, 0].max() + 0.5
    (nearest,) = boxes[boxes[:, 0] == round(float(np.clip(k, boxes[:, 0].min(), boxes[:, 0].max())))]
    assert nearest[1] <= i <= nearest[3]
    assert nearest[2] <= j <= nearest[4]
    assert len(case.candidates) <= 3


@pytest.mark.slow
def test_the_outline_of_that_lesion_lies_within_the_boxes(analyse, real_data):
    case = analyse(NLST)
    boxes = boxes_of(dcmread(real_data("chest-ct-nlst-101287/sr/sybil-boxes.dcm")), case.volume)
    mask = case.candidates[0].mask.to_array()
    inside = np.zeros_like(mask)
    for k, left, top, right, bottom in boxes:
        inside[int(k), int(top) : int(bottom) + 1, int(left) : int(right) + 1] = True
    assert (mask & inside).sum() / mask.sum() > 0.95


@pytest.mark.slow
def test_low_attenuation_of_a_sharp_kernel_is_left_out_and_the_reason_given(analyse):
    case = analyse(NLST)
    names = {one.name for lung in ("lung-right", "lung-left") for one in case.segment(lung).measurements}
    assert "laa950_percent" not in names
    assert any("FC51" in text for text in case.said(RemarkKind.LIMIT))


@pytest.mark.parametrize("name", LIDC)
def test_the_lesion_of_four_readers_is_the_first_candidate(analyse, real_data, name):
    case = analyse(name)
    readers = readers_of(real_data(f"{name}/lidc-annotations.json"), case.volume)
    assert len(readers) == 4
    grid = case.volume.grid
    centre = np.mean([grid.to_lps_mm(np.argwhere(mask)).mean(axis=0) for mask in readers], axis=0)
    volume = float(np.mean([mask.sum() for mask in readers])) * grid.voxel_mm3
    diameter = (6 * volume / np.pi) ** (1 / 3)
    first = case.candidates[0]
    assert first.score is not None
    assert first.score >= 0.5
    assert first.laterality == LEFT
    assert np.linalg.norm(np.subtract(first.centre_lps_mm, centre)) < max(diameter / 2, 3.0)


TOO_LARGE = pytest.mark.xfail(
    strict=True, reason="its ground glass is outlined, as one reader did; the other three left it out"
)


@pytest.mark.parametrize("name", [LIDC[0], pytest.param(LIDC[1], marks=TOO_LARGE)])
def test_its_volume_is_near_that_of_the_readers(analyse, real_data, name):
    case = analyse(name)
    readers = readers_of(real_data(f"{name}/lidc-annotations.json"), case.volume)
    volume = float(np.mean([mask.sum() for mask in readers]))
    assert 0.6 < case.candidates[0].mask.count / volume < 1.2


@pytest.mark.parametrize("name", LIDC)
def test_its_outline_agrees_with_the_readers_as_they_do_among_themselves(analyse, real_data, name):
    case = analyse(name)
    readers = readers_of(real_data(f"{name}/lidc-annotations.json"), case.volume)
    found = case.candidates[0].mask.to_array()

    def dice(a: np.ndarray, b: np.ndarray) -> float:
        return 2 * float((a & b).sum()) / float(a.sum() + b.sum())

    among = [dice(a, b) for n, a in enumerate(readers) for b in readers[:n]]
    assert np.mean([dice(found, reader) for reader in readers]) > min(among) - 0.05


@pytest.mark.parametrize("name", LIDC)
def test_lungs_that_the_images_cut_off_are_said_to_be_cut(analyse, name):
    case = analyse(name)
    assert {"lung-right", "lung-left"} <= {one.label for one in case.findings.segments}
    assert any(text.startswith("The images do not cover the lungs") for text in case.doubts)


def test_an_upper_abdomen_is_not_analysed_and_the_reason_is_given(analyse):
    case = analyse("seg-sr-pm-dcmqi/ct-3slice")
    assert case.findings.outcome == Outcome.NOT_ANALYSED
    assert case.findings.segments == ()
    (text,) = case.said(RemarkKind.NOT_ANALYSED)
    assert text.startswith("No lungs were found: ")


def test_the_same_images_give_the_same_findings(analyse, analyst):
    case = analyse(LIDC[0])
    again = analyst.analyse(analysis_of(case.volume))
    assert len(again.segments) == len(case.findings.segments)
    for one, other in zip(case.findings.segments, again.segments, strict=True):
        assert one.mask == other.mask
        assert (one.label, one.score, one.tracking_uid) == (other.label, other.score, other.tracking_uid)
        assert one.measurements == other.measurements
    assert again.remarks == case.findings.remarks


def test_another_number_of_threads_gives_the_same_candidates(analyse):
    case = analyse(LIDC[1])
    alone = Analyst(find_engine("lung-ct"), threads=1, node_version="0")
    try:
        again = Case(case.volume, alone.analyse(analysis_of(case.volume)))
    finally:
        alone.close()
    assert len(again.candidates) == len(case.candidates)
    for one, other in zip(case.candidates, again.candidates, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-3)
        assert np.linalg.norm(np.subtract(one.centre_lps_mm, other.centre_lps_mm)) < 0.5


def test_end_points_of_the_axes_lie_on_the_lesion_they_measure(analyse):
    case = analyse(LIDC[0])
    first = case.candidates[0]
    values = {one.name: one.value for one in first.measurements}
    assert first.long_axis_lps_mm is not None
    assert first.short_axis_lps_mm is not None
    ends = case.volume.grid.to_index_kji([*first.long_axis_lps_mm, *first.short_axis_lps_mm])
    (k,) = set(np.rint(ends[:, 0]).astype(int))
    on_slice = np.argwhere(first.mask.to_array()[k])
    assert (ends[:, 1:].min(axis=0) >= on_slice.min(axis=0) - 0.51).all()
    assert (ends[:, 1:].max(axis=0) <= on_slice.max(axis=0) + 0.51).all()
    assert values["short_axis_mm"] <= values["long_axis_mm"]
    # d_eq of the readers' outlines is 23.7 mm, the largest diameter in a slice 32.8 mm
    assert 18 < values["equivalent_diameter_mm"] < 28
    assert 20 < values["long_axis_mm"] < 33

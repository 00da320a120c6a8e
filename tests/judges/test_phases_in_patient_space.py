"""Two phases in one tilted multi-frame object: a segmentation of each, on the frames of its own phase."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import Stack, load_volume, read_studies
from dicomnode.phantom import write_enhanced
from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Grid
from tests.judges import tools
from tests.judges.planes import planes_of
from tests.unit.analyse.engines import tissue_engine

pytestmark = pytest.mark.judge

SALT = b"p" * 32
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
MOVED = 5  # columns that the block lies farther to the left in the second phase


def grid() -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = np.diag((0.8, 0.9, 2.0))
    affine[1, 2] = 0.9  # a row for each slice: nothing is interpolated on the way to the engine
    affine[:3, 3] = (-20.0, -30.0, 40.0)
    return Grid((24, 40, 44), affine, "1.2.826.0.1.3680043.10.1.5")


def block() -> np.ndarray:
    hu = np.full((24, 40, 44), -1000, np.int16)
    hu[8:20, 12:28, 20:30] = 700
    return hu


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Stack, ...]]:
    """One object of 48 frames: two phases, told apart by the number of their acquisition."""
    folder = tmp_path_factory.mktemp("phases")
    path = write_enhanced(block(), grid(), folder / "ct" / "ct.dcm", seed=1)
    ds = dcmread(path)
    first = list(ds.PerFrameFunctionalGroupsSequence)
    second = copy.deepcopy(first)
    for number, groups in enumerate((first, second), start=1):
        for group in groups:
            group.FrameContentSequence[0].FrameAcquisitionNumber = number
    pixels = ds.pixel_array
    ds.PerFrameFunctionalGroupsSequence = [*first, *second]
    ds.NumberOfFrames = len(ds.PerFrameFunctionalGroupsSequence)
    ds.PixelData = np.concatenate([pixels, np.roll(pixels, MOVED, axis=2)]).tobytes()
    ds.save_as(path)
    ((series,),) = (study.series for study in read_studies([folder / "ct"]).studies)
    return path, series.stacks


def test_each_phase_is_a_stack_of_its_own_frames(stacks: tuple[Path, tuple[Stack, ...]]) -> None:
    _, found = stacks
    assert [one.facts.facts["phase"] for one in found] == [
        "AcquisitionNumber 1, 1 of 2",
        "AcquisitionNumber 2, 2 of 2",
    ]
    for number, one in enumerate(found):
        assert sorted(header.frame_number for header in one.headers) == list(
            range(24 * number + 1, 24 * number + 25)
        )
        volume = load_volume(one)
        assert volume.grid.same_as(grid())
        assert np.array_equal(volume.voxels, np.roll(block(), MOVED * number, axis=2))


@pytest.mark.parametrize("number", [0, 1], ids=["first phase", "second phase"])
def test_each_frame_of_the_segmentation_lies_on_the_frame_that_it_names(
    stacks: tuple[Path, tuple[Stack, ...]], tmp_path: Path, number: int
) -> None:
    path, found = stacks
    analyst = Analyst(tissue_engine(tmp_path / "tissue"), threads=1, node_version="0")
    volume = load_volume(found[number])
    findings = analyst.analyse(Analysis(volumes={"ct": volume}, salt=SALT, study_version=1, made_at=WHEN))
    analyst.close()
    (seg,) = make_objects(findings, ReportProfile(kinds=("SEG",)), SALT)
    (tmp_path / "SEG.dcm").write_bytes(seg.content)
    assert tools.dciodvfy(tmp_path / "SEG.dcm") == []
    source = dcmread(path)
    labels = [one.label for one in findings.segments]
    planes = [one for one in planes_of(tmp_path / "SEG.dcm") if labels[one.segment - 1] == "bone"]
    assert len(planes) == 12
    for plane in planes:
        assert plane.source_uid == source.SOPInstanceUID
        group = source.PerFrameFunctionalGroupsSequence[plane.source_frame - 1]
        assert group.FrameContentSequence[0].FrameAcquisitionNumber == number + 1
        position = group.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(plane.position, np.array(position, float), atol=1e-3)
        stored = source.pixel_array[plane.source_frame - 1]
        assert np.array_equal(plane.pixels > 0, stored == stored.max())

"""A tilted gantry, from the files to the objects: dcmqi and ITK know no sheared grid, so frame by frame.

Each frame of the segmentation lies where the image lies that it names, and all of them together, in patient
space, are the truth. The report is read by dcmqi.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.analyse import Analysis
from dicomnode.assemble import load_volume, read_studies
from dicomnode.phantom import SeriesForm, write_series
from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings, Grid, Mask
from tests.judges import tools
from tests.judges.planes import Plane, planes_of
from tests.judges.test_chain_in_patient_space import (
    LUNG_MM,
    NODULE_MM,
    SALT,
    SEED,
    SPACING_KJI_MM,
    WHEN,
    analyst,
    centroid,
    on_slices_along,
    phantom,
)

pytestmark = [pytest.mark.judge, pytest.mark.slow]

FORMS = {"tilted by 17 degrees": 17.0, "tilted by -11 degrees, oblique": -11.0}


def scanned(degrees: float) -> tuple[np.ndarray, Grid]:
    """The phantom on slices that are shifted along their columns, in a grid that holds all of it."""
    oblique = np.radians(8.0 if degrees < 0 else 0.0)
    row, column = (
        np.array((np.cos(oblique), np.sin(oblique), 0.0)),
        np.array((-np.sin(oblique), np.cos(oblique), 0.0)),
    )
    across = np.cross(row, column) + np.tan(np.radians(degrees)) * column
    return on_slices_along(row, column, across)


@dataclass(frozen=True)
class Walked:
    folder: Path
    findings: Findings
    planes: list[Plane]
    report: dict

    def of(self, label: str) -> list[Plane]:
        number = [one.label for one in self.findings.segments].index(label) + 1
        return [plane for plane in self.planes if plane.segment == number]

    def centre(self, label: str) -> np.ndarray:
        return np.concatenate([plane.points() for plane in self.of(label)]).mean(axis=0)


@pytest.fixture(scope="module", params=list(FORMS))
def walked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    folder: Path = tmp_path_factory.mktemp("walk")
    voxels, grid = scanned(FORMS[request.param])
    write_series(voxels, grid, folder / "ct", seed=SEED, form=SeriesForm(instance_order="shuffled"))
    ((series,),) = (study.series for study in read_studies([folder / "ct"]).studies)
    (stack,) = series.stacks
    assert stack.facts.refusal is None, stack.facts.refusal
    assert stack.facts.facts["tilt_degrees"] == pytest.approx(abs(FORMS[request.param]), abs=0.01)
    volume = load_volume(stack)
    assert volume.grid.same_as(grid)
    findings = analyst().analyse(Analysis(volumes={"ct": volume}, salt=SALT, study_version=1, made_at=WHEN))
    for one in make_objects(findings, ReportProfile(), SALT):
        (folder / f"{one.kind}.dcm").write_bytes(one.content)
    report = tools.run(
        "tid1500reader", "--inputDICOM", folder / "SR.dcm", "--outputMetadata", folder / "sr.json"
    )
    assert report.status == 0, report.lines
    planes = planes_of(folder / "SEG.dcm")
    return Walked(folder, findings, planes, json.loads((folder / "sr.json").read_text()))


def test_each_frame_lies_where_the_image_lies_that_it_names(walked: Walked) -> None:
    sources = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, (walked.folder / "ct").iterdir())}
    for plane in walked.planes:
        source = sources[plane.source_uid]
        assert np.allclose(plane.position, np.array(source.ImagePositionPatient, float), atol=1e-3)
        assert plane.pixels.shape == (source.Rows, source.Columns)


def test_the_segmentation_is_one_that_the_validator_and_dcmqi_read(walked: Walked) -> None:
    assert tools.dciodvfy(walked.folder / "SEG.dcm") == []
    seg = tools.run(
        "segimage2itkimage",
        "--inputDICOM",
        walked.folder / "SEG.dcm",
        "--outputDirectory",
        walked.folder,
        "-t",
        "nrrd",
    )
    assert seg.status == 0, seg.lines


def test_each_lung_lies_where_it_was_planted_and_left_stays_left(walked: Walked) -> None:
    index = np.argwhere(phantom().lung_left.to_array() | phantom().lung_right.to_array())[::7]
    points = phantom().grid.to_lps_mm(index)
    for side, other in (("right", "left"), ("left", "right")):
        truth: Mask = getattr(phantom(), f"lung_{side}")
        inside = truth.to_array()[tuple(index.T)]
        near, hit = np.zeros(len(points), dtype=bool), np.zeros(len(points), dtype=bool)
        for plane in walked.of(f"lung-{side}"):
            beside, on = plane.at(points, SPACING_KJI_MM[0])
            near, hit = near | beside, hit | on
        assert hit[inside].mean() > 0.93, side
        assert hit[~inside].mean() < 0.02, (side, other)
        count = sum(len(plane.points()) for plane in walked.of(f"lung-{side}"))
        planted = truth.count * phantom().grid.voxel_mm3
        assert count * np.prod(SPACING_KJI_MM) == pytest.approx(planted, rel=0.05)
        assert np.abs(walked.centre(f"lung-{side}") - centroid(truth)).max() < LUNG_MM


def test_every_solid_nodule_is_found_at_its_place_and_on_its_side(walked: Walked) -> None:
    centres = {one.label: walked.centre(one.label) for one in walked.findings.segments}
    sides = {one.label: one.laterality for one in walked.findings.segments}
    for planted in (one for one in phantom().nodules if one.kind == "solid"):
        label = min(centres, key=lambda name: np.abs(centres[name] - planted.centre_lps_mm).max())
        assert np.abs(centres[label] - planted.centre_lps_mm).max() < NODULE_MM, label
        assert sides[label] is not None
        assert sides[label].meaning.lower() == planted.side


def test_the_volumes_of_the_report_are_those_of_the_voxels_in_the_segmentation(walked: Walked) -> None:
    groups, segments = walked.report["Measurements"], walked.findings.segments
    assert len(groups) == len(segments) + len(walked.findings.regions)  # points come after the segments
    for group, segment in zip(groups, segments, strict=False):
        said = {
            item["quantity"]["CodeValue"]: (float(item["value"]), item["units"]["CodeValue"])
            for item in group["measurementItems"]
        }
        value, unit = said["118565006"]
        count = sum(len(plane.points()) for plane in walked.of(segment.label))
        assert value * {"ml": 1000.0, "mm3": 1.0}[unit] == pytest.approx(
            count * np.prod(SPACING_KJI_MM), rel=1e-3, abs=0.6
        )

"""The whole walk on one phantom, scanned in every direction: what is found lies where it was planted.

files → assemble → analyse → report → dcmqi → SimpleITK, in axial, sagittal, coronal, oblique and reversed
form, with pixels that are not square and slices thicker than both. Nothing that wrote the segmentation reads
it. Truth are the masks of the phantom, in patient space; half a voxel of shift would be seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.engine import find_engine
from dicomnode.evaluate import dice
from dicomnode.phantom import SeriesForm, Thorax, thorax, write_enhanced, write_series
from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings, Grid, Mask
from tests.judges import tools
from tests.unit.report.sources import PLANES

pytestmark = [pytest.mark.judge, pytest.mark.slow]

sitk = pytest.importorskip("SimpleITK")

SALT = b"c" * 32
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
SEED = 7  # four nodules, two in each lung
SPACING_KJI_MM = (2.4, 1.6, 2.0)
FORMS = [*PLANES, "against the normal", "enhanced", "legacy converted"]
LUNG_MM = 0.75  # along each axis: less than half of any voxel edge
NODULE_MM = 1.0  # a nodule is outlined by the network, on its own grid


@cache
def phantom() -> Thorax:
    return thorax(SEED, "small")


@cache
def analyst() -> Analyst:
    return Analyst(find_engine("lung-ct"), threads=1, node_version="0")


def scanned(form: str) -> tuple[np.ndarray, Grid]:
    """The phantom on a grid of the form's directions that holds all of it; outside it is air."""
    row, column = (np.array(one) for one in PLANES.get(form, PLANES["axial"]))
    across = np.cross(row, column) * (-1.0 if form == "against the normal" else 1.0)
    return on_slices_along(row, column, across)


def on_slices_along(row: np.ndarray, column: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, Grid]:
    """The phantom on a grid of these directions that holds all of it; outside it is air."""
    truth = phantom().grid
    axes = np.stack((row, column, across), axis=1) * SPACING_KJI_MM[::-1]  # columns i, j, k
    ends = np.array(np.meshgrid(*((0, n - 1) for n in truth.shape_kji), indexing="ij")).reshape(3, -1).T
    at = truth.to_lps_mm(ends) @ np.linalg.inv(axes).T
    low = at.min(axis=0)
    i, j, k = np.ceil(at.max(axis=0) - low).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, axes @ low
    grid = Grid((int(k), int(j), int(i)), affine, truth.frame_of_reference_uid)
    index = truth.to_index_kji(grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1)))
    voxels = ndimage.map_coordinates(
        phantom().voxels.astype(np.float32), np.moveaxis(index, -1, 0), order=1, cval=-1000.0
    )
    return np.rint(voxels).astype(np.int16), grid


@dataclass(frozen=True)
class Walked:
    findings: Findings
    seg: list  # SimpleITK images, one a segment
    report: dict  # what tid1500reader makes of the report

    def mask(self, label: str) -> np.ndarray:
        """A segment as the judges read it, resampled by geometry alone onto the grid of the truth."""
        number = [one.label for one in self.findings.segments].index(label)
        reference = _image(phantom().grid)
        moved = sitk.Resample(
            self.seg[number], reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8
        )
        return sitk.GetArrayFromImage(moved) > 0

    def centre(self, number: int) -> np.ndarray:
        image = self.seg[number]
        index = np.argwhere(sitk.GetArrayFromImage(image) > 0).mean(axis=0)[::-1]
        return np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))


def _image(grid: Grid):
    k, j, i = grid.shape_kji
    image = sitk.Image(i, j, k, sitk.sitkUInt8)
    spacing = grid.spacing_kji_mm[::-1]
    image.SetSpacing(spacing)
    image.SetOrigin(tuple(map(float, grid.affine_lps[:3, 3])))
    image.SetDirection(tuple(map(float, (grid.affine_lps[:3, :3] / spacing).ravel())))
    return image


@pytest.fixture(
    scope="module",
    params=[
        form if form in {"axial", "tilted", "enhanced"} else pytest.param(form, marks=pytest.mark.long)
        for form in FORMS
    ],
)
def walked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    folder: Path = tmp_path_factory.mktemp("walk")
    voxels, grid = scanned(request.param)
    order = "reversed" if request.param == "reversed" else "shuffled"
    series_form = SeriesForm(instance_order=order)
    if request.param in {"enhanced", "legacy converted"}:
        legacy = request.param == "legacy converted"
        write_enhanced(voxels, grid, folder / "ct" / "ct.dcm", seed=SEED, form=series_form, legacy=legacy)
    else:
        write_series(voxels, grid, folder / "ct", seed=SEED, form=series_form)
    ((series,),) = (study.series for study in read_studies([folder / "ct"]).studies)
    (stack,) = series.stacks
    assert stack.facts.refusal is None, stack.facts.refusal
    volume = load_volume(stack)
    analysis = Analysis(volumes={"ct": volume}, salt=SALT, study_version=1, made_at=WHEN)
    findings = analyst().analyse(analysis)
    for one in make_objects(findings, ReportProfile(), SALT):
        (folder / f"{one.kind}.dcm").write_bytes(one.content)
    seg = tools.run(
        "segimage2itkimage", "--inputDICOM", folder / "SEG.dcm", "--outputDirectory", folder, "-t", "nrrd"
    )
    report = tools.run(
        "tid1500reader", "--inputDICOM", folder / "SR.dcm", "--outputMetadata", folder / "sr.json"
    )
    assert (seg.status, report.status) == (0, 0), (seg.lines, report.lines)
    images = [sitk.ReadImage(str(folder / f"{n}.nrrd")) for n in range(1, len(findings.segments) + 1)]
    return Walked(findings, images, json.loads((folder / "sr.json").read_text()))


def centroid(mask: Mask) -> np.ndarray:
    return phantom().grid.to_lps_mm(np.argwhere(mask.to_array()).mean(axis=0))


def test_each_lung_lies_where_it_was_planted_and_left_stays_left(walked: Walked) -> None:
    labels = [one.label for one in walked.findings.segments]
    for side in ("right", "left"):
        truth: Mask = getattr(phantom(), f"lung_{side}")
        assert dice(walked.mask(f"lung-{side}"), truth.to_array()) > 0.95
        apart = walked.centre(labels.index(f"lung-{side}")) - centroid(truth)
        assert np.abs(apart).max() < LUNG_MM, (side, apart)
        other: Mask = getattr(phantom(), f"lung_{'left' if side == 'right' else 'right'}")
        assert dice(walked.mask(f"lung-{side}"), other.to_array()) < 0.02


def test_every_solid_nodule_is_found_at_its_place_and_on_its_side(walked: Walked) -> None:
    segments = walked.findings.segments
    for planted in (one for one in phantom().nodules if one.kind == "solid"):
        apart = [np.abs(walked.centre(n) - planted.centre_lps_mm).max() for n in range(len(segments))]
        found = int(np.argmin(apart))
        assert apart[found] < NODULE_MM, (planted.label, apart)
        assert segments[found].laterality is not None
        assert segments[found].laterality.meaning.lower() == planted.side
        assert dice(walked.mask(segments[found].label), planted.mask.to_array()) > 0.7


def test_the_numbers_of_the_report_are_those_of_the_findings_and_of_the_read_segmentation(
    walked: Walked,
) -> None:
    groups = walked.report["Measurements"]
    assert len(groups) == len(walked.findings.segments) + len(walked.findings.regions)
    for number, (group, segment) in enumerate(zip(groups, walked.findings.segments, strict=False)):
        assert group["TrackingUniqueIdentifier"] == segment.tracking_uid
        assert group["ReferencedSegment"] == number + 1
        said = {
            (item["quantity"]["CodeValue"], item.get("derivationModifier", {}).get("CodeValue")): (
                float(item["value"]),
                item["units"]["CodeValue"],
            )
            for item in group["measurementItems"]
        }
        for one in segment.measurements:
            key = (one.concept.value, one.derivation.value if one.derivation else None)
            value, unit = said[key]
            assert unit == one.unit.value
            assert value == pytest.approx(one.value, abs=0.051)
        image = walked.seg[number]
        mm3 = int((sitk.GetArrayFromImage(image) > 0).sum()) * float(np.prod(image.GetSpacing()))
        value, unit = said["118565006", None]
        assert value * {"ml": 1000.0, "mm3": 1.0}[unit] == pytest.approx(mm3, rel=1e-4, abs=0.6)

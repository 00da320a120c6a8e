"""The engine without weights: both lungs with volume and density, and no lungs where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.engine import find_engine
from dicomnode.evaluate import dice
from dicomnode.phantom import ChestScan, Protocol, World, chest
from dicomnode.values import Findings, Outcome, RemarkKind, Volume
from dicomnode.values.codes import LEFT, RIGHT
from tests.unit.analyse.test_measure import header

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
SOFT = Protocol(thickness_mm=2.0, increment_mm=2.0, kernel="soft", noise_hu=8.0)


@pytest.fixture(scope="module")
def analyst() -> Iterator[Analyst]:
    loaded = Analyst(find_engine("lung-ct-classical"), threads=1, node_version="0")
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def scan() -> ChestScan:
    return chest(150_200, "small", world=World(diseases=(), nodules=(), protocol=SOFT))


def findings_of(analyst: Analyst, volume: Volume) -> Findings:
    return analyst.analyse(Analysis(volumes={"ct": volume}, salt=b"t" * 32, study_version=1, made_at=WHEN))


def test_it_has_no_network_and_is_smaller_than_a_picture():
    package = find_engine("lung-ct-classical")
    assert [step.network for step in package.manifest.step] == [None]
    assert sum(path.stat().st_size for path in package.folder.iterdir()) < 30_000
    assert package.manifest.use == "Research and engineering. Not for clinical use."


def test_both_lungs_of_a_phantom_are_measured_as_they_are(analyst, scan, make_volume):
    found = findings_of(analyst, make_volume(scan.voxels, spacing=scan.grid.spacing_kji_mm))
    assert found.outcome == Outcome.FINDINGS
    assert [one.laterality for one in found.segments] == [RIGHT, LEFT]
    for segment, truth in zip(found.segments, (scan.lung_right, scan.lung_left), strict=True):
        assert dice(segment.mask, truth) > 0.97
        values = {one.name: one.value for one in segment.measurements}
        inside = scan.voxels[truth.to_array()]
        assert values["volume_ml"] == pytest.approx(truth.count * scan.grid.voxel_mm3 / 1000.0, rel=0.03)
        assert values["mean_hu"] == pytest.approx(float(inside.mean()), abs=15.0)
        assert set(values) == {"volume_ml", "mean_hu", "sd_hu"}
    assert [one.text for one in found.remarks if one.kind == RemarkKind.QUALITY] == []
    # The header of this volume says nothing of the kernel
    start = "The share of lung below -950 HU and the 15th percentile of density are not given"
    assert any(one.text.startswith(start) for one in found.remarks)


def test_low_attenuation_of_a_soft_kernel_is_given_with_kernel_and_thickness_beside_it(
    analyst, scan, make_volume
):
    volume = make_volume(scan.voxels, spacing=scan.grid.spacing_kji_mm)
    found = findings_of(
        analyst, replace(volume, headers=header(ConvolutionKernel="STANDARD", SliceThickness=2))
    )
    for segment, truth in zip(found.segments, (scan.lung_right, scan.lung_left), strict=True):
        values = {one.name: one.value for one in segment.measurements}
        inside = scan.voxels[truth.to_array()]
        assert values["perc15_hu"] == pytest.approx(float(np.percentile(inside, 15.0)), abs=5.0)
        assert values["laa950_percent"] == pytest.approx(100.0 * float((inside < -950).mean()), abs=0.5)
    assert any("hold for kernel STANDARD and slices of 2 mm" in one.text for one in found.remarks)


@pytest.mark.parametrize("what", ["air", "water", "abdomen"])
def test_where_there_are_no_lungs_nothing_is_given_and_the_reason_is(analyst, make_volume, what):
    k, j, i = np.ogrid[:40, :60, :80]
    body = ((j - 30) / 26.0) ** 2 + ((i - 40) / 36.0) ** 2 < 1
    hu = np.full((40, 60, 80), -1000, dtype=np.int16)
    if what != "air":
        hu[np.broadcast_to(body, hu.shape)] = 40
    if what == "abdomen":  # gas of bowel
        hu[np.broadcast_to((k - 20) ** 2 + (j - 20) ** 2 + (i - 30) ** 2 < 49, hu.shape)] = -995
    found = findings_of(analyst, make_volume(hu, spacing=(4.0, 4.0, 4.0)))
    assert found.outcome == Outcome.NOT_ANALYSED
    assert found.segments == ()
    assert any(one.text.startswith("No lungs were found: ") for one in found.remarks)

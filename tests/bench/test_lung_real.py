"""Real scans: what readers confirmed is found, and the table that says what that is is what the data say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.analyse import Analyst
from dicomnode.engine import find_engine
from dicomnode.values import Mask, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD
from tests.bench.lung.answer import Answer, Found, looking
from tests.bench.lung_real import SCANS, RealLesion, RealScan, page, read_scan, row_of
from tests.judges.test_lung_ct_on_real_scans import boxes_of, readers_of

FindData = Callable[[str], Path]
BY_FOLDER = {scan.folder: scan for scan in SCANS}
KNOWN = [scan.folder for scan in SCANS if scan.known]
LIDC = [folder for folder in KNOWN if "lidc" in folder]


@pytest.fixture(scope="module")
def scans(real_data: FindData) -> Callable[[str], Volume]:
    read: dict[str, Volume] = {}

    def find(folder: str) -> Volume:
        if folder not in read:
            read[folder] = read_scan(real_data(folder))
        return read[folder]

    return find


@pytest.fixture(scope="module")
def analyst() -> Iterator[Analyst]:
    loaded = Analyst(find_engine("lung-ct"), threads=1, node_version="0")
    yield loaded
    loaded.close()


@pytest.mark.real_data
@pytest.mark.parametrize("folder", KNOWN)
def test_each_solid_lesion_of_8_mm_that_readers_confirmed_is_found_with_at_most_4_false_candidates(
    scans, analyst, folder
):
    scan = BY_FOLDER[folder]
    row = row_of(scan, scans(folder), looking(analyst)(scans(folder)))
    wanted = [one.what for one in scan.lesions if one.solid and one.diameter_mm >= 8.0]
    assert wanted
    assert [one["what"] for one in row["lesions"] if one["reported"]] == wanted
    assert len(row["others"]) <= 4


@pytest.mark.real_data
@pytest.mark.parametrize("folder", LIDC)
def test_the_table_holds_what_four_readers_outlined(scans, real_data, folder):
    volume = scans(folder)
    masks = readers_of(real_data(f"{folder}/lidc-annotations.json"), volume)
    (lesion,) = BY_FOLDER[folder].lesions
    sizes = [mask.sum() * volume.grid.voxel_mm3 for mask in masks]
    centres = [volume.grid.to_lps_mm(np.argwhere(mask)).mean(axis=0) for mask in masks]
    assert lesion.volumes_mm3 == pytest.approx(sizes, abs=1.0)
    assert lesion.centre_lps_mm == pytest.approx(np.mean(centres, axis=0), abs=0.1)
    assert lesion.diameter_mm == pytest.approx((6 * np.mean(sizes) / np.pi) ** (1 / 3), abs=0.1)


@pytest.mark.real_data
def test_the_table_holds_what_is_boxed_in_the_screening_scan(scans, real_data):
    folder = "chest-ct-nlst-101287/ct"
    volume = scans(folder)
    boxes = boxes_of(dcmread(real_data("chest-ct-nlst-101287/sr/sybil-boxes.dcm")), volume)
    (lesion,) = BY_FOLDER[folder].lesions
    middles = [(k, (top + bottom) / 2, (left + right) / 2) for k, left, top, right, bottom in boxes]
    assert lesion.centre_lps_mm == pytest.approx(volume.grid.to_lps_mm(middles).mean(axis=0), abs=0.1)
    k_mm, j_mm, i_mm = volume.grid.spacing_kji_mm
    _, left, top, right, bottom = boxes.T
    hull = (right.max() - left.min()) * i_mm * (bottom.max() - top.min()) * j_mm * len(boxes) * k_mm
    assert lesion.diameter_mm == pytest.approx(hull ** (1 / 3), abs=0.1)


def drawn(folder: str = "drawn", **more) -> tuple[RealScan, Volume]:
    lesion = RealLesion(
        what="here", centre_lps_mm=(10.0, 10.0, 10.0), diameter_mm=8.0, solid=True, volumes_mm3=(300.0, 100.0)
    )
    volume = Volume(
        voxels=np.zeros((20, 20, 20), dtype=np.int16),
        affine_lps=np.eye(4),
        unit=HOUNSFIELD,
        frame_of_reference_uid="1.2.3",
        study_instance_uid="1.2.4",
        series_instance_uid="1.2.5",
        frames=tuple(SourceFrame(f"1.2.5.{k}") for k in range(20)),
        headers=SourceHeaders(()),
    )
    return RealScan(folder=folder, whole=True, known=True, lesions=(lesion,), **more), volume


def test_a_lesion_is_ranked_among_all_candidates_and_measured_against_the_readers():
    scan, volume = drawn()
    voxels = Mask.from_crop(np.ones((5, 5, 5), dtype=bool), (20, 20, 20), (8, 8, 8))
    answer = Answer(
        found=(
            Found(centre_lps_mm=(1.0, 1.0, 1.0), score=0.9),
            Found(centre_lps_mm=(10.0, 10.0, 11.0), score=0.8, voxels=voxels),
        ),
        lungs={"right": voxels},
    )
    row = row_of(scan, volume, answer)
    (lesion,) = row["lesions"]
    assert (lesion["rank"], lesion["score"], lesion["reported"]) == (2, 0.8, True)
    assert (lesion["centre_mm"], lesion["volume_mm3"]) == (1.0, 125.0)
    assert [one["score"] for one in row["others"]] == [0.9]
    text = "\n".join(page([row]))
    assert "| 2, 0.80 | 1.0 mm | 125 mm³, 0.62 of 200 (100–300) |" in text
    assert "1: 0.90, a point at (1, 1, 1)" in text


def test_a_lesion_below_the_threshold_is_said_to_be_not_reported_and_one_without_a_candidate_too():
    scan, volume = drawn()
    below = row_of(scan, volume, Answer(below=(((10.0, 10.0, 10.0), 0.2),)))
    nothing = row_of(scan, volume, Answer())
    assert below["lesions"][0]["rank"] == 1
    assert not below["lesions"][0]["reported"]
    assert "0.20 **not reported**" in "\n".join(page([below]))
    assert "**no candidate**" in "\n".join(page([nothing]))

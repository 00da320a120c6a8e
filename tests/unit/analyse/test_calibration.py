"""Inputs that 8 bits are calibrated with are what the networks are given for a patient, spread over all."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.analyse import calibration
from dicomnode.analyse.calibration import calibration_windows
from dicomnode.faults import CALIBRATION_EMPTY, NodeError
from dicomnode.values import Code
from tests.unit.analyse.engines import LUNGS_FIRST, tissue_engine

WINDOWS = "{ size_kji = [8, 8, 8], overlap = 0.0 }"


@pytest.fixture
def package(tmp_path):
    return tissue_engine(tmp_path / "tissue", window=WINDOWS, prepare="{ clip = [-1000, 400] }")


def ramp(first=-2000):
    """A volume of eight windows in which no two voxels are alike."""
    return (np.arange(16**3).reshape(16, 16, 16) + first).astype(np.int16)


def test_each_window_of_a_study_is_given_as_it_is_prepared(package, make_volume):
    voxels = ramp()
    found = calibration_windows(package, [{"ct": make_volume(voxels)}])
    windows = [one["image"] for one in found.windows["tissue"]]
    corners = [(k, j, i) for k in (0, 8) for j in (0, 8) for i in (0, 8)]
    assert len(windows) == len(corners)
    for window, (k, j, i) in zip(windows, corners, strict=True):
        assert window.dtype == np.float32
        wanted = voxels[k : k + 8, j : j + 8, i : i + 8].clip(-1000, 400)
        np.testing.assert_array_equal(window[0, 0], wanted)
    assert (found.studies, found.passed_over) == (1, ())


@pytest.mark.parametrize(("limit", "kept"), [(8, range(8)), (7, (0, 2, 4, 6)), (3, (0, 4)), (1, (0,))])
def test_no_more_than_the_limit_are_kept_and_they_lie_evenly(package, make_volume, limit, kept):
    every = calibration_windows(package, [{"ct": make_volume(ramp())}]).windows["tissue"]
    some = calibration_windows(package, [{"ct": make_volume(ramp())}], limit=limit).windows["tissue"]
    assert [one["image"].tobytes() for one in some] == [every[at]["image"].tobytes() for at in kept]


def test_of_several_studies_each_has_its_share(package, make_volume):
    studies = [{"ct": make_volume(ramp() % 977 - 900 + 100 * number)} for number in range(3)]
    found = calibration_windows(package, studies, limit=6)
    assert found.studies == 3
    alone = [
        {one["image"].tobytes() for one in calibration_windows(package, [study]).windows["tissue"]}
        for study in studies
    ]
    shares = [
        sum(one["image"].tobytes() in of_study for one in found.windows["tissue"]) for of_study in alone
    ]
    assert shares == [2, 2, 2]


def test_large_inputs_are_kept_up_to_so_many_bytes(package, make_volume, monkeypatch):
    monkeypatch.setattr(calibration, "_KEPT_BYTES", 3 * 8**3 * 4)
    assert len(calibration_windows(package, [{"ct": make_volume(ramp())}]).windows["tissue"]) == 2
    monkeypatch.setattr(calibration, "_KEPT_BYTES", 1)
    assert len(calibration_windows(package, [{"ct": make_volume(ramp())}]).windows["tissue"]) == 1


def test_a_study_that_is_not_analysed_is_told_and_the_others_count(tmp_path, make_volume):
    package = tissue_engine(tmp_path / "tissue", window=WINDOWS, first=LUNGS_FIRST)
    counts = make_volume(ramp(), unit=Code("{counts}", "UCUM", "counts"))
    with pytest.raises(NodeError) as caught:
        calibration_windows(package, [{"ct": counts}, {"ct": counts}])
    assert caught.value.fault is CALIBRATION_EMPTY
    assert str(caught.value).count("the voxels are in {counts}, not in [hnsf'U]") == 1
    assert "engine tissue" in str(caught.value)


def test_without_a_study_there_is_nothing(package):
    with pytest.raises(NodeError, match="nothing reached its step tissue"):
        calibration_windows(package, [])

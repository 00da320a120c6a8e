"""A folder of studies, or the phantom, becomes inputs that a network is brought to eight bits with."""

from __future__ import annotations

import shutil
import stat

import numpy as np
import pytest

from dicomnode.engine.precision import (
    Calibration,
    calibration_folder,
    convert,
    site_calibration,
    site_folder,
)
from dicomnode.faults import CALIBRATION_EMPTY, CALIBRATION_NOT_KEPT, NO_INSTANCES, NodeError
from dicomnode.serve.once import calibrating
from dicomnode.serve.once.calibrating import calibrate
from tests.unit.analyse.engines import tissue_engine

WINDOWS = "{ size_kji = [32, 32, 32], overlap = 0.0 }"


@pytest.fixture
def package(tmp_path):
    return tissue_engine(tmp_path / "tissue", window=WINDOWS, prepare="{ clip = [-1000, 400] }")


@pytest.fixture
def kept(tmp_path):
    return calibration_folder(tmp_path / "store", "tissue")


def test_windows_of_a_study_are_kept_and_calibrate_the_network(package, small_phantom, kept):
    done = calibrate(package, small_phantom.files[0].parent, kept, limit=5)
    assert (done.folder, done.studies, done.passed_over) == (kept, 1, ())
    assert 3 <= done.inputs["tissue"] <= 5
    (step,) = package.manifest.networks
    site = site_calibration(kept, step.name)
    feeds = list(site.feeds(["image"], {"image": "float32"}))
    assert len(feeds) == done.inputs["tissue"]
    assert {feed["image"].shape for feed in feeds} == {(1, 1, 32, 32, 32)}
    assert min(feed["image"].min() for feed in feeds) == -1000
    assert max(feed["image"].max() for feed in feeds) > 0
    content, report = convert(package.network_bytes(step), "int8", site)
    assert content != package.network_bytes(step)
    (agreement,) = report.agreement
    assert agreement.relative_l2 < 0.02


def test_the_same_study_gives_the_same_inputs_and_another_key_than_seeded_ones(package, small_phantom, kept):
    folder = small_phantom.files[0].parent
    digests = []
    for _ in range(2):
        calibrate(package, folder, kept, limit=3)
        digests.append(site_calibration(kept, "tissue").digest)
    assert digests[0] == digests[1]
    calibrate(package, folder, kept, limit=1)
    assert site_calibration(kept, "tissue").digest != digests[0]
    assert len(list((kept / "tissue").iterdir())) == 1  # those of before are gone
    assert list(kept.parent.iterdir()) == [kept]


def test_what_is_kept_is_its_owners_alone(package, small_phantom, kept):
    calibrate(package, small_phantom.files[0].parent, kept, limit=1)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (kept, *kept.rglob("*"))}
    assert modes == {0o700, 0o600}


def test_without_a_folder_the_chest_phantom_is_analysed(package, small_phantom, kept, tmp_path, monkeypatch):
    caches = []
    monkeypatch.setattr(calibrating, "demo_study", lambda cache: caches.append(cache) or small_phantom)
    done = calibrate(package, None, kept, limit=2, cache=tmp_path / "cache")
    assert caches == [tmp_path / "cache"]
    assert done.studies == 1


def test_studies_that_the_engine_does_not_want_are_passed_over_with_the_reason(
    package, small_phantom, kept, tmp_path
):
    other = tissue_engine(tmp_path / "other", window=WINDOWS)
    text = (other.folder / "engine.toml").read_text().replace('equals = "CT"', 'equals = "MR"')
    (other.folder / "engine.toml").write_text(text)
    from dicomnode.engine import load_package

    with pytest.raises(NodeError) as caught:
        calibrate(load_package(other.folder), small_phantom.files[0].parent, kept)
    assert caught.value.fault is CALIBRATION_EMPTY
    assert "found CT" in str(caught.value)
    assert not kept.exists()


def test_a_folder_without_studies_is_told(package, kept, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NodeError) as caught:
        calibrate(package, tmp_path / "empty", kept)
    assert caught.value.fault is NO_INSTANCES


def test_where_nothing_can_be_kept_that_is_told(package, small_phantom, kept):
    kept.parent.parent.mkdir(parents=True)
    kept.parent.write_text("a file where the folder should be")
    with pytest.raises(NodeError) as caught:
        calibrate(package, small_phantom.files[0].parent, kept, limit=1)
    assert caught.value.fault is CALIBRATION_NOT_KEPT


def test_what_the_site_names_goes_before_what_is_kept_and_that_before_seeded_ones(tmp_path):
    named, store = tmp_path / "named", tmp_path / "store"
    assert site_folder(None, store, "tissue") is None
    assert site_folder(named, store, "tissue") == named
    calibration_folder(store, "tissue").mkdir(parents=True)
    assert site_folder(None, store, "tissue") == store / "calibration" / "tissue"
    assert site_folder(named, store, "tissue") == named


def test_each_network_has_the_inputs_of_its_step_and_without_them_those_of_the_folder(tmp_path):
    (tmp_path / "first").mkdir()
    np.savez(tmp_path / "first" / "0.npz", x=np.zeros(1))
    np.savez(tmp_path / "0.npz", x=np.ones(1))
    assert site_calibration(tmp_path, "first") == Calibration(folder=str(tmp_path / "first"))
    assert site_calibration(tmp_path, "second") == Calibration(folder=str(tmp_path))
    shutil.rmtree(tmp_path / "first")
    assert site_calibration(tmp_path, "first") == Calibration(folder=str(tmp_path))

"""Who watches sees each image on its way into an engine, as the engine gets it, and changes nothing of it."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.analyse.pictures import make_pictures_ready
from dicomnode.analyse.ready import HostImages, make_ready
from dicomnode.analyse.stages import Stage, words_of
from dicomnode.engine import Preparation
from dicomnode.engine.manifest.preparation_geometry import Resample
from dicomnode.values import no_progress
from tests.unit.analyse.conftest import affine_of
from tests.unit.analyse.engines import tissue_engine
from tests.unit.analyse.test_forms_inputs import difference, noise
from tests.unit.analyse.test_pictures import colours, one_input, picture_of, regression
from tests.unit.analyse.test_together import two_channels

PREPARE = '{ orient = "RAS" }, { resample_mm = [2.0, 2.0, 2.0] }, { clip = [-0.1, 0.1] }'


def watched(manifest, images):
    """Prepare what is given; give the stages and what the engine gets."""
    stages: list[Stage] = []
    host = HostImages(stages.append)
    make = make_pictures_ready if manifest.input[0].is_picture else make_ready
    return stages, make(manifest, images, no_progress, host).images


def test_each_entry_is_shown_once_in_its_order_and_the_last_is_what_the_engine_gets(tmp_path, make_volume):
    manifest = tissue_engine(tmp_path / "e", prepare=PREPARE).manifest
    stages, images = watched(manifest, {"ct": make_volume(noise())})
    assert [(one.name, one.done, one.keeps_values) for one in stages] == [
        ("ct", "orient RAS", True),
        ("ct", "resample_mm 2, 2, 2", True),
        ("ct", "clip -0.1, 0.1", True),
    ]
    assert np.array_equal(stages[-1].image.voxels, images["ct"].voxels)
    assert stages[-1].image.grid is images["ct"].grid
    assert np.ptp(stages[1].image.voxels) > np.ptp(stages[2].image.voxels)


def test_with_and_without_somebody_who_watches_it_is_the_same(tmp_path, make_volume):
    manifest = tissue_engine(tmp_path / "e", prepare=PREPARE).manifest
    volume = make_volume(noise())
    _, images = watched(manifest, {"ct": volume})
    alone = make_ready(manifest, {"ct": volume}, no_progress).images
    assert np.array_equal(alone["ct"].voxels, images["ct"].voxels)


def test_a_second_series_is_shown_on_the_grid_of_the_first_then_prepared(tmp_path, make_volume):
    manifest = difference(tmp_path / "e").manifest
    pet = make_volume(np.ones((4, 3, 10)), affine=affine_of((1.0, 2.0, 1.0), (0.0, 0.5, 0.0)))
    stages, _ = watched(manifest, {"ct": make_volume(noise()), "pet": pet})
    assert [(one.name, one.done) for one in stages] == [
        ("pet", "onto the grid of ct"),
        ("pet", "rescale slope 2"),
    ]
    assert stages[0].image.grid.shape_kji == noise().shape
    assert (stages[0].image.voxels.max(), stages[1].image.voxels.max()) == (1.0, 2.0)


def test_channels_of_one_image_are_shown_each_under_its_own_name(tmp_path, make_volume):
    package = two_channels(tmp_path / "e", first="{ clip = [0.0, 1.0] }", second="{ clip = [0.0, 2.0] }")
    stages, _ = watched(package.manifest, {"ct": make_volume(noise()), "pet": make_volume(noise(1))})
    assert [(one.name, one.done) for one in stages] == [("ct", "clip 0, 1"), ("pet", "clip 0, 2")]


def test_a_picture_in_colour_is_shown_by_channel_turned_prepared_and_normalised(tmp_path):
    how = 'colour = "rgb"\nrows_toward = "A"\nmean = [1.0, 2.0, 3.0]'
    package = regression(
        tmp_path / "rgb", one_input(how, prepare="{ letterbox = { shape_ji = [32, 32] } }"), channels=3
    )
    stages, images = watched(package.manifest, {"photo": picture_of(colours())})
    names = ["photo", "photo/green", "photo/blue"]
    told = [[one.done for one in stages if one.name == name] for name in names]
    assert told == [["turned", "letterbox shape_ji 32, 32", "mean 1, 2, 3"]] * 3
    last = {one.name: one.image.voxels for one in stages if one.done == "mean 1, 2, 3"}
    assert all(np.array_equal(last[name], images[name].voxels) for name in names)


def test_what_brings_values_to_another_scale_says_so(tmp_path, make_volume):
    scaled = "{ gaussian = { sigma_mm = 1.0 } }, { window = { centre = 0.0, width = 1.0 } }, { invert = { } }"
    manifest = tissue_engine(tmp_path / "e", prepare=scaled).manifest
    stages, _ = watched(manifest, {"ct": make_volume(noise())})
    assert [one.keeps_values for one in stages] == [True, False, False]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Preparation(orient="LPS"), "orient LPS"),
        (Preparation(clip=(-1000.0, 400.0)), "clip -1000, 400"),
        (
            Preparation(resample=Resample(spacing_kji_mm=(3.0, 1.5, 1.5))),
            "resample spacing_kji_mm 3, 1.5, 1.5",
        ),
    ],
)
def test_an_entry_is_named_with_what_was_asked_for_and_no_defaults(entry, words):
    assert words_of(entry) == words

"""Entries of `prepare`: each key has its bounds, and keys that exclude each other are told with a hint."""

from __future__ import annotations

import dataclasses

import pytest

from dicomnode.engine.manifest.preparation import PREPARATION_NAMES, Preparation, check_preparation
from dicomnode.settings.reader import read_leniently


def problems_of(table: dict[str, object]) -> list[str]:
    entry, problems = read_leniently(Preparation, table, "prepare[1]")
    assert entry is not None
    return [str(one) for one in [*problems, *check_preparation("prepare[1]", entry)]]


RIGHT = {
    "orient": "SAR",
    "resample_mm": [1.0, 1.0, 1.0],
    "resample": {"spacing_kji_mm": [1, 1, 1], "interpolation": "cubic", "align": "extent"},
    "resize": {"shape_kji": [128, 128, 128], "interpolation": "nearest"},
    "letterbox": {"shape_ji": [512, 512]},
    "crop_foreground": {"above": 0.0, "multiple": 8, "outside": "pad"},
    "crop_centre": {"shape_kji": [64, 64, 64]},
    "pad": {"multiple_kji": [16, 16, 16], "mode": "reflect"},
    "clip": [-1024.0, 3071.0],
    "window": {"centre": 40, "width": 400},
    "scale_range": {"a_min": -1000, "a_max": 400, "clip": True},
    "scale_minmax": {},
    "percentile": {"lower": 0.5, "upper": 99.5},
    "z_score": {"mean": 1.0, "std": 2.0},
    "rescale": {"slope": 0.226, "intercept": 0.449},
    "landmarks": {"percentiles": [1, 50, 99], "values": [0, 0.4, 1]},
    "invert": {"low": 0, "high": 255},
    "gaussian": {"sigma_mm": 1.0},
    "median": {"radius_kji": [0, 1, 1]},
    "nonlocal_means": {"noise_sd": 20.0},
    "curvature_flow": {},
    "bias_field": {"iterations": [20, 20]},
    "clahe": {"kernel_kji": [8, 32, 32]},
}

WRONG = [
    ({"orient": "LPL"}, "prepare[1].orient", "three letters"),
    ({"orient": "lps"}, "prepare[1].orient", "three letters"),
    ({"resample_mm": [1.0, 0.0, 1.0]}, "prepare[1].resample_mm", "above 0"),
    ({"resample": {"spacing_kji_mm": [1, 1, 1], "align": "middle"}}, "prepare[1].resample.align", '"extent"'),
    ({"resize": {"shape_kji": [128, 128, 0]}}, "prepare[1].resize.shape_kji", "1 to 4096"),
    (
        {"resize": {"shape_kji": [8, 8, 8], "interpolation": "area", "align": "corners"}},
        "prepare[1].resize.align",
        "between its faces",
    ),
    ({"crop_foreground": {"multiple": 8}}, "prepare[1].crop_foreground.multiple", 'outside = "pad"'),
    ({"crop_foreground": {"margin_voxels": -1}}, "prepare[1].crop_foreground.margin_voxels", "0 or more"),
    ({"pad": {}}, "prepare[1].pad.shape_kji", "exactly one of shape_kji, multiple_kji"),
    (
        {"pad": {"shape_kji": [8, 8, 8], "multiple_kji": [8, 8, 8]}},
        "prepare[1].pad.shape_kji",
        "exactly one of shape_kji, multiple_kji",
    ),
    (
        {"pad": {"shape_kji": [8, 8, 8], "mode": "edge", "value": 3}},
        "prepare[1].pad.value",
        "edge takes no value",
    ),
    ({"clip": [3.0, -3.0]}, "prepare[1].clip", "smallest, largest"),
    ({"window": {"centre": 40, "width": 0}}, "prepare[1].window", "above 0"),
    (
        {"window": {"centre": 40, "width": 9, "low": 1, "high": 0}},
        "prepare[1].window.high",
        "more than low, 1",
    ),
    ({"scale_range": {"a_min": 5, "a_max": 5}}, "prepare[1].scale_range.a_max", "more than a_min, 5"),
    (
        {"scale_range": {"a_min": 0, "a_max": 5, "b_min": 1, "b_max": 0}},
        "prepare[1].scale_range.b_max",
        "use invert",
    ),
    ({"scale_minmax": {"b_min": 2}}, "prepare[1].scale_minmax.b_max", "more than b_min, 2"),
    ({"percentile": {"lower": 99, "upper": 1}}, "prepare[1].percentile.upper", "more than lower, 99"),
    ({"percentile": {"lower": -1, "upper": 99}}, "prepare[1].percentile", "0 to 100"),
    ({"z_score": {"mean": 3.0}}, "prepare[1].z_score.std", "mean and std, or neither"),
    ({"z_score": {"std": 3.0}}, "prepare[1].z_score.mean", "mean and std, or neither"),
    ({"rescale": {"slope": 0}}, "prepare[1].rescale.slope", "other than 0"),
    (
        {"landmarks": {"percentiles": [50, 1], "values": [0, 1]}},
        "prepare[1].landmarks",
        "above the one before",
    ),
    (
        {"landmarks": {"percentiles": [1, 50], "values": [0, 1, 2]}},
        "prepare[1].landmarks.values",
        "2 numbers",
    ),
    ({"invert": {"low": 3}}, "prepare[1].invert.high", "low and high, or neither"),
    ({"invert": {"low": 3, "high": 1}}, "prepare[1].invert.high", "more than low, 3"),
    ({"gaussian": {"sigma_mm": 0}}, "prepare[1].gaussian", "above 0"),
    ({"median": {"radius_kji": [8, 1, 1]}}, "prepare[1].median.radius_kji", "0 to 7"),
    ({"nonlocal_means": {"patch_voxels": 4}}, "prepare[1].nonlocal_means.patch_voxels", "3, 5 or 7"),
    ({"curvature_flow": {"time_step": 0.2}}, "prepare[1].curvature_flow.time_step", "0.0625"),
    ({"bias_field": {"iterations": []}}, "prepare[1].bias_field.iterations", "one to six"),
    ({"clahe": {"clip_limit": 2}}, "prepare[1].clahe.clip_limit", "0 to 1"),
    ({}, "prepare[1]", "exactly one of orient, resample_mm"),
    ({"orient": "LPS", "clip": [0.0, 1.0]}, "prepare[1]", "exactly one of"),
    ({"zscore": {}}, "prepare[1].zscore", 'Did you mean "z_score"?'),
]


@pytest.mark.parametrize("name", PREPARATION_NAMES)
def test_every_entry_can_be_written(name):
    entry, problems = read_leniently(Preparation, {name: RIGHT[name]}, "prepare[1]")
    assert entry is not None
    assert not [*problems, *check_preparation("prepare[1]", entry)]
    assert entry.name == name
    assert entry.declared is getattr(entry, name)


@pytest.mark.parametrize(("table", "key", "text"), WRONG, ids=str)
def test_what_is_wrong_is_said_with_its_key(table, key, text):
    found = problems_of(table)
    assert len([one for one in found if key in one and text in one]) == 1, found


@pytest.mark.parametrize("name", PREPARATION_NAMES)
def test_an_entry_says_whether_it_keeps_the_grid(name):
    entry, _ = read_leniently(Preparation, {name: RIGHT[name]}, "prepare[1]")
    assert entry is not None
    of_values = type(entry.declared).__module__.endswith("preparation_values")
    assert entry.keeps_grid == (of_values or name == "clip")


def test_an_entry_of_none_or_two_is_a_bug_of_the_caller():
    with pytest.raises(ValueError, match="exactly one"):
        _ = Preparation().name
    with pytest.raises(ValueError, match="orient"):
        _ = Preparation(orient="LPS", clip=(0.0, 1.0)).declared


@pytest.mark.parametrize("name", PREPARATION_NAMES)
def test_every_key_says_what_it_means_in_a_sentence(name):
    fields = {entry.name: entry for entry in dataclasses.fields(Preparation)}
    declared = getattr(Preparation(**{name: None}), name)
    assert declared is None
    assert fields[name].metadata["doc"].endswith((".", "…"))
    entry, _ = read_leniently(Preparation, {name: RIGHT[name]}, "prepare[1]")
    assert entry is not None
    inner = entry.declared
    for key in dataclasses.fields(inner) if dataclasses.is_dataclass(inner) else ():
        assert key.metadata["doc"].endswith((".", "…")), key.name

"""Several inputs: series on the grid of the first, and numbers of attributes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.faults import ATTRIBUTE_MISSING, NEEDS_REGISTRATION
from dicomnode.values import Outcome
from tests.unit.analyse.conftest import affine_of
from tests.unit.analyse.forms import CT, LESION, ONE, engine, headers, node, onnx_bytes, run, step

FLOAT = TensorProto.FLOAT
BOX = ("x", [1, 1, "k", "j", "i"])
SHAPE = (4, 6, 10)
MAP = f'[[output]]\nmap = "difference"\nstep = "net"\ntype = {LESION}\nunit = {ONE}\n'


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, SHAPE).astype(np.float32)


def even(value: float) -> np.ndarray:
    return np.full(SHAPE, value, np.float32)


PET = """
[[input]]
name = "pet"
kind = "volume"
require = [{ tag = "Modality", equals = "PT" }]
outside = -7.0
prepare = [ { rescale = { slope = 2.0 } } ]
"""


def difference(folder, window='window = "whole"'):
    two = onnx_bytes(
        [node("Conv", ["x", "w"], ["y"])],
        [("x", [1, 2, "k", "j", "i"])],
        [("y", [1, 1, "k", "j", "i"], FLOAT)],
        {"w": np.array([1.0, -1.0], np.float32).reshape(1, 2, 1, 1, 1)},
    )
    keys = f'{window}\ninputs = {{ x = ["ct", "pet"] }}\ninterpret = "map"'
    body = step(keys=keys, gate="shape = [1, 2, 8, 8, 8]") + MAP
    return engine(folder, body, {"net.onnx": two}, CT + PET)


@pytest.mark.parametrize("window", ['window = "whole"', "window = { size_kji = [4, 4, 4] }"])
def test_a_second_series_lies_on_the_grid_of_the_first(tmp_path, make_volume, window):
    ct = make_volume(noise())
    k = np.arange(4.0)[:, None, None] * np.ones((1, 3, 10))
    pet = make_volume(
        k, affine=affine_of((1.0, 2.0, 1.0), (0.0, 0.5, 0.0))
    )  # the rows 0 … 5 in threes of 2 mm
    found = run(difference(tmp_path / "e", window), ct, pet)
    assert np.allclose(found.maps[0].values, noise() - 2.0 * np.arange(4.0)[:, None, None], atol=1e-5)
    assert [one.name for one in found.sources] == ["ct", "pet"]
    assert not any("covers" in one.text for one in found.remarks)


def test_where_a_second_series_does_not_reach_it_has_the_value_that_is_given(tmp_path, make_volume):
    pet = make_volume(np.ones((4, 6, 5), np.float32))  # the left half of the columns
    found = run(difference(tmp_path / "e"), make_volume(noise()), pet)
    expected = np.where(np.arange(10) < 5, 2.0, -14.0)
    assert np.allclose(found.maps[0].values, noise() - expected, atol=1e-5)
    assert any("input pet covers 50.0 % of what was analysed" in one.text for one in found.remarks)


def test_a_second_series_that_is_turned_in_space_is_interpolated(tmp_path, make_volume):
    """A linear field looks the same from any grid: tilted by 20° about x, and finer than the first."""
    turn = np.radians(20.0)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    affine = np.eye(4)
    affine[:3, :3] = rotation * 0.8
    affine[:3, 3] = [-4.0, -8.0, -8.0]
    shape = (40, 40, 40)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    ct = make_volume(np.zeros(SHAPE, np.float32))
    blank = make_volume(np.zeros(shape, np.float32), affine=affine)
    x, y, z = np.moveaxis(blank.grid.to_lps_mm(index), -1, 0)
    pet = make_volume((x + 2 * y - 3 * z).astype(np.float32), affine=affine)
    found = run(difference(tmp_path / "e"), ct, pet).maps[0]
    own = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    x, y, z = np.moveaxis(ct.grid.to_lps_mm(own), -1, 0)
    assert np.allclose(found.values, -2.0 * (x + 2 * y - 3 * z), atol=1e-3)


def test_series_of_different_frames_of_reference_need_registration(tmp_path, make_volume):
    pet = dataclasses.replace(make_volume(noise()), frame_of_reference_uid="1.2.3.10")
    found = run(difference(tmp_path / "e"), make_volume(noise()), pet)
    assert found.outcome == Outcome.NOT_ANALYSED
    (remark,) = found.remarks
    assert remark.code == NEEDS_REGISTRATION.code
    assert "'pet'" in remark.text


TAGS = (
    CT
    + """
[[input]]
name = "patient"
kind = "tags"
tags = [
  { tag = "PatientAge", mean = 50.0, sd = 10.0 },
  { tag = "PatientSex", values = { M = 1.0, F = 0.0 }, default = 0.5 },
  { tag = "KVP", default = 120.0 },
]
"""
)


def tabular() -> bytes:
    """Adds the mean of the volume to each number of the row, to see both."""
    return onnx_bytes(
        [
            node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            node("Add", ["clinical", "mean"], ["out"]),
        ],
        [BOX, ("clinical", [1, 3])],
        [("out", [1, 3], FLOAT)],
        {"axes": np.array([2, 3, 4])},
    )


def tabular_engine(folder):
    keys = 'inputs = { x = "ct", clinical = "patient" }\ninterpret = "regression"'
    body = step(keys=keys, gate="shapes = { x = [1, 1, 8, 8, 8], clinical = [1, 3] }")
    for channel in range(3):
        body += (
            f'[[output]]\nmeasurement = "n{channel}"\nstep = "net"\nchannel = {channel}\n'
            f"type = {LESION}\nunit = {ONE}\n"
        )
    return engine(folder, body, {"net.onnx": tabular()}, TAGS)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"PatientAge": "070Y", "PatientSex": "M", "KVP": "100"}, [2.0, 1.0, 100.0]),
        ({"PatientAge": "006M", "PatientSex": "F"}, [-4.95, 0.0, 120.0]),
        ({"PatientBirthDate": "19600302", "StudyDate": "20200301"}, [0.9, 0.5, 120.0]),
        ({"PatientBirthDate": "19600302", "StudyDate": "20200302", "PatientSex": "O"}, [1.0, 0.5, 120.0]),
    ],
    ids=["all", "months", "from dates", "on the birthday"],
)
def test_attributes_go_into_a_network_as_numbers(tmp_path, make_volume, attributes, expected):
    volume = dataclasses.replace(make_volume(even(3.0)), headers=headers(**attributes))
    found = run(tabular_engine(tmp_path / "e"), volume)
    assert [one.value - 3.0 for one in found.measurements] == pytest.approx(expected, abs=1e-5)
    said = " ".join(one.text for one in found.remarks)
    assert ("KVP is absent; the analysis went on with a value" in said) is ("KVP" not in attributes)
    assert "O" not in said.split()


def test_a_number_that_is_needed_and_not_there_is_said(tmp_path, make_volume):
    volume = dataclasses.replace(make_volume(even(3.0)), headers=headers(PatientSex="F"))
    found = run(tabular_engine(tmp_path / "e"), volume)
    assert found.outcome == Outcome.NOT_ANALYSED
    (remark,) = found.remarks
    assert remark.code == ATTRIBUTE_MISSING.code
    assert "needs PatientAge of the series as a number, and it is absent" in remark.text


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"PatientAge": "999Y"}, "it is not an age"),
        ({"PatientBirthDate": "18000101", "StudyDate": "20200101"}, "Study Date give no age"),
        ({"PatientBirthDate": "20300101", "StudyDate": "20200101"}, "Study Date give no age"),
        ({"PatientBirthDate": "20200102", "StudyDate": "20200101"}, "Study Date give no age"),
        ({"PatientBirthDate": "20200101"}, "so is Patient's Birth Date or Study Date"),
    ],
)
def test_what_no_person_can_be_is_no_age(tmp_path, make_volume, attributes, said):
    volume = dataclasses.replace(make_volume(even(3.0)), headers=headers(PatientSex="F", **attributes))
    found = run(tabular_engine(tmp_path / "e"), volume)
    assert found.outcome == Outcome.NOT_ANALYSED
    (remark,) = found.remarks
    assert said in remark.text
    assert not any(value in remark.text for value in attributes.values())

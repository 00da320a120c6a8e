"""A plan's key: anything that would make another plan makes another key, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dicomnode.engine.plans import GpuIdentity, PlanKey
from dicomnode.engine.plans.key import canonical_json, key_of
from tests.unit.engine.plan_keys import GPU, KEY, changed

# One change of everything that a plan is bound to
CHANGES = {
    "engine": "other",
    "network": "other.onnx",
    "onnx_sha256": "0" * 64,
    "precision": "fp16",
    "flavour": "tensorrt-rtx",
    "version": "11.4.0.107",
    "driver": "580.65.07",
    "cuda_runtime": "13.1",
    "conversion": "onnx 1.23.2",
    "options": {**KEY.options, "tf32": True},
    "builder": "2",
}
GPU_CHANGES = {
    "name": "NVIDIA H100",
    "compute_capability": (8, 9),
    "multiprocessors": 66,
    "memory_bytes": 75_000_000_000,
}


def test_every_field_of_the_key_is_tried():
    assert set(CHANGES) | {"gpu"} == set(KEY.facts())
    assert set(GPU_CHANGES) == set(KEY.facts()["gpu"])


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_change_of_any_fact_makes_another_key(name):
    other = changed(**{name: CHANGES[name]})
    assert other != KEY
    assert other.digest != KEY.digest


@pytest.mark.parametrize("name", list(GPU_CHANGES))
def test_a_change_of_the_device_or_of_its_slice_makes_another_key(name):
    assert changed(gpu=replace(GPU, **{name: GPU_CHANGES[name]})).digest != KEY.digest


def test_a_plan_without_a_device_has_a_key_of_its_own():
    assert changed(gpu=None).digest != KEY.digest


def test_the_same_facts_make_the_same_key_in_whatever_order_they_come():
    turned = PlanKey(**{**dict(reversed(KEY.facts().items())), "gpu": GPU})
    assert dict(reversed(KEY.options.items())) == dict(KEY.options)
    assert replace(turned, options=dict(reversed(KEY.options.items()))).digest == KEY.digest
    assert hash(turned) == hash(KEY)


def test_the_digest_of_a_key_never_changes_by_itself():
    """If this fails, all plans of all installations are built again: raise BUILDER_VERSION instead."""
    assert KEY.digest == "7f62fb0d8997ffe2d28cfb5d6f6754d6f83b1a50fa76fc19f232440ea431356c"


def test_a_key_comes_back_from_its_json():
    assert key_of(json.loads(canonical_json(KEY.facts()))) == KEY
    assert key_of(json.loads(canonical_json(changed(gpu=None).facts()))) == changed(gpu=None)


@pytest.mark.parametrize("facts", [{}, {"gpu": None}, {**KEY.facts(), "more": 1}, {**KEY.facts(), "gpu": {}}])
def test_what_is_no_key_is_said_to_be_none(facts):
    with pytest.raises(ValueError, match="no key of a plan"):
        key_of(facts)


@pytest.mark.parametrize(
    "change", [{"onnx_sha256": "short"}, {"version": ""}, {"options": {"x": float("nan")}}, {"engine": ""}]
)
def test_a_key_that_is_not_complete_cannot_be_made(change):
    with pytest.raises(ValueError):
        changed(**change)


def test_options_that_json_cannot_say_are_a_bug_that_is_seen():
    with pytest.raises(TypeError):
        changed(options={"x": object()})


def test_a_device_without_memory_cannot_be():
    with pytest.raises(ValueError):
        GpuIdentity(name="x", compute_capability=(9, 0), multiprocessors=1, memory_bytes=0)


@pytest.mark.parametrize("name", ["driver", "cuda_runtime", "options", "builder", "conversion"])
def test_a_plan_stands_in_for_one_of_another_driver_or_option(name):
    assert changed(**{name: CHANGES[name]}).may_stand_in(KEY)


@pytest.mark.parametrize("name", ["engine", "network", "onnx_sha256", "precision", "flavour", "version"])
def test_a_plan_of_another_network_or_version_stands_in_for_nothing(name):
    assert not changed(**{name: CHANGES[name]}).may_stand_in(KEY)


@pytest.mark.parametrize("name", list(GPU_CHANGES))
def test_a_plan_of_another_device_stands_in_for_nothing(name):
    assert not changed(gpu=replace(GPU, **{name: GPU_CHANGES[name]})).may_stand_in(KEY)

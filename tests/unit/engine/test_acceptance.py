"""Acceptance: volumes through two runtimes, and the record of what was found."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from dicomnode.engine import load_package
from dicomnode.engine.acceptance import (
    FOLDER,
    SessionFailedError,
    Subject,
    accept,
    find_record,
    keep_record,
    records_of,
    subject_of,
    volumes,
)
from dicomnode.engine.manifest.tree import Window
from dicomnode.engine.plans.profiles import profile_of
from dicomnode.engine.runtimes import REFERENCE, Network
from dicomnode.engine.runtimes import kept as kept_room
from dicomnode.faults import NETWORK_FAILED, NodeError
from tests.unit.engine.small_engine import network, with_weight, write_engine
from tests.unit.engine.spoiled_runtime import SpoiledRuntime

SUBJECT = Subject(
    engine="small",
    step="net",
    network="0" * 64,
    asked="0" * 64,
    runtime="spoiled",
    version="1.0",
    device="CPU",
    precision="fp32",
)


@pytest.fixture
def step(tmp_path):
    return load_package(write_engine(tmp_path / "small")).step("net")


def load(runtime=REFERENCE, content=None):
    content = network().SerializeToString() if content is None else content
    return runtime.load(Network(engine="small", file="net.onnx", content=content), runtime.probe(1))


def accepted(step, spoil=lambda outputs: outputs, subject=SUBJECT):
    session, reference = load(SpoiledRuntime(spoil)), load()
    try:
        return accept(subject, step, session, reference)
    finally:
        session.close()
        reference.close()


def with_output(name, change):
    return lambda outputs: {**outputs, name: change(outputs[name])}


def test_the_same_numbers_are_accepted(step):
    found = accepted(step)
    assert found.passed
    assert len({one.volume for one in found.agreements}) == 4
    assert {one.output for one in found.agreements} == {"heat", "logd", "mask"}


@pytest.mark.parametrize(
    ("spoil", "worst"),
    [
        (with_output("mask", lambda a: a * 1.01), "mask"),
        (with_output("heat", lambda a: a[..., ::-1].copy()), "heat"),
        (with_output("logd", lambda a: a + 0.01), "logd"),
        (
            with_output("mask", lambda a: a * np.nan),
            "mask on the seeded volume: it gives what is not a number",
        ),
        (with_output("mask", lambda a: a[..., :1]), "mask on the seeded volume: its shape is"),
        (
            lambda outputs: {"mask": outputs["mask"]},
            "heat on the seeded volume: it does not give this output",
        ),
    ],
    ids=["scaled", "turned", "shifted", "nan", "shape", "missing"],
)
def test_other_numbers_are_not(step, spoil, worst):
    found = accepted(step, spoil)
    assert not found.passed
    assert found.worst.startswith(worst)


def test_what_goes_wrong_only_far_from_the_seeded_volume_is_found(step):
    """Activations of noise over the whole range are larger: half precision overflows there first."""

    def overflow(outputs):
        return {name: np.where(a > 0.9, np.inf, a) for name, a in outputs.items()}

    assert max(float(array.max()) for array in load().run(first(step)).values()) < 0.9
    found = accepted(step, overflow)
    assert not found.passed
    assert "on noise over the whole range" in found.worst


def first(step):
    session = load()
    return next(iter(volumes(step, session, session)))[1]


def test_a_network_that_the_runtime_does_not_run_fails_with_its_row(step):
    def fail(outputs):
        raise NodeError(NETWORK_FAILED, engine="small", error="no kernel")

    with pytest.raises(SessionFailedError, match="no kernel") as caught:
        accepted(step, fail)
    assert caught.value.fault is NETWORK_FAILED


def test_a_session_may_refuse_a_volume_that_the_reference_gives_no_numbers_for(step):
    def only_numbers(outputs):
        if not all(np.isfinite(array).all() for array in outputs.values()):
            raise NodeError(NETWORK_FAILED, engine="small", error="not a number")
        return outputs

    # The square root of noise over the whole range, below 0 in half of it; the gate's own is made above 0
    above = replace(step, gate=replace(step.gate, low=0.0, high=1.0))
    content = network("Log").SerializeToString()
    session, reference = load(SpoiledRuntime(only_numbers), content), load(content=content)
    assert accept(SUBJECT, above, session, reference).passed


def shapes(step, session=None):
    session = session or load()
    return [volume["x"].shape for _, volume in volumes(step, session, session)]


def test_boxes_of_any_size_are_tried_in_another_size(step):
    assert shapes(step) == [(1, 1, 4, 6, 8), (1, 1, 8, 4, 6), (1, 1, 4, 6, 8), (1, 1, 4, 6, 8)]


@pytest.mark.parametrize("value", [0.25, np.nan])
def test_on_a_flat_volume_numbers_must_be_numbers_and_no_more(step, value):
    def change(outputs):
        flat = np.ptp(outputs["mask"]) == 0.0
        return {**outputs, "mask": outputs["mask"] + value} if flat else outputs

    found = accepted(step, change)
    assert found.passed is bool(np.isfinite(value))
    assert found.passed or "mask on a flat volume: it gives what is not a number" in found.worst


def test_a_plan_that_takes_boxes_of_any_size_is_tried_in_another_size_too(step):
    planned = load(SpoiledRuntime(plan="a"))
    assert shapes(step, planned)[1] == (1, 1, 8, 4, 6)
    _, _, _, high = profile_of(step, network().SerializeToString())[0]
    assert all(
        most >= length for volume in shapes(step, planned) for length, most in zip(volume, high, strict=True)
    )


def test_windows_have_one_size(step):
    windows = replace(step, window=Window(size_kji=(4, 6, 8)))
    assert set(shapes(windows)) == {(1, 1, 4, 6, 8)}


def test_windows_are_tried_two_in_a_batch_where_the_network_takes_that(step):
    made = network()
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
    windows = replace(step, window=Window(size_kji=(4, 6, 8)))
    session = load(content=made.SerializeToString())
    assert shapes(windows, session)[1] == (2, 1, 4, 6, 8)
    assert all(
        np.isfinite(a).all() for a in session.run(list(volumes(windows, session, session))[1][1]).values()
    )


def test_a_size_that_the_reference_refuses_is_no_measure_but_the_gates_own_must_run(step):
    content = with_weight(np.zeros((1, 1, 4, 6, 8), np.float32)).SerializeToString()
    plain = replace(step, centre_heat=None, interpret="labels")
    session, reference = load(content=content), load(content=content)
    found = accept(SUBJECT, plain, session, reference)
    assert found.passed
    assert "another volume" not in {one.volume for one in found.agreements}
    wrong = replace(plain, gate=replace(plain.gate, shape=(1, 1, 3, 6, 8)))
    with pytest.raises(NodeError) as caught:
        accept(SUBJECT, wrong, session, reference)
    assert caught.value.fault is NETWORK_FAILED


def test_what_the_reference_gives_no_numbers_for_is_never_accepted(step):
    """Else an output that was never compared would serve."""
    content = with_weight(np.full((1, 1, 1, 1, 1), np.nan, np.float32)).SerializeToString()
    plain = replace(step, centre_heat=None, interpret="labels")
    session, reference = load(), load(content=content)
    found = accept(SUBJECT, plain, session, reference)
    assert not found.passed
    assert "the reference itself gives what is not a number" in found.worst


def test_each_input_gets_a_volume_of_its_own_shape(step):
    gate = replace(step.gate, shapes={"x": (1, 1, 2, 2, 4)})
    assert shapes(replace(step, gate=gate))[0] == (1, 1, 2, 2, 4)


def test_a_runtime_that_takes_one_input_for_the_other_is_found(step):
    def difference(*names):
        tensors = [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 4, 6, 8]) for n in ("a", "b", "mask")
        ]
        graph = helper.make_graph([helper.make_node("Sub", names, ["mask"])], "g", tensors[:2], tensors[2:])
        opset = [helper.make_opsetid("", 20)]
        return load(content=helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())

    plain = replace(step, centre_heat=None, interpret="map")
    assert accept(SUBJECT, plain, difference("a", "b"), difference("a", "b")).passed
    assert not accept(SUBJECT, plain, difference("b", "a"), difference("a", "b")).passed


def test_volumes_are_the_same_each_time(step):
    session = load()
    again = list(volumes(step, session, session))
    for (title, volume), (other, same) in zip(volumes(step, session, session), again, strict=True):
        assert title == other
        assert volume["x"].tobytes() == same["x"].tobytes()


class TestRecord:
    """What is kept."""

    def test_a_record_comes_back_whole(self, step, tmp_path):
        found = accepted(step)
        keep_record(tmp_path, found)
        assert find_record(tmp_path, SUBJECT, step) == found
        assert find_record(None, SUBJECT, step) is None

    @pytest.mark.parametrize(
        "change",
        [
            {"network": "1" * 64},
            {"asked": "1" * 64},
            {"runtime": "other"},
            {"version": "1.1"},
            {"device": "another CPU"},
            {"precision": "fp16"},
            {"plan": "b"},
            {"engine": "large"},
            {"step": "other"},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_it_holds_for_nothing_else(self, step, tmp_path, change):
        keep_record(tmp_path, accepted(step))
        assert find_record(tmp_path, replace(SUBJECT, **change), step) is None

    def test_figures_are_kept_and_not_the_verdict(self, step, tmp_path):
        found = accepted(step, with_output("logd", lambda a: a + 1e-4))
        assert found.passed
        keep_record(tmp_path, found)
        tight = replace(step, gate=replace(step.gate, max_abs=1e-5))
        again = find_record(tmp_path, SUBJECT, tight)
        assert again.agreements == found.agreements
        assert not again.passed
        path = next((tmp_path / FOLDER).glob("*.json"))
        path.write_text(path.read_text().replace('"passed": true', '"passed": false'))
        assert find_record(tmp_path, SUBJECT, step).passed

    @pytest.mark.parametrize("content", ["", "[]", "{", "[" * 200_000, '{"schema": 1}', '{"schema": 2}'])
    def test_one_that_cannot_be_read_is_as_good_as_none(self, step, tmp_path, content):
        keep_record(tmp_path, accepted(step))
        path = next((tmp_path / FOLDER).glob("*.json"))
        path.write_text(content)
        assert find_record(tmp_path, SUBJECT, step) is None
        assert records_of(tmp_path, "small", [step]) == []

    def test_one_under_the_name_of_another_does_not_hold(self, step, tmp_path):
        keep_record(tmp_path, accepted(step))
        path = next((tmp_path / FOLDER).glob("*.json"))
        other = replace(SUBJECT, version="2.0")
        path.rename(path.with_name(other.file_name))
        assert find_record(tmp_path, other, step) is None

    def test_one_of_a_precision_that_nobody_knows_is_not_listed(self, step, tmp_path):
        runtime = SpoiledRuntime()
        now = subject_of("small", step, runtime.probe(1), load(runtime))
        keep_record(tmp_path, accepted(step, subject=now))
        [(path, _)] = records_of(tmp_path, "small", [step])
        path.write_text(path.read_text().replace('"precision": "fp32"', '"precision": "fp3"'))
        assert records_of(tmp_path, "small", [step]) == []

    def test_a_crash_leaves_the_old_one(self, step, tmp_path):
        class Full(kept_room.Disk):
            def fdatasync(self, fd):
                raise OSError(28, "No space left on device")

        keep_record(tmp_path, accepted(step))
        path = next((tmp_path / FOLDER).glob("*.json"))
        before = path.read_text()
        assert not kept_room.keep(path, {}, Full())
        assert path.read_text() == before
        assert kept_room.keep(path, {"new": True})
        assert json.loads(path.read_text()) == {"schema": 1, "new": True}

    def test_the_folder_of_another_user_is_left_alone(self, step, tmp_path, monkeypatch):
        uid = os.geteuid()
        monkeypatch.setattr(kept_room.os, "geteuid", lambda: uid + 1)
        keep_record(tmp_path, accepted(step))
        assert not (tmp_path / FOLDER).exists()

    def test_the_list_has_those_of_the_networks_as_they_are_now(self, step, tmp_path):
        runtime = SpoiledRuntime()
        now = subject_of("small", step, runtime.probe(1), load(runtime))
        for subject in (
            replace(now, runtime="b"),
            replace(now, runtime="a"),
            SUBJECT,
            replace(now, engine="large"),
            replace(now, asked="0" * 64),
            replace(now, network="0" * 64),
        ):
            keep_record(tmp_path, accepted(step, subject=subject))
        listed = records_of(tmp_path, "small", [step])
        assert [record.subject.runtime for _, record in listed] == ["a", "b"]
        assert all(record.passed and path.exists() for path, record in listed)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda step: replace(step, data={"weights.bin": "1" * 64}), False),
        (lambda step: replace(step, gate=replace(step.gate, seed=7)), False),
        (lambda step: replace(step, gate=replace(step.gate, low=-500.0)), False),
        (lambda step: replace(step, window=Window(size_kji=(4, 6, 8))), False),
        (lambda step: replace(step, centre_heat=replace(step.centre_heat, heat_at_least=0.2)), False),
        (lambda step: replace(step, gate=replace(step.gate, dice=0.9999, tolerance=1e-6, expect=())), True),
    ],
    ids=["weights in a data file", "seed", "range", "window", "level of a peak", "limits"],
)
def test_a_step_that_asks_something_else_is_another_subject_and_tighter_limits_are_not(step, change, same):
    runtime = SpoiledRuntime()
    session = load(runtime)
    before, after = (subject_of("small", one, runtime.probe(1), session) for one in (step, change(step)))
    assert (before == after) is same
    assert (before.file_name == after.file_name) is same


def test_the_subject_names_what_the_session_is(step):
    runtime = SpoiledRuntime(plan="abc", precisions=("fp16",))
    session = runtime.load(
        Network(engine="small", file="f", content=network().SerializeToString(), precision="fp16"),
        runtime.probe(1),
    )
    gpu = replace(runtime.probe(1), device=replace(runtime.probe(1).device, name="GPU", driver="580.1"))
    subject = subject_of("small", step, gpu, session)
    assert (subject.network, subject.precision, subject.plan) == (step.sha256, "fp16", "abc")
    assert subject.device == "GPU, driver 580.1"

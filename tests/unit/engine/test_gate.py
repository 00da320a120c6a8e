"""The gate: nothing serves whose numbers are not right."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dicomnode.engine import GateSpec, check_engine, load_package, open_session
from dicomnode.engine.gate import PROBES, fingerprint, seeded_input
from dicomnode.engine.runtimes import onnxruntime as onnx_room
from dicomnode.faults import GATE_FAILED, NETWORK_FAILED, RUNTIME_MISSING, NodeError
from tests.unit.engine.small_engine import network, write_engine

GATE = GateSpec(shape=(1, 1, 8, 12, 16), low=-1000.0, high=400.0)


def with_expectations(folder, **changes):
    """Write what the small engine gives on this machine into its manifest; `changes` spoil it."""
    package = load_package(write_engine(folder))
    session = open_session(package, "net", 1)
    outputs = session.run({"x": seeded_input(package.step("net").gate)})
    rows = [
        f'{{ output = "{one.output}", mean = {one.mean}, std = {one.std}, smallest = {one.smallest}, '
        f"largest = {one.largest}, probes = {list(one.probes)} }}"
        for one in (fingerprint(name, array, PROBES) for name, array in outputs.items())
    ]
    session.close()
    text = ", ".join(rows)
    for old, new in changes.items():
        text, count = re.subn(old, new, text, count=1)
        assert count == 1
    return load_package(write_engine(folder, **{"high = 1.0": f"high = 1.0\nexpect = [ {text} ]"}))


def test_a_session_that_passed_its_gate_is_opened(tmp_path):
    session = open_session(with_expectations(tmp_path), "net.onnx", 1)
    x = np.ones((1, 1, 2, 2, 2), np.float32)
    assert np.array_equal(session.run({"x": x})["mask"], -x)
    session.close()


def test_the_report_names_every_comparison_and_the_runtime(tmp_path):
    package = with_expectations(tmp_path)
    report = check_engine(package, 1)
    assert report.passed
    assert report.text == ""
    assert (report.engine, report.version, report.digest) == ("small", "0.1.0", package.digest)
    assert len(report.runtimes) == 1
    names = [check.name for check in report.checks]
    assert "heat finite" in names
    assert "mask repeated" in names
    assert "outputs that centre_heat names" in names
    assert "logd largest" in names
    assert f"mask probe {PROBES - 1}" in names
    assert len(names) == 3 * (2 + 4 + PROBES) + 1


@pytest.mark.parametrize("key", ["mean", "std", "smallest", "largest"])
def test_another_number_than_the_stored_one_stops_it(tmp_path, key):
    package = with_expectations(tmp_path, **{rf" {key} = [^,]*,": f" {key} = 77.0,"})
    report = check_engine(package, 1)
    assert not report.passed
    [failed] = [check for check in report.checks if not check.passed]
    assert failed.name == f"heat {key}"
    assert report.text.startswith(f"net heat {key}: expected 77 ± 0.001, found ")
    with pytest.raises(NodeError, match=f"heat {key}: expected") as caught:
        open_session(package, "net", 1)
    assert caught.value.fault is GATE_FAILED


def test_an_output_that_is_not_there_stops_it(tmp_path):
    report = check_engine(with_expectations(tmp_path, **{'"heat"': '"heap"'}), 1)
    assert [check.found for check in report.checks if not check.passed] == ["outputs heat, logd, mask"]


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        ("Log", "mask finite: expected finite numbers"),
        ("RandomNormalLike", "mask repeated: expected the same"),
    ],
)
def test_numbers_that_are_none_or_change_stop_it(tmp_path, operator, said):
    package = load_package(write_engine(tmp_path, network(operator).SerializeToString()))
    with pytest.raises(NodeError, match=said) as caught:
        open_session(package, "net", 1)
    assert caught.value.fault is GATE_FAILED


def test_outputs_that_the_manifest_names_and_the_network_has_not_stop_it(tmp_path):
    package = load_package(write_engine(tmp_path, **{"threshold = 0.5": 'size = "diameter"'}))
    with pytest.raises(NodeError, match="outputs that centre_heat names") as caught:
        open_session(package, "net", 1)
    assert caught.value.fault is GATE_FAILED


def test_a_gate_whose_input_the_network_does_not_take_is_a_failure_of_the_network(tmp_path):
    package = load_package(write_engine(tmp_path, **{"[1, 1, 4, 6, 8]": "[1, 4, 6, 8]"}))
    for attempt in (open_session, lambda p, _, n: check_engine(p, n)):
        with pytest.raises(NodeError) as caught:
            attempt(package, "net", 1)
        assert caught.value.fault is NETWORK_FAILED


def test_an_engine_without_networks_passes_without_a_comparison(tmp_path):
    folder = write_engine(tmp_path)
    text = (folder / "engine.toml").read_text()
    step = text[text.index("[[step]]\nnetwork") : text.index("[[output]]")]
    (folder / "engine.toml").write_text(text.replace(step, "").replace('step = "net"', 'step = "lungs"'))
    report = check_engine(load_package(folder), 1)
    assert (report.passed, report.checks, report.runtimes) == (True, (), ())


def test_without_a_runtime_the_engine_is_not_served(tmp_path, monkeypatch):
    def fail():
        raise ImportError("not installed")

    package = load_package(write_engine(tmp_path))
    monkeypatch.setattr(onnx_room, "import_onnxruntime", fail)
    with pytest.raises(NodeError, match="not installed") as caught:
        open_session(package, "net", 1)
    assert caught.value.fault is RUNTIME_MISSING


def test_the_seeded_input_lies_between_low_and_high_and_is_the_same_on_every_machine():
    sample = seeded_input(GATE)
    assert (sample.shape, sample.dtype) == ((1, 1, 8, 12, 16), np.float32)
    assert -1000.0 <= sample.min() < sample.max() <= 400.0
    # Written down once: another numpy, another machine must give these.
    assert sample.ravel()[:3].tolist() == pytest.approx(SAMPLE, abs=1e-4)
    assert not np.array_equal(
        sample, seeded_input(GateSpec(shape=GATE.shape, low=-1000.0, high=400.0, seed=2))
    )


SAMPLE = [-858.344970703125, -796.93505859375, -909.8176879882812]


def test_the_seeded_input_has_a_ball_that_is_not_in_the_middle():
    sample = seeded_input(GATE)[0, 0]
    bright = np.argwhere(sample > 0.0)
    assert len(bright) > 1
    assert np.linalg.norm(bright.mean(0) - np.array([0.4, 0.45, 0.6]) * sample.shape) < 1.0


def test_a_tensor_without_space_gets_noise_alone():
    sample = seeded_input(GateSpec(shape=(1, 5), low=0.0, high=1.0))
    assert sample.max() <= 0.15 + 1e-6


def test_a_turned_axis_is_seen_in_the_fingerprint():
    array = np.random.PCG64(3).random_raw(4 * 6 * 8).reshape(4, 6, 8) / 2.0**64
    right = fingerprint("x", array, PROBES)
    for turned in (array[::-1], array[:, ::-1], array[:, :, ::-1]):
        wrong = fingerprint("x", turned, PROBES)
        assert wrong.mean == pytest.approx(right.mean)
        assert max(abs(a - b) for a, b in zip(wrong.probes, right.probes, strict=True)) > 0.01


def test_an_output_without_numbers_is_nothing_that_was_expected():
    """A detector that lists nothing where it listed something fails its gate, and not with a traceback."""
    found = fingerprint("boxes", np.zeros((0, 4), np.float32), 3)
    assert all(np.isnan([found.mean, found.std, found.smallest, found.largest, *found.probes]))
    assert len(found.probes) == 3

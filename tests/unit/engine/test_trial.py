"""The first run of a network in a limited child: whatever the child does is an answer."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from dicomnode.engine.adding import trial_child
from dicomnode.engine.adding.trial import Limits, Refused, TrialOrder, Tried, try_network
from dicomnode.engine.gate import fingerprint, seeded_input
from dicomnode.engine.manifest.tree import GateSpec
from dicomnode.engine.runtimes import TensorSpec
from dicomnode.faults import TRIAL_FAILED, NodeError
from tests.unit.engine.foreign import endless, greedy, one

SHAPE = {"x": (1, 1, 4, 6, 8)}
CONTENT = one("Relu").SerializeToString()


def order(*groups, runs: int = 1) -> TrialOrder:
    return TrialOrder(file="net.onnx", groups=groups or [[SHAPE]], low=-1.0, high=1.0, runs=runs)


def failed(content: bytes = CONTENT, limits: Limits | None = None, **about: object) -> NodeError:
    with pytest.raises(NodeError) as caught:
        try_network(content, order(), limits or Limits(seconds=60.0), **about)
    assert caught.value.fault is TRIAL_FAILED
    return caught.value


def child(code: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; sys.stdin.buffer.read(); {code}"]


def test_what_came_out_is_told_as_the_gate_reads_it():
    [tried] = try_network(CONTENT, order(runs=2), Limits(seconds=60.0))
    assert isinstance(tried, Tried)
    assert tried.shapes == SHAPE
    [given] = tried.outputs
    assert (given.shape, given.dtype, given.finite, given.repeated) == (SHAPE["x"], "float32", True, True)
    seen = seeded_input(GateSpec(shape=SHAPE["x"], low=-1.0, high=1.0)).clip(0.0)
    assert given.fingerprint == fingerprint("y", seen, 7)


def test_of_a_group_the_first_shape_that_runs_is_taken():
    fixed = one("Relu", shape=[1, 1, 4, 6, 8]).SerializeToString()
    wrong = {"x": (1, 1, 5, 6, 8)}
    tried, refused = try_network(fixed, order([wrong, SHAPE], [wrong]), Limits(seconds=60.0))
    assert isinstance(tried, Tried)
    assert tried.shapes == SHAPE
    assert isinstance(refused, Refused)
    assert "it was given (1, 1, 5, 6, 8)" in refused.errors[0]


def test_another_answer_at_the_second_run_is_seen():
    [tried] = try_network(one("RandomNormalLike").SerializeToString(), order(runs=2), Limits(seconds=60.0))
    assert isinstance(tried, Tried)
    assert not tried.outputs[0].repeated


def test_a_loop_without_an_end_is_ended():
    error = failed(endless().SerializeToString(), Limits(seconds=2.0))
    assert "did not come to an end within 2 s" in str(error)
    assert "--time-limit" in error.remedy


def test_more_memory_than_there_may_be_is_not_had():
    [refused] = try_network(
        greedy().SerializeToString(), order(), Limits(seconds=60.0, memory_bytes=2 * 1024**3)
    )
    assert isinstance(refused, Refused)
    assert "bad_alloc" in refused.errors[0]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "ended the process that tried it (SIGSEGV)",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "did not come to an end"),
        ("import os; os.abort()", "SIGABRT"),
        ("sys.exit(3)", "exit status 3"),
        ("pass", "gave no answer"),
        ("print('{}')", "gave no answer"),
        ("print('[1, 2]')", "gave no answer"),
        ("""print('{"groups": [{"outputs": 3, "shapes": {}}]}')""", "gave no answer"),
        ("""print('{"error": "std::bad_alloc"}')""", "std::bad_alloc"),
    ],
)
def test_whatever_the_child_does_is_a_sentence_and_an_advice(code, problem):
    error = failed(command=child(code))
    assert problem in str(error)
    assert error.remedy.endswith(".")


def test_a_child_that_cannot_be_started_is_said():
    assert "no process could be started" in str(failed(command=["/nowhere/python"]))


@pytest.mark.parametrize(
    ("model", "problem", "advice"),
    [
        (one("Relu", imports=[("", 99)]), "operator set is newer than", "or earlier"),
        (one("Relu", ir=99), "max supported IR version", "update onnxruntime"),
        (one("Blend", "acme", imports=[("", 20), ("acme", 1)]), "acme:Blend", "custom operators"),
    ],
    ids=["opset", "IR version", "operator"],
)
def test_what_the_runtime_says_comes_with_what_to_do(model, problem, advice):
    error = failed(model.SerializeToString())
    assert problem in str(error)
    assert "/onnxruntime" not in str(error)  # no places in its source
    assert advice in error.remedy


def test_a_difference_in_any_run_is_kept():
    outputs = iter([1.0, 2.0, 1.0])

    class Once:
        """Its second run alone differs."""

        inputs = (TensorSpec("x", (1, 1, 4, 6, 8), "float32"),)

        def run(self, inputs):
            return {"y": np.full(3, next(outputs), np.float32)}

    request = {"low": -1.0, "high": 1.0, "seed": 1, "runs": 3}
    [found] = trial_child._run(Once(), SHAPE, request)["outputs"]
    assert not found["repeated"]

"""TensorRT with the plans of one engine, and what the cache of plans is told of how they agreed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import structlog

from dicomnode.device import Device
from dicomnode.engine import RuntimeWish, load_package, open_session, planned, serving
from dicomnode.engine.acceptance import Acceptance, Subject
from dicomnode.engine.agreement import LIMITS, Agreement
from dicomnode.engine.planned import PlanFailedError, PlannedRuntime, judge_plan, with_plans
from dicomnode.engine.plans import PlanCache, PlanState
from dicomnode.engine.runtimes import REFERENCE, RUNTIMES, Capability, Network
from dicomnode.engine.runtimes.tensorrt import TENSORRT, ReadyPlan, TensorRtRuntime
from dicomnode.engine.runtimes.tensorrt import runtime as runtime_module
from dicomnode.faults import (
    CUDA_MEMORY,
    CUDA_MISSING,
    NETWORK_FAILED,
    PLAN_MISSING,
    PLAN_NOT_LOADED,
    PLAN_NOT_WRITTEN,
    RUNTIME_REFUSED,
    NodeError,
)
from tests.unit.engine.plan_keys import KEY, changed
from tests.unit.engine.small_engine import network, write_engine
from tests.unit.engine.spoiled_runtime import SpoiledRuntime

GPU = Device(
    name="NVIDIA H200",
    kind="cuda",
    threads=1,
    memory_bytes=150 << 30,
    compute_capability=(9, 0),
    driver="580.65.06 (CUDA 13.0)",
)
BEFORE = changed(builder="0")
CAPABILITY = Capability("tensorrt", "11.4.0.106", GPU, ("fp32", "fp16"))


@pytest.fixture
def package(tmp_path):
    return load_package(write_engine(tmp_path / "small"))


@pytest.fixture
def wish(tmp_path):
    (tmp_path / "state").mkdir()
    return RuntimeWish(state=tmp_path / "state", plans=tmp_path / "plans")


def test_both_flavours_get_the_plans_of_the_engine_and_others_stay_as_they_are(package, wish):
    able = with_plans(RUNTIMES, package.manifest.networks, wish)
    assert [runtime.name for runtime in able] == ["tensorrt", "tensorrt-rtx", "openvino", "onnxruntime"]
    assert [isinstance(runtime, PlannedRuntime) for runtime in able] == [True, True, False, False]
    assert with_plans(RUNTIMES, package.manifest.networks, RuntimeWish()) == RUNTIMES
    assert not wish.plans.exists()  # nothing is made for who has no GPU


def test_what_was_found_out_of_the_gpu_is_shared_by_all_engines(package, wish):
    class Probed(TensorRtRuntime):
        def probe(self, threads=0):
            return CAPABILITY

    [able] = with_plans([Probed(TENSORRT)], package.manifest.networks, wish)
    assert able.probe(1) is CAPABILITY


def test_all_engines_work_in_the_cuda_context_that_the_shared_runtime_was_given(monkeypatch):
    asked, released = [], []

    def contexts(device):
        asked.append(device)
        raise NodeError(CUDA_MISSING, reason="there is none here")

    def plans(network, capability):
        return ReadyPlan(
            content=b"plan", key="k", precision="fp32", tf32=False, release=lambda: released.append(1)
        )

    monkeypatch.setattr(runtime_module, "bindings", lambda flavour: object())
    runtime = TensorRtRuntime(TENSORRT, contexts=contexts).with_plans(plans)
    with pytest.raises(NodeError, match="there is none here"):
        runtime.load(Network(engine="small 0.1.0", file="net.onnx", content=b""), CAPABILITY)
    assert (asked, released) == ([GPU], [1])


def test_a_network_without_a_plan_is_not_loaded_and_the_command_that_builds_it_is_told(package, wish):
    [able] = with_plans([TensorRtRuntime(TENSORRT)], package.manifest.networks, wish)
    asked = Network(engine="small 0.1.0", file="net.onnx", content=network().SerializeToString())
    with pytest.raises(NodeError) as caught:
        able.load(asked, CAPABILITY)
    assert caught.value.fault is PLAN_MISSING
    assert "no plan was built for it here" in str(caught.value)
    assert wish.plans.stat().st_mode & 0o777 == 0o700


def judged(plan, *, passed):
    subject = Subject(
        engine="small",
        step="net",
        network="0" * 64,
        asked="0" * 64,
        runtime="tensorrt",
        version="11.4.0.106",
        device="NVIDIA H200",
        precision="fp32",
        plan=plan,
    )
    agreement = Agreement(volume="v", output="mask", relative_l2=0.0 if passed else 0.5, span=1.0)
    return Acceptance(subject=subject, agreements=(agreement,), limits=LIMITS["fp32"])


@pytest.mark.parametrize(("passed", "state"), [(True, PlanState.ACCEPTED), (False, PlanState.REJECTED)])
def test_the_cache_is_told_how_a_plan_agreed(wish, passed, state):
    cache = PlanCache(wish.plans)
    cache.put(KEY, b"a plan", 1.0, {})
    judge_plan(wish, judged(KEY.digest, passed=passed))
    [record] = PlanCache(wish.plans).records()
    assert record.state is state


def test_a_runtime_without_plans_tells_the_cache_nothing(wish):
    judge_plan(wish, judged("", passed=True))
    judge_plan(replace(wish, plans=None), judged(KEY.digest, passed=True))
    assert not wish.plans.exists()


def test_after_a_plan_was_rejected_the_one_that_served_before_is_tried(package, wish):
    class Rebuilt(SpoiledRuntime):
        """Its newest plan is wrong; the one before it is not."""

        def load(self, network, capability):
            newest = not self.loaded
            self._plan = "newest" if newest else "before"
            self._spoil = (lambda o: {n: a + np.float32(0.5) for n, a in o.items()}) if newest else dict
            return super().load(network, capability)

    runtime = Rebuilt()
    session = open_session(package, "net", 1, wish, (runtime, REFERENCE))
    assert session.runtime == "spoiled 1.0 CPU"
    assert session.provenance["plan"] == "before"
    assert "does not agree" in session.provenance["why not spoiled"]
    session.close()
    assert runtime.open == 0


def test_after_a_plan_that_does_not_load_the_one_that_served_before_is_tried(package, wish):
    class Damaged(SpoiledRuntime):
        """TensorRT makes nothing of its newest plan, which is put aside."""

        tried = 0

        def load(self, network, capability):
            self.tried += 1
            if self.tried == 1:
                raise NodeError(
                    PLAN_NOT_LOADED,
                    engine="small",
                    name="small",
                    file="net.onnx",
                    device="GPU",
                    reasons="old",
                )
            self._plan = "before"
            return super().load(network, capability)

    runtime = Damaged()
    session = open_session(package, "net", 1, wish, (runtime, REFERENCE))
    assert (session.runtime, runtime.tried) == ("spoiled 1.0 CPU", 2)
    assert "does not load on GPU: old" in session.provenance["why not spoiled"]
    session.close()


def refuses(outputs):
    raise NodeError(NETWORK_FAILED, engine="small", error="its output mask holds what is not a number")


class OfTwoPlans(SpoiledRuntime):
    """Its newest plan fails in a way of its own, as long as the cache gives that; the one before serves."""

    def __init__(self, wish, spoil) -> None:
        super().__init__()
        self._cache, self._newest = PlanCache(wish.plans), spoil
        for key in (BEFORE, KEY):
            self._cache.put(key, b"a plan", 1.0, {})
        self._cache.accept(BEFORE, {})

    def load(self, network, capability):
        newest = self._cache.find(KEY).record.state is not PlanState.REJECTED
        self._plan = KEY.digest if newest else BEFORE.digest
        self._spoil = self._newest if newest else lambda outputs: outputs
        return super().load(network, capability)


def only_at_the_edge(outputs):
    """As half precision does: too large for numbers where the whole range is seen."""
    return refuses(outputs) if float(outputs["mask"].max()) > 0.9 else outputs


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (refuses, "does not pass the engine's gate: The network of engine small failed"),
        (lambda o: {"mask": o["mask"]}, "does not pass the engine's gate: "),
        (only_at_the_edge, "does not agree with onnxruntime: The network of engine small failed"),
    ],
    ids=["does not run in the gate", "fails the gate", "does not run in the acceptance"],
)
def test_a_plan_that_fails_is_rejected_for_good_and_the_one_before_serves(package, wish, spoil, said):
    runtime = OfTwoPlans(wish, spoil)
    session = open_session(package, "net", 1, wish, (runtime, REFERENCE))
    session.close()
    assert session.provenance["plan"] == BEFORE.digest
    assert said in session.provenance["why not spoiled"]
    rejected = PlanCache(wish.plans).find(KEY).record
    assert rejected.state is PlanState.REJECTED
    assert said in rejected.figures["worst"]
    assert len(runtime.loaded) == 2
    assert runtime.open == 0
    open_session(package, "net", 1, wish, (runtime, REFERENCE)).close()
    assert len(runtime.loaded) == 3  # the next start does not try it again


class FailsWarmingUp(OfTwoPlans):
    """Its newest plan loads, and does not run even once."""

    def load(self, network, capability):
        session = super().load(network, capability)
        if session.provenance["plan"] == KEY.digest:
            session.close()
            failure = NodeError(NETWORK_FAILED, engine="small", error="no kernel image is available")
            raise PlanFailedError(failure, KEY.digest)
        return session


def test_a_plan_that_does_not_warm_up_is_rejected_for_good_and_the_one_before_serves(package, wish):
    runtime = FailsWarmingUp(wish, dict)
    session = open_session(package, "net", 1, wish, (runtime, REFERENCE))
    session.close()
    said = "in fp32 its plan does not run: The network of engine small failed: no kernel image"
    assert session.provenance["plan"] == BEFORE.digest
    assert session.provenance["why not spoiled"].startswith(said)
    rejected = PlanCache(wish.plans).find(KEY).record
    assert rejected.state is PlanState.REJECTED
    assert rejected.figures["worst"].startswith(said)
    open_session(package, "net", 1, wish, (runtime, REFERENCE)).close()
    assert len(runtime.loaded) == 3  # the next start does not try it again
    assert runtime.open == 0


@pytest.mark.parametrize(("fallback", "fault"), [(True, None), (False, RUNTIME_REFUSED)])
def test_where_no_plan_warms_up_the_policy_of_the_site_holds(package, wish, fallback, fault):
    class Never(FailsWarmingUp):
        def load(self, network, capability):
            self.loaded.append(network)
            failure = NodeError(NETWORK_FAILED, engine="small", error="no kernel image is available")
            raise PlanFailedError(failure, KEY.digest)

    runtime = Never(wish, dict)
    named = replace(wish, runtime="spoiled", fallback=fallback)
    if fault is None:
        session = open_session(package, "net", 1, named, (runtime, REFERENCE))
        session.close()
        assert session.runtime.startswith("onnxruntime ")
        assert "its plan does not run" in session.provenance["why not spoiled"]
    else:
        with pytest.raises(NodeError, match="its plan does not run") as caught:
            open_session(package, "net", 1, named, (runtime, REFERENCE))
        assert caught.value.fault is fault
    assert len(runtime.loaded) == 2


@pytest.mark.parametrize("row", [NETWORK_FAILED, PLAN_MISSING, CUDA_MEMORY])
def test_which_plan_it_was_is_told_only_where_one_was_loaded_and_did_not_run(package, wish, monkeypatch, row):
    class Fails(TensorRtRuntime):
        """Asks for its plan as the real one does, and then fails."""

        def load(self, network, capability):
            self._plans(network, capability)
            facts = {"engine": "small", "name": "small", "file": "net.onnx", "device": "GPU"}
            raise NodeError(row, **facts, error="e", reason="r", doing="d", used_mb=1.0, free_mb=1.0)

        def with_plans(self, plans):
            return Fails(self.flavour, plans, self._contexts)

    plan = ReadyPlan(content=b"plan", key="k", precision="fp32", tf32=False)
    monkeypatch.setattr(planned, "KeptPlans", lambda *_: lambda network, capability: plan)
    [able] = with_plans([Fails(TENSORRT)], package.manifest.networks, wish)
    with pytest.raises(NodeError) as caught:
        able.load(Network(engine="small 0.1.0", file="net.onnx", content=b""), CAPABILITY)
    assert caught.value.fault is row
    assert getattr(caught.value, "plan", "") == ("k" if row is NETWORK_FAILED else "")


def test_a_failure_of_the_reference_is_not_the_plans(package, wish, monkeypatch):
    def fail(network, capability):
        raise NodeError(NETWORK_FAILED, engine="small", error="bad allocation")

    runtime = OfTwoPlans(wish, lambda outputs: outputs)
    monkeypatch.setattr(serving, "REFERENCE", SimpleNamespace(name="r", probe=REFERENCE.probe, load=fail))
    with pytest.raises(NodeError, match="bad allocation"):
        open_session(package, "net", 1, wish, (runtime,))
    assert PlanCache(wish.plans).find(KEY).record.state is PlanState.BUILT


def test_a_plan_is_judged_before_its_record_is_kept(package, wish, monkeypatch):
    """A crash between leaves what is found out again, never a record of a plan that nobody judged."""

    class CrashError(Exception):
        pass

    def crash(*_):
        raise CrashError

    runtime = OfTwoPlans(wish, lambda outputs: outputs)
    monkeypatch.setattr(serving, "keep_record", crash)
    with pytest.raises(CrashError):
        open_session(package, "net", 1, wish, (runtime, REFERENCE))
    assert PlanCache(wish.plans).find(KEY).record.state is PlanState.ACCEPTED


def test_where_the_verdict_cannot_be_written_the_session_serves_and_is_judged_another_time(
    package, wish, monkeypatch
):
    def full(self, digest, **_):
        raise NodeError(PLAN_NOT_WRITTEN, path=self.root, error="No space left on device")

    runtime = OfTwoPlans(wish, lambda outputs: outputs)
    with monkeypatch.context() as patch, structlog.testing.capture_logs() as lines:
        patch.setattr(PlanCache, "judge", full)
        session = open_session(package, "net", 1, wish, (runtime, REFERENCE))
    session.close()
    assert session.runtime == "spoiled 1.0 CPU"
    assert [line["code"] for line in lines if line["event"] == "plan.not_judged"] == ["DN-4126"]
    assert PlanCache(wish.plans).find(KEY).record.state is PlanState.BUILT
    open_session(package, "net", 1, wish, (runtime, REFERENCE)).close()
    assert PlanCache(wish.plans).find(KEY).record.state is PlanState.ACCEPTED


@pytest.mark.parametrize("room", [0, 2, 9])
def test_a_device_that_is_full_is_passed_over_only_when_no_more_room_can_be_made(package, wish, room):
    asked = []

    class Full(SpoiledRuntime):
        """It loads once room was made twice."""

        def load(self, network, capability):
            if len(asked) < 2:
                raise NodeError(CUDA_MEMORY, device="GPU", doing="loading", used_mb=1.0, free_mb=0.0)
            return super().load(network, capability)

    def make_room(wanted_bytes):
        if len(asked) == room:
            return False
        asked.append(wanted_bytes)
        return True

    session = open_session(package, "net", 1, wish, (Full(), REFERENCE), make_room=make_room)
    session.close()
    assert session.runtime.startswith("spoiled" if room >= 2 else "onnxruntime")
    assert len(asked) == min(room, 2)
    assert all(wanted > 0 for wanted in asked)

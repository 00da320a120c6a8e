"""The session that serves: the best whose numbers are right, by the site's policy, and never silently."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import structlog

from dicomnode.engine import RuntimeWish, check_engine, load_package, open_session
from dicomnode.engine.acceptance import FOLDER, records_of
from dicomnode.engine.runtimes import REFERENCE, Network, Reason
from dicomnode.engine.runtimes.openvino import OpenVino
from dicomnode.faults import (
    CUDA_BROKEN,
    CUDA_MEMORY,
    GATE_FAILED,
    NETWORK_FAILED,
    RUNTIME_MISSING,
    RUNTIME_REFUSED,
    NodeError,
)
from tests.unit.engine.small_engine import network, write_engine
from tests.unit.engine.spoiled_runtime import SpoiledRuntime


@pytest.fixture
def package(tmp_path):
    return load_package(
        write_engine(tmp_path / "small", **{"interpret =": 'precisions = ["fp16", "fp32"]\ninterpret ='})
    )


@pytest.fixture
def wish(tmp_path):
    (tmp_path / "state").mkdir()
    return RuntimeWish(state=tmp_path / "state")


def opened(package, wish, *runtimes):
    session = open_session(package, "net", 1, wish, (*runtimes, REFERENCE))
    session.close()
    return session


def wrong(outputs):
    return {name: array * 1.5 for name, array in outputs.items()}


class Absent(SpoiledRuntime):
    def probe(self, threads=0):
        return Reason(self.name, "it is not installed", installed=False)


def refusing(network):
    raise NodeError(NETWORK_FAILED, engine=network.engine, error="there is no plan")


class Unloadable(SpoiledRuntime):
    def load(self, network, capability):
        refusing(network)


def test_a_runtime_that_agrees_serves_and_its_record_is_kept(package, wish):
    runtime = SpoiledRuntime()
    session = opened(package, wish, runtime)
    assert session.runtime == "spoiled 1.0 CPU"
    assert session.provenance["runtime asked for"] == "auto"
    assert "limit" in session.provenance["accepted with"]
    assert len(list((wish.state / FOLDER).glob("*.json"))) == 1
    assert runtime.open == 0


def test_what_was_accepted_is_not_tried_again_but_passes_the_gate_at_each_start(package, wish):
    runs = []

    def count(outputs):
        runs.append(1)
        return outputs

    opened(package, wish, SpoiledRuntime(count))
    first = len(runs)
    opened(package, wish, SpoiledRuntime(count))
    assert len(runs) - first == 2  # the gate runs its volume twice


def test_a_plan_that_was_built_anew_is_accepted_anew(package, wish):
    opened(package, wish, SpoiledRuntime(plan="a"))
    named = RuntimeWish(runtime="spoiled", state=wish.state)
    with pytest.raises(NodeError, match="does not agree with onnxruntime"):
        opened(package, named, SpoiledRuntime(wrong, plan="b"))
    assert len(list((wish.state / FOLDER).glob("*.json"))) == 2


@pytest.mark.parametrize(
    ("runtime", "said"),
    [
        (SpoiledRuntime(wrong), "in fp32 it does not agree with onnxruntime: "),
        (Unloadable(), "in fp32: The network of engine small 0.1.0 failed: there is no plan."),
        (
            SpoiledRuntime(lambda o: {**o, "mask": o["mask"] * np.nan}),
            "in fp32 it does not pass the engine's gate",
        ),
        (SpoiledRuntime(lambda o: {"mask": o["mask"]}), "in fp32 it does not pass the engine's gate"),
        (Absent(), "it is not installed"),
    ],
    ids=["disagrees", "does not load", "not finite", "lacks outputs", "not installed"],
)
def test_auto_passes_over_what_may_not_serve_and_provenance_says_why(package, wish, runtime, said):
    session = opened(package, wish, runtime)
    assert session.runtime.startswith("onnxruntime ")
    assert session.provenance["why not spoiled"].startswith(said)
    assert runtime.open == 0


def test_a_failed_acceptance_is_kept_too(package, wish):
    opened(package, wish, SpoiledRuntime(wrong))
    [path] = (wish.state / FOLDER).glob("*.json")
    assert json.loads(path.read_text())["passed"] is False


def test_what_is_passed_over_is_told_once_in_the_log(package, wish):
    with structlog.testing.capture_logs() as lines:
        opened(package, wish, SpoiledRuntime(wrong))
    [told] = [line for line in lines if line["event"] == "runtime.passed_over"]
    assert (told["log_level"], told["engine"], told["runtime"]) == ("warning", "small", "spoiled")
    assert "does not agree" in told["reason"]
    with structlog.testing.capture_logs() as lines:
        opened(package, wish, Absent())
    [told] = [line for line in lines if line["event"] == "runtime.passed_over"]
    assert told["log_level"] == "debug"  # what nobody installed is no news


@pytest.mark.parametrize("runtime", [SpoiledRuntime(wrong), Unloadable(), Absent()])
def test_a_runtime_that_is_named_and_may_not_serve_stops_the_engine(package, wish, runtime):
    named = RuntimeWish(runtime="spoiled", state=wish.state)
    with pytest.raises(NodeError) as caught:
        opened(package, named, runtime)
    assert caught.value.fault is RUNTIME_REFUSED
    assert "small 0.1.0 shall run on spoiled" in str(caught.value)


@pytest.mark.parametrize("runtime", [SpoiledRuntime(wrong), Unloadable(), Absent()])
def test_another_takes_over_from_it_where_the_site_allows_that(package, wish, runtime):
    named = RuntimeWish(runtime="spoiled", fallback=True, state=wish.state)
    session = opened(package, named, runtime)
    assert session.runtime.startswith("onnxruntime ")
    assert session.provenance["runtime asked for"] == "spoiled"
    assert "why not spoiled" in session.provenance


def test_a_runtime_that_nobody_knows_is_refused_and_not_ignored(package, wish):
    with pytest.raises(NodeError) as caught:
        opened(package, RuntimeWish(runtime="unheard-of", state=wish.state), SpoiledRuntime())
    assert caught.value.fault is RUNTIME_REFUSED


def test_precisions_are_tried_as_the_manifest_likes_them(package, wish):
    def coarse(outputs):
        return {name: array.astype(np.float16).astype(np.float32) for name, array in outputs.items()}

    runtime = SpoiledRuntime(coarse, precisions=("fp32", "fp16"))
    session = opened(package, wish, runtime)
    assert session.precision == "fp16"
    assert [network.precision for network in runtime.loaded] == ["fp16"]


def test_a_precision_that_does_not_agree_gives_way_to_the_next_on_the_same_runtime(package, wish):
    class Coarse(SpoiledRuntime):
        def load(self, network, capability):
            self._spoil = wrong if network.precision == "fp16" else lambda outputs: outputs
            return super().load(network, capability)

    runtime = Coarse(precisions=("fp32", "fp16"))
    session = opened(package, RuntimeWish(runtime="spoiled", state=wish.state), runtime)
    assert (session.runtime, session.precision) == ("spoiled 1.0 CPU", "fp32")
    assert session.provenance["why not spoiled"].startswith("in fp16 it does not agree")
    assert runtime.open == 0


def test_several_reasons_against_one_runtime_all_stand(package, wish):
    session = opened(package, wish, SpoiledRuntime(wrong, precisions=("fp32", "fp16")))
    reasons = session.provenance["why not spoiled"]
    assert "in fp16 it does not agree" in reasons
    assert "; in fp32 it does not agree" in reasons


def test_without_a_state_folder_a_runtime_that_is_named_is_accepted_in_the_process(package):
    session = opened(package, RuntimeWish(runtime="spoiled"), SpoiledRuntime())
    assert session.runtime == "spoiled 1.0 CPU"
    with pytest.raises(NodeError, match="does not agree"):
        opened(package, RuntimeWish(runtime="spoiled"), SpoiledRuntime(wrong))


def test_when_none_works_the_reasons_are_all_said(package, wish):
    with pytest.raises(NodeError) as caught:
        open_session(package, "net", 1, wish, (Absent(), Unloadable()))
    assert caught.value.fault is RUNTIME_MISSING
    assert "spoiled: it is not installed; spoiled: in fp32" in str(caught.value)
    with pytest.raises(NodeError, match="none is installed"):
        open_session(package, "net", 1, wish, ())


def test_what_the_reference_says_of_a_package_is_final(tmp_path, wish):
    package = load_package(write_engine(tmp_path / "bad", network("Log").SerializeToString()))
    with pytest.raises(NodeError, match="mask finite") as caught:
        opened(package, wish, SpoiledRuntime())
    assert caught.value.fault is GATE_FAILED


def test_a_session_that_serves_does_what_the_one_inside_does(package, wish):
    plain = REFERENCE.load(
        Network(engine="small", file="net.onnx", content=network().SerializeToString()), REFERENCE.probe(1)
    )
    session = open_session(package, "net", 1, wish, (SpoiledRuntime(), REFERENCE))
    x = np.ones((1, 1, 2, 2, 2), np.float32)
    assert np.array_equal(session.run({"x": x})["mask"], plain.run({"x": x})["mask"])
    assert (session.inputs, session.outputs) == (plain.inputs, plain.outputs)
    assert session.memory((1, 1, 2, 2, 2)) == plain.memory((1, 1, 2, 2, 2))
    assert session.device == plain.device
    session.close()
    plain.close()


def test_the_report_tells_who_would_serve_how_it_agreed_and_who_was_passed_over(package, wish):
    report = check_engine(package, 1, wish, (Absent(), SpoiledRuntime(), REFERENCE))
    assert report.passed
    assert report.runtimes == ("spoiled 1.0 CPU",)
    assert [one.passed for one in report.acceptances] == [True]
    assert report.reasons == (Reason("spoiled", "it is not installed", installed=False),)


def test_openvino_agrees_on_the_engine_that_ships(wish):
    from dicomnode.engine import find_engine

    named = RuntimeWish(runtime="openvino", state=wish.state)
    session = open_session(find_engine("lung-ct"), "nodules", 1, named, (OpenVino(), REFERENCE))
    assert session.runtime.startswith("openvino ")
    session.close()


def test_a_device_that_broke_is_no_reason_to_go_on_with_the_cpu_in_the_same_process(package, wish):
    class Breaks(SpoiledRuntime):
        def load(self, network, capability):
            raise NodeError(CUDA_BROKEN, device="GPU", doing="loading", error="illegal address")

    with pytest.raises(NodeError) as caught:
        open_session(package, "net", 1, wish, (Breaks(), REFERENCE))
    assert caught.value.fault is CUDA_BROKEN


class OnlySmall(SpoiledRuntime):
    """Runs what the gate and the acceptance give it, and nothing that is larger."""

    def __init__(self) -> None:
        super().__init__(self.refuse)
        self.mended = False

    def refuse(self, outputs):
        if not self.mended and any(array.size > 8**3 for array in outputs.values()):
            raise NodeError(NETWORK_FAILED, engine="small", error="this shape is in no profile")
        return outputs


def first_run(session):
    """What the engine will give it, larger than what its gate does."""
    session.run({"x": np.zeros((1, 1, 16, 16, 16), np.float32)})


DOES_NOT_RUN = "in fp32 it does not run on what the engine gives it: The network of engine small failed"


def test_one_that_agrees_and_then_does_not_run_is_passed_over_and_that_is_told(package, wish, tmp_path):
    runtime = OnlySmall()
    with structlog.testing.capture_logs() as logged:
        session = open_session(package, "net", 1, wish, (runtime, REFERENCE), proof=first_run)
    session.close()
    assert session.runtime.startswith("onnxruntime")
    assert session.provenance["why not spoiled"].startswith(DOES_NOT_RUN)
    assert [one["reason"] for one in logged if one["event"] == "runtime.passed_over"] == [
        session.provenance["why not spoiled"]
    ]
    assert runtime.open == 0
    (record,) = records(wish, package)
    assert not record.passed
    assert record.worst.startswith("the network on its first run: ")
    # It is tried again at the next start, and stays accepted where it runs then
    runtime.mended = True
    session = open_session(package, "net", 1, wish, (runtime, REFERENCE), proof=first_run)
    session.close()
    assert session.runtime.startswith("spoiled")
    (record,) = records(wish, package)
    assert record.passed


def test_the_one_that_is_named_has_no_stand_in_where_none_is_allowed(package, wish):
    named = replace(wish, runtime="spoiled")
    with pytest.raises(NodeError, match="this shape is in no profile") as caught:
        open_session(package, "net", 1, named, (OnlySmall(), REFERENCE), proof=first_run)
    assert caught.value.fault is RUNTIME_REFUSED
    allowed = replace(named, fallback=True)
    session = open_session(package, "net", 1, allowed, (OnlySmall(), REFERENCE), proof=first_run)
    session.close()
    assert session.runtime.startswith("onnxruntime")


def test_what_the_reference_itself_does_not_run_has_no_stand_in(package, wish):
    def never(session):
        raise NodeError(NETWORK_FAILED, engine="small", error="no such axis")

    with pytest.raises(NodeError, match="no such axis") as caught:
        open_session(package, "net", 1, wish, (REFERENCE,), proof=never)
    assert caught.value.fault is NETWORK_FAILED


def test_room_is_made_for_a_first_run_whose_device_is_full(package, wish):
    full, asked = [True], []

    def run(session):
        if full:
            raise NodeError(CUDA_MEMORY, device="G", doing="running", error="full", used_mb=1, free_mb=0)

    def make_room(wanted):
        asked.append(wanted)
        full.clear()
        return True

    runtimes = (SpoiledRuntime(), REFERENCE)
    session = open_session(package, "net", 1, wish, runtimes, make_room=make_room, proof=run)
    session.close()
    assert session.runtime.startswith("spoiled")
    assert len(asked) == 1
    full.append(True)
    session = open_session(package, "net", 1, wish, runtimes, proof=run_unless_reference(run))
    session.close()
    assert "ran out of memory" in session.provenance["why not spoiled"]


def run_unless_reference(run):
    return lambda session: None if session.runtime.startswith("onnxruntime") else run(session)


def records(wish, package):
    return [record for _, record in records_of(wish.state, "small", package.manifest.networks)]

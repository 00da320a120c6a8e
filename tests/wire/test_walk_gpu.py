"""The service on a GPU: plans are built while it runs, a device that breaks is taken out, nothing is lost.

On the test driver, with a double of TensorRT (see `gpu_node`).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.deliver import push_study
from dicomnode.journal import StudyState
from dicomnode.store import Store
from tests.wire.gpu_node import gpu_environment, trouble
from tests.wire.node import Node, running_node
from tests.wire.peers import until
from tests.wire.plain_engines import mean_engine, series
from tests.wire.test_walk import NOWHERE

pytestmark = [pytest.mark.wire, pytest.mark.slow]

ANALYSED = {StudyState.DELIVERING, StudyState.FAILED}
DEADLINE_S = 90.0


@pytest.fixture(autouse=True)
def _tools():
    missing = [name for name in ("g++",) if shutil.which(name) is None]
    missing += [name for name in ("pycuda",) if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {missing}")
    if missing:
        pytest.skip(f"not installed: {missing}")


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    return gpu_environment(tmp_path)


def _uid(files: list[Path]) -> str:
    return str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


def analysed(node: Node, files: list[Path]) -> dict[str, str]:
    """Send a study, and give what its provenance tells."""
    assert not push_study(node.peer, "SCANNER", files).failed
    uid = _uid(files)
    assert node.wait_for(uid, states=ANALYSED).state is StudyState.DELIVERING
    with node.journal() as journal:
        ((_, _, path),) = journal.findings(uid)
    store = Store.open(node.folder / "store")
    told = store.load_findings(path).provenance
    store.close()
    return {"runtime": told.runtime, "device": told.device, **told.details}


@pytest.mark.long
def test_plans_are_built_at_the_start_and_the_worker_takes_them_without_losing_a_study(tmp_path, environment):
    engine = mean_engine(tmp_path / "mean")
    with running_node(tmp_path / "node", [engine], NOWHERE, environment=environment) as node:
        # Whatever serves at this moment: it comes through
        assert analysed(node, series(tmp_path / "ct1", 1))["runtime"].startswith(
            ("openvino", "onnxruntime", "tensorrt")
        )
        until(lambda: node.lines("plans.ready"), "the plan is there", DEADLINE_S)
        assert [line["state"] for line in node.lines("plan.judged")] == ["accepted"]
        told = analysed(node, series(tmp_path / "ct2", 2))
        assert told["runtime"] == "tensorrt 11.4.0.106 CUDA"
        assert told["device"] == "Test GPU"
        assert "accepted with" in told
        assert node.stop() == 0
        node.start()
        until(lambda: node.lines("plans.ready"), "the plan is found", DEADLINE_S)
        assert node.lines("plan.building") == []
        assert analysed(node, series(tmp_path / "ct3", 3))["runtime"] == "tensorrt 11.4.0.106 CUDA"


@pytest.mark.long
def test_a_plan_that_is_not_what_was_written_is_built_again_with_a_word(tmp_path, environment):
    engine = mean_engine(tmp_path / "mean")
    with running_node(tmp_path / "node", [engine], NOWHERE, environment=environment) as node:
        until(lambda: node.lines("plans.ready"), "the plan is there", DEADLINE_S)
        node.kill()
        (plan,) = (node.folder / "store" / "plans").glob("*.plan")
        content = bytearray(plan.read_bytes())
        content[len(content) // 2] ^= 1
        plan.write_bytes(content)
        node.start()
        until(lambda: node.lines("plans.ready"), "it is built anew", DEADLINE_S)
        (said,) = node.lines("plan.quarantined")
        assert said["level"] == "error"
        assert len(node.lines("plan.built")) == 1
        assert analysed(node, series(tmp_path / "ct", 1))["runtime"] == "tensorrt 11.4.0.106 CUDA"


@pytest.mark.long
def test_a_new_driver_builds_anew_by_itself_and_the_old_plan_is_kept_to_go_back_to(tmp_path, environment):
    engine = mean_engine(tmp_path / "mean")
    with running_node(tmp_path / "node", [engine], NOWHERE, environment=environment) as node:
        until(lambda: node.lines("plans.ready"), "the plan is there", DEADLINE_S)
        assert node.stop() == 0
        node.environment = {**environment, "TEST_CUDA_DRIVER": "13010"}
        node.start()
        until(lambda: node.lines("plans.ready"), "that of the new driver is there", DEADLINE_S)
        assert len(node.lines("plan.built")) == 1
        assert len(list((node.folder / "store" / "plans").glob("*.plan"))) == 2
        assert analysed(node, series(tmp_path / "ct", 1))["runtime"] == "tensorrt 11.4.0.106 CUDA"


@pytest.mark.long
@pytest.mark.parametrize("runtime", ["auto", "tensorrt"])
def test_a_study_that_breaks_its_device_three_times_is_parked_and_the_device_is_out(
    tmp_path, environment, runtime
):
    engine = mean_engine(tmp_path / "mean")
    with running_node(
        tmp_path / "node", [engine], NOWHERE, environment=environment, analyse={"runtime": runtime}
    ) as node:
        until(lambda: node.lines("plans.ready"), "the plan is there", DEADLINE_S)
        trouble(tmp_path, "breaks").touch()
        poison = series(tmp_path / "ct1", 1)
        assert not push_study(node.peer, "SCANNER", poison).failed
        until(lambda: node.lines("device.out"), "three workers have ended", DEADLINE_S)
        assert [line["code"] for line in node.lines("device.broken")] == ["DN-4162"] * 3
        (out,) = node.lines("device.out")
        assert "Test GPU (GPU-" in out["text"]
        study = node.wait_for(_uid(poison), states=ANALYSED)
        assert study.state is StudyState.DELIVERING  # of what says that it failed
        assert "ended its process 3 times" in study.reason
        if runtime == "auto":
            told = analysed(node, series(tmp_path / "ct2", 2))
            assert "CPU" in told["runtime"]
            assert "why not tensorrt" in told
        else:
            files = series(tmp_path / "ct2", 2)
            push_study(node.peer, "SCANNER", files)
            waiting = _uid(files)

            def reason() -> str:
                with node.journal() as journal:
                    found = [one for one in journal.studies() if one.study_instance_uid == waiting]
                return (found[0].reason or "") if found else ""

            until(lambda: "out of service" in reason(), "the study says what it waits for", DEADLINE_S)
            assert "it ended 3 processes within an hour" in reason()


@pytest.mark.long
def test_a_study_for_which_memory_is_short_is_tried_again_and_the_worker_lives_on(tmp_path, environment):
    engines = [mean_engine(tmp_path / "mean"), mean_engine(tmp_path / "other", "MR")]
    with running_node(tmp_path / "node", engines, NOWHERE, environment=environment) as node:
        until(lambda: node.lines("plans.ready"), "the plans are there", DEADLINE_S)
        full = trouble(tmp_path, "is full")
        full.touch()
        files = series(tmp_path / "ct", 1)
        assert not push_study(node.peer, "SCANNER", files).failed
        until(lambda: node.lines("task.failed"), "there is no memory", DEADLINE_S)
        assert "memory" in node.lines("task.failed")[0]["text"]
        full.unlink()
        study = node.wait_for(_uid(files), states=ANALYSED)
        assert study.state is StudyState.DELIVERING
        with node.journal() as journal:
            assert [event.what for event in journal.events(_uid(files))].count("analyse.claimed") > 1
        assert analysed(node, series(tmp_path / "mr", 2, "MR"))["runtime"] == "tensorrt 11.4.0.106 CUDA"
        assert node.lines("process.ended") == []


@pytest.mark.long
def test_one_worker_works_on_each_of_two_devices(tmp_path):
    environment = gpu_environment(tmp_path, DEVICES=2)
    engine = mean_engine(tmp_path / "mean")
    with running_node(tmp_path / "node", [engine], NOWHERE, environment=environment) as node:
        until(lambda: len(node.lines("plans.ready")) == 2, "both have the plan", DEADLINE_S)
        assert len(node.lines("plan.built")) == 1  # two of a kind share it
        uuids = set()
        for n in range(1, 40):  # who is quicker gets it
            uuids.add(analysed(node, series(tmp_path / f"ct{n}", n))["device_uuid"])
            if len(uuids) == 2:
                break
        assert len(uuids) == 2

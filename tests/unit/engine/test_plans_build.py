"""A plan is built in a process of its own, once, and what kills that process is told in a sentence."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicomnode.engine.plans import BuildProgress, Following, PlanCache, PlanOrder, ensure_plan
from dicomnode.engine.plans.job import BuildJob, left_s, read_job, tail_of
from dicomnode.engine.precision.calibration import Calibration
from dicomnode.faults import (
    DIGEST_MISMATCH,
    PLAN_BUILD_DIED,
    PLAN_BUILD_FAILED,
    PLAN_BUILD_TOO_LONG,
    PLAN_NOT_WRITTEN,
    PLANS_UNSAFE,
    NodeError,
)
from tests.unit.engine.plan_builders import HERE
from tests.unit.engine.plan_keys import KEY, NETWORK, changed

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _child_finds_the_tests(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def cache(tmp_path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


def order(builder: str, **changes: object) -> PlanOrder:
    return PlanOrder(key=changed(**changes), content=NETWORK, builder=f"{HERE}:{builder}")


def failure(cache: PlanCache, builder: str, following: Following | None = None) -> NodeError:
    with pytest.raises(NodeError) as caught:
        ensure_plan(cache, order(builder), following)
    assert cache.find(KEY) is None
    assert list((cache.root / "work").iterdir()) == []
    return caught.value


def test_a_plan_is_built_once_and_found_from_then_on(cache):
    told: list[BuildProgress] = []
    with capture_logs() as logs:
        plan = ensure_plan(cache, order("steady"), Following(watch=told.append))
    assert plan.content.endswith(NETWORK)
    assert b"tensorrt fp32 {'profiles'" in plan.content
    # All that was told, whatever came together with the last word
    assert list(dict.fromkeys((one.phase, one.part) for one in told)) == [
        ("starting", None),
        ("halfway", 0.5),
        ("nearly", 1.0),
    ]
    assert plan.record.build_s > 0
    built = next(line for line in logs if line["event"] == "plan.built")
    assert built["bytes"] == len(plan.content)
    assert cache.find(KEY) == plan
    assert ensure_plan(cache, order("crashing")) == plan  # nothing is built: it would have crashed


def test_finding_never_builds(cache):
    assert cache.find(KEY) is None
    assert not cache.log_path(KEY).exists()


def test_what_the_builder_writes_can_be_followed_in_its_log(cache):
    ensure_plan(cache, order("steady"))
    log = cache.log_path(KEY)
    assert log.name == "lung-ct-nodules.onnx-tensorrt-fp32.log"
    assert log.read_text().splitlines() == [
        "building lung-ct nodules.onnx fp32, tensorrt",
        "a line of the log",
    ]
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("builder", "signal"), [("crashing", "SIGSEGV"), ("killed", "SIGKILL")])
def test_a_builder_that_dies_takes_nobody_with_it_and_its_last_words_are_told(cache, builder, signal):
    error = failure(cache, builder)
    assert error.fault is PLAN_BUILD_DIED
    assert signal in str(error)
    last = "memory is short" if builder == "killed" else "Segmentation fault"
    assert last in cache.log_path(KEY).read_text()
    assert str(cache.log_path(KEY)) in error.remedy
    if builder == "killed":
        assert last in str(error)


def test_an_error_that_nobody_foresaw_is_told_with_the_end_of_the_log(cache):
    error = failure(cache, "raising")
    assert error.fault is PLAN_BUILD_DIED
    assert "exit status 1" in str(error)
    assert "ZeroDivisionError: of all things" in str(error)


def test_a_failure_of_the_builder_reaches_who_asked_with_its_own_row(cache):
    error = failure(cache, "refusing")
    assert error.fault is PLANS_UNSAFE
    assert "lung-ct cannot be built" in str(error)
    assert str(error) in cache.log_path(KEY).read_text()


def test_an_empty_plan_is_none(cache):
    assert failure(cache, "empty").fault is PLAN_BUILD_FAILED


def test_a_builder_that_is_not_there_is_told(cache):
    assert "no_such_builder" in str(failure(cache, "no_such_builder"))


def test_a_build_that_takes_too_long_is_ended(cache):
    """The clock of the test jumps past the limit when the child has told of itself."""
    seconds, pids = [0.0], []

    def watch(progress: BuildProgress) -> None:
        if progress.phase.isdigit():
            pids.append(int(progress.phase))
            seconds[0] = 100.0

    error = failure(cache, "endless", Following(watch=watch, limit_s=99.0, clock=lambda: seconds[0]))
    assert error.fault is PLAN_BUILD_TOO_LONG
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_an_interrupted_build_leaves_no_process(cache):
    pids = []

    def interrupt(progress: BuildProgress) -> None:
        if progress.phase.isdigit():
            pids.append(int(progress.phase))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_plan(cache, order("endless"), Following(watch=interrupt))
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert list((cache.root / "work").iterdir()) == []


def test_a_network_that_is_not_the_one_of_the_key_is_not_built(cache):
    with pytest.raises(NodeError) as caught:
        ensure_plan(cache, replace(order("steady"), content=b"another network"))
    assert caught.value.fault is DIGEST_MISMATCH


def test_of_those_who_ask_at_once_one_builds_and_all_get_its_plan(cache, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    options = {"marks": str(marks)}
    waiting, plans = threading.Barrier(3), []

    def ask() -> None:
        own = PlanCache(cache.root)
        plans.append(ensure_plan(own, order("counting", options=options), waiting=waiting.wait))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(marks.iterdir())) == 1
    assert [plan.content for plan in plans] == [b"plan of " + NETWORK] * 3


def test_a_failed_build_lets_the_next_one_try(cache):
    failure(cache, "raising")
    assert ensure_plan(cache, order("steady")).content.endswith(NETWORK)


def test_the_old_plan_is_there_while_the_new_one_fails_to_build(cache):
    cache.put(KEY, b"old")
    cache.accept(KEY, {})
    with pytest.raises(NodeError):
        ensure_plan(cache, order("crashing", driver="590.01"))
    assert cache.serving(changed(driver="590.01")).key == KEY


def test_the_estimate_comes_from_the_last_build_of_the_slot(cache):
    cache.put(changed(driver="1"), b"old", build_s=500.0)
    told: list[BuildProgress] = []
    ensure_plan(cache, order("steady"), Following(watch=told.append, clock=iter(range(1000)).__next__))
    assert told[0].left_s == 500.0 - told[0].elapsed_s


def test_a_folder_that_cannot_be_written_is_told(cache, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(NodeError, match="No space left") as caught:
        ensure_plan(cache, order("steady"))
    assert caught.value.fault is PLAN_NOT_WRITTEN


@pytest.mark.parametrize(
    ("elapsed_s", "earlier_s", "part", "expected"),
    [
        (0.0, None, None, None),
        (5.0, None, 0.0, None),
        (5.0, None, 0.25, 15.0),
        (5.0, None, 1.0, 0.0),
        (5.0, 60.0, 0.25, 55.0),
        (5.0, 60.0, None, 55.0),
        (61.0, 60.0, 0.5, 61.0),
        (61.0, 60.0, None, None),
    ],
)
def test_how_long_it_will_take_is_estimated_or_unknown(elapsed_s, earlier_s, part, expected):
    assert left_s(elapsed_s, earlier_s, part) == expected


def test_a_job_survives_the_way_to_the_child():
    job = BuildJob(
        builder="m:f", flavour="tensorrt", network="n", sha256="0" * 64, output="o", engine="e", file="f",
        precision="int8", options=KEY.options,
        calibration=Calibration(shapes={"": (1, 1, 8, 8, 8)}, low=-1, seed=3),
    )  # fmt: skip
    assert read_job(job.line()) == replace(job, options=dict(KEY.options))
    assert read_job(replace(job, calibration=None).line()).calibration is None


def test_the_tail_of_a_log_that_is_not_there_is_none(tmp_path):
    assert tail_of(tmp_path / "no.log") == "none"
    (tmp_path / "a.log").write_text("\n".join(f"line {n}" for n in range(9)))
    assert tail_of(tmp_path / "a.log", 2) == "line 7 | line 8"


def test_a_child_does_not_outlive_who_started_it(cache):
    """The pipe that the job came through is its leash: here it is closed by hand."""
    from dicomnode.engine.plans.child import _start

    network = cache.root / "network.onnx"
    network.write_bytes(NETWORK)
    job = BuildJob(
        builder=f"{HERE}:endless", flavour="tensorrt", network=str(network), sha256=KEY.onnx_sha256,
        output=str(cache.root / "out"), engine="e", file="f", precision="fp32",
    )  # fmt: skip
    reading, writing = os.pipe()
    with _start(job, cache.log_path(KEY), writing) as child:
        os.close(writing)
        assert os.read(reading, 1000)  # it is at work
        child.stdin.close()
        assert child.wait(60) == 1
    os.close(reading)


def test_a_library_that_dies_on_its_way_out_has_built_its_plan_all_the_same(cache):
    assert ensure_plan(cache, order("dying_at_exit")).content == b"the plan"

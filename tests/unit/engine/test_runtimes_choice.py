"""Which runtimes may run a network, in which order, and why others may not."""

from __future__ import annotations

import pytest

from dicomnode.device import cpu_device
from dicomnode.engine.runtimes import (
    REFERENCE,
    RUNTIMES,
    Candidate,
    Capability,
    Network,
    Reason,
    RuntimeWish,
    candidates,
    survey,
    wish_of,
)
from dicomnode.engine.runtimes.choose import with_server
from dicomnode.engine.runtimes.triton import TritonServer
from dicomnode.settings import Settings, TritonSettings
from dicomnode.settings.schema import AnalyseSettings, EngineSettings, RuntimeName, StoreSettings


class Given:
    """A runtime that answers as it is told; nothing is loaded with it."""

    def __init__(self, name: str, answer: str | tuple[str, ...]) -> None:
        self.name = name
        self._answer = answer
        self.asked = 0

    def probe(self, threads: int = 0) -> Capability | Reason:
        self.asked += 1
        if isinstance(self._answer, str):
            return Reason(self.name, self._answer)
        return Capability(self.name, "1", cpu_device(threads), self._answer)

    def load(self, network: Network, capability: Capability):
        raise AssertionError("nothing is loaded to choose")


def offered(wish, runtimes, precisions=("fp32",)):
    """The candidates as "runtime precision", and the others as "runtime: reason"."""
    return [
        f"{one.runtime.name} {one.precision}" if isinstance(one, Candidate) else f"{one.runtime}: {one.text}"
        for one in candidates(precisions, wish, 1, runtimes)
    ]


@pytest.fixture
def runtimes():
    return (Given("broken", "there is no driver"), Given("fast", ("fp32", "fp16")), REFERENCE)


def test_the_best_that_works_comes_first_and_the_reference_last(tmp_path, runtimes):
    wish = RuntimeWish(state=tmp_path)
    assert offered(wish, runtimes) == ["broken: there is no driver", "fast fp32", "onnxruntime fp32"]


def test_precisions_come_as_the_manifest_likes_them(tmp_path, runtimes):
    wish = RuntimeWish(state=tmp_path)
    assert offered(wish, runtimes[1:], ("fp16", "bf16", "fp32")) == [
        "fast fp16",
        "fast fp32",
        "onnxruntime fp32",
    ]
    assert offered(wish, runtimes[1:], ("fp16",)) == [
        "fast fp16",
        "onnxruntime: it has fp32, the network may run in fp16",
    ]


def test_a_precision_that_is_named_is_the_only_one_unless_others_may_take_over(tmp_path, runtimes):
    both = ("fp32", "fp16")
    wish = RuntimeWish(precision="fp16", state=tmp_path)
    assert offered(wish, runtimes[1:], both)[0] == "fast fp16"
    assert offered(wish, runtimes[1:], both)[1] == "onnxruntime: it has fp32, the network may run in fp16"
    wish = RuntimeWish(precision="fp16", fallback=True, state=tmp_path)
    assert offered(wish, runtimes[1:], both) == ["fast fp16", "fast fp32", "onnxruntime fp32"]


def test_a_precision_that_the_network_does_not_have_is_offered_by_nobody(tmp_path, runtimes):
    wish = RuntimeWish(precision="int8", state=tmp_path)
    assert offered(wish, runtimes[2:]) == ["onnxruntime: engine.toml does not let the network run in int8"]


def test_a_runtime_that_is_named_is_the_only_one_unless_others_may_take_over(tmp_path, runtimes):
    wish = RuntimeWish(runtime="fast", state=tmp_path)
    assert offered(wish, runtimes) == ["fast fp32"]
    wish = RuntimeWish(runtime="fast", fallback=True, state=tmp_path)
    assert offered(wish, runtimes) == ["fast fp32", "broken: there is no driver", "onnxruntime fp32"]
    assert offered(RuntimeWish(runtime="unknown", state=tmp_path), runtimes) == []


def test_who_takes_the_first_pays_for_no_other(tmp_path):
    first, second = Given("first", ("fp32",)), Given("second", ("fp32",))
    next(candidates(("fp32",), RuntimeWish(state=tmp_path), 1, (first, second)))
    assert (first.asked, second.asked) == (1, 0)


def test_without_a_state_folder_only_the_reference_is_worth_it_but_who_names_one_gets_it():
    fast = Given("fast", ("fp32",))
    assert offered(RuntimeWish(), (fast, REFERENCE)) == [
        "fast: there is no state folder that keeps whether it was accepted",
        "onnxruntime fp32",
    ]
    assert fast.asked == 0
    assert offered(RuntimeWish(runtime="fast"), (fast, REFERENCE)) == ["fast fp32"]


def test_the_survey_asks_all(tmp_path, runtimes):
    answers = survey(1, RuntimeWish(state=tmp_path), runtimes)
    assert answers[0] == Reason("broken", "there is no driver")
    assert [one.runtime for one in answers[1:]] == ["fast", "onnxruntime"]


def test_the_settings_know_the_runtimes_by_their_names():
    assert {runtime.name for runtime in RUNTIMES} <= set(RuntimeName.__args__)
    assert RUNTIMES[-1] is REFERENCE


def settings(tmp_path, engine=(), **analyse):
    return Settings(
        store=StoreSettings(path=tmp_path), analyse=AnalyseSettings(**analyse), engine=tuple(engine)
    )


def test_the_wish_of_an_engine_is_that_of_the_workers_where_it_names_no_runtime(tmp_path):
    given = settings(
        tmp_path,
        [EngineSettings(name="small", precision="fp16", fallback=True)],
        runtime="openvino",
    )
    wish = wish_of(given, "small")
    assert (wish.runtime, wish.fallback, wish.precision) == ("openvino", False, "fp16")
    assert (wish.state, wish.plans) == (tmp_path, tmp_path / "plans")
    assert wish.calibration is None
    assert wish_of(given, "another").runtime == "openvino"


def test_an_engine_that_names_its_runtime_also_says_whether_another_may_take_over(tmp_path):
    given = settings(
        tmp_path,
        [EngineSettings(name="small", runtime="tensorrt", calibration=tmp_path)],
        runtime="openvino",
        fallback=True,
    )
    wish = wish_of(given, "small")
    assert (wish.runtime, wish.fallback, wish.others_allowed) == ("tensorrt", False, False)
    assert wish.calibration == tmp_path


@pytest.mark.parametrize(
    ("wish", "allowed"),
    [
        (RuntimeWish(), True),
        (RuntimeWish(runtime="openvino"), False),
        (RuntimeWish(runtime="openvino", fallback=True), True),
    ],
)
def test_others_may_take_over_from_auto_and_where_it_is_allowed(wish, allowed):
    assert wish.others_allowed is allowed


SERVER = TritonServer(url="http://127.0.0.1:1")


def test_the_inference_server_stands_behind_the_gpu_of_this_machine_and_before_its_cpu(tmp_path):
    wish = RuntimeWish(state=tmp_path, triton=SERVER)
    names = [runtime.name for runtime in with_server(RUNTIMES, wish)]
    assert names == ["tensorrt", "tensorrt-rtx", "triton", "openvino", "onnxruntime"]
    assert with_server(RUNTIMES, RuntimeWish()) == list(RUNTIMES)
    assert [runtime.name for runtime in with_server([REFERENCE], wish)] == ["triton", "onnxruntime"]
    assert [one.runtime for one in survey(1, wish)] == names


def test_a_server_that_is_named_and_away_is_not_replaced(tmp_path, runtimes):
    wish = RuntimeWish(runtime="triton", state=tmp_path, triton=SERVER)
    (only,) = offered(wish, runtimes)
    assert only.startswith("triton: 127.0.0.1:1: ")


def test_the_wish_has_the_server_of_the_settings(tmp_path):
    said = TritonSettings(url="https://farm:8443", timeout_s=5.0, ca_file=tmp_path / "ca.pem")
    settings = Settings(analyse=AnalyseSettings(triton=said))
    assert wish_of(settings, "lung-ct").triton == TritonServer(
        url="https://farm:8443", timeout_s=5.0, ca_file=tmp_path / "ca.pem"
    )
    assert wish_of(Settings(), "lung-ct").triton is None

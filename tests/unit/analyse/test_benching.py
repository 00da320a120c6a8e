"""What is measured of an engine: the node's own way, watched, against its networks alone."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from dicomnode.analyse import watched as watched_module
from dicomnode.analyse.benching import BATCHES, Bench, Latency, batch_times
from dicomnode.analyse.clock import Clock
from dicomnode.analyse.watched import WatchedSession, alone
from dicomnode.device import HostBuffer
from dicomnode.engine import RuntimeWish
from dicomnode.engine.runtimes import REFERENCE, Network
from dicomnode.faults import BENCH_NOT_ANALYSED, NodeError
from tests.unit.analyse.engines import LUNGS_FIRST, tissue_engine
from tests.unit.engine.small_engine import network


def session_of(content):
    model = Network(engine="small", file="net.onnx", content=content.SerializeToString())
    return REFERENCE.load(model, REFERENCE.probe(1))


@pytest.fixture
def watched():
    session = WatchedSession(session_of(network()))
    yield session
    session.close()


BOX = np.ones((1, 1, 4, 4, 4), np.float32)


def test_a_watched_session_gives_what_the_session_gives_and_counts(watched):
    plain = watched.session.run({"x": BOX})
    watched.begin()
    for outputs in (
        watched.run({"x": BOX}),
        {n: b.host() for n, b in watched.infer({"x": HostBuffer(BOX)}).items()},
    ):
        assert {name: array.tobytes() for name, array in outputs.items()} == {
            name: array.tobytes() for name, array in plain.items()
        }
    assert watched.calls == 2
    assert watched.seconds > 0
    assert [spec.name for spec in watched.inputs] == ["x"]
    watched.begin()
    assert (watched.calls, watched.seconds) == (0, 0.0)


def test_what_is_given_is_kept_only_while_that_is_wished(watched):
    watched.run({"x": BOX})
    assert list(watched.kept) == []
    watched.begin(keep=True)
    watched.run({"x": BOX})
    watched.infer({"x": HostBuffer(2 * BOX)})
    watched.begin()
    watched.run({"x": 3 * BOX})
    assert [float(one["x"].max()) for one in watched.kept] == [1.0, 2.0]


def test_beyond_the_limit_tensors_of_the_same_shape_stand_in(watched, monkeypatch):
    monkeypatch.setattr(watched_module, "KEPT_BYTES", BOX.nbytes)
    watched.begin(keep=True)
    other = np.ones((1, 1, 2, 2, 2), np.float32)
    for box in (BOX, 2 * BOX, other, 3 * BOX):
        watched.run({"x": box})
    kept = [one["x"] for one in watched.kept]
    assert [box.shape for box in kept] == [BOX.shape, BOX.shape, other.shape, BOX.shape]
    assert [float(box.max()) for box in kept] == [1.0, 1.0, 1.0, 1.0]


def test_alone_every_run_is_made(watched):
    given = [{"x": BOX}, {"x": BOX[..., :2]}, {"x": BOX}]
    begun = watched.calls
    assert alone(watched, given) > 0
    assert watched.calls - begun == len(given)
    assert alone(watched, []) == 0.0


def a_network(batch):
    shape = [batch, 1, 4, 4]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "neg", tensors[:1], tensors[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(("batch", "expected"), [("n", list(BATCHES)), (1, [])])
def test_batches_are_measured_where_the_first_axis_is_free(batch, expected):
    session = session_of(a_network(batch))
    times = batch_times("net", session, {"x": np.ones((1, 1, 4, 4), np.float32)})
    assert [one.batch for one in times] == expected
    for one in times:
        assert one.items_per_s == pytest.approx(one.batch / one.seconds)


def test_a_batch_that_may_not_fit_the_memory_is_left_out(monkeypatch):
    session = session_of(a_network("n"))
    monkeypatch.setattr(type(session), "memory", lambda self, shape: 1 << 62 if shape[0] > 2 else 1)
    times = batch_times("net", session, {"x": np.ones((1, 1, 4, 4), np.float32)})
    assert [one.batch for one in times] == [1, 2]


def test_percentiles_lie_between_the_least_and_the_most():
    latency = Latency.of([4.0, 1.0, 2.0, 3.0, 5.0])
    assert (latency.least, latency.p50, latency.most) == (1.0, 3.0, 5.0)
    assert latency.p90 == pytest.approx(4.6)
    assert latency.p99 == pytest.approx(4.96)
    assert Latency.of([2.0]).p99 == 2.0


def test_parts_of_a_stage_add_up_to_no_more_than_the_stage():
    clock = Clock()
    for part in ("gather", "infer", "gather"):
        clock.part(part)
    clock.took("net")
    clock.took("measuring")
    net, measuring = clock.stages
    assert list(net.parts) == ["gather", "infer"]
    assert sum(net.parts.values()) <= net.seconds
    assert measuring.parts == {}
    assert list(clock.facts) == ["net_s", "measuring_s"]


def test_windows_are_run_alone_as_often_as_in_the_analysis(tmp_path, make_volume):
    window = '{ size_kji = [16, 16, 16], overlap = 0.5, blend = "gaussian" }'
    package = tissue_engine(tmp_path / "tissue", window=window)
    volume = make_volume(np.full((16, 24, 32), 300, dtype=np.int16))
    seen = []
    bench = Bench(package, 1, RuntimeWish())
    times = bench.measure({"ct": volume}, 2, lambda *told: seen.append(told))
    (step,) = [stage for stage in times.stages if stage.network is not None]
    assert step.runs == 1 * 2 * 3
    assert seen == [
        ("first study", 0, 1), ("first study", 1, 1),
        ("second study", 0, 1), ("second study", 1, 1),
        ("study with tensors kept", 0, 1), ("study with tensors kept", 1, 1),
        ("rounds", 0, 2), ("rounds", 1, 2), ("rounds", 2, 2),
        ("batches", 0, 1), ("batches", 1, 1),
    ]  # fmt: skip
    assert times.document()["latency"]["p50"] == times.latency.p50
    bench.analyst.close()


def test_a_study_that_is_not_analysed_is_not_measured(tmp_path, make_volume):
    package = tissue_engine(tmp_path / "tissue", first=LUNGS_FIRST)
    bench = Bench(package, 1, RuntimeWish())
    volume = make_volume(np.full((20, 30, 30), 40, dtype=np.int16))
    with pytest.raises(NodeError) as refused:
        bench.measure({"ct": volume}, 1)
    assert refused.value.fault is BENCH_NOT_ANALYSED
    bench.analyst.close()

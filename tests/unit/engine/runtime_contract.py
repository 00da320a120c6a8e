"""What every runtime must do. Subclass the one that fits, give `runtime`, and add no assertions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dicomnode.device import HostBuffer, cpu_device
from dicomnode.engine.runtimes import Capability, Network, Runtime
from dicomnode.faults import NETWORK_FAILED, NodeError
from tests.unit.engine.small_engine import network, with_weight


class RuntimeContract:
    """The contract; `tolerance` is what the precision of the runtime allows."""

    tolerance = 0.0

    @pytest.fixture
    def runtime(self) -> Runtime:
        raise NotImplementedError

    @pytest.fixture
    def capability(self, runtime) -> Capability:
        answer = runtime.probe(1)
        assert isinstance(answer, Capability), answer
        return answer

    @pytest.fixture
    def session(self, runtime, capability):
        session = runtime.load(self.loadable(), capability)
        yield session
        session.close()

    @staticmethod
    def loadable(content: bytes | None = None, **changes) -> Network:
        content = network().SerializeToString() if content is None else content
        return Network(**{"engine": "small 0.1.0", "file": "net.onnx", "content": content, **changes})

    @staticmethod
    def sample(shape=(1, 1, 4, 6, 8)):
        return np.linspace(-1.0, 1.0, int(np.prod(shape)), dtype=np.float32).reshape(shape)

    def test_it_says_what_it_is(self, runtime, capability, session):
        assert capability.runtime == runtime.name
        assert session.runtime == capability.title
        assert session.runtime.startswith(f"{runtime.name} {capability.version} ")
        assert session.precision in capability.precisions
        assert session.device == capability.device.name

    def test_it_says_what_the_network_takes_and_gives(self, session):
        assert [str(spec) for spec in session.inputs] == ["x (1, 1, any, any, any) float32"]
        assert [spec.name for spec in session.outputs] == ["heat", "logd", "mask"]
        assert {spec.dtype for spec in session.outputs} == {"float32"}

    def test_it_computes_what_the_network_says(self, session):
        x = self.sample()
        outputs = session.run({"x": x})
        blocks = x.reshape(1, 1, 2, 2, 3, 2, 4, 2)
        assert set(outputs) == {"heat", "logd", "mask"}
        np.testing.assert_allclose(outputs["mask"], -x, rtol=0, atol=self.tolerance)
        np.testing.assert_allclose(
            outputs["heat"], blocks.mean((3, 5, 7)), rtol=0, atol=self.tolerance + 1e-6
        )
        np.testing.assert_allclose(outputs["logd"], blocks.max((3, 5, 7)), rtol=0, atol=self.tolerance)
        assert {array.dtype for array in outputs.values()} == {np.dtype(np.float32)}

    def test_buffers_in_and_buffers_out_are_the_same_as_arrays(self, session):
        x = self.sample()
        outputs = session.infer({"x": HostBuffer(x)})
        arrays = session.run({"x": x})
        assert set(outputs) == set(arrays)
        for name, buffer in outputs.items():
            assert (buffer.shape, buffer.dtype) == (arrays[name].shape, arrays[name].dtype)
            assert buffer.nbytes == arrays[name].nbytes
            assert np.array_equal(buffer.host(), arrays[name])
            buffer.close()

    def test_buffers_that_it_gave_are_not_written_to_by_later_runs(self, session):
        first = session.infer({"x": HostBuffer(self.sample())})
        kept = {name: buffer.host().copy() for name, buffer in first.items()}
        session.infer({"x": HostBuffer(self.sample() + 1)})
        session.run({"x": self.sample() - 1})
        assert all(np.array_equal(first[name].host(), kept[name]) for name in kept)

    def test_what_was_got_from_a_buffer_stays_when_buffer_and_session_are_closed(self, session):
        x = self.sample()
        buffer = session.infer({"x": HostBuffer(x)})["mask"]
        array = buffer.host()
        buffer.close()
        buffer.close()
        session.close()
        np.testing.assert_allclose(array, -x, rtol=0, atol=self.tolerance)

    def test_an_input_may_be_written_to_after_the_run(self, session):
        x = self.sample()
        outputs = session.infer({"x": HostBuffer(x)})
        expected = -x
        x[...] = 7.0
        np.testing.assert_allclose(outputs["mask"].host(), expected, rtol=0, atol=self.tolerance)

    def test_an_output_that_is_an_input_unchanged_is_a_copy(self, runtime, capability):
        session = runtime.load(self.loadable(network("Identity").SerializeToString()), capability)
        x = self.sample()
        outputs = session.run({"x": x})
        np.testing.assert_allclose(outputs["mask"], x, rtol=0, atol=self.tolerance)
        assert not np.shares_memory(outputs["mask"], x)
        session.close()

    @pytest.mark.parametrize("threads", [1, 2])
    def test_threads_are_those_that_were_given(self, runtime, threads):
        answer = runtime.probe(threads)
        assert isinstance(answer, Capability), answer
        session = runtime.load(self.loadable(), answer)
        x = self.sample((1, 1, 16, 16, 16))
        np.testing.assert_allclose(session.run({"x": x})["mask"], -x, rtol=0, atol=self.tolerance)
        session.close()
        assert answer.device.kind != "cpu" or answer.device.threads == cpu_device(threads).threads

    def test_what_it_tells_beside_is_text(self, session):
        assert all(isinstance(text, str) for pair in session.provenance.items() for text in pair)

    def test_it_gives_the_same_bytes_again(self, session):
        first, again = session.run({"x": self.sample()}), session.run({"x": self.sample()})
        assert all(first[name].tobytes() == again[name].tobytes() for name in first)

    def test_lengths_that_may_vary_vary(self, session):
        assert session.run({"x": self.sample((1, 1, 2, 2, 2))})["heat"].shape == (1, 1, 1, 1, 1)
        assert session.run({"x": self.sample((1, 1, 8, 2, 4))})["heat"].shape == (1, 1, 4, 1, 2)

    def test_inputs_are_not_changed_and_may_be_read_only_or_turned(self, session):
        x = self.sample((8, 6, 4, 1, 1)).T
        before = x.copy()
        x.setflags(write=False)
        outputs = session.run({"x": x})
        assert np.array_equal(x, before)
        np.testing.assert_allclose(outputs["mask"], -before, rtol=0, atol=self.tolerance)

    def test_outputs_are_the_callers_own(self, session):
        first = session.run({"x": self.sample()})["mask"]
        kept = first.copy()
        session.run({"x": self.sample() + 1})
        assert np.array_equal(first, kept)
        first[...] = 0

    @pytest.mark.parametrize(
        ("inputs", "said"),
        [
            ({}, "it takes the inputs ['x']"),
            ({"y": np.zeros((1, 1, 2, 2, 2), np.float32)}, "it was given ['y']"),
            ({"x": np.zeros((1, 2, 2, 2), np.float32)}, "it was given (1, 2, 2, 2) float32"),
            ({"x": np.zeros((1, 2, 2, 2, 2), np.float32)}, "it takes x (1, 1, any, any, any) float32"),
            ({"x": np.zeros((1, 1, 2, 2, 2), np.float64)}, "float64"),
        ],
        ids=["none", "other name", "other rank", "other length", "other type"],
    )
    def test_inputs_that_are_not_the_networks_are_refused(self, session, inputs, said):
        with pytest.raises(NodeError) as caught:
            session.run(inputs)
        assert caught.value.fault is NETWORK_FAILED
        assert said in str(caught.value)

    def test_what_fails_inside_the_network_is_a_failure_with_a_row(self, runtime, capability):
        weight = np.zeros((1, 1, 2, 2, 2), np.float32)
        session = runtime.load(self.loadable(with_weight(weight).SerializeToString()), capability)
        with pytest.raises(NodeError) as caught:
            session.run({"x": self.sample((1, 1, 3, 3, 3))})  # cannot be added to its weight
        assert caught.value.fault is NETWORK_FAILED

    @pytest.mark.parametrize("content", [b"not a network", network().SerializeToString()[:-40]])
    def test_what_is_no_network_is_refused(self, runtime, capability, content):
        with pytest.raises(NodeError) as caught:
            runtime.load(self.loadable(content), capability)
        assert caught.value.fault is NETWORK_FAILED
        assert "small 0.1.0 (net.onnx)" in str(caught.value)

    def test_after_close_it_does_not_run(self, session):
        session.close()
        session.close()
        with pytest.raises(NodeError) as caught:
            session.run({"x": self.sample()})
        assert caught.value.fault is NETWORK_FAILED


class HostRuntimeContract(RuntimeContract):
    """What a runtime that computes on the host, or has it done elsewhere, must do besides.

    A GPU belongs to one thread, and what memory a plan takes, the plan says.
    """

    def test_it_runs_in_the_thread_that_asks(self, session):
        with ThreadPoolExecutor(1) as pool:
            there = pool.submit(session.run, {"x": self.sample()}).result()
        here = session.run({"x": self.sample()})
        assert all(np.array_equal(there[name], here[name]) for name in here)

    def test_memory_grows_with_the_box(self, runtime, capability):
        session = runtime.load(self.loadable(memory_bytes_per_voxel=60.0), capability)
        small, large = session.memory((1, 1, 8, 8, 8)), session.memory((1, 1, 16, 8, 8))
        assert large - small == 60 * 512
        assert small > 60 * 512

"""What every runtime must do. Subclass it, give `runtime`, and add no assertions."""

from __future__ import annotations

import numpy as np
import pytest

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

    def test_memory_grows_with_the_box(self, runtime, capability):
        session = runtime.load(self.loadable(memory_bytes_per_voxel=60.0), capability)
        small, large = session.memory((1, 1, 8, 8, 8)), session.memory((1, 1, 16, 8, 8))
        assert large - small == 60 * 512
        assert small > 60 * 512

    def test_after_close_it_does_not_run(self, session):
        session.close()
        session.close()
        with pytest.raises(NodeError) as caught:
            session.run({"x": self.sample()})
        assert caught.value.fault is NETWORK_FAILED

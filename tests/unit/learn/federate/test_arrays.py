"""What sites send is added up as all their studies in one place would be, and holds nothing of a study."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.faults import NodeError
from dicomnode.learn.federate.arrays import Contribution, contribution_of, fedavg, fedsgd, message_of


def sent(value: float, samples: int, **more) -> Contribution:
    arrays = {"w": np.full((2, 3), value, dtype=np.float32), "n": np.array(round(value), dtype=np.int64)}
    return Contribution(**{"arrays": arrays, "samples": samples, "loss": value, **more})


@given(st.lists(st.tuples(st.floats(-100, 100), st.integers(1, 1000)), min_size=1, max_size=5))
def test_the_mean_of_weights_is_weighted_by_samples(sites):
    made = fedavg([sent(value, samples) for value, samples in sites])
    expected = sum(np.float32(value) * samples for value, samples in sites) / sum(n for _, n in sites)
    assert made["w"].dtype == np.float32
    assert made["n"].dtype == np.int64
    np.testing.assert_allclose(made["w"], np.full((2, 3), expected), rtol=1e-5, atol=1e-5)


def test_a_step_goes_down_the_mean_gradient_and_counts_stay():
    weights = {"w": np.ones((2, 3), dtype=np.float32), "n": np.array(7, dtype=np.int64)}
    gradients = [
        Contribution(
            arrays={"w": np.full((2, 3), value, dtype=np.float32), "n": np.array(0)}, samples=n, loss=0.0
        )
        for value, n in ((1.0, 3), (5.0, 1))
    ]
    made = fedsgd(weights, gradients, 0.1)
    np.testing.assert_allclose(made["w"], np.full((2, 3), 1.0 - 0.1 * 2.0), rtol=1e-6)
    assert made["n"] == 7


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (sent(1.0, 1, of="another recipe"), "recipe"),
        (sent(1.0, 1, arrays={"w": np.ones((2, 3))}), "names"),
        (sent(1.0, 1, arrays={"w": np.ones((2, 2)), "n": np.array(1)}), "shape"),
        (sent(1.0, 1, arrays={"w": np.full((2, 3), np.nan), "n": np.array(1)}), "not numbers"),
    ],
)
def test_sites_that_do_not_fit_together_are_not_added_up(other, said):
    with pytest.raises(NodeError, match=said) as raised:
        fedavg([sent(1.0, 1), other])
    assert raised.value.fault.code == "DN-7256"


def test_a_contribution_holds_numbers_of_at_least_one_sample():
    with pytest.raises(ValueError, match="sample"):
        sent(1.0, 0)
    with pytest.raises(ValueError, match="no array of numbers"):
        sent(1.0, 1, arrays={"w": np.array(["Quixbury"])})


def test_a_message_is_arrays_a_count_names_a_loss_and_a_digest_and_is_read_back():
    one = sent(2.0, 5, of="abc")
    arrays, samples, told = message_of(one)
    assert [array.shape for array in arrays] == [(2, 3), ()]
    assert (samples, told) == (5, {"names": "w\nn", "loss": 2.0, "of": "abc"})
    back = contribution_of(arrays, samples, told)
    assert (list(back.arrays), back.samples, back.loss, back.of) == (["w", "n"], 5, 2.0, "abc")


def test_a_message_of_another_program_is_refused():
    with pytest.raises(NodeError, match="DN-7256"):
        contribution_of([np.ones(2)], 3, {})

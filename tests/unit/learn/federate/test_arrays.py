"""What sites send is added up as all their studies in one place would be, and holds nothing of a study."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.faults import NodeError
from dicomnode.learn.federate.arrays import MOST_SAMPLES, Contribution, fedavg, fedsgd
from dicomnode.learn.federate.kept import Kept, Round, read_kept, weights_file
from dicomnode.learn.federate.messages import (
    Who,
    arrays_from,
    contribution_of,
    message_of,
    tensors_from,
    who_of,
)


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


def test_a_step_goes_down_the_mean_gradient_and_running_means_are_averaged():
    weights = {name: np.ones(2, dtype=np.float32) for name in ("w", "still", "running")}
    weights["n"] = np.array(7, dtype=np.int64)
    gradients = [
        Contribution(
            arrays={
                "w": np.full(2, value, dtype=np.float32),
                "still": np.zeros(2, dtype=np.float32),
                "running": np.full(2, 10 * value, dtype=np.float32),
                "n": np.array(8),
            },
            samples=n,
            loss=0.0,
            values=frozenset({"running", "n"}),
        )
        for value, n in ((1.0, 3), (5.0, 1))
    ]
    made = fedsgd(weights, gradients, 0.1)
    np.testing.assert_allclose(made["w"], 1.0 - 0.1 * 2.0, rtol=1e-6)
    np.testing.assert_array_equal(made["still"], 1.0)
    np.testing.assert_allclose(made["running"], 20.0, rtol=1e-6)
    assert made["n"] == 8


F = np.float32


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (sent(1.0, 1, of="another recipe"), "recipe"),
        (sent(1.0, 1, values=frozenset({"w"})), "recipe"),
        (sent(1.0, 1, arrays={"w": np.ones((2, 3), F)}), "names"),
        (sent(1.0, 1, arrays={"n": np.array(1), "w": np.ones((2, 3), F)}), "the order"),
        (sent(1.0, 1, arrays={"w": np.ones((2, 2), F), "n": np.array(1)}), "shape"),
        (sent(1.0, 1, arrays={"w": np.ones((2, 3)), "n": np.array(1)}), "float64"),
        (sent(1.0, 1, arrays={"w": np.full((2, 3), np.nan, F), "n": np.array(1)}), "not numbers"),
        (sent(1.0, 1, arrays={"w": np.full((2, 3), np.inf, F), "n": np.array(1)}), "not numbers"),
    ],
)
def test_sites_that_do_not_fit_together_are_not_added_up(other, said):
    with pytest.raises(NodeError, match=said) as raised:
        fedavg([sent(1.0, 1), other])
    assert raised.value.fault.code == "DN-7256"


@pytest.mark.parametrize("samples", [0, -1, MOST_SAMPLES + 1, 10**12])
def test_a_contribution_is_of_a_number_of_samples_that_can_be(samples):
    with pytest.raises(ValueError, match="sample"):
        sent(1.0, samples)


def test_a_contribution_holds_numbers_and_a_loss():
    with pytest.raises(ValueError, match="no array of numbers"):
        sent(1.0, 1, arrays={"w": np.array(["Quixbury"])})
    with pytest.raises(ValueError, match="loss"):
        sent(1.0, 1, loss=float("inf"))


def test_a_message_is_arrays_a_count_names_a_loss_and_a_digest_and_is_read_back():
    one = sent(2.0, 5, of="abc", values=frozenset({"n"}))
    arrays, samples, told = message_of(one)
    assert [array.shape for array in arrays] == [(2, 3), ()]
    assert (samples, told) == (5, {"names": "w\nn", "values": "n", "loss": 2.0, "of": "abc"})
    back = contribution_of(arrays, samples, told)
    assert (list(back.arrays), back.samples, back.loss, back.of) == (["w", "n"], 5, 2.0, "abc")
    assert back.values == {"n"}


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"names": "w", "values": "", "of": "a"},
        {"names": "w", "values": "", "of": "a", "loss": "0"},
        {"names": "w\nx", "values": "", "of": "a", "loss": 0.0},
        {"names": b"w", "values": "", "of": "a", "loss": 0.0},
        {"names": "w", "values": "", "of": "a", "loss": float("nan")},
        {"names": "w", "values": "", "of": "a", "loss": 10**400},
    ],
)
def test_a_message_of_another_program_is_refused(told):
    with pytest.raises(NodeError, match="DN-7256"):
        contribution_of([np.ones(2)], 3, told)


def test_who_a_site_is_is_read_back_and_nothing_else_is_taken_for_it():
    one = Who(of="abc", names=("w", "n"), samples=5, validated=2)
    assert who_of(one.told, "north") == one
    for wrong in ({"of": 1}, {"samples": 0}, {"samples": True}, {"validated": 10**12}, {"names": 3}):
        with pytest.raises(NodeError, match="north"):
            who_of({**one.told, **wrong}, "north")


@given(st.lists(st.tuples(st.sampled_from("fiu"), st.lists(st.integers(0, 4), max_size=3)), max_size=3))
def test_arrays_are_written_and_read_back_and_cut_ones_are_refused(forms):
    arrays = [np.zeros(shape, f"{kind}4") for kind, shape in forms]
    written = tensors_from(arrays)
    for array, back in zip(arrays, arrays_from(written, "north"), strict=True):
        assert (array.shape, array.dtype) == (back.shape, back.dtype)
        np.testing.assert_array_equal(array, back)
    for content in written:
        for cut in (content[:-1], content + b"\0"):
            with pytest.raises(NodeError, match="DN-7256"):
                arrays_from([cut], "north")


def test_an_array_in_columns_is_read_as_it_is():
    columns = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(arrays_from(tensors_from([columns]), "north")[0], columns)


def kept() -> Kept:
    # Names of tensors are not ours: one is an argument of numpy's, one a path
    weights = {"file": np.ones(2, np.float32), "../x": np.array(3)}
    done = Round(number=1, loss=0.5, score=0.25, samples=4)
    return Kept(method="fedavg", of="abc", weights=weights, rounds=(done,))


def test_rounds_are_kept_and_read_back(tmp_path):
    path = tmp_path / "w.npz.rounds"
    assert read_kept(path) is None
    path.write_bytes(kept().written())
    back = read_kept(path)
    assert (back.method, back.of, back.rounds) == ("fedavg", "abc", kept().rounds)
    assert list(back.weights) == ["file", "../x"]
    assert back.weights["file"].dtype == np.float32


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-30], lambda c: b"", lambda c: c.replace(b"schema", b"sch_ma")]
)
def test_rounds_that_are_damaged_are_not_gone_on_with(tmp_path, damage):
    path = tmp_path / "w.npz.rounds"
    path.write_bytes(damage(kept().written()))
    with pytest.raises(NodeError, match="DN-7265"):
        read_kept(path)


def test_weights_are_written_under_their_own_names(tmp_path):
    (tmp_path / "w.npz").write_bytes(weights_file(kept().weights))
    with np.load(tmp_path / "w.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["../x", "file"]
        np.testing.assert_array_equal(file["file"], np.ones(2, np.float32))

"""Training apart is training together: to 1e-5 a step, to 0.03 Dice a training; no image leaves a site."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("monai")

from dicomnode.learn.federate.arrays import fedavg, fedsgd  # noqa: E402
from dicomnode.learn.federate.messages import message_of  # noqa: E402
from tests.unit.learn.federate.blobs import Blobs, blob, network, site  # noqa: E402

HELD_OUT = tuple(range(900, 920))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_step_of_fedsgd_over_two_sites_is_the_step_of_all_their_samples_in_one_place(tmp_path):
    one, two = site(tmp_path / "one", range(3)), site(tmp_path / "two", range(3, 8))
    weights = one.weights()
    found = fedsgd(weights, [one.gradient(weights, 1), two.gradient(weights, 1)], 0.5)
    pooled = network()
    lesson = Blobs(range(8), HELD_OUT)
    pictures, outlines = lesson.batch(0, 0)
    lesson.loss(pooled(pictures), outlines).backward()
    torch.optim.SGD(pooled.parameters(), lr=0.5).step()
    for name, value in pooled.state_dict().items():
        assert np.abs(found[name] - weights[name]).max() > 1e-4
        np.testing.assert_allclose(found[name], value.numpy(), atol=1e-5, rtol=0)


def test_fedavg_over_two_sites_is_within_three_hundredths_of_dice_of_training_in_one_place(tmp_path):
    sites = [site(tmp_path / "one", range(6), steps=5), site(tmp_path / "two", range(6, 20), steps=5)]
    weights = sites[0].weights()
    judge = site(tmp_path / "judge", [0], held_out=HELD_OUT)
    before, _ = judge.judge(weights)
    for number in range(1, 26):
        weights = fedavg([one.train(weights, number) for one in sites])
    pooled = site(tmp_path / "pooled", range(20), steps=5)
    together = pooled.weights()
    for number in range(1, 26):
        together = pooled.train(together, number).arrays
    apart, count = judge.judge(weights)
    assert count == len(HELD_OUT)
    assert before < 0.6
    assert judge.judge(together)[0] > 0.85
    assert abs(apart - judge.judge(together)[0]) <= 0.03


def test_nothing_leaves_a_site_but_arrays_of_the_weights_shapes_and_their_count(tmp_path):
    one = site(tmp_path / "one", range(4))
    weights = one.weights()
    for contribution in (one.train(weights, 1), one.gradient(weights, 1)):
        arrays, samples, told = message_of(contribution)
        assert [array.shape for array in arrays] == [array.shape for array in weights.values()]
        assert samples == 4
        assert set(told) == {"names", "values", "loss", "of"}
        assert told["names"].split("\n") == list(weights)
        sent = b"".join(array.tobytes() for array in arrays)
        for seed in range(4):
            for row in blob(seed)[0]:
                assert row[:2].tobytes() not in sent  # not even two neighbouring pixels


def test_a_gradient_leaves_the_weights_as_they_were_given(tmp_path):
    one = site(tmp_path / "one", range(4))
    weights = one.weights()
    one.gradient(weights, 1)
    assert all((one.weights()[name] == value).all() for name, value in weights.items())


def test_running_means_go_as_the_batches_moved_them_and_not_as_gradients(tmp_path):
    one = site(tmp_path / "one", range(4))
    one.network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.BatchNorm2d(1))
    weights = one.weights()
    sent = one.gradient(weights, 1)
    assert sent.values == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert list(sent.arrays) == list(weights)
    made = fedsgd(weights, [sent], 0.5)
    one.network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    one.network.train()
    one.network(one.lesson.batch(0, 0)[0])
    for name in sent.values:
        assert (made[name] != weights[name]).all()
        np.testing.assert_allclose(made[name], one.network.state_dict()[name].numpy(), rtol=1e-6)


def test_a_site_whose_loss_is_no_number_sends_nothing(tmp_path):
    from dicomnode.faults import NodeError

    one = site(tmp_path / "one", range(4))
    one.lesson.loss = lambda found, target: (found * float("inf")).sum()
    for step in (one.train, one.gradient):
        with pytest.raises(NodeError, match="DN-7106"):
            step(one.weights(), 1)


def test_rounds_repeat_to_the_last_bit(tmp_path):
    made = []
    for name in ("one", "two"):
        here = site(tmp_path / name, range(4))
        made.append(here.train(here.train(here.weights(), 1).arrays, 2).arrays)
    assert all((made[0][name] == value).all() for name, value in made[1].items())


def test_the_recipe_must_say_what_the_data_of_one_site_would_decide():
    from dicomnode.faults import NodeError
    from dicomnode.learn.federate.studies import require_shared
    from tests.unit.learn.federate.blobs import recipe

    shared = {"spacing_kji_mm": (4.0, 4.0, 4.0), "patch_kji": (8, 16, 16), "scaling": "z_score"}
    require_shared(recipe(**shared))
    for key in shared:
        with pytest.raises(NodeError, match=key):
            require_shared(recipe(**{name: value for name, value in shared.items() if name != key}))

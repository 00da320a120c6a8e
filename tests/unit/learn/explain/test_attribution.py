"""Explanations point at planted lesions once a network has learned of them, and not before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from dicomnode.analyse.interpret.fields import scaled_grid
from dicomnode.evaluate.pointing import PointingGame, pointed, pointing_game
from dicomnode.faults import EXPLANATION_INCOMPLETE, METHOD_UNFIT, NodeError
from dicomnode.learn.explain import METHODS, attribute
from dicomnode.learn.train.networks import build
from dicomnode.learn.train.recipe import read_recipe
from dicomnode.learn.train.shapes import shape_of

from .films import GRID, films, network, taught


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    return taught(films(1, 200))


@pytest.fixture(scope="module")
def unseen():
    """Films that nothing was chosen by: recipe, baseline and smoothing were, on those of seed 2."""
    return [one for one in films(11, 60) if one.box is not None]


def game(net: nn.Module, method: str, cases) -> PointingGame:
    """Integrated gradients are noise from pixel to pixel: they are smoothed by the width of one."""
    played = []
    for one in cases:
        values = attribute(net, one.inputs, 1, method, flat=True).values
        if method == "integrated-gradients":
            values = ndimage.gaussian_filter(values, (0.0, 1.0, 1.0))
        grid = scaled_grid(GRID, values.shape)
        played.append(pointed(values, grid, [one.box], patient=one.patient))
    return pointing_game(played)


@pytest.mark.parametrize("method", METHODS)
def test_an_explanation_points_at_planted_lesions_far_above_chance(method: str, trained, unseen) -> None:
    found = game(trained, method, unseen)
    assert found.p_value < 1e-9
    assert found.hits.low > 5 * found.chance.value


@pytest.mark.parametrize("method", METHODS)
def test_networks_with_random_weights_do_not_point_at_them(method: str, trained, unseen) -> None:
    """The sanity check of Adebayo et al., NeurIPS 2018: what needs no training explains no training.

    Of several networks together: to integrated gradients a bright disc stands out in some untrained ones.
    """
    some = unseen[::3]
    hits = [game(network(seed), method, some).hits.figure.value for seed in range(11, 19)]
    assert float(np.median(hits)) < 0.1
    assert float(np.mean(hits)) < game(trained, method, some).hits.figure.value / 4


def test_integrated_gradients_add_up_to_the_difference_of_the_evidence(trained, unseen) -> None:
    """By an own sum over the map, and the network's own numbers; the baseline is 0 all over."""
    for one in unseen[:5]:
        found = attribute(trained, one.inputs, 1, "integrated-gradients", flat=True)
        with torch.no_grad():
            here, there = (
                float(row[0, 1] - row[0, 0])
                for row in (trained(torch.from_numpy(given)) for given in (one.inputs, 0.0 * one.inputs))
            )
        assert found.evidence == pytest.approx(here, abs=1e-4)
        assert float(found.values.sum()) == pytest.approx(
            here - there, abs=0.01 * max(1.0, abs(here - there))
        )


def test_the_mean_of_a_class_activation_map_is_the_evidence(trained, unseen) -> None:
    found = attribute(trained, unseen[0].inputs, 1, "cam", flat=True)
    assert float(found.values.mean()) == pytest.approx(found.evidence, abs=1e-4)


def test_grad_cam_is_the_part_above_nothing_of_class_activation_up_to_a_factor(trained, unseen) -> None:
    """As Selvaraju et al. prove for networks that end in a mean: the bias apart, which has no place."""
    cam, grad = (
        attribute(trained, unseen[0].inputs, 1, one, flat=True).values for one in ("cam", "grad-cam")
    )
    linear = trained[-1]
    bias = float((linear.bias[1] - linear.bias[0]).detach())
    np.testing.assert_allclose(grad * cam.size, np.maximum(cam - bias, 0.0), atol=1e-3)


@pytest.mark.parametrize("method", ["cam", "grad-cam"])
def test_a_network_over_slices_is_explained_by_integrated_gradients_alone(method: str) -> None:
    recipe = read_recipe(None, "classify", {"network": "gru", "width": 8})
    torch.manual_seed(0)
    net = build(recipe, shape_of((4, 16, 16), (1.0, 1.0, 1.0), recipe.levels), 1, 2).eval()
    inputs = np.random.default_rng(0).normal(size=(1, 4, 16, 16)).astype(np.float32)
    with pytest.raises(NodeError) as caught:
        attribute(net, inputs, 1, method, flat=False)
    assert caught.value.fault is METHOD_UNFIT
    found = attribute(net, inputs, 1, "integrated-gradients", flat=False)
    assert found.values.shape == (4, 16, 16)


def test_what_does_not_add_up_is_refused() -> None:
    """A network that jumps: its gradients say nothing of the jump."""

    class Jumps(nn.Module):
        def forward(self, images):
            far = (images.amax(dim=(1, 2, 3)) > 0.9).float() * 50.0
            flat = images.sum(dim=(1, 2, 3)) * 0.0
            return torch.stack([flat, far + flat], dim=1)

    image = np.zeros((1, 1, 16, 16), dtype=np.float32)
    image[0, 0, 8, 8] = 1.0
    with pytest.raises(NodeError) as caught:
        attribute(Jumps(), image, 1, "integrated-gradients", flat=True)
    assert caught.value.fault is EXPLANATION_INCOMPLETE

"""The class activation map as a second output: exact, of those networks that have one, and of no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dicomnode.learn.convert.export import Example, export_onnx
from dicomnode.learn.train.activation_map import ending_of, with_activation_map
from dicomnode.learn.train.job import Meaning
from dicomnode.learn.train.networks import build
from dicomnode.learn.train.recipe import read_recipe
from dicomnode.learn.train.shapes import shape_of

STEP = {
    "window": "whole",
    "interpret": "classes",
    "classes": {"activation": "softmax", "names": ["a", "b", "c"]},
}
OUTPUTS = [{"classification": "b", "step": "network", "channel": 1}]


def built(name: str, patch: tuple[int, int, int]):
    torch.manual_seed(3)
    recipe = read_recipe(None, "classify", {"network": name})
    shape = shape_of(patch, (1.0, 1.0, 1.0), recipe.levels)
    return build(recipe, shape, 1, 3).eval(), (1, 1, *shape.own_patch)


@pytest.mark.parametrize(
    ("name", "patch"),
    [
        ("small_resnet", (1, 32, 32)),
        ("resnet10", (1, 48, 64)),
        ("efficientnet_b0", (1, 64, 64)),
        ("densenet121", (1, 64, 64)),
        ("resnet10", (16, 32, 32)),
    ],
)
def test_the_mean_of_the_map_is_the_logit_less_those_of_the_others(name: str, patch) -> None:
    network, size = built(name, patch)
    mapped = with_activation_map(network, Meaning(step=STEP, outputs=OUTPUTS), ("row",), size)
    assert mapped.outputs == ("row", "evidence")
    given = torch.randn((2, *size[1:]), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        row, evidence = mapped.network(given)
        torch.testing.assert_close(row, network(given))
    for channel in range(3):
        others = [n for n in range(3) if n != channel]
        wanted = row[:, channel] - row[:, others].mean(dim=1)
        torch.testing.assert_close(evidence[:, channel].flatten(1).mean(dim=1), wanted, atol=1e-4, rtol=1e-4)


def test_the_map_is_hot_where_the_network_sees_the_class() -> None:
    """A network that sees brightness alone: its map is the image, averaged."""
    network = torch.nn.Sequential(
        torch.nn.AvgPool2d(4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(1, 2)
    )
    with torch.no_grad():
        network[3].weight.copy_(torch.tensor([[-1.0], [1.0]]))
        network[3].bias.zero_()
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, 4:8, 8:12] = 1.0
    step = {**STEP, "classes": {"names": ["no", "yes"]}}
    mapped = with_activation_map(network, Meaning(step=step, outputs=OUTPUTS), ("row",), image.shape)
    found = mapped.network(image)[1][0].detach().numpy()
    wanted = np.zeros((4, 4))
    wanted[1, 2] = 2.0
    np.testing.assert_allclose(found[1], wanted, atol=1e-6)
    np.testing.assert_allclose(found[0], -wanted, atol=1e-6)


def test_onnx_gives_the_same_row_and_map() -> None:
    network, size = built("resnet10", (1, 64, 64))
    mapped = with_activation_map(network, Meaning(step=STEP, outputs=OUTPUTS), ("row",), size)
    assert export_onnx(mapped.network, {"image": Example(shape=size)}, list(mapped.outputs), source="test")


def test_each_class_that_is_told_has_its_map_with_its_code() -> None:
    network, size = built("resnet10", (1, 64, 64))
    made = with_activation_map(network, Meaning(step=STEP, outputs=OUTPUTS), ("row",), size).meaning
    assert "interpret" not in made.step
    assert [(one["name"], one["output"], one["interpret"]) for one in made.step["head"]] == [
        ("classes", "row", "classes"),
        ("evidence", "evidence", "map"),
    ]
    told, mapped = made.outputs
    assert told["head"] == "classes"
    assert (mapped["map"], mapped["channel"], mapped["type"]["code"]) == ("b-evidence", 1, "130402")


@pytest.mark.parametrize(
    ("name", "patch", "step"),
    [
        ("gru", (8, 24, 24), STEP),  # no mean over places ends it
        ("densenet121", (1, 32, 32), STEP),  # one place says nothing of where
        ("resnet10", (1, 64, 64), {"window": "whole", "interpret": "regression"}),
        ("resnet10", (1, 64, 64), {**STEP, "classes": {"activation": "sigmoid"}}),
    ],
)
def test_other_networks_and_tasks_stay_as_they_are(name: str, patch, step) -> None:
    network, size = built(name, patch)
    meaning = Meaning(step=step, outputs=OUTPUTS)
    mapped = with_activation_map(network, meaning, ("row",), size)
    assert (mapped.network, mapped.outputs, mapped.meaning) == (network, ("row",), meaning)


def test_a_network_that_changes_the_mean_before_its_last_layer_has_no_map() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.ReLU(),
        torch.nn.Linear(4, 2),
    )
    with torch.no_grad():
        network[0].bias.copy_(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
    assert ending_of(network, (1, 1, 16, 16)) is None

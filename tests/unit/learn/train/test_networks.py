"""Networks by name: each gives the map or the row that it should, also as ONNX."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.faults import NETWORK_UNBUILT, VISION_MISSING, NodeError
from dicomnode.learn.convert.export import Example, export_onnx
from dicomnode.learn.train.networks import build, freeze
from dicomnode.learn.train.recipe import ON_GRID, read_recipe
from dicomnode.learn.train.shapes import patch_of, shape_of
from tests.fixtures.frameworks import needed

torch = needed("torch")

SOLID = ((16, 16, 16), (1.0, 1.0, 1.0))
FLAT = ((1, 32, 32), (1.0, 1.0, 1.0))


def recipe_of(network: str, **more):
    task = "segment" if network in ON_GRID else "classify"
    return read_recipe(None, task, {"network": network, "width": 4, "levels": 3, **more})


@pytest.mark.parametrize("form", [SOLID, FLAT], ids=["solid", "flat"])
@pytest.mark.parametrize("network", ["unet", "residual_unet", "dynunet", "segresnet", "attention_unet"])
def test_networks_of_maps_give_a_channel_a_structure_on_the_grid(network: str, form) -> None:
    shape = shape_of(*form, 3)
    torch.manual_seed(1)
    made = build(recipe_of(network), shape, 2, 3).eval()
    with torch.no_grad():
        assert made(torch.zeros(2, 2, *shape.own_patch)).shape == (2, 3, *shape.own_patch)


@pytest.mark.parametrize("network", ["resnet10", "resnet18", "gru"])
def test_networks_of_rows_give_a_number_an_output(network: str) -> None:
    shape = shape_of(*SOLID, 3)
    torch.manual_seed(1)
    made = build(recipe_of(network), shape, 1, 4).eval()
    with torch.no_grad():
        assert made(torch.zeros(2, 1, 16, 16, 16)).shape == (2, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "form"),
    [
        ("residual_unet", SOLID),
        ("dynunet", SOLID),
        ("segresnet", FLAT),
        ("attention_unet", FLAT),
        ("gru", SOLID),
        ("resnet10", SOLID),
        pytest.param("resnet50", FLAT, marks=pytest.mark.long),
        pytest.param("densenet121", FLAT, marks=pytest.mark.long),
        pytest.param("efficientnet_b0", FLAT, marks=pytest.mark.long),
    ],
)
def test_networks_become_onnx_that_gives_the_same_numbers(network: str, form) -> None:
    shape = shape_of(*form, 3)
    torch.manual_seed(1)
    made = build(recipe_of(network), shape, 1, 2)
    content = export_onnx(made, {"image": Example(shape=(1, 1, *shape.own_patch))}, ["out"], source=network)
    assert len(content) > 1000


def test_axes_are_halved_only_while_they_are_even_long_and_not_coarse() -> None:
    thick = shape_of((16, 64, 64), (5.0, 1.0, 1.0), 4)
    assert thick.strides == ((1, 2, 2), (1, 2, 2), (2, 2, 2))
    odd = shape_of((10, 50, 64), (1.0, 1.0, 1.0), 4)
    assert odd.strides[0] == (2, 2, 2)
    assert odd.strides[1] == (1, 1, 2)
    assert shape_of((4, 4, 4), (1.0, 1.0, 1.0), 3).strides == ((1, 1, 1),)


def test_patches_are_the_median_of_the_studies_and_no_larger_than_a_gpu_holds() -> None:
    assert patch_of([[20, 100, 300], [24, 120, 310], [30, 90, 320]], 4) == (24, 96, 96)
    assert patch_of([[1, 512, 512]], 4) == (1, 256, 256)
    assert patch_of([[3, 30, 33]], 3) == (3, 32, 36)


def test_a_network_of_torchvision_says_so_where_it_is_missing() -> None:
    try:
        import torchvision  # noqa: F401
    except ImportError:
        with pytest.raises(NodeError) as caught:
            build(recipe_of("deeplabv3"), shape_of(*FLAT, 3), 1, 2)
        assert caught.value.fault is VISION_MISSING
    else:
        pytest.skip("torchvision is installed")


@pytest.mark.parametrize(
    ("network", "form"),
    [("segresnet", ((10, 16, 16), (1.0, 1.0, 1.0))), ("gru", FLAT)],
    ids=["not to be halved", "one slice"],
)
def test_a_network_that_cannot_be_is_refused_in_words(network: str, form) -> None:
    with pytest.raises(NodeError) as caught:
        build(recipe_of(network), shape_of(*form, 3), 1, 2)
    assert caught.value.fault is NETWORK_UNBUILT


@pytest.mark.parametrize("network", ["unet", "dynunet", "segresnet", "attention_unet", "resnet10", "gru"])
@pytest.mark.parametrize("part", ["encoder", "all-but-head"])
def test_frozen_parts_leave_something_to_learn(network: str, part: str) -> None:
    made = build(recipe_of(network), shape_of(*SOLID, 3), 1, 2)
    count = len(list(made.parameters()))
    assert 0 < freeze(made, part) < count
    free = [name for name, one in made.named_parameters() if one.requires_grad]
    if part == "all-but-head":
        assert len(free) <= 2
    assert np.all([not name.startswith("encoder") for name in free])

"""Networks by name: each gives the map or the row that it should, also as ONNX."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dicomnode.faults import NETWORK_UNBUILT, VISION_MISSING, NodeError
from dicomnode.learn.convert.export import Example, export_onnx
from dicomnode.learn.train.networks import begin_silent, build, freeze, teach
from dicomnode.learn.train.recipe import ON_GRID, read_recipe
from dicomnode.learn.train.shapes import patch_of, shape_of
from tests.fixtures.frameworks import needed
from tests.fixtures.vision import torchvision_models

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


@pytest.mark.parametrize("form", [SOLID, FLAT], ids=["solid", "flat"])
@pytest.mark.parametrize("network", ["unet", "residual_unet", "dynunet", "segresnet", "attention_unet"])
def test_a_map_that_begins_silent_takes_hardly_a_voxel_for_a_structure(network: str, form) -> None:
    shape = shape_of(*form, 3)
    torch.manual_seed(1)
    made = build(recipe_of(network), shape, 1, 3)
    image = torch.randn(2, 1, *shape.own_patch)
    axes = (0, *range(2, image.ndim))
    with torch.no_grad():
        before = torch.sigmoid(made(image)).mean(axes)
        begin_silent(made)
        after = torch.sigmoid(made(image)).mean(axes)
    assert (before > 0.2).all()
    assert (after < 0.05).all(), "of each structure"


@pytest.mark.parametrize("network", ["small_resnet", "resnet10", "resnet18", "gru"])
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
        ("small_resnet", FLAT),
        pytest.param("resnet50", FLAT, marks=pytest.mark.long),
        pytest.param("densenet121", FLAT, marks=pytest.mark.long),
        pytest.param("efficientnet_b0", FLAT, marks=pytest.mark.long),
        ("vgg16", FLAT),
        ("deeplabv3", FLAT),
    ],
)
def test_networks_become_onnx_that_gives_the_same_numbers(network: str, form) -> None:
    if network in {"vgg16", "deeplabv3"}:
        torchvision_models()
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


@pytest.mark.parametrize(
    "error",
    [
        "ImportError('No module named torchvision')",
        "RuntimeError('operator torchvision::nms does not exist')",
    ],
    ids=["missing", "built for another torch"],
)
def test_a_network_of_torchvision_says_so_where_it_cannot_be_loaded(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in sys.modules if one.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NodeError) as caught:
        build(recipe_of("deeplabv3"), shape_of(*FLAT, 3), 1, 2)
    assert caught.value.fault is VISION_MISSING
    assert "torchvision" in str(caught.value)


@pytest.mark.parametrize(("side", "stride"), [(64, 1), (96, 2)])
def test_the_small_resnet_halves_large_images_at_once_and_small_ones_later(side: int, stride: int) -> None:
    shape = shape_of((1, side, side), (1.0, 1.0, 1.0), 3)
    made = build(recipe_of("small_resnet", dropout=0.3), shape, 1, 2).eval()
    assert made.conv1.stride == (stride, stride)
    assert any(isinstance(one, torch.nn.Dropout) for one in made.modules())  # a search draws it
    with torch.no_grad():
        assert made(torch.zeros(1, 1, side, side)).shape == (1, 2)


def test_in_two_dimensions_a_resnet_is_that_of_the_paper() -> None:
    """Its stem halves: else ImageNet's weights would see everything twice as large."""
    torch.manual_seed(1)
    shape = shape_of((1, 64, 64), (1.0, 1.0, 1.0), 3)
    made = build(recipe_of("resnet18"), shape, 1, 2)
    assert made.conv1.stride == (2, 2)
    assert "layer2.0.downsample.0.bias" not in made.state_dict()


@pytest.mark.parametrize(
    ("network", "form"),
    [("segresnet", ((10, 16, 16), (1.0, 1.0, 1.0))), ("gru", FLAT)],
    ids=["not to be halved", "one slice"],
)
def test_a_network_that_cannot_be_is_refused_in_words(network: str, form) -> None:
    with pytest.raises(NodeError) as caught:
        build(recipe_of(network), shape_of(*form, 3), 1, 2)
    assert caught.value.fault is NETWORK_UNBUILT


@pytest.mark.parametrize(
    ("network", "encoder"), [("vgg16", "features."), ("deeplabv3", "backbone.")], ids=["vgg16", "deeplabv3"]
)
def test_the_encoder_of_a_network_of_torchvision_can_be_kept(network: str, encoder: str) -> None:
    torchvision_models()
    made = build(recipe_of(network), shape_of(*FLAT, 3), 1, 2)
    assert freeze(made, "encoder") > 0
    for name, one in made.named_parameters():
        assert one.requires_grad != name.startswith(encoder)


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


@pytest.mark.parametrize("network", ["resnet18", "densenet121"])
def test_norms_that_are_frozen_keep_what_they_have_seen(network: str) -> None:
    made = build(recipe_of(network), shape_of(*FLAT, 3), 1, 2)
    freeze(made, "all-but-head")
    teach(made)
    before = {name: one.clone() for name, one in made.named_buffers()}
    made(torch.randn(4, 1, *FLAT[0][1:]))
    assert before
    assert all(torch.equal(before[name], one) for name, one in made.named_buffers())
    assert made.training


def test_norms_that_are_free_go_on_learning() -> None:
    made = build(recipe_of("resnet18"), shape_of(*FLAT, 3), 1, 2)
    teach(made)
    before = made.bn1.running_mean.clone()
    made(torch.randn(4, 1, *FLAT[0][1:]))
    assert not torch.equal(before, made.bn1.running_mean)

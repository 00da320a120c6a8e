"""Weights of torchvision's networks in ours: the same features; and what does not fit is refused in words."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dicomnode.faults import INIT_UNFIT, NodeError
from dicomnode.learn.train.fused import Fused
from dicomnode.learn.train.networks import build
from dicomnode.learn.train.recipe import ON_GRID, read_recipe
from dicomnode.learn.train.shapes import shape_of
from dicomnode.learn.train.transfer import take_weights, weights_bytes
from tests.fixtures.vision import torchvision_models

SIDE = 64


def built(
    name: str, channels: int, outputs: int = 3, patch: tuple[int, int, int] = (1, SIDE, SIDE)
) -> nn.Module:
    torch.manual_seed(2)
    task = "segment" if name in ON_GRID else "classify"
    shape = shape_of(patch, (1.0, 1.0, 1.0), 4)
    return build(read_recipe(None, task, {"network": name}), shape, channels, outputs).eval()


def theirs(name: str) -> Any:
    """A network of torchvision, random in all that it keeps: also in what its norms have counted."""
    models = torchvision_models()
    torch.manual_seed(1)
    if name == "deeplabv3":
        network = models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=7)
    elif name == "vgg16":
        network = models.vgg16_bn(weights=None)
        network.classifier = nn.Identity()  # of 120 million numbers none is taken
    else:
        network = getattr(models, name)(weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.8, 1.2)
    return network.eval()


def saved(network: nn.Module, folder: Path) -> Path:
    file = folder / "theirs.pth"
    torch.save(network.state_dict(), file)
    return file


def ends_of(name: str, ours: Any, others: Any) -> tuple[Any, Any]:
    """Take off what tells the classes: what is left gives the features, one row an image."""
    if name == "vgg16":
        ours.head = nn.Identity()
        return ours, nn.Sequential(others.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if name == "deeplabv3":
        return lambda image: ours.backbone(image)["out"], lambda image: others.backbone(image)["out"]
    if name == "densenet121":
        ours.class_layers.out = nn.Identity()
        others.classifier = nn.Identity()
    elif name == "efficientnet_b0":
        ours._fc = nn.Identity()
        others.classifier = nn.Identity()
    else:
        ours.fc = others.fc = nn.Identity()
    return ours, others


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
@pytest.mark.parametrize(
    "name", ["resnet18", "resnet50", "densenet121", "efficientnet_b0", "vgg16", "deeplabv3"]
)
def test_with_the_weights_of_torchvision_the_features_are_those_of_its_network(
    name: str, channels: int, tmp_path: Path
) -> None:
    others = theirs(name)
    ours = built(name, channels)
    before = {key: one.clone() for key, one in ours.state_dict().items()}
    taken = take_weights(ours, name, saved(others, tmp_path))
    assert taken.fresh
    for key in taken.fresh:
        assert torch.equal(ours.state_dict()[key], before[key])
    image = torch.randn(2, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    found, wanted = ends_of(name, ours, others)
    with torch.no_grad():
        expected = wanted(image if channels == 3 else image.repeat(1, 3, 1, 1))
        assert float(expected.std()) > 1e-6
        apart = float((found(image) - expected).abs().max())
    assert apart <= 1e-5 * float(expected.abs().max())


def test_a_deeplab_begins_from_a_resnet_that_told_classes(tmp_path: Path) -> None:
    others, ours = theirs("resnet50"), built("deeplabv3", 3)
    taken = take_weights(ours, "deeplabv3", saved(others, tmp_path))
    assert all(key.startswith("classifier.") for key in taken.fresh)
    assert torch.equal(ours.backbone.layer4[2].conv3.weight, others.layer4[2].conv3.weight)


def test_other_channels_see_colours_in_turn_and_as_strongly(tmp_path: Path) -> None:
    others, ours = theirs("resnet18"), built("resnet18", 4)
    take_weights(ours, "resnet18", saved(others, tmp_path))
    given, weight = others.conv1.weight, ours.conv1.weight
    wanted = torch.stack([given[:, n % 3] for n in range(4)], dim=1) * 0.75
    torch.testing.assert_close(weight, wanted)


def test_published_files_that_name_norms_the_old_way_are_read(tmp_path: Path) -> None:
    """The published DenseNet has "norm.1" where the network of today has "norm1"."""
    others = theirs("densenet121")
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in key else key: one
        for key, one in others.state_dict().items()
    }
    torch.save(old, tmp_path / "old.pth")
    first, second = built("densenet121", 3), built("densenet121", 3)
    take_weights(first, "densenet121", tmp_path / "old.pth")
    take_weights(second, "densenet121", saved(others, tmp_path))
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("within", ["state_dict", "model"])
def test_a_checkpoint_of_several_gpus_is_read(within: str, tmp_path: Path) -> None:
    others = theirs("resnet18")
    state = {f"module.{key}": one for key, one in others.state_dict().items()}
    torch.save({within: state, "epoch": 90}, tmp_path / "checkpoint.pth")
    ours = built("resnet18", 3)
    take_weights(ours, "resnet18", tmp_path / "checkpoint.pth")
    assert torch.equal(ours.conv1.weight, others.conv1.weight)


def test_a_network_that_sees_numbers_too_takes_them_for_its_images(tmp_path: Path) -> None:
    others = theirs("resnet18")
    ours = Fused(built("resnet18", 1, 32), 1, 2, 3, 0.0)
    taken = take_weights(ours, "resnet18", saved(others, tmp_path))
    assert torch.equal(ours.images.layer1[0].conv1.weight, others.layer1[0].conv1.weight)
    assert "meeting.0.weight" in taken.fresh
    assert "images.fc.weight" in taken.fresh


@pytest.mark.parametrize(
    ("file", "name", "patch", "said"),
    [
        ("resnet18", "resnet18", (16, 32, 32), "sees volumes"),
        ("resnet18", "resnet50", (1, SIDE, SIDE), "not of resnet50"),
        ("vgg16_bn", "vgg16", (1, SIDE, SIDE), "lacks"),
    ],
)
def test_a_file_of_another_network_is_refused_in_words(
    file: str, name: str, patch: tuple[int, int, int], said: str, tmp_path: Path
) -> None:
    others = theirs("vgg16" if file == "vgg16_bn" else file)
    if file == "vgg16_bn":  # as the VGG16 without norms has it: its convolutions have other numbers
        others.features = torchvision_models().vgg.make_layers(torchvision_models().vgg.cfgs["D"])
    with pytest.raises(NodeError) as caught:
        take_weights(built(name, 3, patch=patch), name, saved(others, tmp_path))
    assert caught.value.fault is INIT_UNFIT
    assert said in str(caught.value)


def test_a_file_of_ours_is_taken_as_it_is(tmp_path: Path) -> None:
    """Also its classes, and a network of volumes: it is no file of torchvision's."""
    first = built("resnet10", 1, patch=(16, 32, 32))
    file = tmp_path / "weights.pt"
    file.write_bytes(weights_bytes("resnet10", first.state_dict()))
    second = built("resnet10", 1, patch=(16, 32, 32))
    taken = take_weights(second, "resnet10", file)
    assert taken.fresh == ()
    assert torch.equal(first.fc.weight, second.fc.weight)


def altered(how: str) -> dict[str, torch.Tensor]:
    state = dict(built("resnet10", 1, patch=(16, 32, 32)).state_dict())
    floats = [name for name, one in state.items() if one.is_floating_point()]
    change = {
        "complex": lambda one: one.to(torch.complex64),
        "integers": lambda one: one.to(torch.int64),
        "sparse": lambda one: one.to_sparse(),
        "meta": lambda one: one.to("meta"),
        "nan": lambda one: torch.full_like(one, torch.nan),
    }[how]
    return state | {name: change(state[name]) for name in floats}


@pytest.mark.parametrize("how", ["complex", "integers", "sparse", "meta"])
def test_tensors_of_another_kind_are_not_taken(how: str, tmp_path: Path) -> None:
    torch.save(altered(how), tmp_path / "w.pt")
    with pytest.raises(NodeError) as caught:
        take_weights(built("resnet10", 1, patch=(16, 32, 32)), "resnet10", tmp_path / "w.pt")
    assert "no tensor of it has a name and shape" in str(caught.value)


def test_weights_that_are_no_numbers_are_refused_and_not_trained_from(tmp_path: Path) -> None:
    torch.save(altered("nan"), tmp_path / "w.pt")
    with pytest.raises(NodeError) as caught:
        take_weights(built("resnet10", 1, patch=(16, 32, 32)), "resnet10", tmp_path / "w.pt")
    assert "holds what is no number" in str(caught.value)


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_is_refused_or_read_and_never_more(seed: int, tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"fc.weight": torch.zeros(3), "other": {"x": 1}}, content)
    damaged = bytearray(content.getvalue())
    draw = np.random.default_rng(seed)
    for at in draw.integers(400, size=8):
        damaged[at] = int(draw.integers(256))
    pickled = pickle.dumps({"a": [seed]}, protocol=4)
    for name, one in (("a.pt", bytes(damaged)), ("b.pt", pickled)):
        (tmp_path / name).write_bytes(one)
        with pytest.raises(NodeError) as caught:
            take_weights(built("resnet10", 1, patch=(16, 32, 32)), "resnet10", tmp_path / name)
        assert caught.value.fault is INIT_UNFIT


def test_a_sentence_tells_what_was_taken(tmp_path: Path) -> None:
    taken = take_weights(built("resnet18", 1), "resnet18", saved(theirs("resnet18"), tmp_path))
    assert taken.text == "begun from theirs.pth: 60 tensors taken, 2 drawn anew (fc.weight, fc.bias)"

"""Networks by their name: MONAI's, and a few lines of our own where it has none (GRU over slices)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from dicomnode.faults import NETWORK_UNBUILT, TRAIN_MISSING, VISION_MISSING, NodeError
from dicomnode.learn.convert.export import torch_library
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.shapes import Shape

if TYPE_CHECKING:
    from torch import nn

_VISION: Final = frozenset({"deeplabv3", "vgg16"})
WITHOUT_DROPOUT: Final = frozenset({"resnet10", "resnet18", "resnet50", "efficientnet_b0", "deeplabv3"})
"""Networks that take none from a recipe."""

_KERNEL: Final = 3
_RES_UNITS: Final = 2
_LARGE: Final = 64  # voxels along an axis
SELDOM: Final = 0.01
"""Probability that a voxel is of a structure, before anything is learned.

From one half hundreds of steps teach that most voxels are of none, a rare structure is silenced with them,
and silence has no slope to leave it by. Source: Lin et al., Focal loss (2017), 4.1.
"""


def build(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    """Build the network of a recipe with random weights: draw them under a seed of your own.

    channels: of its input; outputs: channels of its map, or numbers of its row. Raises NodeError:
    TRAIN_MISSING, VISION_MISSING, NETWORK_UNBUILT.
    """
    torch_library("dicomnode train")
    name = recipe.net
    maker = _OF_VISION[name] if name in _VISION else _MAKERS[name]
    try:
        return maker(recipe, shape, channels, outputs)
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise NodeError(NETWORK_UNBUILT, network=name, reason=lines[0].rstrip(". ")) from error


def begin_silent(network: nn.Module) -> None:
    """Set the bias of a map's last layer, in place: at first each voxel is of a structure with `SELDOM`."""
    from torch import nn  # noqa: PLC0415

    *_, last = (one for name, one in network.named_parameters() if name.endswith("bias"))
    nn.init.constant_(last, math.log(SELDOM / (1.0 - SELDOM)))


def freeze(network: nn.Module, part: str) -> int:
    """Keep parameters as they are; return how many tensors that are. part: "encoder" or "all-but-head".

    The head is the last module with parameters of its own, or those that the network names; the encoder the
    first half of the parameters, by their number of modules, where MONAI does not name one.
    """
    heads = getattr(network, "head_names", ())
    if heads and part == "encoder":
        return freeze(network.get_submodule("backbone"), part)
    named = [name for name, _ in network.named_parameters()]
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in named))
    free = set(heads or modules[-1:])
    kept = set(modules) - free if part == "all-but-head" else _encoder(modules)
    count = 0
    for name, parameter in network.named_parameters():
        if name.rpartition(".")[0] in kept:
            parameter.requires_grad = False
            count += 1
    return count


def teach(network: nn.Module) -> None:
    """Set a network to training; norms whose weights are frozen keep their means and spreads, too."""
    network.train()
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if hasattr(module, "running_mean") and weight is not None and not weight.requires_grad:
            module.eval()


_ENCODERS: Final = (
    "convInit",
    "down_layers",
    "input_block",
    "downsamples",
    "encoder",
    "features",
    "backbone",
)


def _encoder(modules: Sequence[str]) -> set[str]:
    """Return the modules on the way down: those that say so, else (of nested U-Nets) the first half."""
    named = {one for one in modules if one.startswith(_ENCODERS)}
    return named or set(modules[: len(modules) // 2])


# ── maps ──


def _unet(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    nets = _nets()
    network: nn.Module = nets.UNet(
        spatial_dims=len(shape.axes),
        in_channels=channels,
        out_channels=outputs,
        channels=_widths(recipe, shape),
        strides=shape.own_strides,
        num_res_units=_RES_UNITS if recipe.net == "residual_unet" else 0,
        norm="instance",
        dropout=recipe.dropout,
    )
    return network


def _attention_unet(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    network: nn.Module = _nets().AttentionUnet(
        spatial_dims=len(shape.axes),
        in_channels=channels,
        out_channels=outputs,
        channels=_widths(recipe, shape),
        strides=shape.own_strides,
        dropout=recipe.dropout,
    )
    return network


def _dynunet(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    dims = len(shape.axes)
    network: nn.Module = _nets().DynUNet(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=outputs,
        kernel_size=[(_KERNEL,) * dims] * (len(shape.strides) + 1),
        strides=[(1,) * dims, *shape.own_strides],
        upsample_kernel_size=list(shape.own_strides),
        filters=_widths(recipe, shape),
        dropout=recipe.dropout or None,
        res_block=True,
    )
    return network


def _segresnet(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    divisor = 1 << (recipe.levels - 1)
    if any(side % divisor for side in shape.own_patch):
        raise ValueError(f"segresnet halves all axes: the patch must be multiples of {divisor}")
    network: nn.Module = _nets().SegResNet(
        spatial_dims=len(shape.axes),
        in_channels=channels,
        out_channels=outputs,
        init_filters=max(8, recipe.width // 8 * 8),  # its norm has groups of 8
        blocks_down=(1,) * recipe.levels,
        blocks_up=(1,) * (recipe.levels - 1),
        dropout_prob=recipe.dropout or None,
    )
    return network


def _widths(recipe: Recipe, shape: Shape) -> list[int]:
    return [recipe.width << level for level in range(len(shape.strides) + 1)]


# ── rows ──


def _densenet(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    network: nn.Module = _nets().DenseNet121(
        spatial_dims=len(shape.axes), in_channels=channels, out_channels=outputs, dropout_prob=recipe.dropout
    )
    return network


def _small_resnet(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    from torch import nn  # noqa: PLC0415

    network: Any = _nets().ResNet(
        block="basic",
        layers=[1, 1, 1, 1],
        block_inplanes=[recipe.width << level for level in range(4)],
        spatial_dims=len(shape.axes),
        n_input_channels=channels,
        num_classes=outputs,
        conv1_t_size=_KERNEL,
        conv1_t_stride=2
        if max(shape.own_patch) > _LARGE
        else 1,  # what is small is lost by a stem that halves
        no_max_pool=True,
        bias_downsample=False,
    )
    if recipe.dropout:
        network.fc = nn.Sequential(nn.Dropout(recipe.dropout), network.fc)
    made: nn.Module = network
    return made


def _resnet(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    if recipe.dropout:
        raise ValueError(f"{recipe.net} has no dropout: take weight_decay, or densenet121")
    make: Any = getattr(_nets(), recipe.net)
    # In two dimensions the network of the paper, whose stem halves, so that ImageNet's weights mean the same
    own = {"conv1_t_stride": 2, "bias_downsample": False} if shape.is_flat else {}
    network: nn.Module = make(
        spatial_dims=len(shape.axes), n_input_channels=channels, num_classes=outputs, **own
    )
    return network


def _efficientnet(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    if recipe.dropout:
        raise ValueError(f"{recipe.net} has a dropout of its own: leave dropout out of the recipe")
    network: Any = _nets().EfficientNetBN(
        "efficientnet-b0",
        pretrained=False,
        spatial_dims=len(shape.axes),
        in_channels=channels,
        num_classes=outputs,
        norm=("batch", {"eps": 1e-5, "momentum": 0.1}),  # torchvision's; 0.01 comes too late for short ones
    )
    network.set_swish(memory_efficient=False)  # the other form has no form in ONNX
    made: nn.Module = network
    if shape.is_flat:
        _pad_alike(made)
    return made


def _pad_alike(network: nn.Module) -> None:
    """Pad convolutions alike on all sides, as torchvision does; MONAI pads as TensorFlow, by the size."""
    from torch import nn  # noqa: PLC0415

    for module in list(network.modules()):
        for name, _ in list(module.named_children()):
            if name.endswith("_padding"):
                convolution: Any = getattr(module, name.removesuffix("_padding"))
                if isinstance(convolution, nn.Conv2d):
                    setattr(module, name, nn.Identity())
                    convolution.padding = tuple(int(side) // 2 for side in convolution.kernel_size)


def _gru(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    from dicomnode.learn.train.sequence import slice_gru  # noqa: PLC0415  a class of torch

    if shape.is_flat:
        raise ValueError("gru goes over slices, and there is one only")
    return slice_gru(channels, outputs, width=recipe.width, dropout=recipe.dropout)


# ── drawings ──


def _autoencoder(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    from dicomnode.learn.train.autoencoders import autoencoder, variational  # noqa: PLC0415  of torch

    del outputs  # it draws what it sees
    return (variational if recipe.net == "vae" else autoencoder)(_nets(), recipe, shape, channels)


Maker = Callable[[Recipe, Shape, int, int], "nn.Module"]
_MAKERS: Final[Mapping[str, Maker]] = {
    "unet": _unet,
    "residual_unet": _unet,
    "dynunet": _dynunet,
    "segresnet": _segresnet,
    "attention_unet": _attention_unet,
    "small_resnet": _small_resnet,
    "densenet121": _densenet,
    "resnet10": _resnet,
    "resnet18": _resnet,
    "resnet50": _resnet,
    "efficientnet_b0": _efficientnet,
    "gru": _gru,
    "autoencoder": _autoencoder,
    "vae": _autoencoder,
}


def _nets() -> Any:
    try:
        from monai.networks import nets  # noqa: PLC0415  heavy: only who trains pays for it
    except ImportError as error:
        raise NodeError(TRAIN_MISSING, what="dicomnode train", package="monai", error=error) from error
    return nets


# ── torchvision, where it is installed ──


def _deeplab(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    from dicomnode.learn.train.vision import deeplab  # noqa: PLC0415  a class of torch

    _flat_only(recipe, shape)
    return deeplab(_vision(recipe.net), channels, outputs)


def _vgg(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    from dicomnode.learn.train.vision import vgg  # noqa: PLC0415

    _flat_only(recipe, shape)
    return vgg(_vision(recipe.net), channels, outputs, recipe.dropout)


def _flat_only(recipe: Recipe, shape: Shape) -> None:
    if not shape.is_flat:
        raise ValueError(f"{recipe.net} has two dimensions: give patch_kji with k = 1")


def _vision(network: str) -> Any:
    try:
        from torchvision import models  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: PLC0415
    except (ImportError, RuntimeError) as error:  # the latter where it was built for another torch
        lines = str(error).splitlines() or [type(error).__name__]
        raise NodeError(VISION_MISSING, network=network, error=lines[0].rstrip(". ")) from error
    return models


_OF_VISION: Final[Mapping[str, Maker]] = {"deeplabv3": _deeplab, "vgg16": _vgg}

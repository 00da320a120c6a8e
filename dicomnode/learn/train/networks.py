"""Networks by their name: MONAI's, and a few lines of our own where it has none (GRU over slices)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from dicomnode.faults import NETWORK_UNBUILT, TRAIN_MISSING, VISION_MISSING, NodeError
from dicomnode.learn.convert.export import torch_library
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.shapes import Shape

if TYPE_CHECKING:
    from torch import nn

_VISION: Final = frozenset({"deeplabv3", "vgg16"})
_KERNEL: Final = 3
_RES_UNITS: Final = 2
_GRU_FEATURES: Final = 64


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


def freeze(network: nn.Module, part: str) -> int:
    """Keep parameters as they are; return how many tensors that are. part: "encoder" or "all-but-head".

    The head is the last module with parameters of its own; the encoder the first half of the parameters, by
    their number of modules, where MONAI does not name one.
    """
    named = [name for name, _ in network.named_parameters()]
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in named))
    kept = set(modules[:-1]) if part == "all-but-head" else _encoder(modules)
    count = 0
    for name, parameter in network.named_parameters():
        if name.rpartition(".")[0] in kept:
            parameter.requires_grad = False
            count += 1
    return count


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


def _resnet(recipe: Recipe, shape: Shape, channels: int, outputs: int) -> nn.Module:
    if recipe.dropout:
        raise ValueError(f"{recipe.net} has no dropout: take weight_decay, or densenet121")
    make: Any = getattr(_nets(), recipe.net)
    network: nn.Module = make(spatial_dims=len(shape.axes), n_input_channels=channels, num_classes=outputs)
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
    )
    network.set_swish(memory_efficient=False)  # the other form has no form in ONNX
    made: nn.Module = network
    return made


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
        from torchvision import models  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise NodeError(VISION_MISSING, network=network, error=error) from error
    return models


_OF_VISION: Final[Mapping[str, Maker]] = {"deeplabv3": _deeplab, "vgg16": _vgg}

"""The networks of MONAI that are built from a bundle's network_def: a list, as a name could be any code."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import nn

NETWORKS: Final = frozenset(
    {
        "AHNet",
        "AttentionUnet",
        "BasicUNet",
        "BasicUNetPlusPlus",
        "BasicUnet",
        "DenseNet",
        "DenseNet121",
        "DenseNet169",
        "DenseNet201",
        "DenseNet264",
        "Densenet121",
        "Densenet169",
        "Densenet201",
        "Densenet264",
        "DynUNet",
        "DynUnet",
        "EfficientNetBN",
        "FlexUNet",
        "FlexibleUNet",
        "HighResNet",
        "MedNeXt",
        "MedNeXtLarge",
        "MedNeXtMedium",
        "MedNeXtSmall",
        "ResNet",
        "SEResNet50",
        "SEResNet101",
        "SEResNet152",
        "SEResNext50",
        "SEResNext101",
        "SENet154",
        "SegResNet",
        "SegResNetDS",
        "SwinUNETR",
        "UNETR",
        "UNet",
        "Unet",
        "VNet",
        "resnet10",
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnet200",
    }
)
# They would fetch weights from elsewhere, and tell of it, before those of the bundle take their place
_FETCHES: Final = ("pretrained", "progress")
# Arguments that earlier versions of MONAI had and that changed no weight
_GONE: Final[Mapping[str, tuple[str, ...]]] = {"SwinUNETR": ("img_size",)}


def network_name(target: str) -> str | None:
    """Return the name of a network on the list that `_target_` means, or None."""
    package, _, last = target.rpartition(".")
    known = not package or package == "monai.networks.nets" or package.startswith("monai.networks.nets.")
    return last if known and last in NETWORKS else None


def build(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network of the list; raises what MONAI raises for arguments that do not fit."""
    if name not in NETWORKS:
        raise ValueError(f"{name} is not on the list of networks")
    from monai.networks import nets  # noqa: PLC0415  heavy, and in the converting child alone

    make = getattr(nets, name)
    accepted = inspect.signature(make).parameters
    given = {
        key: value
        for key, value in arguments.items()
        if key not in _FETCHES and (key in accepted or key not in _GONE.get(name, ()))
    }
    if "pretrained" in accepted:  # true by default in some
        given["pretrained"] = False
    network: nn.Module = make(**given)
    return network

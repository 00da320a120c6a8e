"""The network that plans.json of an nnU-Net v2 result describes, as numbers: no name in it is ever imported.

Plans since 2.4 hold the arguments of a class of dynamic_network_architectures, older ones the numbers that
nnU-Net makes such arguments from; both are read.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from dicomnode.learn.convert.nnunet_keys import (
    Json,
    UnfitError,
    each,
    each_axis,
    items,
    number,
    subtable,
    whole,
)

_NETWORKS: Final[Mapping[str, bool]] = {
    "PlainConvUNet": False,
    "ResidualEncoderUNet": True,
}  # is it residual?
_NORMS: Final[Mapping[str, Literal["instance", "batch"]]] = {
    "torch.nn.modules.instancenorm.InstanceNorm": "instance",
    "torch.nn.modules.batchnorm.BatchNorm": "batch",
    "torch.nn.InstanceNorm": "instance",
    "torch.nn.BatchNorm": "batch",
}
_NONLINEARITIES: Final[Mapping[str, float]] = {"LeakyReLU": 0.01, "ReLU": 0.0}  # default slope below 0
_MOST_STAGES: Final = 12
_MOST_FEATURES: Final = 4096
_MOST_UNITS: Final = 64
# Dropout and deep supervision are for training: in inference they do nothing
_KEYS: Final = (
    *("n_stages", "features_per_stage", "conv_op", "kernel_sizes", "strides", "n_conv_per_stage_decoder"),
    *("conv_bias", "norm_op", "norm_op_kwargs", "dropout_op", "dropout_op_kwargs"),
    *("nonlin", "nonlin_kwargs", "deep_supervision", "nonlin_first"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A U-Net of nnU-Net: one entry a stage, the finest first; lengths along the network's axes.

    units: convolutions of a stage, or residual blocks. slope: of the nonlinearity below 0; 0 is a ReLU.
    """

    residual: bool
    axes: int
    features: tuple[int, ...]
    kernels: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    units: tuple[int, ...]
    units_decoder: tuple[int, ...]
    bias: bool
    norm: Literal["instance", "batch"] | None
    norm_eps: float
    norm_affine: bool
    slope: float
    nonlinear_first: bool = False

    @property
    def stages(self) -> int:
        """How many resolutions it has."""
        return len(self.features)


def read_architecture(settings: Json, axes: int) -> Architecture:
    """Read the network of a configuration with so many axes; raises UnfitError."""
    if "architecture" in settings:
        named = subtable(settings, "architecture")
        kind = str(named.get("network_class_name", "")).rpartition(".")[2]
        keys = subtable(named, "arch_kwargs")
    else:
        kind = str(settings.get("UNet_class_name", ""))
        keys = _of_old_plans(settings, axes) if kind in _NETWORKS else {}
    if kind not in _NETWORKS:
        raise UnfitError(f"its network is {kind or 'not named'}; {' and '.join(_NETWORKS)} are known")
    units = "n_blocks_per_stage" if _NETWORKS[kind] else "n_conv_per_stage"
    _no_more(kind, keys, {*_KEYS, units})
    stages = whole(keys, "n_stages", _MOST_STAGES)
    if stages < 2:
        raise UnfitError("its network has one stage, a U-Net has two or more")
    norm, norm_keys = _norm(keys.get("norm_op"), axes), subtable(keys, "norm_op_kwargs")
    _no_more("normalisation", norm_keys, {"eps", "affine"})
    return Architecture(
        residual=_NETWORKS[kind],
        axes=axes,
        features=each(keys, "features_per_stage", stages, _MOST_FEATURES),
        kernels=each_axis(keys, "kernel_sizes", stages, axes),
        strides=each_axis(keys, "strides", stages, axes),
        units=each(keys, units, stages, _MOST_UNITS),
        units_decoder=each(keys, "n_conv_per_stage_decoder", stages - 1, _MOST_UNITS),
        bias=bool(keys.get("conv_bias", False)),
        norm=norm,
        norm_eps=number(norm_keys, "eps", 1e-5),
        # As torch has it: an instance normalisation learns nothing unless it is told to
        norm_affine=bool(norm_keys.get("affine", norm == "batch")),
        slope=_slope(keys),
        nonlinear_first=bool(keys.get("nonlin_first", False)),
    )


def check_patch(patch: Sequence[int], architecture: Architecture) -> None:
    """Refuse a patch that does not come back as large as it went in: its sides are no multiples."""
    for axis, length in enumerate(patch):
        multiple = math.prod(stride[axis] for stride in architecture.strides)
        if length % multiple:
            raise UnfitError(
                f"its patch has {length} voxels along an axis whose strides multiply to {multiple}"
            )


def _no_more(what: str, keys: Json, known: Collection[str]) -> None:
    strange = sorted(key for key, value in keys.items() if key not in known and value is not None)
    if strange:
        raise UnfitError(f"its {what} is built with {', '.join(strange)}, which the node does not know")


def _of_old_plans(settings: Json, axes: int) -> dict[str, Any]:
    """Return the arguments that plans before 2.4 mean, as nnU-Net itself makes them new."""
    base = whole(settings, "UNet_base_num_features", _MOST_FEATURES)
    most = whole(settings, "unet_max_num_features", _MOST_FEATURES)
    units = items(settings, "n_conv_per_stage_encoder")
    residual = settings.get("UNet_class_name") == "ResidualEncoderUNet"
    return {
        "n_stages": len(units),
        "features_per_stage": [min(base * 2**n, most) for n in range(len(units))],
        "kernel_sizes": items(settings, "conv_kernel_sizes"),
        "strides": items(settings, "pool_op_kernel_sizes"),
        "n_blocks_per_stage" if residual else "n_conv_per_stage": units,
        "n_conv_per_stage_decoder": items(settings, "n_conv_per_stage_decoder"),
        "conv_bias": True,
        "norm_op": f"torch.nn.InstanceNorm{axes}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "torch.nn.LeakyReLU",
    }


def _norm(name: object, axes: int) -> Literal["instance", "batch"] | None:
    if name is None:
        return None
    stem = str(name).removesuffix(f"{axes}d")
    if stem == str(name) or stem not in _NORMS:
        raise UnfitError(f"its normalisation is {name}; instance and batch normalisation are known")
    return _NORMS[stem]


def _slope(keys: Json) -> float:
    name = str(keys.get("nonlin", "")).rpartition(".")[2]
    if name not in _NONLINEARITIES:
        raise UnfitError(f"its nonlinearity is {name or 'none'}; {' and '.join(_NONLINEARITIES)} are known")
    given = subtable(keys, "nonlin_kwargs")
    _no_more(name, given, {"inplace", "negative_slope"} if name == "LeakyReLU" else {"inplace"})
    return number(given, "negative_slope", _NONLINEARITIES[name])

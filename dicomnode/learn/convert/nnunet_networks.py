"""The networks of nnU-Net v2 in plain torch, built from plans: PlainConvUNet and ResidualEncoderUNet.

Written anew for inference, with modules that are named as in dynamic_network_architectures 0.4 so that their
weights fit: that package needs timm and torchvision, and its users let the plans file name any Python object
to import. Here a plans file picks from tables. Dropout and deep supervision do nothing in inference and are
left out; segmentation layers of the coarser stages are kept, as their weights are in every checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from dicomnode.learn.convert.nnunet_architecture import Architecture

if TYPE_CHECKING:
    from torch import Tensor

# By the number of axes; their types differ in nothing that matters here
_CONVOLUTIONS: Final[Mapping[int, Any]] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: Final[Mapping[int, Any]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOLS: Final[Mapping[int, Any]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
_NORMS: Final[Mapping[tuple[str, int], Any]] = {
    ("instance", 2): nn.InstanceNorm2d,
    ("instance", 3): nn.InstanceNorm3d,
    ("batch", 2): nn.BatchNorm2d,
    ("batch", 3): nn.BatchNorm3d,
}


def build_network(plan: Architecture, channels: int, classes: int) -> nn.Module:
    """Build the network of a plan: (n, channels, …) → logits (n, classes, …), in evaluation mode.

    Spatial lengths are multiples of the product of the strides along each axis. Its weights have shapes and
    no values, whatever size a plan asks for: `load_weights` puts those of a checkpoint in their place.
    """
    with torch.device("meta"):
        encoder = _ResidualEncoder(plan, channels) if plan.residual else _PlainEncoder(plan, channels)
        return _UNet(encoder, _Decoder(plan, classes)).eval()


class Ensemble(nn.Module):
    """Several networks of one architecture; the mean of their logits, as nnU-Net takes it over folds."""

    def __init__(self, folds: Sequence[nn.Module]) -> None:
        super().__init__()
        self.folds = nn.ModuleList(folds)

    def forward(self, image: Tensor) -> Tensor:
        """Return the mean logits."""
        total: Tensor = self.folds[0](image)
        for fold in self.folds[1:]:
            total = total + fold(image)
        return total / len(self.folds) if len(self.folds) > 1 else total


class _UNet(nn.Module):
    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (n, classes, …)."""
        logits: Tensor = self.decoder(self.encoder(image))
        return logits


@dataclass(frozen=True, slots=True)
class _Shape:
    """A convolution's: channels that come in and go out, lengths along the axes."""

    given: int
    features: int
    kernel: Sequence[int]
    stride: Sequence[int]

    def next(self) -> _Shape:
        """Return that of the one after it."""
        return _Shape(self.features, self.features, self.kernel, (1,) * len(self.stride))


class _Unit(nn.Module):
    """Convolution, normalisation, nonlinearity: any of the last two may be absent."""

    def __init__(self, plan: Architecture, shape: _Shape, *, bias: bool, nonlinear: bool = True) -> None:
        super().__init__()
        padding = tuple((length - 1) // 2 for length in shape.kernel)
        convolution = _CONVOLUTIONS[plan.axes]
        kernel, stride = tuple(shape.kernel), tuple(shape.stride)
        self.conv = convolution(shape.given, shape.features, kernel, stride, padding, bias=bias)
        self.norm: nn.Module | None = None
        if plan.norm is not None:
            kind = _NORMS[plan.norm, plan.axes]
            self.norm = kind(shape.features, eps=plan.norm_eps, affine=plan.norm_affine)
        self.nonlinear = _nonlinearity(plan) if nonlinear else None
        self._nonlinear_first = plan.nonlinear_first

    def forward(self, image: Tensor) -> Tensor:
        """Return (n, features, …)."""
        after = (self.nonlinear, self.norm) if self._nonlinear_first else (self.norm, self.nonlinear)
        result: Tensor = self.conv(image)
        for module in after:
            result = result if module is None else module(result)
        return result


class _Stack(nn.Module):
    """Units one after the other; the first has the stride."""

    def __init__(self, plan: Architecture, shape: _Shape, count: int) -> None:
        super().__init__()
        shapes = [shape, *[shape.next()] * (count - 1)]
        self.convs = nn.Sequential(*(_Unit(plan, one, bias=plan.bias) for one in shapes))

    def forward(self, image: Tensor) -> Tensor:
        """Return (n, features, …)."""
        result: Tensor = self.convs(image)
        return result


class _Residual(nn.Module):
    """A block of ResNet-D: two units beside a skip that is pooled and projected where it must be."""

    def __init__(self, plan: Architecture, shape: _Shape) -> None:
        super().__init__()
        self.conv1 = _Unit(plan, shape, bias=plan.bias)
        self.conv2 = _Unit(plan, shape.next(), bias=plan.bias, nonlinear=False)
        self.nonlin2 = _nonlinearity(plan)
        skip: list[nn.Module] = []
        if any(step != 1 for step in shape.stride):
            skip.append(_POOLS[plan.axes](tuple(shape.stride), tuple(shape.stride)))
        if shape.given != shape.features:
            ones = (1,) * plan.axes
            projection = _Shape(shape.given, shape.features, ones, ones)
            skip.append(_Unit(plan, projection, bias=False, nonlinear=False))
        self.skip = nn.Sequential(*skip)

    def forward(self, image: Tensor) -> Tensor:
        """Return (n, features, …)."""
        result: Tensor = self.nonlin2(self.conv2(self.conv1(image)) + self.skip(image))
        return result


class _Blocks(nn.Module):
    """Residual blocks one after the other; the first has the stride."""

    def __init__(self, plan: Architecture, shape: _Shape, count: int) -> None:
        super().__init__()
        shapes = [shape, *[shape.next()] * (count - 1)]
        self.blocks = nn.Sequential(*(_Residual(plan, one) for one in shapes))

    def forward(self, image: Tensor) -> Tensor:
        """Return (n, features, …)."""
        result: Tensor = self.blocks(image)
        return result


class _PlainEncoder(nn.Module):
    def __init__(self, plan: Architecture, channels: int) -> None:
        super().__init__()
        # A stage is a sequence of its own there, into which a pooling may come
        self.stages = nn.Sequential(
            *(nn.Sequential(_Stack(plan, shape, plan.units[n])) for n, shape in _shapes(plan, channels))
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return what each stage gives, the finest first."""
        return _each(self.stages, image)


class _ResidualEncoder(nn.Module):
    def __init__(self, plan: Architecture, channels: int) -> None:
        super().__init__()
        first = plan.features[0]
        self.stem = _Stack(plan, _Shape(channels, first, plan.kernels[0], (1,) * plan.axes), 1)
        self.stages = nn.Sequential(
            *(_Blocks(plan, shape, plan.units[n]) for n, shape in _shapes(plan, first))
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return what each stage gives, the finest first."""
        return _each(self.stages, self.stem(image))


def _shapes(plan: Architecture, channels: int) -> Iterator[tuple[int, _Shape]]:
    given = (channels, *plan.features)
    for n in range(plan.stages):
        yield n, _Shape(given[n], plan.features[n], plan.kernels[n], plan.strides[n])


def _each(stages: nn.Sequential, image: Tensor) -> list[Tensor]:
    """Return what each stage gives, the finest first."""
    found = []
    for stage in stages:
        image = stage(image)
        found.append(image)
    return found


class _Decoder(nn.Module):
    """From the coarsest stage up: a transposed convolution, the skip beside it, a stack."""

    def __init__(self, plan: Architecture, classes: int) -> None:
        super().__init__()
        ones = (1,) * plan.axes
        stages, transposed, segmentations = [], [], []
        for n in range(1, plan.stages):
            below, features, stride = plan.features[-n], plan.features[-n - 1], tuple(plan.strides[-n])
            transposed.append(_TRANSPOSED[plan.axes](below, features, stride, stride, bias=plan.bias))
            shape = _Shape(2 * features, features, plan.kernels[-n - 1], ones)
            stages.append(_Stack(plan, shape, plan.units_decoder[n - 1]))
            segmentations.append(_CONVOLUTIONS[plan.axes](features, classes, 1, 1, 0, bias=True))
        self.stages = nn.ModuleList(stages)
        self.transpconvs = nn.ModuleList(transposed)
        self.seg_layers = nn.ModuleList(segmentations)

    def forward(self, skips: list[Tensor]) -> Tensor:
        """Return the logits (n, classes, …)."""
        image = skips[-1]
        for n, (transposed, stage) in enumerate(zip(self.transpconvs, self.stages, strict=True)):
            image = stage(torch.cat((transposed(image), skips[-n - 2]), 1))
        logits: Tensor = self.seg_layers[-1](image)
        return logits


def _nonlinearity(plan: Architecture) -> nn.Module:
    return nn.ReLU() if plan.slope == 0.0 else nn.LeakyReLU(plan.slope)

"""Autoencoders of MONAI that are told what is normal: what they cannot draw again stands out.

Beside its drawing each gives the variance that it expects of the difference, voxel by voxel: the border of an
organ is never drawn exactly, and a difference there says little. What stands out is the difference in parts
of its expected standard deviation (Mao et al., Abnormality detection in chest X-ray images using uncertainty
prediction autoencoders, MICCAI 2020). It is smoothed before its size is taken: noise goes both ways and falls
out, a lesion goes one way and stays.

While one trains it gives its drawing and the logarithm of that variance (a variational one with mean and
logarithm of the variance of its code); afterwards the map of what stands out, and the drawing. The code of a
variational one is then its mean: nothing is drawn by chance in service.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.shapes import Shape

SMOOTHED_VOXELS: Final = 1.0
"""Standard deviation of the smoothing of the difference, in voxels that the network sees."""

_REACH: Final = 2  # voxels of the kernel on each side
# Of prepared values, whose spread is about 1: standard deviations of 0.05 to 1. No more: what was never seen
# makes a network uncertain, too, and would hide itself
_LOG_VARIANCES: Final = (-6.0, 0.0)


class Heat(nn.Module):
    """Images (n, c, …) → (n, 1, …): how far they are from their drawing, smoothed, the mean of channels."""

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        places = torch.arange(-_REACH, _REACH + 1, dtype=torch.float32)
        line = torch.exp(-0.5 * (places / SMOOTHED_VOXELS) ** 2)
        line = line / line.sum()
        kernel = line
        for _ in range(dims - 1):
            kernel = kernel.unsqueeze(-1) * line
        # Follows from the constants above: no part of the weights that are kept
        self.register_buffer("kernel", kernel.repeat(channels, 1, *(1,) * dims), persistent=False)
        self.channels, self.dims = channels, dims

    def forward(self, image: Tensor, drawn: Tensor, log_variance: Tensor) -> Tensor:
        """Return the map. log_variance: of the difference that is expected."""
        convolve: Any = (nn.functional.conv2d, nn.functional.conv3d)[self.dims - 2]
        apart = (image - drawn) * torch.exp(-0.5 * log_variance)
        apart = convolve(apart, self.get_buffer("kernel"), padding=_REACH, groups=self.channels)
        heat: Tensor = apart.abs().mean(dim=1, keepdim=True)
        return heat


class Autoencoder(nn.Module):
    """Trains to draw; gives (map, drawing) afterwards. Source: Baur et al., Autoencoders for unsupervised
    anomaly segmentation in brain MR images: a comparative study (2021).
    """  # noqa: D205  the source belongs to the sentence

    def __init__(self, inner: nn.Module, channels: int, dims: int) -> None:
        super().__init__()
        self.inner = inner
        self.channels = channels
        self.heat = Heat(channels, dims)

    def code(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the drawing, the logarithm of its variance, and what a loss wants beside them."""
        return self._parted(self.inner(image))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return what the loss wants, or, of a trained network, (map, drawing)."""
        made = self.code(image)
        return made if self.training else (self.heat(image, *made[:2]), made[0])

    def _parted(self, found: Tensor) -> tuple[Tensor, Tensor]:
        return found[:, : self.channels], found[:, self.channels :].clamp(*_LOG_VARIANCES)


class Variational(Autoencoder):
    """Source: Kingma and Welling, Auto-encoding variational Bayes (2014)."""

    def code(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the drawing, the logarithm of its variance, and mean and logarithm of that of the code."""
        inner: Any = self.inner
        mean, log_variance = inner.encode_forward(image)
        z = mean
        if self.training:
            z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return *self._parted(inner.decode_forward(z, False)), mean, log_variance


def autoencoder(nets: Any, recipe: Recipe, shape: Shape, channels: int) -> nn.Module:
    """Make one whose deepest level keeps about `latent` numbers. nets: monai.networks.nets.

    Raises ValueError where it cannot halve.
    """
    places = math.prod(_deepest(shape))
    widths = [*_widths(recipe, shape)[:-1], max(1, round(recipe.latent / places))]
    inner = nets.AutoEncoder(
        spatial_dims=len(shape.axes),
        in_channels=channels,
        out_channels=2 * channels,  # with the variance of each
        channels=widths,
        strides=shape.own_strides,
        norm="batch",
        dropout=recipe.dropout or None,
    )
    return Autoencoder(inner, channels, len(shape.axes))


def variational(nets: Any, recipe: Recipe, shape: Shape, channels: int) -> nn.Module:
    """Make a variational one with `latent` numbers; otherwise as `autoencoder`."""
    _deepest(shape)
    inner = nets.VarAutoEncoder(
        spatial_dims=len(shape.axes),
        in_shape=(channels, *shape.own_patch),
        out_channels=2 * channels,  # with the variance of each
        latent_size=recipe.latent,
        channels=_widths(recipe, shape),
        strides=shape.own_strides,
        norm="batch",
        dropout=recipe.dropout or None,
        use_sigmoid=False,
    )
    return Variational(inner, channels, len(shape.axes))


def _widths(recipe: Recipe, shape: Shape) -> list[int]:
    return [recipe.width << level for level in range(len(shape.strides))]


def _deepest(shape: Shape) -> Sequence[int]:
    """Return the sides of the deepest level; ValueError where halves do not go into the patch."""
    sides = list(shape.own_patch)
    for strides in shape.own_strides:
        for axis, stride in enumerate(strides):
            if sides[axis] % stride:
                raise ValueError(f"the patch {shape.own_patch} cannot be halved so often: take fewer levels")
            sides[axis] //= stride
    return sides

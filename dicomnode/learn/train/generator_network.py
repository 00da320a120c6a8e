"""A diffusion network that draws images: MONAI's U-Net, told the step of noise and the class to draw.

It learns the velocity between image and noise (Salimans and Ho, Progressive distillation for fast sampling of
diffusion models, 2022) on a cosine schedule (Nichol and Dhariwal 2021), and draws by DDIM (Song et al. 2021)
without further chance: an image follows from the noise that it begins with. It draws with the running mean of
its weights.
"""

from __future__ import annotations

import copy
import io
import pickle
from importlib import import_module
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dicomnode.faults import GENERATOR_WRONG, NETWORK_UNBUILT, NodeError
from dicomnode.learn.convert.export import torch_library
from dicomnode.learn.generate.generator_package import Generator, Network
from dicomnode.learn.train.transfer import weights_bytes

BESIDE: Final = 2
"""Channels behind those of the image: the step, and the number of the class, each an image of one value."""

_GROUPS: Final = (8, 4, 2, 1)  # of channels that are normalised together: the first that divides
_WARM: Final = 10.0  # steps after which the mean forgets as slowly as is wanted

Float32 = NDArray[np.float32]


class Diffusion(nn.Module):
    """Noisy images with step and class (n, c + 2, j, i) → velocities (n, c, j, i).

    In training it gives what its weights say, and lets their mean follow; afterwards what the mean says.
    """

    def __init__(self, inner: nn.Module, kept_part: float, *, classes: bool) -> None:
        super().__init__()
        self.inner = inner
        self.mean = copy.deepcopy(inner).requires_grad_(requires_grad=False)
        self.register_buffer("followed", torch.zeros((), dtype=torch.int64))
        self._kept_part, self._classes = kept_part, classes

    def forward(self, given: Tensor) -> Tensor:
        """Return the velocities."""
        noisy, steps, labels = given[:, :-BESIDE], given[:, -2, 0, 0], given[:, -1, 0, 0]
        if self.training:
            self._follow()
        network = self.inner if self.training else self.mean
        told = {"class_labels": labels.long()} if self._classes else {}
        found: Tensor = network(noisy, timesteps=steps, **told)
        return found

    @torch.no_grad()
    def _follow(self) -> None:
        """Take a part of the weights into their mean, at first a large one."""
        followed = self.get_buffer("followed")
        done = int(followed)
        kept = min(self._kept_part, done / (_WARM + done))
        for mean, now in zip(self.mean.parameters(), self.inner.parameters(), strict=True):
            mean.lerp_(now, 1.0 - kept)
        followed += 1


def diffusion(how: Network, channels: int, kept_part: float = 0.0) -> Diffusion:
    """Build it with random weights. Raises NodeError: TRAIN_MISSING, NETWORK_UNBUILT."""
    torch_library("dicomnode train generator")
    widths = [how.width * min(level + 1, 4) for level in range(how.levels)]
    groups = next(one for one in _GROUPS if how.width % one == 0)
    nets: Any = import_module("monai.networks.nets")
    try:
        inner: nn.Module = nets.DiffusionModelUNet(
            spatial_dims=2,
            in_channels=channels,
            out_channels=channels,
            num_res_blocks=1,
            channels=widths,
            attention_levels=[False] * (how.levels - 1) + [True],
            norm_num_groups=groups,
            num_head_channels=widths[-1],
            num_class_embeds=len(how.labels) or None,
        )
    except (ValueError, TypeError, RuntimeError) as error:
        raise NodeError(NETWORK_UNBUILT, network="diffusion", reason=str(error).rstrip(". ")) from error
    return Diffusion(inner, kept_part, classes=bool(how.labels))


def schedule(how: Network) -> Any:
    """Return MONAI's scheduler: how much noise each step has, and the way back in `draw_steps`."""
    schedulers: Any = import_module("monai.networks.schedulers")
    made = schedulers.DDIMScheduler(
        num_train_timesteps=how.noise_steps, schedule="cosine", prediction_type="v_prediction"
    )
    made.set_timesteps(how.draw_steps)
    # From the last step in even strides, so that each begins where the one before it ended (Lin et al. 2024)
    made.timesteps = torch.arange(how.draw_steps, 0, -1) * (how.noise_steps // how.draw_steps) - 1
    return made


def packed(noisy: Tensor, steps: Tensor, labels: Tensor) -> Tensor:
    """Put step and class of each image behind its channels."""
    n, _, j, i = noisy.shape
    beside = torch.stack([steps, labels], dim=1).to(noisy.dtype)[:, :, None, None]
    return torch.cat([noisy, beside.expand(n, BESIDE, j, i)], dim=1)


class Drawer:
    """Draws with a network, as it was told how; an image follows from its noise and its label."""

    def __init__(self, network: nn.Module, how: Network) -> None:
        self._network, self._steps = network.eval(), schedule(how)

    @torch.no_grad()
    def __call__(self, noise: Float32, label: int) -> Float32:
        """Draw one image (c, j, i), about −1 to 1, from noise of its shape. label: its number."""
        device = next(self._network.parameters()).device
        image, labels = torch.from_numpy(noise)[None].to(device), torch.tensor([label], device=device)
        for step in self._steps.timesteps:
            velocity = self._network(packed(image, step[None].to(device), labels))
            image, _ = self._steps.step(velocity, int(step), image)
        drawn: Float32 = image[0].cpu().numpy()
        return drawn


# ── weights ──


def mean_bytes(network: Diffusion) -> bytes:
    """Return the file of the weights that it draws with; who begins from it goes on with these, too."""
    inner = {f"inner.{name}": one for name, one in network.mean.state_dict().items()}
    return weights_bytes("diffusion", network.state_dict() | inner)


def drawer_of(generator: Generator) -> Drawer:
    """Return what draws with the weights of a generator. Raises NodeError(GENERATOR_WRONG)."""
    network = diffusion(generator.network, generator.form.channels)
    try:
        kept = torch.load(io.BytesIO(generator.weights), map_location="cpu", weights_only=True)
        network.load_state_dict(kept["state"])
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        reason = "its weights do not fit the network that generator.toml names"
        raise NodeError(GENERATOR_WRONG, path=generator.folder, reason=reason) from error
    return Drawer(network, generator.network)

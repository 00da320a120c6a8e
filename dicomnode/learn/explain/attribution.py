"""What spoke for a class, place by place: class activation, Grad-CAM, integrated gradients.

All three explain one number, the evidence of a class: its logit less the mean logit of the others, which is
what a softmax hears. captum does Grad-CAM and integrated gradients; class activation is `activation_map`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from dicomnode.analyse.grids import Float32
from dicomnode.faults import EXPLANATION_INCOMPLETE, METHOD_UNFIT, TRAIN_MISSING, NodeError
from dicomnode.learn.train.activation_map import WithActivationMap, contrasts, ending_of

Method = Literal["cam", "grad-cam", "integrated-gradients"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)

_STEPS: Final = (32, 64, 128, 256, 512)
_AT_A_TIME: Final = 4  # images on the way from the baseline: a volume of 96³ is large
_COMPLETE: Final = 0.01
_CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attribution:
    """What spoke for a class. values: float32 (k, j, i), on the network's input or a coarser grid over it.

    evidence: the number that is explained. sum_of_parts, difference: of integrated gradients, what the places
    add up to, and the evidence less that of the baseline, which must be the same (completeness).
    """

    values: Float32
    evidence: float
    sum_of_parts: float | None = None
    difference: float | None = None


def attribute(
    network: nn.Module, inputs: Float32, channel: int, method: Method, *, flat: bool
) -> Attribution:
    """Explain the evidence of a class. inputs: (c, k, j, i), prepared; flat: the network has no axis k.

    cam (Zhou et al. 2016): signed, its mean is the evidence. grad-cam (Selvaraju et al. 2017): 0 and more, of
    the last feature maps. integrated-gradients (Sundararajan et al. 2017): signed, from an image that is 0
    all over, which is what is usual after the scaling; summed over channels; they add up to the difference
    within 1 % (of at least 1). What differs much from 0 gets credit even from a network that has learned
    nothing: of the three, this one says least about training. The network is set to evaluation.
    Raises NodeError: METHOD_UNFIT, EXPLANATION_INCOMPLETE, TRAIN_MISSING.
    """
    given = torch.from_numpy(np.ascontiguousarray(inputs[:, 0] if flat else inputs, dtype=np.float32))[None]
    asked = _Evidence(network.eval(), channel)
    with torch.no_grad():
        evidence = float(asked(given)[0])
    if method == "cam":
        return Attribution(values=_cam(network, given, channel, flat=flat), evidence=evidence)
    captum = _captum()
    if method == "grad-cam":
        return Attribution(values=_grad_cam(captum, asked, given, flat=flat), evidence=evidence)
    return _integrated(captum, asked, given, evidence, flat=flat)


class _Evidence(nn.Module):
    """The evidence of one class: (n,)."""

    def __init__(self, network: nn.Module, channel: int) -> None:
        super().__init__()
        self.network = network
        self.channel = channel

    def forward(self, images: Tensor) -> Tensor:
        """Run it."""
        return contrasts(self.network(images), axis=1)[:, self.channel]


def _cam(network: nn.Module, given: Tensor, channel: int, *, flat: bool) -> Float32:
    ending = ending_of(network, given.shape)
    if ending is None:
        reason = "it does not end in a mean over feature maps and one linear layer"
        raise NodeError(METHOD_UNFIT, method="cam", reason=reason)
    with torch.no_grad():
        _, maps = WithActivationMap(network, ending)(given)
    return _as_volume(maps[0, channel], flat=flat)


def _grad_cam(captum: Any, asked: _Evidence, given: Tensor, *, flat: bool) -> Float32:
    ending = ending_of(asked.network, given.shape)
    layer = ending.pool if ending is not None else _last_convolution(asked.network, given)
    if layer is None:
        reason = "it has no feature maps that lie over its whole input"
        raise NodeError(METHOD_UNFIT, method="grad-cam", reason=reason)
    found = captum.LayerGradCam(asked, layer).attribute(
        given.requires_grad_(), attribute_to_layer_input=ending is not None, relu_attributions=True
    )
    return _as_volume(found[0, 0], flat=flat)


def _last_convolution(network: nn.Module, given: Tensor) -> nn.Module | None:
    """Return the convolution that runs last of those whose maps lie over the whole input."""
    ran: list[nn.Module] = []

    def note(module: nn.Module, _: Any, found: Tensor) -> None:
        if found.ndim == given.ndim and len(found) == len(given) and found[0, 0].numel() > 1:
            ran.append(module)

    watching = [
        one.register_forward_hook(note) for one in network.modules() if isinstance(one, _CONVOLUTIONS)
    ]
    try:
        with torch.no_grad():
            network(given)
    finally:
        for one in watching:
            one.remove()
    return ran[-1] if ran else None


def _integrated(captum: Any, asked: _Evidence, given: Tensor, evidence: float, *, flat: bool) -> Attribution:
    """Take ever more steps until the parts add up."""
    baseline = torch.zeros_like(given)
    with torch.no_grad():
        difference = evidence - float(asked(baseline)[0])
    method = captum.IntegratedGradients(asked)
    total = float("nan")
    for steps in _STEPS:
        parts = method.attribute(
            given.requires_grad_(), baselines=baseline, n_steps=steps, internal_batch_size=_AT_A_TIME
        ).detach()
        total = float(parts.double().sum())
        if abs(total - difference) <= _COMPLETE * max(1.0, abs(difference)):
            values = _as_volume(parts[0].sum(dim=0), flat=flat)
            return Attribution(values=values, evidence=evidence, sum_of_parts=total, difference=difference)
    raise NodeError(EXPLANATION_INCOMPLETE, total=f"{total:.4g}", difference=f"{difference:.4g}", steps=steps)


def _as_volume(values: Tensor, *, flat: bool) -> Float32:
    found: Float32 = values.detach().cpu().numpy().astype(np.float32)
    return found[np.newaxis] if flat else found


def _captum() -> Any:
    try:
        from captum import attr  # noqa: PLC0415  heavy, and it loads matplotlib
    except ImportError as error:
        raise NodeError(TRAIN_MISSING, what="dicomnode explain", package="captum", error=error) from error
    return attr

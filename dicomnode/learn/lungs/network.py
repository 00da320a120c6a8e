"""The network: HU of a whole chest in 4 mm in; background, right and left lung out."""

from __future__ import annotations

from typing import Final

from torch import Tensor, clamp, nn
from torch.nn import functional

from dicomnode.learn.planted.network import NoduleNetwork, folded, unfolded

OUTPUT: Final = "lungs"
CLASSES: Final = 3
_FOLDED: Final = 8
_LOW_HU, _SPAN_HU, _TOP = -1000.0, 1400.0, 1.2  # -1000 … 680 HU become -1 … 1.4


class LungNetwork(NoduleNetwork):
    """(n, 1, k, j, i) HU → (n, 3, k, j, i) logits of background, right and left lung.

    The body is that of the nodule network: folded to 8 mm, down to 64 mm in a U-shape, so that what is said
    of a voxel is said in sight of the whole chest; sides are multiples of 16.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.Conv3d(self.heads.in_channels, CLASSES * _FOLDED, 1)

    def forward(self, hu: Tensor) -> Tensor:  # type: ignore[override]  # one output in the place of three
        """Return the logits."""
        seen = clamp((hu - _LOW_HU) / _SPAN_HU, 0.0, _TOP) * 2.0 - 1.0
        levels = []
        found = self.stem(folded(seen))
        for stage in self.down:
            found = stage(found)
            levels.append(found)
        for level in (2, 1, 0):
            raised = functional.interpolate(self.lateral[level](found), scale_factor=2.0, mode="nearest")
            found = self.up[level](levels[level] + raised)
        return unfolded(self.heads(found))

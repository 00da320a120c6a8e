"""A recurrent network over slices: each slice becomes a few numbers, and a GRU reads them in their order."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

_GROUPS: Final = 4


class SliceGru(nn.Module):
    """(n, c, k, j, i) → (n, outputs). Both ways along k, so that the last slice knows the first.

    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder (2014), for the unit.
    """

    def __init__(self, channels: int, outputs: int, width: int, dropout: float) -> None:
        super().__init__()
        width = max(_GROUPS, width // _GROUPS * _GROUPS)
        layers: list[nn.Module] = []
        for level, made in enumerate((width, 2 * width, 4 * width)):
            before = channels if level == 0 else made // 2
            layers += [
                nn.Conv2d(before, made, 3, stride=2, padding=1),
                nn.GroupNorm(_GROUPS, made),
                nn.ReLU(),
            ]
        self.encoder = nn.Sequential(*layers)
        self.rows = nn.GRU(4 * width, 2 * width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * width, outputs)

    def forward(self, image: Tensor) -> Tensor:
        """Encode slice by slice, read them in their order, and give the mean over slices to the head."""
        n, c, k, j, i = image.shape
        slices = image.transpose(1, 2).reshape(n * k, c, j, i)
        found = self.encoder(slices).mean(dim=(2, 3)).reshape(n, k, -1)
        read, _ = self.rows(found)
        row: Tensor = self.head(self.dropout(read.mean(dim=1)))
        return row


def slice_gru(channels: int, outputs: int, *, width: int, dropout: float) -> nn.Module:
    """Make one; see `SliceGru`."""
    return SliceGru(channels, outputs, width, dropout)

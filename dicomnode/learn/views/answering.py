"""The network as an engine has it: calibrated probabilities, what contradicts the header, and where.

What is asked of chests only is given as "it is a chest, and mirrored": of anything else it is near 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from dicomnode.learn.views.network import ViewNet, rows_of
from dicomnode.learn.views.questions import (
    APICES,
    BASES,
    CUTS,
    INVERTED,
    MIRRORED,
    QUESTIONS,
    SIDES,
    TURNED,
    VIEW,
)

OUTPUTS: Final = (
    VIEW.name,
    TURNED.name,
    MIRRORED.name,
    INVERTED.name,
    *(one.name for one in CUTS),
    "against_header",
    "evidence",
)
SHOWN: Final = (MIRRORED, APICES, BASES, SIDES)
"""Of these the map of what spoke for their last answer is given, in this order."""

SAID_VIEW: Final = {"AP": 1.0, "PA": 1.0, "LL": 2.0, "RL": 2.0, "LLD": 1.0, "RLD": 1.0}
"""View Position (0018,5101), PS3.3 C.8.1.2: 1 frontal (a decubitus is one, too), 2 lateral; 0: not said."""

SAID_ROWS: Final = {"L": 1.0, "R": 2.0, "F": 3.0, "H": 4.0, "A": 5.0, "P": 6.0}
"""First value of Patient Orientation (0020,0020): where the rows run to; 0: not said."""

AGAINST: Final = ("view-against-header", "mirrored-against-header", "turned-against-header")


class Answering(nn.Module):
    """(pictures (n, 1, SIDE, SIDE), header (n, 2)) → OUTPUTS.

    header: the numbers of SAID_VIEW and SAID_ROWS. Rows are probabilities; evidence is (n, 4, j, i): the mean
    of a map is the logarithm of the odds of its answer.
    """

    def __init__(self, network: ViewNet, temperatures: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.temperatures = tuple(temperatures)
        weight, bias = network.answers.weight.detach(), network.answers.bias.detach()
        ends: list[int] = torch.tensor([len(one.answers) for one in QUESTIONS]).cumsum(0).tolist()
        weights, offsets = [], []
        for question in SHOWN:
            number = QUESTIONS.index(question)
            last, before, heat = ends[number] - 1, ends[number] - 2, self.temperatures[number]
            weights.append((weight[last] - weight[before]) / heat)
            offsets.append((bias[last] - bias[before]) / heat)
        self.register_buffer("weight", torch.stack(weights)[:, :, None, None])
        self.register_buffer("bias", torch.stack(offsets))

    def forward(self, picture: Tensor, header: Tensor) -> tuple[Tensor, ...]:
        """Answer."""
        maps = self.network.maps(picture)
        rows = rows_of(self.network.answers(maps.mean(dim=(2, 3))))
        given = [(row / heat).softmax(dim=1) for row, heat in zip(rows, self.temperatures, strict=True)]
        view, turned, mirrored, *others = given
        chest = 1.0 - view[:, 2:]
        evidence = nn.functional.conv2d(maps, self.get_buffer("weight"), self.get_buffer("bias"))
        return (
            view,
            _of(chest, turned),
            _of(view[:, :1], mirrored),
            *(_of(chest, one) for one in others),
            against_header(view, turned, mirrored, header),
            evidence,
        )


def _of(part: Tensor, row: Tensor) -> Tensor:
    """Return a row of "it is so, and this one"; the first answer takes what is left."""
    rest = part * row[:, 1:]
    return torch.cat([1.0 - rest.sum(dim=1, keepdim=True), rest], dim=1)


def against_header(view: Tensor, turned: Tensor, mirrored: Tensor, header: Tensor) -> Tensor:
    """Return how probable it is that a picture lies otherwise than its header says, (n, 3) of AGAINST.

    A header that says nothing is not contradicted. Rows of an upright frontal picture run to the patient's
    left, mirrored to his right; a quarter turn to the left lets them run to his feet.
    """
    frontal, lateral = view[:, 0], view[:, 1]
    plain, other = mirrored[:, 0], mirrored[:, 1]
    up, left, down, right = turned.unbind(dim=1)
    to_left, to_right, to_feet, to_head, to_front, to_back = (
        _said(header[:, 1], number) for number in sorted(SAID_ROWS.values())
    )
    across = to_left + to_right
    of_view = _said(header[:, 0], 1.0) * lateral + _said(header[:, 0], 2.0) * frontal
    of_side = frontal * up * (to_left * other + to_right * plain)
    upside_down = down * (to_left * plain + to_right * other)
    along = to_feet * (1.0 - left) + to_head * (1.0 - right)
    of_turn = frontal * (across * (left + right) + upside_down + along)
    of_turn = of_turn + lateral * ((to_front + to_back) * (left + right) + along)
    return torch.stack([of_view, of_side, of_turn], dim=1)


def _said(numbers: Tensor, number: float) -> Tensor:
    """Return 1 where a header says so, 0 elsewhere."""
    return ((numbers - number).abs() < 0.5).to(numbers.dtype)

"""How a detector is taught and judged while it trains: centres over whole studies, as in service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from dicomnode.evaluate import StudyOutcome
from dicomnode.learn.train.centres import (
    average_precision_of,
    lesions_in,
    margin_of,
    outcome_of,
    sensitivity_at_one,
)
from dicomnode.learn.train.detector import HEAT_STEPS, CentreLoss
from dicomnode.learn.train.lessons import SegmentLesson, mean_dice, told_dice
from dicomnode.learn.train.loop import Score
from dicomnode.learn.train.samples import Sample
from dicomnode.learn.train.sampling import Places

_OF_EQUALS: Final = 0.01  # how much the margin counts: of validations that are alike the surer one is better
_LESIONS: Final = 0  # number of the only structure, in the places of patches

Maps = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(kw_only=True, eq=False)
class DetectLesson(SegmentLesson):
    """Learns centres, sizes and masks from patches; judged by the centres that are found."""

    centre_loss: CentreLoss = field(kw_only=True)
    multiple: tuple[int, int, int] = (2, 2, 2)

    def __post_init__(self) -> None:
        """Patches are drawn at voxels of lesions, and at centres of those that have none."""
        super().__post_init__()
        self.places = [lesion_places(sample) for sample in self.training]

    def loss(self, found: Any, target: Tensor) -> Tensor:
        """Return the loss of heat, size and mask."""
        return self.centre_loss(found, target)

    def score(self, network: nn.Module, device: torch.device) -> Score:
        """Return the mean of what is told of centres, over all studies, and of the Dice of masks.

        False alarms of studies without a lesion count as those of others, in the precision and in the
        sensitivity at one false alarm a study. Dice is of studies that have an outline: there is none where
        there is nothing, and silence must not be best.
        """
        edge = edge_of(self.loss_of.weights[0])
        outcomes, dices = validated(network, self.validation, self.multiple, self.pad_value, edge, device)
        figures = {
            "average precision of centres": average_precision_of(outcomes),
            "sensitivity at 1 false alarm a study": sensitivity_at_one(outcomes),
        }
        dice = mean_dice(dices)
        if dice is not None:
            figures["dice of masks"] = dice
        value, margin = float(np.mean(list(figures.values()))), margin_of(outcomes)
        return Score(value=value + _OF_EQUALS * margin, figures=figures | {"margin of centres": margin})


def lesion_places(sample: Sample) -> Places:
    """Return where the lesions of a sample are: the voxels of outlines, and centres."""
    found = Places.find(sample).of.get(_LESIONS)
    centres = np.argwhere(np.asarray(sample.target[1]) == HEAT_STEPS).astype(np.int32)
    parts = [one for one in (found, centres) if one is not None and len(one)]
    return Places(of={_LESIONS: np.concatenate(parts)} if parts else {})


def has_lesion(sample: Sample) -> bool:
    """Tell whether a sample has any lesion."""
    return bool((np.asarray(sample.target[1]) == HEAT_STEPS).any())


def is_outlined(sample: Sample) -> bool:
    """Tell whether a sample has an outline of any lesion."""
    return bool((np.asarray(sample.target[0]) == 1).any())


def edge_of(weight: float) -> float:
    """Return the logit at which a mask ends whose lesion voxels had that weight while it was learned."""
    return round(float(np.log(weight)), 4)


def validated(
    network: nn.Module,
    samples: Sequence[Sample],
    multiple: tuple[int, int, int],
    pad_value: float,
    edge: float,
    device: torch.device,
) -> tuple[list[StudyOutcome], list[float | None]]:
    """Return of each study which lesions the centres hit, and the Dice of its mask, None without an outline.

    edge: logit at which masks end, the same in service.
    """
    outcomes, dices = [], []
    for sample in samples:
        heat, _, mask = whole_maps(network, sample, multiple, pad_value, device)
        target = np.asarray(sample.target)
        dices.append(told_dice(mask > edge, target[0]) if is_outlined(sample) else None)
        outcomes.append(outcome_of(expit(heat), lesions_in(target), sample.spacing_kji_mm))
    return outcomes, dices


def whole_maps(
    network: nn.Module,
    sample: Sample,
    multiple: tuple[int, int, int],
    pad_value: float,
    device: torch.device,
) -> Maps:
    """Run the network over a whole study, padded at the end as in service; heat, size, mask without it.

    All are (k, j, i); of a picture, which a network of two dimensions sees, k is 1.
    """
    shape = sample.shape_kji
    margins = [(0, -n % m) for n, m in zip(shape, multiple, strict=True)]
    box = np.pad(np.asarray(sample.inputs), [(0, 0), *margins], constant_values=np.float32(pad_value))
    flat = multiple[0] == 1
    given = torch.from_numpy(np.array(box))[None].to(device)
    with torch.no_grad():
        found = network(given[:, :, 0] if flat else given)
    heat, size, mask = (
        one.float().cpu().numpy()[0] if flat else one.float().cpu().numpy()[0, 0] for one in found
    )
    k, j, i = shape
    return heat, size, mask[:k, :j, :i]

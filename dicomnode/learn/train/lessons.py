"""What is learned of maps: batches of patches, and Dice of whole studies window by window, as in service."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dicomnode.analyse.grids import Float32
from dicomnode.analyse.window import infer_windows
from dicomnode.engine import Window
from dicomnode.learn.train.augment import Augmenter
from dicomnode.learn.train.loop import Score
from dicomnode.learn.train.losses import MapLoss
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import IGNORED, Sample
from dicomnode.learn.train.sampling import Places, corner_of, cut, order_of
from dicomnode.learn.train.shapes import Shape

_INPUT = "image"
_LEAST_STEPS = 20


def steps_of(recipe: Recipe, training: int) -> int:
    """Return the steps of an epoch: those of the recipe, else each study once, in at least 20 steps."""
    return recipe.steps or max(_LEAST_STEPS, math.ceil(training / recipe.batch))


@dataclass(kw_only=True, eq=False)
class SegmentLesson:
    """Learns a map of structures from patches of `training`; judged by the mean Dice of `validation`.

    names: of the structures, for the curves. pad_value: around studies that are smaller than a patch.
    """

    recipe: Recipe
    shape: Shape
    training: Sequence[Sample]
    validation: Sequence[Sample]
    names: Sequence[str]
    pad_value: float
    loss_of: MapLoss
    augment: Augmenter
    steps: int = 0
    drawn_from: Sequence[int] = ()  # channels of the target that balanced patches lie at; () for all
    places: list[Places] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.steps = steps_of(self.recipe, len(self.training))
        self.places = [Places.find(sample) for sample in self.training]

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Cut, and change, the patches of a step."""
        recipe = self.recipe
        needed = self.steps * recipe.batch
        order = order_of(len(self.training), recipe.seed, epoch, needed)
        inputs, targets = [], []
        for n in range(step * recipe.batch, (step + 1) * recipe.batch):
            number = order[n]
            key = (recipe.seed, epoch, n)
            places = self.places[number] if recipe.sampling == "balanced" else None
            sample = self.training[number]
            corner = corner_of(sample, places, self.shape.patch_kji, key, self.drawn_from)
            patch, target = cut(sample, corner, self.shape.patch_kji, self.pad_value)
            patch, changed = self.augment(patch, target, key)
            inputs.append(patch)
            targets.append(target if changed is None else changed)
        return self._tensor(np.stack(inputs)), self._tensor(np.stack(targets))

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        flat = values[:, :, 0] if self.shape.is_flat else values
        return torch.from_numpy(np.ascontiguousarray(flat))

    def loss(self, found: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the map; of DynUNet and the like it is one tensor in training too."""
        return self.loss_of(found, target)

    def score(self, network: nn.Module, device: torch.device) -> Score:
        """Return the mean Dice over the structures, each over the studies that know it."""
        window = window_of(self.shape, self.pad_value)
        found: dict[str, list[float | None]] = {name: [] for name in self.names}
        for sample in self.validation:
            logits = map_of(network, sample.inputs, window, device)
            for number, name in enumerate(self.names):
                found[name].append(told_dice(logits[number] > 0, sample.target[number]))
        means = {name: mean_dice(values) for name, values in found.items()}
        figures = {f"dice {name}": value for name, value in means.items() if value is not None}
        return Score(value=float(np.mean(list(figures.values()))) if figures else 0.0, figures=figures)


def window_of(shape: Shape, pad_value: float) -> Window:
    """Return the windows that the engine will go over a study with."""
    return Window(size_kji=shape.patch_kji, overlap=0.5, blend="gaussian", pad_value=pad_value)


def map_of(network: nn.Module, inputs: Float32, window: Window, device: torch.device) -> Float32:
    """Run a network over a whole study as the service does; inputs (c, k, j, i) → float32 (n, k, j, i)."""
    patch = window.size_kji or inputs.shape[1:]
    flat = patch[0] == 1
    shape = inputs.shape[1:]
    margins = [(0, max(side - length, 0)) for side, length in zip(patch, shape, strict=True)]
    box = np.asarray(inputs, dtype=np.float32)
    if any(after for _, after in margins):
        box = np.pad(box, [(0, 0), *margins], constant_values=np.float32(window.pad_value))

    def infer(tensors: Mapping[str, Float32]) -> dict[str, NDArray[np.generic]]:
        given = torch.from_numpy(np.array(tensors[_INPUT])).to(device)
        found = network(given[:, :, 0] if flat else given)
        found = found[:, :, None] if flat else found
        return {"map": found.float().cpu().numpy()}

    with torch.no_grad():
        whole = infer_windows(infer, {_INPUT: box}, window)["map"]
    k, j, i = shape
    return whole[:, :k, :j, :i]


def told_dice(found: NDArray[np.bool_], target: NDArray[np.generic]) -> float | None:
    """Dice over the voxels that are known; None where none is, and where both are empty.

    A study without the structure speaks only when something is outlined there, and says 0. Were silence
    worth 1, a network that outlines nothing would be the best where most studies have nothing.
    """
    truth = np.asarray(target)
    known = truth != IGNORED
    both = int(np.count_nonzero(found & (truth == 1) & known))
    sizes = int(np.count_nonzero(found & known)) + int(np.count_nonzero(truth == 1))
    return 2.0 * both / sizes if sizes else None


def mean_dice(dices: Sequence[float | None]) -> float | None:
    """Return the mean of those that there are; None without any."""
    told = [one for one in dices if one is not None]
    return float(np.mean(told)) if told else None

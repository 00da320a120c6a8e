"""What is learned of normal cases: to draw them again; and how far a case is from that, in one number."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dicomnode.analyse.interpret.rows import pooled_top
from dicomnode.evaluate import ScoredCases, roc_auc
from dicomnode.faults import FEW_NORMALS, NodeError
from dicomnode.learn.train.augment import Augmenter
from dicomnode.learn.train.lessons import steps_of
from dicomnode.learn.train.loop import Score
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.row_lessons import tensor_of
from dicomnode.learn.train.samples import Sample
from dicomnode.learn.train.sampling import order_of

TOP_PART: Final = 0.01
"""Part of the voxels, those with the most heat, whose mean is the score of a case."""

_QUANTILES: Final = 101  # that engine.toml keeps at most
_FEWEST: Final = 2  # scores that differ: fewer give no threshold
_DIGITS: Final = 7  # float32 has no more
_VARIANCE_SHARE: Final = 0.1  # of the loss: it shares the decoder, and shall not outweigh the drawing

T = TypeVar("T")


@dataclass(kw_only=True, eq=False)
class NormalLesson:
    """Learns to draw `training` again; judged by the error on `validation`, both normal cases alone.

    strange: other cases of the validation part, for the curves; nothing is decided by them.
    """

    recipe: Recipe
    is_flat: bool
    training: Sequence[Sample]
    validation: Sequence[Sample]
    strange: Sequence[Sample]
    augment: Augmenter
    steps: int = 0

    def __post_init__(self) -> None:
        self.steps = steps_of(self.recipe, len(self.training))

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Draw, and change, the cases of a step; what goes in is what shall come out."""
        recipe = self.recipe
        order = order_of(len(self.training), recipe.seed, epoch, self.steps * recipe.batch)
        inputs = [
            self.augment(np.asarray(self.training[order[n]].inputs), None, (recipe.seed, epoch, n))[0]
            for n in range(step * recipe.batch, (step + 1) * recipe.batch)
        ]
        tensor = tensor_of(inputs, flat=self.is_flat)
        return tensor, tensor

    def loss(self, found: Any, target: Tensor) -> Tensor:  # a tuple: the drawing, and the code of a vae
        """Squared error of the drawing, how unlikely it was held, and of a variational code its divergence.

        The variance learns from the error, and the drawing not from the variance: else what is hard to draw
        would be called uncertain and not be drawn (Seitzer et al., On the pitfalls of heteroscedastic
        uncertainty estimation, 2022).
        """
        drawn, log_variance, *code = (one.float() for one in found)
        error = (drawn - target) ** 2
        loss: Tensor = error.mean() + _VARIANCE_SHARE * unlikely(error.detach(), log_variance)
        if code:
            mean, of_code = code
            # Closed form: Kingma and Welling 2014, appendix B
            apart = -0.5 * (1.0 + of_code - mean**2 - of_code.exp()).mean()
            loss = loss + self.recipe.divergence * apart
        return loss

    def score(self, network: nn.Module, device: torch.device) -> Score:
        """Return minus the mean squared error of the validation's normal cases."""
        errors, normal = [], []
        for sample in self.validation:
            heat, error = looked_at(network, sample, device, flat=self.is_flat)
            errors.append(error)
            normal.append(score_of(heat))
        error = float(np.mean(errors))
        figures = {"squared error": error}
        if self.strange:
            strange = [
                score_of(looked_at(network, one, device, flat=self.is_flat)[0]) for one in self.strange
            ]
            truth = np.array([False] * len(normal) + [True] * len(strange))
            area = roc_auc(ScoredCases(truth=truth, scores=np.array([*normal, *strange]))).value
            if area is not None:
                figures["area abnormal"] = area
        return Score(value=-error, figures=figures)


def unlikely(error: Tensor, log_variance: Tensor) -> Tensor:
    """Return minus the mean log likelihood of squared errors with these variances: twice, less a constant."""
    return (error * torch.exp(-log_variance) + log_variance).mean()


def looked_at(
    network: nn.Module, sample: Sample, device: torch.device, *, flat: bool
) -> tuple[NDArray[np.float32], float]:
    """Run a network, set to evaluation, on a case: its map float32 (k, j, i), and the squared error."""
    given = tensor_of([np.array(sample.inputs)], flat=flat).to(device)
    with torch.no_grad():
        heat, drawn = network(given)
    error = float(functional.mse_loss(drawn.float(), given))
    found: NDArray[np.float32] = heat.float().cpu().numpy()[0, 0]
    return (found[np.newaxis] if flat else found), error


def score_of(heat: NDArray[np.float32]) -> float:
    """Return how far a case is from normal, as engine.toml has it: pool = "top", top_part = TOP_PART."""
    return float(pooled_top(heat.astype(np.float64).reshape(-1, 1), TOP_PART)[0])


def parted(
    some: Sequence[T], patient_of: Callable[[T], str], recipe: Recipe
) -> tuple[Sequence[T], Sequence[T]]:
    """Part normal cases of the training part: to learn from, and to set the threshold on; by patient.

    Who is where follows from the seed and the key of the patient alone. The threshold takes more patients
    where theirs are fewer than two cases: `quantiles_of` would refuse them, after the training. Raises
    NodeError(FEW_NORMALS).
    """
    cases = Counter(patient_of(one) for one in some)
    patients = sorted(cases, key=lambda one: _drawn(one, recipe.seed))
    count = max(1, round(recipe.threshold_part * len(patients)))
    while count < len(patients) and sum(cases[one] for one in patients[:count]) < _FEWEST:
        count += 1
    if count >= len(patients):
        reason = (
            f"the training part has {len(some)} of {len(patients)} patient(s), and one patient with "
            f"{_FEWEST} cases, or two, set the threshold"
        )
        raise NodeError(FEW_NORMALS, reason=reason)
    apart = frozenset(patients[:count])
    return (
        [one for one in some if patient_of(one) not in apart],
        [one for one in some if patient_of(one) in apart],
    )


def _drawn(patient: str, seed: int) -> str:
    return hashlib.sha256(f"threshold {seed} {patient}".encode()).hexdigest()


def quantiles_of(scores: Sequence[float]) -> tuple[float, ...]:
    """Return quantiles of the scores of normal cases, as engine.toml keeps them; NodeError(FEW_NORMALS)."""
    if len(set(scores)) < _FEWEST:
        reason = (
            f"the {len(scores)} cases that set the threshold have one score, and two that differ are needed"
        )
        raise NodeError(FEW_NORMALS, reason=reason)
    levels = np.linspace(0.0, 1.0, min(_QUANTILES, len(scores)))
    return tuple(float(f"{one:.{_DIGITS}g}") for one in np.quantile(np.asarray(scores), levels))

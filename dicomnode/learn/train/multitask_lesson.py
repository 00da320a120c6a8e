"""What is learned of several questions at once: whole studies of one size, and how well each is answered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from torch import Tensor, nn

from dicomnode.evaluate import ScoredCases, roc_auc
from dicomnode.learn.train.augment import Augmenter
from dicomnode.learn.train.lessons import mean_dice, steps_of, told_dice
from dicomnode.learn.train.loop import Score
from dicomnode.learn.train.multitask_loss import MultitaskLoss
from dicomnode.learn.train.questions import Question, Standard
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.row_lessons import tensor_of
from dicomnode.learn.train.samples import Sample
from dicomnode.learn.train.sampling import order_of

_WORST: Final = -1.0  # of a skill: one question that is answered wrongly and surely shall not rule

Rows = NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class MultitaskLesson:
    """Learns a map and rows. structures: names of the map's channels; standards: of the questions.

    A validation's score is the mean skill of the questions: 0 is what one says who knows nothing, 1 is right.
    """

    recipe: Recipe
    is_flat: bool
    training: Sequence[Sample]
    validation: Sequence[Sample]
    structures: Sequence[str]
    questions: Sequence[Question]
    standards: Sequence[Standard]
    loss_of: MultitaskLoss
    augment: Augmenter
    steps: int = 0

    def __post_init__(self) -> None:
        self.steps = steps_of(self.recipe, len(self.training))

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Draw, and change, the studies of a step; targets are packed as the loss takes them."""
        size = self.recipe.batch
        order = order_of(len(self.training), self.recipe.seed, epoch, self.steps * size)
        inputs, targets = [], []
        for n in range(step * size, (step + 1) * size):
            sample = self.training[order[n]]
            outlines = np.array(sample.target) if len(sample.target) else None
            changed, moved = self.augment(np.asarray(sample.inputs), outlines, (self.recipe.seed, epoch, n))
            voxels = np.empty(0) if moved is None else moved.ravel()
            inputs.append(changed)
            targets.append(np.concatenate([self._row(sample), voxels]).astype(np.float32))
        return tensor_of(inputs, flat=self.is_flat), torch.from_numpy(np.stack(targets))

    def _row(self, sample: Sample) -> Rows:
        pairs = zip(sample.answers, self.questions, self.standards, strict=True)
        return np.array(
            [(one - how.centre) / how.spread if question.is_number else one for one, question, how in pairs],
            dtype=np.float64,
        )

    def loss(self, found: Any, target: Tensor) -> Tensor:
        """Return the loss of the map and the rows."""
        return self.loss_of(found, target)

    def score(self, network: nn.Module, device: torch.device) -> Score:
        """Return the mean skill, and figures of each question, over the studies that know the answer."""
        dices: dict[str, list[float | None]] = {name: [] for name in self.structures}
        rows: list[list[Rows]] = [[] for _ in self.questions]
        for sample, outputs in answered(network, self.validation, device, flat=self.is_flat):
            if self.structures:
                found = outputs.pop(0)
                for number, name in enumerate(self.structures):
                    truth = np.asarray(sample.target[number])
                    dices[name].append(told_dice(found[number].reshape(truth.shape) > 0, truth))
            for number, row in enumerate(outputs):
                rows[number].append(row.astype(np.float64))
        means = {name: mean_dice(values) for name, values in dices.items()}
        figures = {f"dice {name}": value for name, value in means.items() if value is not None}
        skills = [float(np.mean(list(figures.values())))] if figures else []
        for number, question in enumerate(self.questions):
            skill, told = self._judged(number, question, np.stack(rows[number]))
            skills += [] if skill is None else [max(skill, _WORST)]
            figures |= told
        return Score(value=float(np.mean(skills)) if skills else 0.0, figures=figures)

    def _judged(
        self, number: int, question: Question, rows: Rows
    ) -> tuple[float | None, Mapping[str, float]]:
        """Return the skill of a question and its figures; None where the validation part knows no answer."""
        known, truth = answers_of(self.validation, number)
        if not known.any():
            return None, {}
        if question.is_number:
            how = self.standards[number]
            error = float(np.abs(rows[known, 0] - (truth - how.centre) / how.spread).mean())
            apart = error * how.spread
            return 1.0 - error / self._mean_apart(number), {f"mean absolute error {question.column}": apart}
        return class_skill(question, rows[known], truth.astype(np.intp))

    def _mean_apart(self, number: int) -> float:
        """Return how far, of the training part, the mean is from the numbers, which are standardised."""
        _, truth = answers_of(self.training, number)
        how = self.standards[number]
        apart = np.abs(truth - how.centre) / how.spread
        return float(apart.mean()) if apart.any() else 1.0


def class_skill(question: Question, rows: Rows, truth: NDArray[np.intp]) -> tuple[float, Mapping[str, float]]:
    """Return 1 less the cross entropy in units of chance, classes weighted alike; areas of the classes."""
    count = len(question.labels)
    logs = log_softmax(rows, axis=1)[np.arange(len(truth)), truth]
    entropy = -float(np.mean([logs[truth == one].mean() for one in np.unique(truth)]))
    scores = softmax(rows, axis=1)
    figures = {}
    for channel, title in enumerate(question.titles):
        area = roc_auc(ScoredCases(truth=truth == channel, scores=scores[:, channel])).value
        if area is not None and not (channel == 0 and count == 2):
            figures[f"area {title}"] = area
    return 1.0 - entropy / math.log(count), figures


def answers_of(samples: Sequence[Sample], number: int) -> tuple[NDArray[np.bool_], Rows]:
    """Return which samples know the answer to a question, and these answers."""
    answers = np.array([sample.answers[number] for sample in samples], dtype=np.float64)
    known = ~np.isnan(answers)
    return known, answers[known]


def answered(
    network: nn.Module, samples: Sequence[Sample], device: torch.device, *, flat: bool
) -> Iterator[tuple[Sample, list[NDArray[Any]]]]:
    """Run a network, which is set to evaluation, on samples one by one; give its outputs of each."""
    with torch.no_grad():
        for sample in samples:
            given = tensor_of([np.array(sample.inputs)], flat=flat).to(device)
            yield sample, [one.float().cpu().numpy()[0] for one in network(given)]

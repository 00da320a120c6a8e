"""The loss of several questions: what is not known teaches nothing, and none rules."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dicomnode.learn.train.losses import NOBODY_SAID, ClassLoss, MapLoss, NumberLoss
from dicomnode.learn.train.multitask_loss import MultitaskLoss, Part, multitask_loss
from dicomnode.learn.train.questions import Question, Standard, class_question
from dicomnode.learn.train.recipe import read_recipe
from dicomnode.learn.train.samples import IGNORED, Sample
from tests.fixtures.frameworks import needed

torch = needed("torch")

MAP = (2, 1, 2, 3, 4)  # batch, structures, k, j, i
NAN = math.nan
PARTS = (
    Part(name="map", loss=MapLoss((3.0,), None), chance=1.7, weight=2.0),
    Part(name="kind", loss=ClassLoss((1.0, 2.0, 1.0), None), chance=1.1),
    Part(name="age", loss=NumberLoss(), chance=0.4),
)


def found() -> list:
    draw = torch.Generator().manual_seed(1)
    shapes = (MAP, (2, 3), (2, 1))
    return [torch.randn(shape, generator=draw).requires_grad_() for shape in shapes]


def packed(voxels: np.ndarray | None, kinds: list[float], ages: list[float]):
    """Pack a truth as the lesson does: rows first, then the voxels."""
    voxels = np.full(MAP, IGNORED) if voxels is None else voxels
    rows = np.stack([kinds, ages], axis=1)
    return torch.from_numpy(np.concatenate([rows, voxels.reshape(2, -1)], axis=1).astype(np.float32))


def some_voxels() -> np.ndarray:
    return np.random.default_rng(2).choice([0, 1, IGNORED], MAP)


@pytest.mark.parametrize("known", [0, 1, 2], ids=["the map alone", "the class alone", "the number alone"])
def test_where_the_others_are_unknown_it_is_the_loss_of_one_task_and_teaches_that_alone(known: int) -> None:
    voxels = some_voxels()
    truths = [
        packed(voxels, [NAN, NAN], [NAN, NAN]),
        packed(None, [2.0, NAN], [NAN, NAN]),
        packed(None, [NAN, NAN], [0.5, -1.0]),
    ]
    alone = [torch.from_numpy(voxels), torch.tensor([2, NOBODY_SAID]), torch.tensor([[0.5], [-1.0]])]
    given, single = found(), found()
    part = PARTS[known]
    loss = MultitaskLoss(PARTS)(given, truths[known])
    expected = part.loss(single[known], alone[known]) * part.weight / (4.0 * part.chance)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward()
    expected.backward()
    assert torch.allclose(given[known].grad, single[known].grad)
    for number in {0, 1, 2} - {known}:
        assert torch.count_nonzero(given[number].grad) == 0


def test_where_nothing_is_known_nothing_is_lost() -> None:
    assert MultitaskLoss(PARTS)(found(), packed(None, [NAN, NAN], [NAN, NAN])).item() == 0.0


def test_all_together_is_the_sum_of_the_parts() -> None:
    voxels = some_voxels()
    pieces = [
        packed(voxels, [NAN, NAN], [NAN, NAN]),
        packed(None, [0.0, 1.0], [NAN, NAN]),
        packed(None, [NAN, NAN], [0.1, 2.0]),
    ]
    whole = MultitaskLoss(PARTS)(found(), packed(voxels, [0.0, 1.0], [0.1, 2.0]))
    assert whole.item() == pytest.approx(sum(MultitaskLoss(PARTS)(found(), one).item() for one in pieces))


def sample(number: int, count: int) -> Sample:
    return Sample(
        name=str(number),
        patient=str(number),
        inputs=np.zeros((1, 2, 4, 4), dtype=np.float32),
        target=np.arange(32, dtype=np.uint8).reshape(1, 2, 4, 4) // 24,
        spacing_kji_mm=(1.0, 1.0, 1.0),
        answers=(float(number % count), 30.0 + 10.0 * (number % 5), float(number == 7)),
    )


@pytest.mark.parametrize("given", [{}, {"loss": "focal"}], ids=["cross entropy", "focal"])
def test_one_who_knows_nothing_loses_about_as_much_in_every_question(given: dict) -> None:
    samples = [sample(number, 3) for number in range(15)]
    questions = [
        class_question("kind", ["a", "b", "c"]),
        Question(column="age"),
        class_question("rare", ["0", "1"]),
    ]
    standard = Standard.of([one.answers[1] for one in samples])
    recipe = read_recipe(None, "multitask", given)
    loss = multitask_loss(recipe, samples, questions, [Standard(), standard, Standard()])
    rows = torch.tensor(
        [
            [one.answers[0], (one.answers[1] - standard.centre) / standard.spread, one.answers[2]]
            for one in samples
        ]
    )
    voxels = torch.tensor(samples[0].target.ravel()).expand(15, 32)
    target = torch.cat([rows, voxels], dim=1)
    silent = [torch.zeros(15, 1, 2, 4, 4), torch.zeros(15, 3), torch.zeros(15, 1), torch.zeros(15, 2)]
    truths = loss.truths(silent, target)
    each = [
        part.loss(one, truth).item() / part.chance
        for part, one, truth in zip(loss.parts, silent, truths, strict=True)
    ]
    assert each[1:] == pytest.approx([1.0, 1.0, 1.0], rel=1e-3)
    assert 0.5 < each[0] < 2.0


def test_the_recipe_weighs_questions_by_their_names() -> None:
    samples = [sample(number, 2) for number in range(4)]
    recipe = read_recipe(None, "multitask", {"loss_weights.age": 5, "loss_weights.map": 0.5})
    questions = [class_question("kind", ["a", "b"]), Question(column="age"), Question(column="other")]
    loss = multitask_loss(recipe, samples, questions, [Standard()] * 3)
    assert [(part.name, part.weight) for part in loss.parts] == [
        ("map", 0.5),
        ("kind", 1.0),
        ("age", 5.0),
        ("other", 1.0),
    ]

"""Losses: what nobody has labelled gives no gradient; the rest are the formulas of their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dicomnode.learn.train.samples import IGNORED, Sample
from tests.fixtures.frameworks import needed

torch = needed("torch")

from dicomnode.learn.train.losses import (  # noqa: E402
    ClassLoss,
    MapLoss,
    NumberLoss,
    class_weights,
    structure_weights,
)
from dicomnode.learn.train.networks import SELDOM  # noqa: E402
from dicomnode.learn.train.recipe import read_recipe  # noqa: E402

DRAW = np.random.default_rng(1)


def maps(*shape: int):
    logits = torch.tensor(DRAW.normal(size=shape).astype(np.float32), requires_grad=True)
    target = torch.tensor(DRAW.integers(0, 2, shape).astype(np.uint8))
    return logits, target


@pytest.mark.parametrize("gamma", [None, 2.0])
def test_an_ignored_voxel_gives_no_gradient_and_changes_nothing(gamma: float | None) -> None:
    logits, target = maps(2, 2, 3, 4, 4)
    target[:, :, 0] = IGNORED
    loss = MapLoss((2.0, 1.0), gamma)(logits, target)
    loss.backward()
    assert torch.count_nonzero(logits.grad[:, :, 0]) == 0
    assert torch.count_nonzero(logits.grad[:, :, 1:]) > 0
    with torch.no_grad():
        changed = logits.clone()
        changed[:, :, 0] = 100.0
        assert MapLoss((2.0, 1.0), gamma)(changed, target).item() == loss.item()


def test_a_structure_that_a_study_does_not_know_teaches_its_channel_nothing() -> None:
    logits, target = maps(1, 2, 2, 4, 4)
    target[:, 1] = IGNORED
    MapLoss((1.0, 1.0), None)(logits, target).backward()
    assert torch.count_nonzero(logits.grad[:, 1]) == 0


def test_where_nothing_is_known_the_loss_is_nothing() -> None:
    logits, target = maps(1, 1, 2, 2, 2)
    target[:] = IGNORED
    loss = MapLoss((1.0,), None)(logits, target)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.count_nonzero(logits.grad) == 0


def test_dice_and_cross_entropy_are_those_of_numpy() -> None:
    logits, target = maps(2, 1, 2, 3, 3)
    x, t = logits.detach().numpy().astype(float), target.numpy().astype(float)
    p = 1 / (1 + np.exp(-x))
    entropy = -(3.0 * t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    dice = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    assert MapLoss((3.0,), None)(logits, target).item() == pytest.approx(entropy + dice, rel=1e-5)


def test_a_lone_lesion_pulls_up_and_is_drowned_only_where_a_map_does_not_begin_silent() -> None:
    """Seven voxels in eight patches, as heavy as may be: what lifts them beside what presses the rest."""
    target = torch.zeros((8, 1, 12, 16, 16), dtype=torch.uint8)
    target[0, 0, 5, 5, 4:11] = 1
    there = target == 1
    share = {}
    for begin in (0.5, SELDOM):
        logits = torch.full(target.shape, math.log(begin / (1.0 - begin)), requires_grad=True)
        MapLoss((10.0,), None)(logits, target).backward()
        assert (logits.grad[there] < 0.0).all(), "a step raises the lesion"
        assert (logits.grad[~there] > 0.0).all()
        share[begin] = float(-logits.grad[there].sum() / logits.grad[~there].sum())
    assert share[0.5] < 0.005
    assert share[SELDOM] > 0.2


def test_focal_looks_away_from_what_is_easy() -> None:
    easy = torch.full((1, 1, 1, 1, 1), 4.0)
    hard = torch.full((1, 1, 1, 1, 1), -1.0)
    yes = torch.ones((1, 1, 1, 1, 1), dtype=torch.uint8)
    plain, focal = MapLoss((1.0,), None), MapLoss((1.0,), 2.0)
    known = torch.ones_like(easy)
    share = [
        float(loss._entropy(easy, yes.float(), known) / loss._entropy(hard, yes.float(), known))
        for loss in (plain, focal)
    ]
    assert share[1] < 0.01 * share[0]


def test_classes_that_nobody_has_said_are_left_alone() -> None:
    logits = torch.tensor(DRAW.normal(size=(3, 2)).astype(np.float32), requires_grad=True)
    loss = ClassLoss((1.0, 3.0), None)(logits, torch.tensor([0, 1, -1]))
    loss.backward()
    assert torch.count_nonzero(logits.grad[2]) == 0
    wanted = torch.nn.functional.cross_entropy(
        logits[:2], torch.tensor([0, 1]), weight=torch.tensor([1.0, 3.0])
    )
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_numbers_that_nobody_has_said_are_left_alone() -> None:
    found = torch.tensor([[0.5], [9.0]], requires_grad=True)
    loss = NumberLoss()(found, torch.tensor([[0.0], [float("nan")]]))
    loss.backward()
    assert loss.item() == pytest.approx(0.125)
    assert found.grad[1] == 0.0


def test_rare_structures_weigh_more_by_the_root_of_how_rare_and_ten_at_most() -> None:
    target = np.zeros((3, 1, 10, 100), dtype=np.uint8)
    target[0, 0, 0, :40] = 1  # 40 of 1000: the root of 24
    target[1, 0, 0, 0] = 1
    target[2, 0, :5] = 1
    target[2, 0, 9] = IGNORED
    sample = Sample(
        name="",
        patient="a",
        inputs=np.zeros((1, 1, 10, 100), np.float32),
        target=target,
        spacing_kji_mm=(1, 1, 1),
    )
    recipe = read_recipe(None, "segment", {})
    assert structure_weights(recipe, [sample]) == pytest.approx((np.sqrt(24), 10.0, 1.0), abs=1e-4)
    without = read_recipe(None, "segment", {"class_weights": "none"})
    assert structure_weights(without, [sample]) == (1.0, 1.0, 1.0)


def test_rare_classes_weigh_as_much_as_frequent_ones_in_all() -> None:
    recipe = read_recipe(None, "classify", {})
    weights = class_weights(recipe, [0, 0, 0, 1, -1], 2)
    assert weights == (pytest.approx(4 / 6, abs=1e-4), 2.0)

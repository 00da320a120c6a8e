"""A search for hyper-parameters: what it tries, and what it makes of recipes that come to nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import DIVERGED, RUN_TAKEN, NodeError
from dicomnode.learn import SegmentJob, read_recipe
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.search import search_recipe
from dicomnode.values import no_progress

from .small_data import write_study

pytest.importorskip("optuna", reason="optuna is not installed")


@pytest.fixture
def searched(tmp_path: Path, order_in, monkeypatch: pytest.MonkeyPatch):
    """Search with trainings that are worth their number, but for those that diverge."""
    for seed in range(4):
        write_study(tmp_path / "data", seed, outlines=("organ",))
    data = read_labelled([tmp_path / "data"])

    def search(diverge: set[int], network: str = "unet") -> tuple[Recipe, list[Recipe]]:
        tried: list[Recipe] = []

        def learned_from(job, *_) -> tuple[None, SimpleNamespace, None]:
            tried.append(job.recipe)
            if len(tried) in diverge:
                raise NodeError(DIVERGED, epoch=1)
            return None, SimpleNamespace(best_score=float(len(tried))), None

        monkeypatch.setattr("dicomnode.learn.train.search.learned_from", learned_from)
        job = SegmentJob.of(read_recipe(None, "segment", {"network": network}), data)
        order = order_in()
        return search_recipe(job, data, order, 3, no_progress), tried

    return search


def test_a_recipe_that_diverges_does_not_end_the_search(searched) -> None:
    best, tried = searched({1, 3})
    assert len(tried) == 3
    assert best == tried[1]


def test_where_all_diverge_that_is_said(searched) -> None:
    with pytest.raises(NodeError) as caught:
        searched({1, 2, 3})
    assert caught.value.fault is DIVERGED


@pytest.mark.parametrize(("network", "some"), [("unet", True), ("deeplabv3", False)])
def test_dropout_is_tried_of_networks_that_have_one(searched, network: str, some: bool) -> None:
    _, tried = searched(set(), network)
    assert any(one.dropout for one in tried) == some


def test_two_searches_do_not_share_a_folder(searched, tmp_path: Path) -> None:
    searched(set())
    first = next((tmp_path / "small.training").glob("trial-*"))
    with RunFolder(folder=first, of="other").held(), pytest.raises(NodeError) as caught:
        searched(set())
    assert caught.value.fault is RUN_TAKEN

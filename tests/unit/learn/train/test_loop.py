"""The loop: what ends it, and which weights it keeps."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import pytest

from dicomnode.faults import DIVERGED, RUN_NOT_WRITTEN, RUN_TAKEN, NodeError
from dicomnode.learn import read_recipe
from dicomnode.learn.train.run_folder import RunFolder
from tests.fixtures.frameworks import needed

torch = needed("torch")

from dicomnode.learn.train.loop import Row, Score, ended_state, fit  # noqa: E402


class Scripted:
    """A lesson whose validation says what it is told to, epoch by epoch."""

    steps = 1

    def __init__(self, scores: list[float]) -> None:
        self._scores = iter(scores)

    def batch(self, epoch: int, step: int):
        return torch.ones(1, 1), torch.ones(1, 1)

    def loss(self, found, target):
        return ((found - target) ** 2).mean()

    def score(self, network, device) -> Score:
        return Score(value=next(self._scores), figures={})


def fitted(scores: list[float], folder: Path):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(1)
    recipe = read_recipe(None, "segment", {"epochs": len(scores)})
    network = torch.nn.Linear(1, 1)
    run = RunFolder(folder=folder, of="one")
    return fit(recipe, network, Scripted(scores), run, device=torch.device("cpu"))


def test_the_weights_of_the_best_epoch_are_kept_of_equals_the_first(tmp_path: Path) -> None:
    learned = fitted([0.1, 0.7, 0.7, 0.2], tmp_path / "run")
    assert (learned.best_epoch, learned.best_score) == (2, 0.7)
    first = fitted([0.1, 0.7], tmp_path / "shorter")
    assert len(first.rows) == 2


def test_what_has_ended_elsewhere_was_not_stopped_by_the_validation(tmp_path: Path) -> None:
    recipe = read_recipe(None, "segment", {"epochs": 100})
    run = RunFolder(folder=tmp_path, of="one")
    row = Row(epoch=1, learning_rate=0.1, loss=1.0, score=0.5, figures={})
    run.write_state(ended_state(recipe, torch.nn.Linear(1, 1), [row]))
    learned = fit(recipe, torch.nn.Linear(1, 1), Scripted([]), run, device=torch.device("cpu"))
    assert (learned.best_epoch, learned.stopped) == (1, "")


@pytest.mark.parametrize("scores", [[math.nan, 0.5], [0.5, math.nan]], ids=("first", "later"))
def test_a_validation_that_is_no_number_breaks_off_and_is_never_the_best(scores, tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        fitted(scores, tmp_path / "run")
    assert caught.value.fault is DIVERGED


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    run = RunFolder(folder=tmp_path, of="one")
    with run.held(), pytest.raises(NodeError) as caught, RunFolder(folder=tmp_path, of="two").held():
        pass
    assert caught.value.fault is RUN_TAKEN
    with run.held():  # it is free again
        pass


def test_a_full_disk_leaves_the_state_that_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(folder=tmp_path, of="one")
    run.write_state({"epoch": 3})

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NodeError) as caught:
        run.write_state({"epoch": 4})
    assert caught.value.fault is RUN_NOT_WRITTEN
    assert run.read_state() == {"epoch": 3}

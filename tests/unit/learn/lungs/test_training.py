"""The training: it goes on as if it had never been stopped, from worlds that are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")

from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.drawn.state import Learned, Watch  # noqa: E402
from dicomnode.learn.lungs import scans  # noqa: E402
from dicomnode.learn.lungs.loss import lost  # noqa: E402
from dicomnode.learn.lungs.network import LungNetwork  # noqa: E402
from dicomnode.learn.lungs.training import Lesson, learn  # noqa: E402
from dicomnode.learn.lungs.worlds import write_world  # noqa: E402
from dicomnode.learn.planted.training import Course  # noqa: E402
from dicomnode.learn.train.run_folder import RunFolder  # noqa: E402

from .coarse_worlds import coarse_world  # noqa: E402

COURSE = Course(steps=5, batch=1, warm_up=2, keep_every=2)


@pytest.fixture
def kept(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "worlds" / f"{seed}.npz" for seed in (1, 2)]
    for seed, path in enumerate(paths):
        write_world(coarse_world(seed, is_real=seed == 1), path)
    return paths


def taught(worlds: list[Path], folder: Path, stop_after: int = 1000) -> Learned:
    left = iter(range(1, stop_after + 1))
    run = RunFolder(folder=folder, of="x", resume=True)
    run.begin()
    lesson = Lesson(
        worlds=worlds,
        watch=Watch(stop=lambda: next(left, stop_after) >= stop_after),
        device=torch.device("cpu"),
    )
    return learn(COURSE, lesson, run)


def same(one: Learned, other: Learned) -> bool:
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_stopped_it_goes_on_to_the_same_weights(kept, tmp_path):
    through = taught(kept, tmp_path / "through")
    assert (through.step, through.stopped) == (5, False)
    first = taught(kept, tmp_path / "run", stop_after=3)
    assert (first.step, first.stopped) == (3, True)
    again = taught(kept, tmp_path / "run")
    assert again.step == 5
    assert same(through, again)
    assert [row.lost for row in again.rows] == [row.lost for row in through.rows]


def test_a_world_that_is_gone_is_named(kept, tmp_path):
    kept[1].unlink()
    with pytest.raises(NodeError, match=r"2\.npz is gone"):
        taught(kept, tmp_path / "run")


def test_the_network_answers_for_each_voxel_of_any_multiple_of_16():
    network = LungNetwork().eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 16, 32, 48)).shape == (1, 3, 16, 32, 48)


def test_it_learns_what_it_is_shown(monkeypatch):
    """A few steps on one scan: less is lost than before."""
    torch.manual_seed(1)
    monkeypatch.setattr(scans, "_NOTHING", 0.0)
    one = scans.shown(coarse_world(1), np.random.default_rng(4), (32, 48, 64))
    hu, sides = torch.from_numpy(one.hu)[None, None], torch.from_numpy(one.sides)[None].long()
    network = LungNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        parts = lost(network(hu), hu, sides)
        optimiser.zero_grad()
        parts.whole.backward()
        optimiser.step()
        losses.append(float(parts.whole.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_nothing_is_lost_on_a_perfect_answer_and_dense_voxels_at_a_lung_count_more():
    sides = torch.zeros(1, 20, 20, 20, dtype=torch.long)
    sides[:, 5:15, 5:15, 2:9], sides[:, 5:15, 5:15, 11:18] = 1, 2
    hu = torch.where(sides > 0, -850.0, 40.0)[:, None]
    sure = 40.0 * torch.nn.functional.one_hot(sides, 3).permute(0, 4, 1, 2, 3).float()
    assert float(lost(sure, hu, sides).whole) < 1e-3
    wrong = torch.roll(sure, 1, dims=1)
    airy, dense = (float(lost(wrong, torch.full_like(hu, one), sides).entropy) for one in (-850.0, 40.0))
    assert dense > 3.0 * airy

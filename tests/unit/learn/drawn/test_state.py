"""The steps of a network: stopped anywhere it goes on to the same weights, and tells what it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")

from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.drawn.state import (  # noqa: E402
    Habit,
    Learned,
    State,
    Watch,
    curves_csv,
    first_weights,
    go,
    taken_up,
)
from dicomnode.learn.train.run_folder import RunFolder  # noqa: E402

HABIT = Habit(steps=7, rate=lambda step: 0.1 / (step + 1), parts=("far",), told_every=3, kept_every=2)


def small() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))


def lost(network: torch.nn.Module, step: int):
    seen = torch.sin(torch.arange(8.0).reshape(4, 2) + step)
    far = (network(seen) - seen.sum(dim=1, keepdim=True)).square().mean()
    return {"far": far}, far


def taught(
    folder: Path,
    stop: Callable[[], bool] = lambda: False,
    lost: Callable = lost,
    place: str = "here, cpu, 1 thread(s)",
) -> Learned:
    run = RunFolder(folder=folder, of="x", resume=True)
    run.begin()
    state = taken_up(first_weights(small, 3), HABIT, run, place)
    ticks = count()
    go(state, range(state.step, 7), lost, Watch(stop=stop, clock=lambda: float(next(ticks))), run)
    return state.learned()


def same(one: Learned, other: Learned) -> bool:
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def after(steps: int) -> Callable[[], bool]:
    left: Iterator[int] = iter(range(1, steps + 1))
    return lambda: next(left, steps) >= steps


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_stopped_after_any_step_it_goes_on_to_the_same_weights_and_rows(tmp_path: Path, steps: int) -> None:
    through = taught(tmp_path / "through")
    first = taught(tmp_path / "run", after(steps))
    assert (first.step, first.stopped) == (steps, True)
    again = taught(tmp_path / "run")
    assert (again.step, again.stopped, again.seconds) == (7, False, 7.0)
    assert same(through, again)
    assert [(row.step, row.lost) for row in again.rows] == [(row.step, row.lost) for row in through.rows]
    assert [row.step for row in again.rows] == [3, 6, 7]


def test_killed_it_goes_on_from_what_was_kept_last(tmp_path: Path) -> None:
    def killed(network, step: int):
        if step == 5:
            raise KeyboardInterrupt
        return lost(network, step)

    with pytest.raises(KeyboardInterrupt):
        taught(tmp_path / "run", lost=killed)
    assert same(taught(tmp_path / "through"), taught(tmp_path / "run"))


def test_all_machines_that_took_part_are_told_and_one_that_only_read_is_not(tmp_path: Path) -> None:
    taught(tmp_path / "run", after(2))
    taught(tmp_path / "run", place="there, cuda, 4 thread(s)")
    last = taught(tmp_path / "run", place="elsewhere")
    assert last.places == ("here, cpu, 1 thread(s)", "there, cuda, 4 thread(s)")


def test_a_state_of_another_version_is_refused_and_one_without_its_time_says_so(tmp_path: Path) -> None:
    run = RunFolder(folder=tmp_path, of="x", resume=True)
    run.begin()
    run.write_state({"step": 2, "rows": []})
    with pytest.raises(NodeError, match=r"DN-7104.*another version"):
        taught(tmp_path)
    state = State(first_weights(small, 3), HABIT)
    old = state.told()
    del old["seconds"], old["places"]
    run.write_state(old)
    assert taught(tmp_path).seconds is None


def test_first_weights_follow_from_the_seed_and_nobody_elses_draws_change(tmp_path: Path) -> None:
    torch.manual_seed(9)
    wanted = torch.rand(1)
    torch.manual_seed(9)
    one, again, other = (first_weights(small, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), wanted)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["0.weight"], other["0.weight"])


def test_a_loss_that_is_no_number_ends_it_with_the_step(tmp_path: Path) -> None:
    def broken(network, step: int):
        parts, whole = lost(network, step)
        return {"far": parts["far"] * float("nan")}, whole

    with pytest.raises(NodeError, match=r"DN-7344.*step 1"):
        taught(tmp_path / "run", lost=broken)


def test_the_curves_have_a_line_for_each_row(tmp_path: Path) -> None:
    lines = curves_csv(taught(tmp_path / "run").rows).decode().splitlines()
    assert lines[0] == "step,learning_rate,far"
    assert [line.split(",")[0] for line in lines[1:]] == ["3", "6", "7"]

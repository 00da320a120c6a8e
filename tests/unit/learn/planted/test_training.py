"""The training: it goes on as if it had never been stopped, whoever draws for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")

from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.drawn import workers as workers_module  # noqa: E402
from dicomnode.learn.drawn.state import State, Watch  # noqa: E402
from dicomnode.learn.drawn.workers import Workers  # noqa: E402
from dicomnode.learn.planted import network, training  # noqa: E402
from dicomnode.learn.planted.batches import BatchOrder, Mined, draw_batch, mined_bytes  # noqa: E402
from dicomnode.learn.planted.training import Course, Learned, Lesson, learn  # noqa: E402
from dicomnode.learn.train.run_folder import RunFolder  # noqa: E402

COURSE = Course(steps=6, batch=1, warm_up=2, keep_every=2, mine=(3,))


@pytest.fixture(autouse=True)
def small_network(monkeypatch) -> None:
    monkeypatch.setattr(network, "_WIDTHS", (4, 4, 4, 4))


class Teacher:
    """Trains in a folder; counts what is asked."""

    def __init__(self, worlds: tuple[Path, ...], folder: Path) -> None:
        self.worlds, self.folder = worlds, folder
        self.mined: list[int] = []

    def teach(self, course: Course = COURSE, *, workers: int = 0, stop_after: int = 1000) -> Learned:
        left = iter(range(1, stop_after + 1))

        def mine(network, step: int) -> bytes:
            self.mined.append(step)
            nothing = np.zeros((0, 4), dtype=np.float32)
            spot = np.array([[20, 20, 20]], dtype=np.float32)
            return mined_bytes({one.name: Mined(wrong=spot, ignored=nothing) for one in self.worlds})

        run = RunFolder(folder=self.folder, of="x", resume=True)
        run.begin()
        with Workers(workers) as some:
            lesson = Lesson(
                worlds=self.worlds,
                workers=some,
                mine=mine,
                watch=Watch(stop=lambda: next(left, stop_after) >= stop_after),
                device=torch.device("cpu"),
            )
            return learn(course, lesson, run)


def same(one: Learned, other: Learned) -> bool:
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_stopped_anywhere_it_goes_on_to_the_same_weights(kept, tmp_path: Path) -> None:
    through = Teacher(kept, tmp_path / "through").teach()
    for number, stop_after in enumerate((3, 4)):  # before what is mined, and after it
        teacher = Teacher(kept, tmp_path / f"run-{number}")
        first = teacher.teach(stop_after=stop_after)
        assert (first.step, first.stopped) == (stop_after, True)
        again = teacher.teach()
        assert (again.step, again.stopped) == (6, False)
        assert same(through, again)
        assert teacher.mined == [3]
        assert [row.lost for row in again.rows] == [row.lost for row in through.rows]


def test_killed_between_two_checkpoints_it_goes_on_from_the_earlier_one(kept, tmp_path: Path) -> None:
    through = Teacher(kept, tmp_path / "through").teach()
    teacher = Teacher(kept, tmp_path / "run")

    kept_step = State.learn
    steps: list[int] = []

    def fifth(state, batch, lost):
        steps.append(state.step)
        if len(steps) == 6:
            raise KeyboardInterrupt
        kept_step(state, batch, lost)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "learn", fifth)
        with pytest.raises(KeyboardInterrupt):
            teacher.teach()
        state = RunFolder(folder=teacher.folder, of="x", resume=True).read_state()
        assert state is not None
        assert state["step"] == 4
    assert same(through, teacher.teach())


def test_workers_draw_what_is_drawn_here(kept, tmp_path: Path) -> None:
    course = Course(steps=4, batch=1, warm_up=2, keep_every=10)
    assert same(
        Teacher(kept, tmp_path / "here").teach(course),
        Teacher(kept, tmp_path / "there").teach(course, workers=2),
    )


def test_mistakes_of_another_training_in_the_same_folder_are_not_learned_from(kept, tmp_path: Path) -> None:
    teacher = Teacher(kept, tmp_path / "run")
    through = teacher.teach()
    (tmp_path / "run" / "state.pt").unlink()
    [mined] = (tmp_path / "run").glob("mined-*-3.npz")
    mined.rename(mined.with_name("mined-3.npz"))  # as of other weights
    again = Teacher(kept, tmp_path / "run")
    assert same(through, again.teach())
    assert again.mined == [3]


def test_another_seed_learns_other_weights(kept, tmp_path: Path) -> None:
    one, other = (
        Teacher(kept, tmp_path / str(seed)).teach(Course(seed=seed, steps=1, batch=1)) for seed in (0, 1)
    )
    assert not same(one, other)


def test_what_is_no_number_ends_it_with_the_step(kept, tmp_path: Path, monkeypatch) -> None:
    broken = training.lost

    def nothing(found, target):
        return broken(tuple(one * torch.nan for one in found), target)

    monkeypatch.setattr(training, "lost", nothing)
    with pytest.raises(NodeError, match=r"DN-7344.*step 1"):
        Teacher(kept, tmp_path / "run").teach()


def test_a_worker_tells_what_it_could_not_do(kept, tmp_path: Path) -> None:
    order = BatchOrder(worlds=(tmp_path / "nowhere",), mined=None, seed=0, step=0, size=1)
    with Workers(1) as workers, pytest.raises(NodeError, match=r"DN-7104.*nowhere is gone"):
        list(workers.answers(draw_batch, [order]))
    with Workers(1) as workers, pytest.raises(NodeError, match=r"DN-7343.*AttributeError"):
        list(workers.answers(draw_batch, ["no order"]))


def test_a_worker_that_was_killed_is_told(kept) -> None:
    order = BatchOrder(worlds=kept, mined=None, seed=0, step=0, size=1)
    with Workers(1) as workers:
        assert next(workers.answers(draw_batch, [order])).hu.shape == (1, 1, 48, 48, 48)
        workers._children[0].kill()
        workers._children[0].wait()
        with pytest.raises(NodeError, match="DN-7343"):
            list(workers.answers(draw_batch, [order]))


def test_a_worker_that_cannot_begin_is_told_and_none_stays_behind(monkeypatch) -> None:
    begin, begun = workers_module.subprocess.Popen, []

    def second_fails(*words, **more):
        if begun:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        begun.append(begin(*words, **more))
        return begun[0]

    monkeypatch.setattr(workers_module.subprocess, "Popen", second_fails)
    with pytest.raises(NodeError, match=r"DN-7343.*did not begin: Resource temporarily"):
        Workers(2)
    assert begun[0].poll() is not None


def test_answers_come_in_the_order_of_the_questions() -> None:
    with Workers(2) as workers:
        assert list(workers.answers(abs, [-3, 2, -1, 0, 5, -7])) == [3, 2, 1, 0, 5, 7]
        some = workers.answers(abs, [-1, -2, -3])
        assert next(some) == 1
        some.close()  # what nobody waits for any more is not taken for the answer to the next question
        assert list(workers.answers(abs, [-9])) == [9]


def test_the_rate_rises_and_falls_to_nearly_nothing() -> None:
    course = Course(steps=1000, warm_up=50)
    rates = [course.rate(step) for step in range(1000)]
    assert rates[0] < 1e-4
    assert max(rates) == pytest.approx(3e-3, rel=0.02)
    assert np.argmax(rates) in range(45, 60)
    assert rates[-1] < 2e-5

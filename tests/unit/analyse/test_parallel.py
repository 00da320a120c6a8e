"""Parts of a volume on several cores: in order, once each, and errors are not lost."""

from __future__ import annotations

import threading

import pytest

from dicomnode.analyse.parallel import both, cores, each


@pytest.mark.parametrize("threads", [1, 2])
def test_results_come_in_the_order_of_the_parts(threads):
    with cores(threads):
        assert list(each(lambda n: n * n, range(50))) == [n * n for n in range(50)]
        assert list(each(lambda n: n, [])) == []


def test_each_part_is_done_once():
    done: list[int] = []
    with cores(2):
        list(each(done.append, range(200)))
    assert sorted(done) == list(range(200))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bad", [0, 7, 19])
def test_what_a_part_raises_is_raised(threads, bad):
    def work(n):
        if n == bad:
            raise ValueError(f"part {n}")
        return n

    with cores(threads), pytest.raises(ValueError, match=f"part {bad}"):
        list(each(work, range(20)))


def test_two_parts_run_at_the_same_time():
    """Each waits for the other: one after the other they would never meet."""
    meeting = threading.Barrier(2, timeout=20)
    with cores(2):
        assert sorted(both(meeting.wait, meeting.wait)) == [0, 1]


def test_outside_of_a_block_all_is_done_by_the_caller():
    names = set(each(lambda _: threading.current_thread().name, range(8)))
    assert names == {threading.current_thread().name}


def test_parts_within_parts_come_to_an_end():
    with cores(2):
        nested = list(each(lambda n: sum(each(lambda m: m * n, range(5))), range(6)))
    assert nested == [10 * n for n in range(6)]


def test_a_block_within_a_block_adds_no_threads():
    with cores(1), cores(2):
        names = set(each(lambda _: threading.current_thread().name, range(8)))
    assert names == {threading.current_thread().name}


def test_the_threads_end_with_the_block():
    before = threading.active_count()
    with cores(2):
        list(each(lambda n: n, range(8)))
    assert threading.active_count() == before

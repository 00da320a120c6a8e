"""What is tried when a device is full: each way once, in its order, and nothing else is swallowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.analyse.device_path import ladder as ladder_module
from dicomnode.analyse.device_path.ladder import Ladder, Rung, rungs
from dicomnode.device import HostKernels
from dicomnode.faults import CUDA_BROKEN, CUDA_MEMORY, DEVICE_FULL, NETWORK_FAILED, NodeError, Retry


class Memory:
    """A device's memory of which so much is free."""

    def __init__(self, free: float) -> None:
        self.free, self.gave_back = free, 0

    def available(self):
        return self.free

    def give_back(self):
        self.gave_back += 1


def short():
    return NodeError(CUDA_MEMORY, device="GPU", doing="allocating", used_mb=1, free_mb=0, error="none")


def ladder(monkeypatch, free=1e12, make_room=lambda wanted: False):
    memory = Memory(free)
    monkeypatch.setattr(ladder_module, "memory_of", lambda kernels: memory)
    return Ladder(HostKernels(1), make_room), memory


WAYS = rungs(8, slabs=True)


@pytest.mark.parametrize(
    ("batch", "slabs", "expected"),
    [
        (8, True, [(8, False), (4, False), (1, False), (1, True)]),
        (8, False, [(8, False), (4, False), (1, False)]),
        (2, True, [(2, False), (1, False), (1, True)]),
        (1, True, [(1, False), (1, True)]),
        (1, False, [(1, False), (1, False)]),  # the second in smaller pieces
    ],
)
def test_the_batch_is_halved_then_one_then_sums_are_those_of_a_few_planes(batch, slabs, expected):
    found = rungs(batch, slabs=slabs)
    assert [(one.batch, one.by_slabs) for one in found] == expected
    assert len(set(found)) == len(found)
    assert all(one.piece_bytes < found[0].piece_bytes for one in found[1:])


@pytest.mark.parametrize("fails", range(len(WAYS) + 1))
def test_each_way_is_tried_once_and_the_first_twice(monkeypatch, fails):
    climbing, memory = ladder(monkeypatch)
    tried = []

    def attempt(rung):
        tried.append(rung)
        if len(tried) <= fails:
            raise short()
        return "done"

    assert climbing.down("running net", WAYS, attempt, lambda rung: 0) == "done"
    assert tried == [WAYS[0], *WAYS][: fails + 1]
    assert memory.gave_back == fails  # kept memory goes back before each further try


@pytest.mark.parametrize("room", [True, False])
def test_in_the_end_others_are_asked_to_go_once_and_then_the_study_waits(monkeypatch, room):
    asked, tried = [], []
    climbing, _ = ladder(monkeypatch, make_room=lambda wanted: bool(asked.append(wanted)) or room)

    def attempt(rung):
        tried.append(rung)
        raise short()

    with pytest.raises(NodeError) as caught:
        climbing.down("running net", WAYS, attempt, lambda rung: 5_000_000 * rung.batch)
    assert caught.value.fault is DEVICE_FULL
    assert caught.value.fault.retry is Retry.BACKOFF
    assert "while running net, which takes about 5 MB more" in str(caught.value)
    assert "ran out of memory while allocating" in str(caught.value)
    assert asked == [5_000_000]
    assert tried == [WAYS[0], *WAYS, *([WAYS[-1]] if room else [])]


def test_when_others_have_gone_it_is_done(monkeypatch):
    gone = []
    climbing, _ = ladder(monkeypatch, make_room=lambda wanted: not gone.append(wanted))

    def attempt(rung):
        if not gone:
            raise short()
        return rung

    assert climbing.down("running net", WAYS, attempt, lambda rung: 1) == WAYS[-1]


@pytest.mark.parametrize("fault", [CUDA_BROKEN, NETWORK_FAILED])
def test_what_else_fails_is_passed_on_untouched(monkeypatch, fault):
    climbing, memory = ladder(monkeypatch, make_room=pytest.fail)
    failure = NodeError(fault, device="GPU", doing="running", error="it fell", engine="small")

    def attempt(rung):
        raise failure

    with pytest.raises(NodeError) as caught:
        climbing.down("running net", WAYS, attempt, lambda rung: 0)
    assert caught.value is failure
    assert memory.gave_back == 0


@given(free=st.integers(0, 2_000))
def test_it_begins_with_the_first_way_that_should_fit(free):
    needed = {rung: 1_000 // (number + 1) for number, rung in enumerate(WAYS)}
    with pytest.MonkeyPatch.context() as patched:
        climbing, _ = ladder(patched, free=free)
        begun = climbing.down("running net", WAYS, lambda rung: rung, lambda rung: needed[rung])
    fitting = [rung for rung in WAYS if needed[rung] <= free]
    assert begun == (fitting[0] if fitting else WAYS[-1])


def test_words_of_a_way():
    assert Rung(3).words == "batch 3"
    assert Rung(1, by_slabs=True).words == "batch 1, a few planes at a time"

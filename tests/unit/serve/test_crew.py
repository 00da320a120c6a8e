"""Where workers work, and what becomes of a device that ends them. No process, no clock."""

from __future__ import annotations

import pytest

from dicomnode.serve.process.crew import NO_GPU, Crew
from dicomnode.serve.process.place import Place, read_place

FIRST = Place(number=0, workers=2, device="NVIDIA H200 (GPU-0)", visible="GPU-0")
SECOND = Place(number=1, workers=2, device="NVIDIA H200 (GPU-1)", visible="GPU-1")
CPU = Place()
HOUR = 3600.0


def test_a_place_comes_through_a_command_line_as_it_was():
    place = Place(number=3, workers=4, device="a", visible="MIG-1", without="b", lost={"lung-ct": 2})
    assert read_place(place.text()) == place


@pytest.mark.parametrize(
    ("place", "seen"),
    [(CPU, "7"), (FIRST, "GPU-0"), (Place(visible=NO_GPU), "")],
    ids=["as found", "one", "none"],
)
def test_a_worker_sees_its_own_gpu_and_no_other(place, seen):
    assert place.environment({"CUDA_VISIBLE_DEVICES": "7", "A": "b"}) == {
        "CUDA_VISIBLE_DEVICES": seen,
        "A": "b",
    }


def test_the_third_crash_within_an_hour_takes_a_device_out_and_the_cpu_takes_over():
    crew = Crew([FIRST])
    assert crew.after_crash(0, None, 0.0) == FIRST
    assert crew.after_crash(0, None, 10.0) == FIRST
    after = crew.after_crash(0, None, HOUR - 1)
    assert (after.visible, after.without, after.workers) == (NO_GPU, FIRST.device, 1)
    assert crew.places == (after,)
    for at in range(10):  # the CPU is never taken away: there is nothing behind it
        assert crew.after_crash(0, None, HOUR + at) == after


def test_crashes_that_lie_far_apart_are_not_added_up():
    crew = Crew([FIRST])
    for n in range(20):
        assert crew.after_crash(0, None, n * (HOUR / 2 + 1)) == FIRST


def test_where_another_gpu_serves_a_device_that_is_out_gets_no_successor():
    crew = Crew([FIRST, SECOND])
    for at in (0.0, 1.0):
        crew.after_crash(0, None, at)
        crew.after_crash(1, None, at)
    assert crew.after_crash(0, None, 2.0) is None
    assert crew.places == (SECOND,)
    assert crew.after_crash(1, None, 3.0).visible == NO_GPU


def test_an_engine_that_ends_who_loads_it_is_suspect_and_takes_no_device_with_it():
    crew = Crew([FIRST])
    crew.after_crash(0, "bad", 0.0)
    twice = crew.after_crash(0, "bad", 1.0)
    assert twice.is_suspect("bad")
    assert not twice.is_suspect("good")
    third = crew.after_crash(0, "bad", 2.0)  # it was loaded without the GPU
    assert (third.visible, third.lost) == ("GPU-0", {"bad": 3})
    assert crew.after_crash(0, "good", 3.0).visible == NO_GPU  # the third that the GPU may be to blame for


def test_what_an_engine_did_on_a_gpu_is_forgotten_where_there_is_none():
    crew = Crew([FIRST])
    for at, engine in enumerate(("bad", "bad", "good")):
        after = crew.after_crash(0, engine, float(at))
    assert (after.visible, after.lost) == (NO_GPU, {})


def test_on_the_cpu_no_engine_is_suspect_before_it_is_left_out():
    crew = Crew([CPU])
    for at in range(2):
        place = crew.after_crash(0, "bad", float(at))
    assert (place.lost, place.is_suspect("bad")) == ({"bad": 2}, False)

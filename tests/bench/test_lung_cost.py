"""What is measured of the cost: seconds by the clock are told from those of the processor, stage by stage."""

from __future__ import annotations

import time

from dicomnode.analyse import clock
from dicomnode.analyse.clock import Clock
from tests.bench.lung_cost import least, page, reference, staged, timed


class Sleeper:
    """An analyst that sleeps in one stage, and computes in a part of another."""

    stages = ()

    def analyse(self, analysis) -> None:
        watch = Clock()
        time.sleep(0.1)
        watch.took("preparing")
        begun = time.process_time()
        while time.process_time() - begun < 0.05:
            pass
        watch.part("infer")
        watch.took("nodules")
        self.stages = watch.stages


def test_a_stage_that_waits_takes_time_by_the_clock_and_none_of_the_processor():
    rows = staged(Sleeper(), None)
    assert set(rows) == {"preparing", "nodules: infer"}
    assert rows["preparing"]["wall"] >= 0.1
    assert rows["preparing"]["cpu"] < 0.05
    assert rows["nodules: infer"]["cpu"] >= 0.05
    assert clock.time is time


def test_waiting_is_no_time_of_the_processor():
    result, seconds = timed(lambda: time.sleep(0.05) or "done")
    assert result == "done"
    assert seconds["wall"] >= 0.05 > seconds["cpu"]


def test_of_several_rounds_the_least_counts():
    assert least([{"wall": 3.0, "cpu": 1.0}, {"wall": 2.0, "cpu": 1.5}]) == {"wall": 2.0, "cpu": 1.0}


def test_the_convolution_is_one_of_16_channels():
    (found,) = reference(1)()
    assert found.shape == (1, 16, 96, 96, 96)
    assert found.std() > 10.0  # of 432 products each


def test_ratios_are_of_the_processor_and_each_number_of_threads_has_its_own(capsys):
    told = [
        {
            "threads": threads,
            "reference": {"wall": 9.0, "cpu": 0.5 * threads},
            "rows": {"lungs": {"wall": 4.0, "cpu": 1.0}},
            "peak_mb": 800.0,
        }
        for threads in (1, 2)
    ]
    page(told)
    out = capsys.readouterr().out
    assert "| lungs | 4.00 | 1.00 | 2.0 | 4.00 | 1.00 | 1.0 |" in out
    assert "| the convolution | 9.00 | 0.50 | 1 | 9.00 | 1.00 | 1 |" in out

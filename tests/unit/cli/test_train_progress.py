"""What is told of a training while it runs."""

from __future__ import annotations

import pytest

from dicomnode.cli.output import bars
from dicomnode.cli.train_progress import EPOCHS, EpochsTold, duration


def test_the_time_is_told_after_the_first_epoch_and_then_every_minute(capsys) -> None:
    now = iter([0.0, 12.0, 24.0, 75.0, 84.0])
    seen = []
    told = EpochsTold(lambda *call: seen.append(call), lambda: next(now), as_lines=True)
    told("preparing studies", 3, 3)
    for done in range(5):
        told(EPOCHS, done, 100)
    lines = " ".join(capsys.readouterr().err.split())
    assert "An epoch takes 12 s: 99 more take 20 min at most." in lines
    assert lines.count("training epoch:") == 1
    assert "training epoch: 3 of 100, 41 min more at most" in lines
    assert len(seen) == 6


def test_what_goes_on_counts_its_own_epochs_only(capsys) -> None:
    now = iter([0.0, 2.0])
    told = EpochsTold(lambda *_: None, lambda: next(now), as_lines=False)
    told(EPOCHS, 40, 50)
    told(EPOCHS, 41, 50)
    assert "An epoch takes 2 s: 9 more take 18 s" in " ".join(capsys.readouterr().err.split())


def test_a_stage_with_nothing_to_do_is_not_told(capsys) -> None:
    with bars() as progress:
        progress("drawing patients", 0, 0)
        progress("drawing pictures", 2, 2)
    assert capsys.readouterr().err.split("\n")[:-1] == ["drawing pictures: 2 of 2"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.31, "0.4 s"), (30.2, "31 s"), (1190.0, "20 min"), (9000.0, "3 h")]
)
def test_durations_are_rounded_up(seconds: float, said: str) -> None:
    assert duration(seconds) == said

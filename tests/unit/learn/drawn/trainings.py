"""All trainings of drawn patients, and what their tests share: an order, a command, one thread."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from dicomnode.cli.app import main
from dicomnode.learn.classical.order import ForestOrder
from dicomnode.learn.drawn.order import DrawnOrder, Seeds
from dicomnode.learn.lungs.order import Order as MasksOrder
from dicomnode.learn.normal_lungs.order import NormalOrder
from dicomnode.learn.patterns.order import PatternsOrder
from dicomnode.learn.planted.order import Order as NodulesOrder
from dicomnode.learn.types.order import TypesOrder
from dicomnode.learn.views.order import Order as ViewsOrder

EVERY: dict[str, type[DrawnOrder]] = {
    one.task: one
    for one in (NodulesOrder, MasksOrder, ForestOrder, PatternsOrder, NormalOrder, ViewsOrder, TypesOrder)
}

Ordered = TypeVar("Ordered", bound=DrawnOrder)


def asked(form: type[Ordered], folder: Path, **more: object) -> Ordered:
    """Order a training whose engine is `folder`/mine."""
    usual: dict[str, object] = {
        "out": folder / "mine",
        "run": folder / "mine.training",
        "title": "Mine",
        "version": "1.2.0",
        "made_at": datetime(2026, 1, 2, tzinfo=UTC),
        "workers": 0,
        "machine": "a machine",
    }
    if form is TypesOrder:
        usual["engine"] = folder / "finder"
    return form(**usual | more)  # type: ignore[arg-type]  # a table of fields


def nobody_is_for_two_things(seeds: Seeds, *others: range) -> bool:
    parts = [set(one) for one in (seeds.trained, seeds.calibrated, seeds.judged, *others)]
    return sum(map(len, parts)) == len(set().union(*parts))


def train(task: str, *words: object) -> int:
    """Run `dicomnode train`, and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["train", task, *map(str, words)])
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Weights repeat to the last bit on one thread alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

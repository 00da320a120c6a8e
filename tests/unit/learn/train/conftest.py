"""What the tests of training share: one thread, so that weights repeat to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("monai")

MADE_AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def order_in(tmp_path: Path):
    """Make an order whose folders lie in tmp_path; keywords change it."""
    from dicomnode.learn import Order, Title

    def make(name: str = "small", **more):
        given = {
            "out": tmp_path / name,
            "run": tmp_path / f"{name}.training",
            "split": tmp_path / "split.json",
            "title": Title(name=name, version="1.0.0", title="Small"),
            "made_at": MADE_AT,
            "device": "cpu",
        }
        return Order(**{**given, **more})

    return make

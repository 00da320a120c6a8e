"""What the tests of lung masks share: one thread and a narrow network; weights repeat to the last bit."""

from __future__ import annotations

import pytest

from tests.fixtures.frameworks import needed

needed("torch")
needed("monai")

from tests.unit.learn.drawn.trainings import one_thread  # noqa: E402

__all__ = ["one_thread"]


@pytest.fixture(autouse=True)
def narrow(monkeypatch) -> None:
    from dicomnode.learn.planted import network

    monkeypatch.setattr(network, "_WIDTHS", (4, 4, 4, 4))

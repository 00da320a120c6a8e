"""What the tests of lung masks share: one thread and a narrow network; weights repeat to the last bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("monai")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch) -> Iterator[None]:
    from dicomnode.learn.planted import network

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(network, "_WIDTHS", (4, 4, 4, 4))
    yield
    torch.set_num_threads(before)

"""What the tests of explanations share: one thread, so that weights repeat to the last bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("monai")
needed("captum")


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

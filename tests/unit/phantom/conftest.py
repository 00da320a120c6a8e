"""Phantoms that several tests look at; nobody writes into them."""

from __future__ import annotations

import pytest

from dicomnode.phantom import Scanner, Thorax, thorax

SEED = 7


@pytest.fixture(scope="session")
def small() -> Thorax:
    return thorax(SEED, "small")


@pytest.fixture(scope="session")
def quiet() -> Thorax:
    """The same anatomy without blur and noise."""
    return thorax(SEED, "small", scanner=Scanner(blur_mm=0.0, noise_hu=0.0))

"""Streams of random numbers: one of its own for each purpose, all of them from the seed of a phantom."""

from __future__ import annotations

import numpy as np


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Make the stream of a purpose: one more draw in one stream leaves the others as they are."""
    return np.random.default_rng((seed, *purpose.encode()))

"""What sites send, and how it is added up: weights or gradients by name, weighted by samples.

FedSGD and FedAvg as in McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized
Data (AISTATS 2017), algorithm 1. Numpy alone: who adds up needs no torch, and sees no image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.faults import FEDERATED_DIFFERS, NodeError

Array = NDArray[Any]
Arrays = Mapping[str, Array]

MOST_SAMPLES: Final = 1_000_000
"""No site has more studies: who says so would outweigh all others."""

_KINDS: Final = frozenset("fiu")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contribution:
    """All that a site sends in a round; nothing of a study has a place here.

    arrays: weights, or gradients, by name. samples: how many they are of, 1 to MOST_SAMPLES. loss: mean of
    them. of: digest of the recipe, which must be the same at all sites. values: names of arrays that are no
    gradients, among gradients: running means, which a step does not move. site: whose it is, for messages.
    """

    arrays: Arrays
    samples: int
    loss: float
    of: str = ""
    values: frozenset[str] = frozenset()
    site: str = "a site"

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= MOST_SAMPLES:
            raise ValueError(f"a contribution is of at least one sample, not {self.samples}")
        if not math.isfinite(self.loss):
            raise ValueError("the loss is no number")
        wrong = [name for name, one in self.arrays.items() if one.dtype.kind not in _KINDS]
        if wrong:
            raise ValueError(f"{wrong[0]} is no array of numbers")


def fedavg(contributions: Sequence[Contribution]) -> dict[str, Array]:
    """Return the mean of the sites' weights, each weighted by its samples; dtypes stay.

    Integers, such as counts of batches, are rounded. Raises NodeError(FEDERATED_DIFFERS).
    """
    require_same(contributions)
    return {name: _mean(name, contributions) for name in contributions[0].arrays}


def fedsgd(weights: Arrays, contributions: Sequence[Contribution], learning_rate: float) -> dict[str, Array]:
    """Return the weights after one step down the mean gradient of all samples of all sites.

    Of what has no gradient, such as running means, the mean is taken. Raises NodeError(FEDERATED_DIFFERS).
    """
    require_same(contributions)
    require_like(weights, contributions[0].arrays, contributions[0].site)
    moved = {}
    for name, weight in weights.items():
        if name in contributions[0].values:
            moved[name] = _mean(name, contributions)
            continue
        step = learning_rate * _exact_mean(name, contributions)
        moved[name] = _as(weight.dtype, weight.astype(np.float64) - step)
        if not np.isfinite(moved[name]).all():
            what = f"the step leaves the range of numbers ({name}); take a smaller --learning-rate"
            raise NodeError(FEDERATED_DIFFERS, site="all sites together", what=what)
    return moved


def require_same(contributions: Sequence[Contribution]) -> None:
    """Raise NodeError(FEDERATED_DIFFERS) unless all sites train one network by one recipe, in numbers."""
    first = contributions[0]
    for one in contributions:
        if one.of != first.of or one.values != first.values:
            raise NodeError(FEDERATED_DIFFERS, site=one.site, what="the recipe or the structures are others")
        require_like(first.arrays, one.arrays, one.site)
        require_finite(one.arrays, one.site)


def require_finite(arrays: Arrays, who: str) -> None:
    """Raise NodeError(FEDERATED_DIFFERS) for NaN and infinity, which one site would pass on to all."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise NodeError(FEDERATED_DIFFERS, site=who, what=f"it sent values that are not numbers ({name})")


def require_like(wanted: Arrays, given: Arrays, who: str) -> None:
    """Raise NodeError(FEDERATED_DIFFERS) unless names, their order, shapes and dtypes are the same."""
    if list(wanted) != list(given):
        names = sorted(set(wanted) ^ set(given)) or ["the order"]
        raise NodeError(FEDERATED_DIFFERS, site=who, what=f"tensors have other names ({names[0]})")
    for name, array in wanted.items():
        other = given[name]
        if (array.shape, array.dtype) != (other.shape, other.dtype):
            what = f"{name} has shape {other.shape} ({other.dtype}), not {array.shape} ({array.dtype})"
            raise NodeError(FEDERATED_DIFFERS, site=who, what=what)


def _mean(name: str, contributions: Sequence[Contribution]) -> Array:
    return _as(contributions[0].arrays[name].dtype, _exact_mean(name, contributions))


def _exact_mean(name: str, contributions: Sequence[Contribution]) -> NDArray[np.float64]:
    """Weighted mean in float64: sums of many sites lose nothing."""
    samples = sum(one.samples for one in contributions)
    total = sum(one.arrays[name].astype(np.float64) * one.samples for one in contributions)
    mean: NDArray[np.float64] = np.asarray(total / samples, dtype=np.float64)
    return mean


def _as(dtype: np.dtype[Any], values: NDArray[np.float64]) -> Array:
    with np.errstate(over="ignore"):  # what becomes infinite is refused by name
        made: Array = (np.rint(values) if dtype.kind in "iu" else values).astype(dtype)
    return made

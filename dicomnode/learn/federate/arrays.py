"""What sites send, and how it is added up: weights or gradients by name, weighted by samples.

FedSGD and FedAvg as in McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized
Data (AISTATS 2017), algorithm 1. Numpy alone: who adds up needs no torch, and sees no image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.faults import FEDERATED_DIFFERS, NodeError

Array = NDArray[Any]
Arrays = Mapping[str, Array]

_KINDS: Final = frozenset("fiu")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contribution:
    """All that a site sends in a round; nothing of a study has a place here.

    arrays: weights, or gradients, by name. samples: how many they are of, above 0. loss: mean of them. of:
    digest of the recipe, which must be the same at all sites.
    """

    arrays: Arrays
    samples: int
    loss: float
    of: str = ""

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"a contribution is of at least one sample, not {self.samples}")
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

    What has no gradient, such as running means, has zeros in the contributions. Raises
    NodeError(FEDERATED_DIFFERS).
    """
    require_same(contributions)
    _require_shapes(weights, contributions[0].arrays, "the server's weights")
    moved = {}
    for name, weight in weights.items():
        step = learning_rate * _exact_mean(name, contributions)
        moved[name] = _as(weight.dtype, weight.astype(np.float64) - step)
    return moved


def require_same(contributions: Sequence[Contribution]) -> None:
    """Raise NodeError(FEDERATED_DIFFERS) unless all sites train one network by one recipe."""
    first = contributions[0]
    for number, one in enumerate(contributions[1:], start=2):
        if one.of != first.of:
            raise NodeError(FEDERATED_DIFFERS, site=number, what="the recipe or the structures are others")
        _require_shapes(first.arrays, one.arrays, f"site {number}")
    for number, one in enumerate(contributions, start=1):
        if not all(np.isfinite(array).all() for array in one.arrays.values()):
            raise NodeError(FEDERATED_DIFFERS, site=number, what="it sent values that are not numbers")


def _require_shapes(wanted: Arrays, given: Arrays, who: str) -> None:
    if list(wanted) != list(given):
        names = sorted(set(wanted) ^ set(given)) or ["the order"]
        raise NodeError(FEDERATED_DIFFERS, site=who, what=f"tensors have other names ({names[0]})")
    for name, array in wanted.items():
        if array.shape != given[name].shape:
            what = f"{name} has shape {given[name].shape}, not {array.shape}"
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
    made: Array = (np.rint(values) if dtype.kind in "iu" else values).astype(dtype)
    return made


Scalar = bool | bytes | float | int | str


def message_of(contribution: Contribution) -> tuple[list[Array], int, dict[str, Scalar]]:
    """Put a contribution as Flower sends it: arrays without names, count, and what is told beside them."""
    told: dict[str, Scalar] = {
        "names": "\n".join(contribution.arrays),
        "loss": contribution.loss,
        "of": contribution.of,
    }
    return list(contribution.arrays.values()), contribution.samples, told


def contribution_of(arrays: Sequence[Array], samples: int, told: Mapping[str, Scalar]) -> Contribution:
    """Read a message. Raises NodeError(FEDERATED_DIFFERS) for one that another program sent."""
    names = str(told.get("names", "")).split("\n")
    if "names" not in told or len(names) != len(arrays) or samples < 1:
        raise NodeError(FEDERATED_DIFFERS, site="a site", what="its message is of another version")
    loss = told.get("loss", 0.0)
    return Contribution(
        arrays=dict(zip(names, arrays, strict=True)),
        samples=samples,
        loss=float(loss) if isinstance(loss, int | float) else 0.0,
        of=str(told.get("of", "")),
    )

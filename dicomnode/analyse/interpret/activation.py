"""From a network's numbers to probabilities."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from dicomnode.analyse.interpret.contract import UnreadableError
from dicomnode.engine import Activation
from dicomnode.values import Float64

_ROUNDING: Final = 1e-4  # what float32 and fp16 leave of 0 and 1


def probabilities(
    values: NDArray[np.generic], activation: Activation, temperature: float = 1.0, axis: int = -1
) -> Float64:
    """Return probabilities of the same shape, float64.

    softmax, sigmoid: of logits, divided by `temperature` first; softmax along `axis`, which holds one class a
    number. none: they are probabilities already. Raises UnreadableError where something is not a number or no
    probability, and for a softmax over fewer than two classes, which is 1 whatever the network says.
    """
    given = np.asarray(values, dtype=np.float64)
    if not np.isfinite(given).all():
        raise UnreadableError("the network gave what is not a number")
    if activation == "softmax":
        if given.ndim == 0 or given.shape[axis] < 2:
            raise UnreadableError(
                f"a softmax needs several classes, the network gave numbers of the shape {given.shape}"
            )
        found: Float64 = softmax(given / temperature, axis=axis)
        return found
    if activation == "sigmoid":
        return np.asarray(expit(given / temperature))
    if given.size and (given.min() < -_ROUNDING or given.max() > 1.0 + _ROUNDING):
        raise UnreadableError(
            f"the network gave {given.min():.4g} to {given.max():.4g}, which are no probabilities: "
            "engine.toml says that no activation is needed"
        )
    return np.clip(given, 0.0, 1.0)

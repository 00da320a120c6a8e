"""Contributions as Flower's messages: arrays without names, a count, and what is told beside them.

What comes from outside is read with distrust: it is what it says it is, or NodeError(FEDERATED_DIFFERS).
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.faults import FEDERATED_DIFFERS, FEDERATED_TOO_LARGE, NodeError
from dicomnode.learn.federate.arrays import MOST_SAMPLES, Array, Arrays, Contribution

Scalar = bool | bytes | float | int | str
Told = Mapping[str, Scalar]

LARGEST_MESSAGE: Final = 2**31 - 1  # bytes, of protobuf
_BESIDE: Final = 1 << 20  # bytes of a message that are no weights
_KINDS: Final = "fiu"
_OTHER: Final = "its message is of another version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """What a site says before any weight travels. of: digest of recipe and structures; names: of tensors.

    samples, validated: how many studies it trains on, and judges by.
    """

    of: str
    names: tuple[str, ...]
    samples: int
    validated: int

    @property
    def told(self) -> dict[str, Scalar]:
        """As a message."""
        return {
            "of": self.of,
            "names": "\n".join(self.names),
            "samples": self.samples,
            "validated": self.validated,
        }


def who_of(told: Told, site: str) -> Who:
    """Read what a site says of itself. Raises NodeError(FEDERATED_DIFFERS)."""
    of, names = told.get("of"), told.get("names")
    counts = [told.get(key) for key in ("samples", "validated")]
    right = [n for n in counts if isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MOST_SAMPLES]
    if not isinstance(of, str) or not isinstance(names, str) or len(right) < len(counts):
        raise NodeError(FEDERATED_DIFFERS, site=site, what=_OTHER)
    samples, validated = right
    return Who(of=of, names=tuple(names.split("\n")), samples=samples, validated=validated)


def message_of(contribution: Contribution) -> tuple[list[Array], int, dict[str, Scalar]]:
    """Put a contribution as Flower sends it: arrays without names, count, and what is told beside them."""
    told: dict[str, Scalar] = {
        "names": "\n".join(contribution.arrays),
        "values": "\n".join(sorted(contribution.values)),
        "loss": contribution.loss,
        "of": contribution.of,
    }
    return list(contribution.arrays.values()), contribution.samples, told


def contribution_of(arrays: Sequence[Array], samples: int, told: Told, site: str = "a site") -> Contribution:
    """Read a message. Raises NodeError(FEDERATED_DIFFERS) for one that another program sent."""
    texts = [told.get(key) for key in ("names", "values", "of")]
    names, values, of = (one if isinstance(one, str) else "" for one in texts)
    loss = told.get("loss")
    named = dict(zip(names.split("\n"), arrays, strict=False))
    if not all(isinstance(one, str) for one in texts) or not isinstance(loss, int | float):
        raise NodeError(FEDERATED_DIFFERS, site=site, what=_OTHER)
    if not len(named) == len(arrays) == len(names.split("\n")):
        raise NodeError(FEDERATED_DIFFERS, site=site, what="names and tensors are not equally many")
    try:
        return Contribution(
            arrays=named,
            samples=samples,
            loss=float(loss),
            of=of,
            values=frozenset(filter(None, values.split("\n"))),
            site=site,
        )
    except (ValueError, OverflowError) as error:
        raise NodeError(FEDERATED_DIFFERS, site=site, what=str(error)) from error


def tensors_from(arrays: Sequence[Array]) -> list[bytes]:
    """Write arrays as numpy does, each with its shape and dtype."""
    written = []
    for array in arrays:
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        written.append(stream.getvalue())
    return written


def arrays_from(tensors: Sequence[bytes], site: str) -> list[Array]:
    """Read arrays, read-only. Raises NodeError(FEDERATED_DIFFERS) for what is none or lies of its size."""
    try:
        return [_array(one) for one in tensors]
    except (ValueError, TypeError, EOFError, OverflowError) as error:
        raise NodeError(FEDERATED_DIFFERS, site=site, what="what it sent cannot be read") from error


def _array(content: bytes) -> Array:
    """Read an array (numpy's format 1.0). Nothing of the size that it claims is made before a look."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array of another format")
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    at = stream.tell()
    if dtype.kind not in _KINDS or math.prod(shape) * dtype.itemsize != len(content) - at:
        raise ValueError("an array of another size")
    array: Array = np.frombuffer(content, dtype, offset=at).reshape(shape, order="F" if in_columns else "C")
    return array


def require_sendable(weights: Arrays) -> None:
    """Raise NodeError(FEDERATED_TOO_LARGE) for weights that no message holds."""
    size = sum(one.nbytes for one in weights.values())
    if size > LARGEST_MESSAGE - _BESIDE:
        raise NodeError(FEDERATED_TOO_LARGE, megabytes=size >> 20, most=(LARGEST_MESSAGE - _BESIDE) >> 20)

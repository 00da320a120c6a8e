"""The order of a network's axes, and back: (n, c, k, j, i) is that of this node.

n is the batch, c the channels. `t` is k as a sequence. Where a network's axes have neither k nor t, each
slice is one of the batch. A network without c takes one channel, and gives none or a second axis of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_OWN: Final = "nckji"


@dataclass(frozen=True, slots=True)
class Layout:
    """The axes of one input of a network, as engine.toml writes them: "nckji", "ncijk", "ntcji"."""

    axes: str

    @property
    def slices_apart(self) -> bool:
        """Whether the network takes each slice for itself, as one of the batch."""
        return not {"k", "t"} & set(self.axes)

    def to_network(self, box: Array) -> Array:
        """Turn (n, c, k, j, i) to the network's axes; ValueError if there is no place for the channels."""
        tensor = box
        if "c" not in self.axes:
            if box.shape[1] != 1:
                raise ValueError(f"a network with the axes {self.axes} takes one channel, not {box.shape[1]}")
            tensor = box[:, 0]
        return np.ascontiguousarray(self._turned(tensor, "c" in self.axes))

    def _turned(self, tensor: Array, channels: bool) -> Array:
        letters = _OWN if channels else _OWN.replace("c", "")
        if self.slices_apart:
            at = letters.index("k")
            tensor = np.moveaxis(tensor, at, 1)
            tensor = tensor.reshape(-1, *tensor.shape[2:])
            letters = letters.replace("k", "")
        names = self.axes.replace("t", "k")
        return np.transpose(tensor, [letters.index(name) for name in names])

    def from_network(self, output: Array, batch: int, depth: int) -> Array | None:
        """Turn an output back to (n, c, k, j, i); None if its axes are not those of a grid.

        batch: n of the input; depth: its number of slices, which a network that takes them apart must keep.
        """
        names = self.axes.replace("t", "k")
        if "c" not in names and output.ndim == len(names) + 1:
            names = names[0] + "c" + names[1:]
        if output.ndim != len(names):
            return None
        letters = "".join(letter for letter in _OWN if letter in names)
        tensor = np.transpose(output, [names.index(letter) for letter in letters])
        if "c" not in letters:
            tensor = np.expand_dims(tensor, 1)
        if not self.slices_apart:
            return tensor
        if tensor.shape[0] != batch * depth:
            return None
        return np.moveaxis(tensor.reshape(batch, depth, *tensor.shape[1:]), 1, 2)

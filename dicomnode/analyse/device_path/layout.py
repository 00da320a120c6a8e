"""The order of a network's axes on a device: what of `analyse.tensors.Layout` needs no copy, or one turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomnode.analyse.device_path.held import Held
from dicomnode.analyse.tensors import Layout
from dicomnode.device import Buffer
from dicomnode.device.kernels import Kernels

_SWAPPED: Final = (1, 0, 2)
_ORDERS: Final = frozenset({"nckji", "nkji", "nkcji", "ncji", "nji"})


@dataclass(frozen=True, slots=True)
class DeviceLayout:
    """The axes of one input as a device lays them out. Tensors are float32 buffers (n, c, k, j, i)."""

    layout: Layout

    @property
    def has_form(self) -> bool:
        """Whether a device can do it: planes stay as they are."""
        return self._names in _ORDERS

    @property
    def _names(self) -> str:
        return self.layout.axes.replace("t", "k")

    @property
    def _slices_first(self) -> bool:
        """Whether channels lie within slices, and not slices within channels."""
        return self.layout.slices_apart or "kc" in self._names

    def one_at_a_time(self, channels: int) -> bool:
        """Whether only one window fits a tensor, because channels and slices change places."""
        return self._slices_first and channels > 1

    def to_network(self, kernels: Kernels, held: Held, box: Buffer) -> Buffer:
        """Return (n, c, k, j, i) in the network's axes: a view of it, or of a copy that ends with `held`.

        ValueError if there is no place for the channels.
        """
        n, c, k, j, i = box.shape
        if "c" not in self._names and c != 1:
            raise ValueError(f"a network with the axes {self.layout.axes} takes one channel, not {c}")
        tensor = self._swapped(kernels, held, box, (n, c, k, j * i)) if self._slices_first else box
        if self.layout.slices_apart:
            return kernels.reshaped(tensor, (n * k, c, j, i) if "c" in self._names else (n * k, j, i))
        if "c" not in self._names:
            return kernels.reshaped(tensor, (n, k, j, i))
        return kernels.reshaped(tensor, (n, k, c, j, i) if self._slices_first else (n, c, k, j, i))

    def from_network(
        self, kernels: Kernels, held: Held, output: Buffer, batch: int, depth: int
    ) -> Buffer | None:
        """Return an output as (n, c, k, j, i), as `Layout.from_network` does; None if it is on no grid."""
        names, shape = self._names, output.shape
        if "c" not in names and len(shape) == len(names) + 1:
            names = names[0] + "c" + names[1:]
        if len(shape) != len(names):
            return None
        lengths = dict(zip(names, shape, strict=True))
        c, j, i = lengths.get("c", 1), lengths["j"], lengths["i"]
        if not self.layout.slices_apart:
            n, k = lengths["n"], lengths["k"]
        elif lengths["n"] == batch * depth:
            n, k = batch, depth
        else:
            return None
        if self.layout.slices_apart or "kc" in names:
            output = self._swapped(kernels, held, output, (n, k, c, j * i))
        return kernels.reshaped(output, (n, c, k, j, i))

    def _swapped(
        self, kernels: Kernels, held: Held, tensor: Buffer, shape: tuple[int, int, int, int]
    ) -> Buffer:
        """Let the two axes in the middle of (n, a, b, plane) change places."""
        n, a, b, plane = shape
        if min(a, b) == 1:
            return tensor
        if n != 1:
            raise ValueError(f"channels and slices of {n} windows at a time cannot change places")
        planes = kernels.reshaped(tensor, (a, b, plane))
        return held.keep(kernels.turn(planes, _SWAPPED, (False, False, False)))

"""Somebody who holds memory and launches kernels: what `LaunchedKernels` needs."""

from __future__ import annotations

from typing import Protocol

from numpy.typing import ArrayLike, DTypeLike

from dicomnode.device.buffer import Buffer
from dicomnode.device.cpu import Device
from dicomnode.device.launches import Extent3, Launch


class Machine(Protocol):
    """Memory, and launches that happen one after the other, in the order in which they are asked for.

    A buffer may be closed while a launch that uses it is under way: the machine sees to it that its memory
    is not used for anything else before.
    """

    @property
    def device(self) -> Device:
        """The device."""

    def upload(self, array: ArrayLike) -> Buffer:
        """Bring an array to the device."""

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        """Return room for an array."""

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        """Return an array of zeros."""

    def part(self, values: Buffer, index: int) -> Buffer:
        """Return an entry along the first axis, as a view."""

    def reshaped(self, values: Buffer, shape: tuple[int, ...]) -> Buffer:
        """Return the same buffer under other lengths: closing one of the two closes both."""

    def copy(self, values: Buffer, target: Buffer, offset: int) -> None:
        """Copy all of `values` into `target` from so many of its elements on; both of this device."""

    def address(self, buffer: Buffer) -> int:
        """Return where a buffer of this device begins; TypeError for one that is not of it."""

    def launch(self, launch: Launch, grid: Extent3, arguments: tuple[float, ...]) -> None:
        """Launch a kernel with arguments in their order; pointers are addresses."""

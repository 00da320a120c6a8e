"""Arrays on their way to the device and back, and how many bytes have gone each way.

Through two blocks of page-locked memory in turn: while the device copies one, the host fills or empties the
other. Everything is queued in the context's own stream: a second one would have nothing to do meanwhile,
since the kernels wait for what comes up, and what goes down waits for the kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.device.cuda.streams import Event

if TYPE_CHECKING:
    from dicomnode.device.cuda.context import CudaContext

_CHUNK_BYTES: Final = 8 << 20  # a third of a millisecond over PCIe 4 x16: long against what queueing costs
_SMALL_BYTES: Final = 64 << 10  # the driver takes its own copy of so little


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What has gone between host and device: arrays and bytes, up to the device and down from it."""

    arrays_up: int = 0
    bytes_up: int = 0
    arrays_down: int = 0
    bytes_down: int = 0

    def __sub__(self, earlier: Traffic) -> Traffic:
        return Traffic(
            arrays_up=self.arrays_up - earlier.arrays_up,
            bytes_up=self.bytes_up - earlier.bytes_up,
            arrays_down=self.arrays_down - earlier.arrays_down,
            bytes_down=self.bytes_down - earlier.bytes_down,
        )


class _Slot:
    """A block of page-locked memory, and when the device is done with it."""

    def __init__(self, context: CudaContext, nbytes: int) -> None:
        self.memory = context.pinned.take(nbytes)
        self.free = Event(context)  # not recorded yet: waiting for it returns at once


class Transfers:
    """Brings arrays up and down; counts them."""

    def __init__(self, context: CudaContext) -> None:
        self._context = context
        self._slots: tuple[_Slot, _Slot] | None = None
        self._turn = 0
        self.traffic = Traffic()

    def up(self, array: NDArray[Any], address: int) -> None:
        """Copy a contiguous array to the device. It may be changed when this returns; the device may lag."""
        source = _bytes_of(array)
        if source.nbytes <= _SMALL_BYTES:
            self._small_up(source, address)
        else:
            for start, stop, slot in self._chunks(source.nbytes):
                slot.free.synchronize()
                slot.memory[: stop - start] = source[start:stop]
                with self._context.working("copying up") as driver:
                    driver.memcpy_htod_async(
                        address + start, slot.memory[: stop - start], self._context.stream.raw
                    )
                slot.free.record(self._context.stream)
        was = self.traffic
        self.traffic = replace(was, arrays_up=was.arrays_up + 1, bytes_up=was.bytes_up + source.nbytes)

    def down(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return what lies there, once all work that is queued has happened."""
        array = np.empty(shape, dtype)
        target = _bytes_of(array)
        if target.nbytes <= _SMALL_BYTES:
            self._small_down(target, address)
        else:
            waiting: tuple[int, int, _Slot] | None = None
            for start, stop, slot in self._chunks(target.nbytes):
                slot.free.synchronize()
                with self._context.working("copying down") as driver:
                    driver.memcpy_dtoh_async(
                        slot.memory[: stop - start], address + start, self._context.stream.raw
                    )
                slot.free.record(self._context.stream)
                if waiting is not None:
                    _empty(waiting, target)
                waiting = start, stop, slot
            if waiting is not None:
                _empty(waiting, target)
        was = self.traffic
        self.traffic = replace(
            was, arrays_down=was.arrays_down + 1, bytes_down=was.bytes_down + target.nbytes
        )
        return array

    def close(self) -> None:
        """Give the page-locked memory back."""
        for slot in self._slots or ():
            self._context.pinned.give_back(slot.memory)
        self._slots = None

    def _small_up(self, source: NDArray[np.uint8], address: int) -> None:
        if source.nbytes:
            with self._context.working("copying up") as driver:
                driver.memcpy_htod_async(address, source, self._context.stream.raw)

    def _small_down(self, target: NDArray[np.uint8], address: int) -> None:
        if target.nbytes:
            with self._context.working("copying down") as driver:
                driver.memcpy_dtoh_async(target, address, self._context.stream.raw)
        self._context.stream.synchronize()

    def _chunks(self, nbytes: int) -> Iterator[tuple[int, int, _Slot]]:
        """Give the parts of an array (first byte, past its last) and the slot of each, in turn."""
        if self._slots is None:
            chunk = min(_CHUNK_BYTES, self._context.pinned.limit_bytes // 2)
            self._slots = (_Slot(self._context, chunk), _Slot(self._context, chunk))
        size = self._slots[0].memory.nbytes
        for start in range(0, nbytes, size):
            self._turn ^= 1
            yield start, min(start + size, nbytes), self._slots[self._turn]


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bytes of a contiguous array, without a copy."""
    return array.reshape(-1).view(np.uint8)


def _empty(part: tuple[int, int, _Slot], target: NDArray[np.uint8]) -> None:
    """Take what the device has put into a slot."""
    start, stop, slot = part
    slot.free.synchronize()
    target[start:stop] = slot.memory[: stop - start]

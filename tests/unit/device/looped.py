"""The kernels of kernels.cu as a machine on the host: g++ compiles them, their threads run in any order."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dicomnode.device import HostBuffer, cpu_device
from dicomnode.device.launches import LAUNCHES, Launch

DEVICE = Path(__file__).resolve().parents[3] / "dicomnode" / "device"
_HARNESS = Path(__file__).resolve().parents[2] / "fixtures" / "host_kernels" / "launch.cpp"
_TYPES = {"P": ctypes.c_void_p, "i": ctypes.c_int32, "q": ctypes.c_int64, "f": ctypes.c_float}

ORDERS = {"forwards": 0, "backwards": 1, "shuffled": 2, "breaking off": 3, "at once": 4}


def tool(name: str) -> str:
    """Return the path of a compiler; where it is missing the test is skipped by its name, but fails in CI."""
    path = shutil.which(name)
    if path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{name} is not installed")
    return path


def compiled(folder: Path) -> ctypes.CDLL:
    """Compile kernels.cu and the loop over a grid with g++."""
    (folder / "names.inc").write_text("".join(f"X({name})\n" for name in LAUNCHES))
    library = folder / "kernels.so"
    command = [tool("g++"), "-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-pthread"]
    command += ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", f"-I{folder}", f"-I{DEVICE}"]
    command += ["-o", str(library), str(_HARNESS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    loaded = ctypes.CDLL(str(library))
    loaded.host_codes.restype = ctypes.c_char_p
    return loaded


_MARGIN = 256  # bytes
_UNTOUCHED = 0xA5


class _Block(HostBuffer):
    """Numbers that may be written, and the memory with its margins in which they lie."""

    __slots__ = ("raw", "room")

    def __init__(self, room: np.ndarray, raw: np.ndarray) -> None:
        super().__init__(room)
        self.room, self.raw = room, raw


class LoopedMachine:
    """A `Machine` whose memory is that of the host, with a margin around each block that must stay as it is.

    order: in which the threads of a grid run; see ORDERS.
    """

    def __init__(self, library: ctypes.CDLL, order: str = "forwards", seed: int = 1) -> None:
        self.device = cpu_device(1)
        self._library, self._order, self._seed = library, ORDERS[order], seed
        self._used: list[_Block] = []

    def upload(self, array):
        buffer = self.empty(np.shape(array), np.asarray(array).dtype)
        buffer.room[...] = array
        return buffer

    def empty(self, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw = np.full(size + 2 * _MARGIN, _UNTOUCHED, dtype=np.uint8)
        return _Block(raw[_MARGIN : _MARGIN + size].view(dtype).reshape(shape), raw)

    def zeros(self, shape, dtype):
        buffer = self.empty(shape, dtype)
        buffer.room[...] = 0
        return buffer

    def part(self, values, index):
        return _Block(values.room[index], values.raw)

    def reshaped(self, values, shape):
        return _Block(values.room.reshape(shape), values.raw)

    def copy(self, values, target, offset):
        target.room.reshape(-1)[offset : offset + values.room.size] = values.room.reshape(-1)

    def address(self, buffer):
        if not isinstance(buffer, _Block):
            raise TypeError("a buffer of another device")
        self._used.append(buffer)
        return buffer.room.ctypes.data

    def launch(self, launch: Launch, grid, arguments):
        cells = [_TYPES[code](value) for code, value in zip(launch.codes, arguments, strict=True)]
        pointers = (ctypes.c_void_p * len(cells))(*(ctypes.addressof(cell) for cell in cells))
        three = ctypes.c_uint * 3
        failed = self._library.host_launch(
            launch.kernel.encode(), pointers, three(*grid), three(*launch.block), self._order, self._seed
        )
        assert not failed, launch.kernel
        for block in self._used:
            for margin in (block.raw[:_MARGIN], block.raw[-_MARGIN:]):
                assert (margin == _UNTOUCHED).all(), f"{launch.kernel} wrote outside of a buffer"
        self._used.clear()

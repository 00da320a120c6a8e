"""Compile a .cu file with NVRTC: no GPU, no driver and no nvcc is needed.

Usage: nvrtc.py LIBRARY SOURCE FOLDER PTX ARCHITECTURE…
Writes FOLDER/sm_ARCHITECTURE.cubin for each, and FOLDER/compute_PTX.ptx. Errors go to stderr; exit code 1.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

# As scripts/kernels.sh gives them to nvcc
_OPTIONS = ("--std=c++17", "--fmad=false")


class Nvrtc:
    """The few calls of the NVRTC library that compiling needs (NVRTC documentation, section 3)."""

    def __init__(self, library: str) -> None:
        self._call = ctypes.CDLL(library)

    def compile(self, source: Path, architecture: str) -> tuple[bytes, bytes]:
        """Return cubin (empty for compute_…) and PTX; RuntimeError with the compiler's log if it refuses."""
        program = ctypes.c_void_p()
        text = source.read_bytes()
        self._check(
            self._call.nvrtcCreateProgram(ctypes.byref(program), text, source.name.encode(), 0, None, None)
        )
        options = [option.encode() for option in (*_OPTIONS, f"--gpu-architecture={architecture}")]
        array = (ctypes.c_char_p * len(options))(*options)
        if self._call.nvrtcCompileProgram(program, len(options), array):
            raise RuntimeError(self._read(program, "ProgramLog").decode(errors="replace"))
        cubin = self._read(program, "CUBIN") if architecture.startswith("sm_") else b""
        ptx = self._read(program, "PTX")
        self._call.nvrtcDestroyProgram(ctypes.byref(program))
        return cubin, ptx.rstrip(b"\0")

    def _read(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self._call, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        room = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._call, f"nvrtcGet{what}")(program, room))
        return room.raw

    def _check(self, result: int) -> None:
        if result:
            self._call.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise RuntimeError(self._call.nvrtcGetErrorString(result).decode())


def main(library: str, source: str, folder: str, ptx: str, *architectures: str) -> None:
    """Compile for all architectures."""
    nvrtc, out = Nvrtc(library), Path(folder)
    for architecture in architectures:
        cubin, _ = nvrtc.compile(Path(source), f"sm_{architecture}")
        (out / f"sm_{architecture}.cubin").write_bytes(cubin)
    _, text = nvrtc.compile(Path(source), f"compute_{ptx}")
    (out / f"compute_{ptx}.ptx").write_bytes(text)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RuntimeError as error:
        sys.exit(f"{error}")

"""A decoder process whose decoder does mischief on slices that begin with a mark; run as a module.

python -m tests.unit.assemble.decoders_that_fail MISCHIEF PARENT MEMORY_FD MEMORY_BYTES
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys

import numpy as np
from jpeg_ls import decode_pixel_data
from pydicom.pixels.decoders import JPEGLSLosslessDecoder
from pydicom.uid import JPEGLSLossless

MARK = 1234
DECODER_DEPENDENCIES: dict = {}
_mischief = ""


def is_available(uid):
    return True


def segfault():
    ctypes.string_at(0)


def abort():
    os.abort()


def leave():
    os._exit(3)


def hang():
    while True:
        pass


def allocate():
    np.ones(10**11, np.uint8)


def allocate_in_c():
    """As a library in C++ does it: no memory is the end of the process."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    if libc.malloc(ctypes.c_size_t(10**11)) is None:
        os.abort()


def chatter():
    """On the descriptor that replies go to by default."""
    os.write(1, b'{"number": 0, "dtype": "<i2"}\n' * 5)
    os.write(2, b"PATIENT^NAME")


def reach_out():
    """Do what a stream that took over the process would do; it must not succeed."""
    for attempt in (socket.socket, socket.socketpair, lambda: subprocess.run(["/bin/true"], check=False)):
        try:
            attempt()
        except PermissionError:
            continue
        os._exit(7)


def decode(source, runner):
    # pydicom's names for what a plug-in gets
    pixels, _ = decode_pixel_data(source)
    if np.frombuffer(pixels, "<i2")[0] == MARK:
        globals()[_mischief]()
    return bytes(pixels)


if __name__ == "__main__":
    from dicomnode.assemble import decode as ours
    from dicomnode.assemble.decoders import child as decoder_child
    from tests.unit.assemble import decoders_that_fail

    decoders_that_fail._mischief = sys.argv.pop(1)
    JPEGLSLosslessDecoder.add_plugin("fails", ("tests.unit.assemble.decoders_that_fail", "decode"))
    ours._DECODERS[JPEGLSLossless] = ("fails",)
    sys.exit(decoder_child.main())

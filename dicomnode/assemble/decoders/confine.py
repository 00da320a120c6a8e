"""What a decoder process may not: outlive its parent, take more memory than it needs, reach the network.

It reads what strangers sent with libraries in C and C++. What it needs is to read files and to write into
memory that its parent gave it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
# Operations of prctl, and its mode of seccomp
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2

# seccomp(2), bpf of linux/filter.h: load a word of seccomp_data, jump if equal, return
_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF0000
_EPERM: Final = 0x00050001
_AT_NUMBER: Final = 0
_AT_ARCHITECTURE: Final = 4
_X32: Final = 0x40000000  # a second set of numbers on x86_64

# By machine: its AUDIT_ARCH, and the numbers of socket, socketpair, connect, bind, listen, accept, accept4,
# sendto, execve, execveat, kill, ptrace, process_vm_writev, io_uring_setup
_FORBIDDEN: Final = {
    "x86_64": (0xC000003E, (41, 53, 42, 49, 50, 43, 288, 44, 59, 322, 62, 101, 311, 425)),
    "aarch64": (0xC00000B7, (198, 199, 203, 200, 201, 202, 242, 206, 221, 281, 129, 117, 271, 425)),
}


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends, however that ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(0)


def confine(memory_bytes: int) -> None:
    """Take from this process what it will not need; it holds for the rest of its life.

    memory_bytes: of address space, beyond what it has now. Call it when all libraries are loaded.
    """
    limit = _address_space_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold a patient's image
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    forbid_network()


def forbid_network() -> bool:
    """Refuse system calls that open sockets, start programs or reach into processes (EPERM).

    Tell whether it is so: not where the kernel has no seccomp, or on a machine whose numbers are not here.
    """
    known = _FORBIDDEN.get(platform.machine())
    if known is None:
        return False
    program = _program(*known)
    content = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: number of instructions, pointer to them
    filter_ = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(content))
    )
    return bool(_LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_, 0, 0) == 0)


def _program(architecture: int, forbidden: tuple[int, ...]) -> bytes:
    """Return instructions of 8 bytes: code, steps ahead if true, if false, operand."""
    count = len(forbidden)
    refuse = count + 5  # index of the last instruction
    steps = [
        (_LOAD, 0, 0, _AT_ARCHITECTURE),
        (_JUMP_EQUAL, 0, refuse - 2, architecture),
        (_LOAD, 0, 0, _AT_NUMBER),
        (_JUMP_AT_LEAST, refuse - 4, 0, _X32),
        *((_JUMP_EQUAL, refuse - 5 - n, 0, number) for n, number in enumerate(forbidden)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _EPERM),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()

"""One decoder process as its parent sees it: requests go down, replies come up, pixels lie in shared memory.

What comes up is not trusted: a decoder that a stream has taken over could say anything. The memory is
sealed against being made smaller (memfd_create(2)), which would end its reader with SIGBUS.
"""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dicomnode.assemble.bits import Stored
from dicomnode.assemble.decoders.child import HEADER_FIELDS
from dicomnode.assemble.decoders.file import DecodingError, ImplausibleError, UndecodableError
from dicomnode.assemble.record import Header
from dicomnode.assemble.slices import DecodedSlice
from dicomnode.faults import DECODER_MEMORY, FILE_UNREADABLE, NodeError

# Requests that one process has at a time: while the parent takes one result, the next one is decoded
DEPTH: Final = 2
_PAGE: Final = mmap.PAGESIZE
_WIDEST_PIXEL: Final = 4  # bytes
_LONGEST_REPLY: Final = 1 << 16
_LONGEST_HEADER: Final = 1 << 28  # of a multi-frame image with functional groups
_DTYPES: Final = frozenset({"|u1", "|i1", "<u2", "<i2", "<u4", "<i4"})
_ENDING_S: Final = 5.0  # from the end of its replies to the end of a process
# Environment that a decoder gets: nothing that may hold a secret
_KEPT: Final = ("PATH", "LANG", "LC_", "LD_", "PYTHON", "VIRTUAL_ENV")
_GIVEN: Final = {
    # One core each: there are as many processes as cores
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # mallopt(3): memory of one slice is kept for the next. Given back to the kernel and asked for again, each
    # page of it costs a fault, and these took more time than the decoding of RLE.
    "MALLOC_TRIM_THRESHOLD_": str(2**26),  # bytes
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # bytes, the most that it may be
}

Result = DecodedSlice | DecodingError | NodeError


class BrokenProcessError(Exception):
    """A process said what no decoder says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One image to decode.

    number: of it among those that were asked for together. again: whether somebody outside ended the process
    that had it before.
    """

    number: int
    header: Header
    other_than: str | None
    with_header: bool
    again: bool = False


class DecoderProcess:
    """A process, and the requests that it was given and has not answered yet, the oldest first.

    deadline_s: when the oldest one, or its start, has taken too long; None while it has nothing to do.
    """

    def __init__(self, command: Sequence[str], memory_bytes: int, deadline_s: float) -> None:
        self.requests: deque[Request] = deque()
        self.is_ready = False
        self.deadline_s: float | None = deadline_s
        self._sent = 0
        self._buffer = bytearray()
        self._room = 0
        self._map: mmap.mmap | None = None
        self._memory = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(self._memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
        try:
            # No fork without exec: the parent may hold a CUDA context, and threads
            self._process = subprocess.Popen(
                [*command, str(os.getpid()), str(self._memory), str(memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pass_fds=(self._memory,),
                env=_environment(os.environ),
                start_new_session=True,
            )
        except OSError:
            os.close(self._memory)
            raise

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is no more; one that was killed a moment ago may not have ended yet."""
        return self._process.poll() is not None

    def fileno(self) -> int:
        """Descriptor of its replies, for a selector."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def make_room(self, pixels: int) -> None:
        """Have room for images of so many pixels; only while it has nothing to do."""
        room = -(-pixels * _WIDEST_PIXEL // _PAGE) * _PAGE
        if room > self._room:
            os.ftruncate(self._memory, room * DEPTH)
            self._map = mmap.mmap(self._memory, room * DEPTH)
            self._room = room

    def send(self, request: Request) -> None:
        """Give it something to do; BrokenPipeError if it is no more."""
        begin = self._sent % DEPTH * self._room
        message: dict[str, Any] = {name: getattr(request.header, name) for name in HEADER_FIELDS}
        message |= {
            "number": request.number,
            "path": os.fspath(request.header.path),
            "other_than": request.other_than,
            "with_header": request.with_header,
            "begin": begin,
            "end": begin + self._room,
        }
        assert self._process.stdin is not None
        self.requests.append(request)
        self._sent += 1
        # Never more than the pipe holds: DEPTH lines
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[tuple[Request, Result]] | None:
        """Take the results that have come; None if the process is no more. Raises BrokenProcessError."""
        piece = os.read(self.fileno(), 1 << 20)
        if not piece:
            return None
        self._buffer += piece
        results = []
        while (reply := self._take()) is not None:
            message, behind = reply
            if "ready" in message:
                self.is_ready = True
                continue
            if not self.requests or message.get("number") != self.requests[0].number:
                raise BrokenProcessError("it answers what was not asked")
            begin = (self._sent - len(self.requests)) % DEPTH * self._room
            request = self.requests[0]
            results.append((request, self._result(request, message, behind, begin)))
            self.requests.popleft()
        return results

    def _take(self) -> tuple[dict[str, Any], bytes] | None:
        """Take one whole message off the buffer; None while there is none."""
        end = self._buffer.find(b"\n", 0, _LONGEST_REPLY)
        if end < 0:
            if len(self._buffer) >= _LONGEST_REPLY:
                raise BrokenProcessError("it says too much")
            return None
        try:
            message = json.loads(self._buffer[:end])
            length = int(message.get("header", 0))
        except (ValueError, TypeError, AttributeError) as error:
            raise BrokenProcessError("it says what is no message") from error
        if not 0 <= length <= _LONGEST_HEADER:
            raise BrokenProcessError("its header is too long")
        if len(self._buffer) < end + 1 + length:
            return None
        behind = bytes(self._buffer[end + 1 : end + 1 + length])
        del self._buffer[: end + 1 + length]
        return message, behind

    def _result(self, request: Request, message: Mapping[str, Any], behind: bytes, begin: int) -> Result:
        header, failed = request.header, message.get("failed")
        text = str(message.get("text", ""))[:300]
        if failed == "memory":
            return NodeError(DECODER_MEMORY, sop_instance_uid=header.sop_instance_uid)
        if failed == "disk":
            return NodeError(FILE_UNREADABLE, path=header.path, error=text)
        if failed is not None:
            return ImplausibleError(text) if failed == "implausible" else UndecodableError(text)
        dtype = message.get("dtype")
        if dtype not in _DTYPES or self._map is None:
            raise BrokenProcessError("its pixels have no type")
        shape = (header.rows or 0, header.columns or 0, *((3,) if header.is_colour else ()))
        stored: Stored = np.frombuffer(self._map, dtype, math.prod(shape), begin).reshape(shape).copy()
        try:
            low, high = int(message["low"]), int(message["high"])
            cleared, shifted = int(message.get("cleared", 0)), int(message.get("shifted", 0))
        except (KeyError, ValueError, TypeError) as error:
            raise BrokenProcessError("it does not say from where to where its values reach") from error
        return DecodedSlice(
            stored=stored,
            low=low,
            high=high,
            encoded_header=behind,
            plugin=str(message.get("plugin", ""))[:32],
            hides_more=bool(message.get("hides_more")),
            cleared=cleared,
            shifted=shifted,
        )

    def end(self, *, has_ended: bool = False) -> int:
        """End the process; return its status as subprocess gives it.

        has_ended: it was seen to close its replies, so its status is to be its own.
        """
        if has_ended:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        os.close(self._memory)
        return status


def how_ended(status: int) -> str:
    """Say in words how a process ended."""
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return f"signal {-status} ({signal.Signals(-status).name})"
    return f"signal {-status}"


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(_KEPT)} | _GIVEN

"""A decoder process: `python -m dicomnode.assemble.decoders.child`, started by `decoders.pool`.

Requests come on stdin, a JSON object a line; replies go to stdout, a JSON object a line and behind it the
encoded header. Pixels go into memory that the parent gave. It ends when stdin does.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from dicomnode.assemble.decoders.confine import confine, end_with_parent
from dicomnode.assemble.decoders.file import DecodingError, ImplausibleError
from dicomnode.assemble.record import Header
from dicomnode.assemble.slices import DecodedSlice, SliceDecoder
from dicomnode.faults import NodeError
from dicomnode.store.foreign import quiet

# What decoding wants of a header; it has to be sent with each request
HEADER_FIELDS: Final = (
    "sop_instance_uid",
    "sop_class_uid",
    "study_instance_uid",
    "series_instance_uid",
    "transfer_syntax_uid",
    "rows",
    "columns",
    "frames",
    "frame_number",
    "samples",
    "photometric",
)


class Memory:
    """The parent's memory, of which the parent says how large it is: it grows, and is never made smaller."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None

    def put(self, stored: Any, begin: int, end: int) -> None:
        """Copy an array to a place."""
        if stored.nbytes > end - begin:
            raise ValueError("an image is larger than its place")
        if self._map is None or len(self._map) < end:
            self._map = mmap.mmap(self._descriptor, os.fstat(self._descriptor).st_size)
        place = np.frombuffer(self._map, stored.dtype, stored.size, begin)
        np.copyto(place.reshape(stored.shape), stored)


def main() -> int:
    """Decode until there is no more to do."""
    parent, descriptor, memory_bytes = map(int, sys.argv[1:4])
    end_with_parent(parent)
    replies = _take_stdout()
    _load_decoders()
    confine(memory_bytes)
    _say(replies, {"ready": os.getpid()})
    memory = Memory(descriptor)
    with quiet(), SliceDecoder(apart=True) as decoder:
        for line in sys.stdin.buffer:
            _say(replies, *_answer(json.loads(line), decoder, memory))
    return 0


def _take_stdout() -> BinaryIO:
    """Keep stdout for replies; what a library writes to it goes nowhere."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return replies


def _load_decoders() -> None:
    """Load what pydicom would load with the first image: after this, memory is limited."""
    import openjpeg  # noqa: PLC0415
    import PIL.Image  # noqa: PLC0415

    del openjpeg, PIL


def _answer(request: dict[str, Any], decoder: SliceDecoder, memory: Memory) -> tuple[dict[str, Any], bytes]:
    """Decode one image; return the reply and what stands behind it."""
    header = Header(path=Path(request["path"]), **{name: request[name] for name in HEADER_FIELDS})
    number = request["number"]
    try:
        one = decoder.decode(header, other_than=request["other_than"], with_header=request["with_header"])
        memory.put(one.stored, request["begin"], request["end"])
    except MemoryError:
        return {"number": number, "failed": "memory"}, b""
    except ImplausibleError as error:
        return {"number": number, "failed": "implausible", "text": str(error)}, b""
    except DecodingError as error:
        return {"number": number, "failed": "undecodable", "text": str(error)}, b""
    except NodeError as error:
        return {"number": number, "failed": "disk", "text": str(error.values.get("error", ""))}, b""
    return _told(number, one), one.encoded_header


def _told(number: int, one: DecodedSlice) -> dict[str, Any]:
    return {
        "number": number,
        "dtype": one.stored.dtype.str,
        "low": one.low,
        "high": one.high,
        "plugin": one.plugin,
        "hides_more": one.hides_more,
        "cleared": one.cleared,
        "shifted": one.shifted,
        "header": len(one.encoded_header),
    }


def _say(replies: BinaryIO, reply: dict[str, Any], behind: bytes = b"") -> None:
    message = memoryview(json.dumps(reply).encode() + b"\n" + behind)
    while message:
        message = message[replies.write(message) :]


if __name__ == "__main__":
    sys.exit(main())

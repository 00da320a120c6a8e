"""Slices decoded while the rest of their study still arrives, so that the last one is not waited on twice.

Nothing depends on it: a slice that is not here is decoded when the volume is made, with the same result.
What fails here is left to be told there.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Final

from dicomnode.assemble.decode import ImplausibleError, UndecodableError, is_sturdy
from dicomnode.assemble.foreign import quiet
from dicomnode.assemble.headers import read_header
from dicomnode.assemble.record import Header
from dicomnode.assemble.slices import DecodedSlice, decode_slice
from dicomnode.faults import NodeError

# Of a file that was looked at and not kept: so that it is not looked at again with every turn
_REMEMBERED: Final = 100_000


class SlicesAhead:
    """Decoded slices by file, at most so many bytes of them; the oldest are let go first.

    For one thread. A file in the store is never changed, so its path says which slice it is.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._slices: OrderedDict[Path, DecodedSlice] = OrderedDict()
        self._passed: OrderedDict[Path, None] = OrderedDict()
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._slices)

    def knows(self, path: Path) -> bool:
        """Tell whether the file was looked at before."""
        return path in self._slices or path in self._passed

    def header_of(self, path: Path) -> Header | None:
        """Read the header of a file; None, and never again, where it is not to be decoded ahead.

        No image, several frames, damage; or a transfer syntax whose decoder may end the process: an analysis
        that dies of it is counted against its study, work ahead of it is not.
        """
        try:
            with quiet():
                header = read_header(path)
        except NodeError:
            header = None
        if isinstance(header, Header) and _is_worth_it(header):
            return header
        self.pass_over(path)
        return None

    def decode(self, header: Header) -> bool:
        """Decode a slice and keep it; tell whether it is kept."""
        try:
            with quiet():
                one = decode_slice(header)
        except (UndecodableError, ImplausibleError, NodeError):
            self.pass_over(header.path)
            return False
        if one.nbytes > self._limit_bytes:
            self.pass_over(header.path)
            return False
        while self.held_bytes + one.nbytes > self._limit_bytes:
            path, oldest = self._slices.popitem(last=False)
            self.held_bytes -= oldest.nbytes
            self.pass_over(path)
        self._slices[header.path] = one
        self.held_bytes += one.nbytes
        return True

    def pass_over(self, path: Path) -> None:
        """Remember that a file is not worth decoding ahead (again)."""
        self._passed[path] = None
        while len(self._passed) > _REMEMBERED:
            self._passed.popitem(last=False)

    def get(self, header: Header) -> DecodedSlice | None:
        """Return the slice of a header where it is here; it stays, as another engine may want it too."""
        return self._slices.get(header.path)

    def let_go(self, paths: frozenset[Path]) -> None:
        """Let go of these slices: their study was analysed, or is not wanted."""
        for path in paths & self._slices.keys():
            self.held_bytes -= self._slices.pop(path).nbytes
            self.pass_over(path)


def _is_worth_it(header: Header) -> bool:
    plain = header.has_pixels and header.frames == 1 and header.damage is None
    return plain and is_sturdy(header.transfer_syntax_uid)

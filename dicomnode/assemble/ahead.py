"""Slices decoded while the rest of their study still arrives, so that the last one is not waited on twice.

Nothing depends on it: a slice that is not here is decoded when the volume is made, with the same result.
What fails here is left to be told there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from dicomnode.assemble.decoders.file import DecodingError
from dicomnode.assemble.headers import read_headers
from dicomnode.assemble.record import Header
from dicomnode.assemble.slices import DecodedSlice, DecodeSlices, decode_here
from dicomnode.faults import NodeError
from dicomnode.store.foreign import quiet
from dicomnode.values import SetAside

# Of a file that was looked at and not kept: so that it is not looked at again with every turn
_REMEMBERED: Final = 100_000
# Device, inode, size in bytes and time of the last change in ns: no two files that are kept agree in them
_File = tuple[int, int, int, int]


class SlicesAhead:
    """Decoded slices by file, at most so many bytes of them; the oldest are let go first.

    A `DecodeSlices` itself: it gives those that it has, and has the others decoded by `decode`, which is a
    `DecoderPool` for images of strangers. For one thread. A corrected image has the path of the one
    before it: what is known of a path holds only for the very file that lay there then.
    """

    def __init__(self, limit_bytes: int, decode: DecodeSlices = decode_here) -> None:
        self._limit_bytes = limit_bytes
        self._decode = decode
        self._slices: OrderedDict[Path, tuple[_File | None, DecodedSlice]] = OrderedDict()
        self._passed: OrderedDict[Path, _File | None] = OrderedDict()
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._slices)

    def knows(self, path: Path) -> bool:
        """Tell whether the file that lies there was looked at before."""
        file = _file_at(path)
        if path in self._slices:
            return self._slices[path][0] == file
        return path in self._passed and self._passed[path] == file

    def header_of(self, path: Path) -> Header | None:
        """Read the header of a file; None, and never again, where it is not to be decoded ahead.

        No image, several frames, or damage.
        """
        file = _file_at(path)
        try:
            with quiet():
                read = read_headers(path)
        except NodeError:
            read = ()
        if not isinstance(read, SetAside) and len(read) == 1 and _is_worth_it(read[0]):
            return read[0]
        self._pass_over(path, file)
        return None

    def decode(self, header: Header) -> bool:
        """Decode a slice and keep it; tell whether it is kept."""
        # Before it is decoded: what replaces it meanwhile is another file than the one that is kept
        file = _file_at(header.path)
        self._drop(header.path)
        try:
            (one,) = self._decode([header])
        except NodeError:
            self._pass_over(header.path, file)
            return False
        if not isinstance(one, DecodedSlice) or one.nbytes > self._limit_bytes:
            self._pass_over(header.path, file)
            return False
        while self.held_bytes + one.nbytes > self._limit_bytes:
            path, (of, oldest) = self._slices.popitem(last=False)
            self.held_bytes -= oldest.nbytes
            self._pass_over(path, of)
        self._slices[header.path] = (file, one)
        self.held_bytes += one.nbytes
        return True

    def pass_over(self, path: Path) -> None:
        """Remember that the file that lies there is not worth decoding ahead (again)."""
        self._pass_over(path, _file_at(path))

    def _pass_over(self, path: Path, file: _File | None) -> None:
        self._passed[path] = file
        while len(self._passed) > _REMEMBERED:
            self._passed.popitem(last=False)

    def __call__(
        self, headers: Sequence[Header], *, other_than: str | None = None
    ) -> Iterator[DecodedSlice | DecodingError]:
        """Give slices in the order asked; those that are here stay, as another engine may want them, too."""
        early = [None if other_than else self._kept(header.path) for header in headers]
        late = self._decode(
            [header for header, one in zip(headers, early, strict=True) if one is None], other_than=other_than
        )
        for one in early:
            yield next(late) if one is None else one

    def let_go(self, paths: frozenset[Path]) -> None:
        """Let go of these slices: their study was analysed, or is not wanted."""
        for path in paths & self._slices.keys():
            self._pass_over(path, self._drop(path))

    def _kept(self, path: Path) -> DecodedSlice | None:
        file, one = self._slices.get(path, (None, None))
        return one if file is not None and file == _file_at(path) else None

    def _drop(self, path: Path) -> _File | None:
        file, one = self._slices.pop(path, (None, None))
        self.held_bytes -= one.nbytes if one is not None else 0
        return file


def _file_at(path: Path) -> _File | None:
    """Which file lies at a path now; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _is_worth_it(header: Header) -> bool:
    return header.has_pixels and header.frames == 1 and header.damage is None

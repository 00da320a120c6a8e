"""A part file: one instance while it comes in. Sealed and flushed once, then it may be acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog
import xxhash

from dicomnode.faults import STORE_WRITE_FAILED, NodeError
from dicomnode.store.disk import Chunk, Disk
from dicomnode.store.seal import PREAMBLE, SealedFile, pack_seal
from dicomnode.values import Sender

log = structlog.get_logger("dicomnode.store")

# PS3.10 7.1: the prefix that follows the preamble
_PREFIX: Final = b"DICM"
PART_SUFFIX: Final = ".part"
SEALED_SUFFIX: Final = ".dcm"


def sealed_name(received_at: datetime, stem: str) -> str:
    """Name of a sealed file: in alphabetical order of these, files are in the order of their arrival."""
    return f"{received_at.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z-{stem}{SEALED_SUFFIX}"


class PartFile:
    """A file in `incoming/` that is being written; used by one thread.

    As a context manager it discards itself unless it was sealed. Any OSError becomes
    NodeError(STORE_WRITE_FAILED); after it, the part can only be discarded.
    """

    def __init__(
        self, disk: Disk, fd: int, path: Path, on_flush_failed: Callable[[Path, OSError], None]
    ) -> None:
        self._disk = disk
        self._fd: int | None = fd
        self._path = path
        self._on_flush_failed = on_flush_failed
        self._digest = xxhash.xxh3_64()
        self._size = 0
        self._started = False
        self._start = b""  # the first bytes, to check the prefix

    @property
    def size(self) -> int:
        """Bytes written so far, behind the preamble."""
        return self._size

    def write(self, chunk: bytes | memoryview) -> None:
        """Append what stands behind the preamble, beginning with `DICM` and the file meta information."""
        self.writev((chunk,))

    def writev(self, chunks: Sequence[Chunk]) -> None:
        """Append several pieces with one system call; the preamble is the store's own."""
        fd = self._open_fd()
        for chunk in chunks:
            self._digest.update(chunk)
        if len(self._start) < len(_PREFIX):
            self._start += b"".join(bytes(chunk[: len(_PREFIX)]) for chunk in chunks)
        # Place for the seal: with the first bytes, not by a step of its own
        pieces = chunks if self._started else (bytes(PREAMBLE), *chunks)
        self._started = True
        try:
            self._disk.write(fd, pieces)
        except OSError as error:
            raise self._failed(error) from error
        self._size += sum(len(chunk) for chunk in chunks)

    def seal(self, sender: Sender, received_at: datetime) -> SealedFile:
        """Write the seal and flush, once. When this returns, the file survives a power cut.

        Raises NodeError(STORE_WRITE_FAILED): then it must not be acknowledged, and the flush is never
        tried again (the kernel may have dropped the pages and would say that all is well).
        """
        fd = self._open_fd()
        if not self._start.startswith(_PREFIX):
            raise ValueError("a part must begin with DICM, behind the preamble that the store writes")
        seal = pack_seal(self._size, self._digest.intdigest(), received_at, sender)
        final = self._path.with_name(sealed_name(received_at, self._path.stem))
        try:
            self._disk.pwrite(fd, seal, 0)
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._disk.fdatasync(fd)
        except OSError as error:
            self._fd = None
            self._on_flush_failed(self._path, error)
            self._close_quietly(fd)
            raise self._failed(error) from error
        try:
            self._fd = None
            self._disk.close(fd)
            # Not flushed: a power cut may bring the old name back, and recovery gives the new one again.
            # It only tells those who look into the folder that this file is flushed.
            self._disk.rename(self._path, final)
        except OSError as error:
            raise self._failed(error) from error
        return SealedFile(
            path=final,
            size=PREAMBLE + self._size,
            digest=self._digest.hexdigest(),
            received_at=received_at.astimezone(UTC),
            sender=sender,
        )

    def discard(self) -> None:
        """Remove what was written; does nothing after seal() or a second time."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        self._close_quietly(fd)
        try:
            self._disk.unlink(self._path)
        except OSError as error:
            # It has no seal, so the next start quarantines it: no harm but the space
            log.warning("part.left", path=self._path.name, error=str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def _open_fd(self) -> int:
        if self._fd is None:
            raise ValueError("the part was already sealed or discarded")
        return self._fd

    def _failed(self, error: OSError) -> NodeError:
        return NodeError(STORE_WRITE_FAILED, path=self._path.parent, error=error)

    def _close_quietly(self, fd: int) -> None:
        try:
            self._disk.close(fd)
        except OSError as error:
            log.warning("part.close_failed", path=self._path.name, error=str(error))

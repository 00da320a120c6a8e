"""Names made durable before they are needed: so a received file costs one flush and not two.

One flush of the folder makes a batch of empty files durable. A thread makes the next batch while the last
names are used, so that no association waits for it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path
from typing import Final

import structlog

from dicomnode.store.disk import Disk
from dicomnode.store.part import PART_SUFFIX

log = structlog.get_logger("dicomnode.store")

BATCH: Final = 64
# A refill starts when fewer are left: 64 objects come in no shorter time than one flush of a folder takes
_LOW: Final = 64


class NamePool:
    """Empty, durable files in `incoming/`, shared by all associations of a process."""

    def __init__(
        self, disk: Disk, folder: Path, *, batch: int = BATCH, low: int = _LOW, tag: str = ""
    ) -> None:
        self._disk = disk
        self._folder = folder
        self._batch = batch
        self._low = low
        # Names of several processes, and of one process after another, must differ
        self._tag = tag or os.urandom(4).hex()
        self._made = 0
        self._ready: deque[tuple[int, Path]] = deque()
        self._lock = threading.Lock()  # of _ready, _thread and _closed
        self._filling = threading.Lock()  # held while a batch is made
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def take(self) -> tuple[int, Path]:
        """Give an open empty file whose name is durable; the caller closes it. Raises OSError."""
        while True:
            with self._lock:
                if self._closed:
                    raise ValueError("the store is closed")
                if self._ready:
                    taken = self._ready.popleft()
                    if len(self._ready) < self._low:
                        self._refill_soon()
                    return taken
            self._fill(only_if_empty=True)

    def close(self) -> None:
        """Stop the thread and remove what was not used."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        self._wanted.set()
        if thread is not None:
            thread.join()
        with self._lock:
            unused, self._ready = self._ready, deque()
        for fd, path in unused:
            try:
                self._disk.close(fd)
                self._disk.unlink(path)
            except OSError as error:
                log.debug("pool.left", path=path.name, error=str(error))  # the next start removes it

    def _refill_soon(self) -> None:
        if self._low == 0:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="store-names", daemon=True)
            self._thread.start()
        self._wanted.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closed:
                return
            try:
                self._fill(only_if_empty=False)
            except OSError as error:
                # Whoever finds the pool empty tries himself and gets the error where it can be answered
                log.warning("pool.refill_failed", error=str(error))

    def _fill(self, *, only_if_empty: bool) -> None:
        with self._filling:
            with self._lock:
                if self._ready and (only_if_empty or len(self._ready) >= self._low):
                    return
            made: list[tuple[int, Path]] = []
            try:
                for _ in range(self._batch):
                    path = self._folder / f"{self._tag}-{self._made:08d}{PART_SUFFIX}"
                    self._made += 1
                    made.append((self._disk.create(path), path))
                self._disk.fsync_dir(self._folder)
            except OSError:
                for fd, _ in made:
                    self._disk.close(fd)  # the empty files go at the next start
                raise
            with self._lock:
                self._ready.extend(made)

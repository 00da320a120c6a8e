"""What a start does with what the last run left: the files in `incoming/` say what they are worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from dicomnode.faults import SEALED_FILE_DAMAGED, TORN_FILE
from dicomnode.store.disk import Disk
from dicomnode.store.layout import (
    FINDINGS,
    HISTORY,
    INCOMING,
    NOTICES,
    OUTBOX,
    STUDIES,
)
from dicomnode.store.part import PART_SUFFIX, SEALED_SUFFIX, sealed_name
from dicomnode.store.quarantine import quarantine
from dicomnode.store.seal import verify
from dicomnode.store.whole import TEMPORARY_SUFFIX

log = structlog.get_logger("dicomnode.store")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was found at the start.

    sealed: files that wait and are whole. torn: quarantined, were never acknowledged. damaged: quarantined,
    were acknowledged once and no longer fit their seal: the disk is at fault.
    """

    sealed: int
    torn: tuple[Path, ...] = ()
    damaged: tuple[Path, ...] = ()


def recover(disk: Disk, root: Path) -> Recovery:
    """Verify each file of `incoming/`, finish what was whole, quarantine what was not. Raises OSError."""
    incoming = root / INCOMING
    torn: list[Path] = []
    damaged: list[Path] = []
    whole = 0
    for path in sorted(incoming.iterdir()):
        if path.suffix == PART_SUFFIX:
            if path.stat().st_size == 0:
                disk.unlink(path)  # a name that was made and not used
            elif _finish(disk, path):
                whole += 1
            else:
                torn.append(quarantine(disk, root, path, "torn"))
                log.info("file.torn", code=TORN_FILE.code, path=path.name)
        elif path.suffix == SEALED_SUFFIX:
            if verify(path) is not None:
                whole += 1
            else:
                damaged.append(quarantine(disk, root, path, "damaged"))
                log.error("file.damaged", code=SEALED_FILE_DAMAGED.code, path=path.name)
    for folder in _written_in(root):
        for left in folder.glob(f".*{TEMPORARY_SUFFIX}"):
            disk.unlink(left)
    return Recovery(sealed=whole, torn=tuple(torn), damaged=tuple(damaged))


def _written_in(root: Path) -> Iterator[Path]:
    """Folders in which half-written files may be left; of the studies only those that were corrected."""
    yield from (root, root / FINDINGS, root / OUTBOX, root / NOTICES)
    for folder in (root / HISTORY).iterdir():
        yield folder
        yield root / STUDIES / folder.name


def _finish(disk: Disk, path: Path) -> bool:
    sealed = verify(path)
    if sealed is None:
        return False
    # The last run may have died between the seal and the flush: what is read here may be in memory only
    fd = disk.open(path)
    try:
        disk.fdatasync(fd)
    finally:
        disk.close(fd)
    disk.rename(path, path.with_name(sealed_name(sealed.received_at, path.stem)))
    return True

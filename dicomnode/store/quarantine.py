"""Quarantine: what cannot be used is put aside with its reason, never thrown away and never used."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

from dicomnode.store.disk import Disk
from dicomnode.store.layout import QUARANTINE, ensure_folder

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


def quarantine(disk: Disk, root: Path, path: Path, reason: str) -> Path:
    """Move a file to `quarantine/<reason>/`, durably; give its new path. Raises OSError.

    After a crash in the middle, doing it again ends the move. Nothing that lies there is overwritten.
    """
    folder = root / QUARANTINE / ("".join(c for c in reason if c in _PLAIN)[:32] or "other")
    ensure_folder(disk, folder)
    for number in itertools.count(1):
        target = folder / (path.name if number == 1 else f"{path.stem}-{number}{path.suffix}")
        try:
            disk.link(path, target)
        except FileExistsError:
            if not target.samefile(path):
                continue
        break
    disk.fsync_dir(folder)
    disk.fsync_dir(folder.parent)
    disk.unlink(path)
    return target

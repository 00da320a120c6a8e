"""Quarantine: what cannot be used is put aside with its reason, never thrown away and never used."""

from __future__ import annotations

import hashlib
import itertools
from contextlib import suppress
from pathlib import Path
from typing import Final

from dicomnode.store.disk import Disk
from dicomnode.store.header import read_meta
from dicomnode.store.layout import QUARANTINE, ensure_folder
from dicomnode.store.whole import write_first

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


def quarantine(disk: Disk, root: Path, path: Path, reason: str) -> Path:
    """Move a file to `quarantine/<reason>/`, durably; give its new path. Raises OSError.

    After a crash in the middle, doing it again ends the move. Nothing that lies there is overwritten.
    """
    folder = _folder(disk, root, reason)
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


def keep_once(disk: Disk, root: Path, path: Path, reason: str, name: str) -> Path:
    """Give a Part 10 file a second name in `quarantine/<reason>/`, durably; the same data set has one there.

    name: of what it claims to be; the digest of its data set is put behind it. The file keeps its own name:
    it goes when the journal has told of it. Raises OSError.
    """
    folder = _folder(disk, root, reason)
    with path.open("rb") as file:
        file.seek(read_meta(file).end)
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    target = folder / f"{name}-{digest}.dcm"
    with suppress(FileExistsError):
        disk.link(path, target)
    disk.fsync_dir(folder)
    disk.fsync_dir(folder.parent)
    return target


def keep_new(disk: Disk, root: Path, content: bytes, reason: str, name: str) -> Path:
    """Write what never was a file of the store to `quarantine/<reason>/<name>`; the same name is kept once.

    name: made of letters, digits, hyphens and points by who calls. Raises OSError.
    """
    folder = _folder(disk, root, reason)
    target = folder / name
    if not target.exists():
        write_first(disk, target, content)
    disk.fsync_dir(folder.parent)
    return target


def _folder(disk: Disk, root: Path, reason: str) -> Path:
    folder = root / QUARANTINE / ("".join(c for c in reason if c in _PLAIN)[:32] or "other")
    ensure_folder(disk, folder)
    return folder

"""Small JSON files in the state folder: what was found out once and holds until something changes.

They are answers that can be found out again. So one that cannot be read is as good as none, and one that
cannot be written is told in the log and stops nothing.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from dicomnode.store import Disk, write_whole

SCHEMA: Final = 1
_LARGEST_BYTES: Final = 1_000_000  # one has some 2 kB


def read_kept(path: Path) -> dict[str, Any] | None:
    """Read a file that `keep` wrote; None when there is none, or none that this version understands."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_LARGEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def keep(path: Path, facts: Mapping[str, Any], disk: Disk | None = None) -> bool:
    """Write a file whole: a crash leaves the old one or the new one. False when it cannot be written."""
    disk = disk or Disk()
    content = json.dumps({"schema": SCHEMA, **facts}, indent=1, ensure_ascii=False).encode() + b"\n"
    try:
        _check_owner(path.parent.parent)
        _make(disk, path.parent)
        write_whole(disk, path, content)
    except OSError as error:
        log = structlog.get_logger("dicomnode.engine")
        log.warning("state.not_kept", path=str(path), error=error.strerror or str(error))
        return False
    return True


def _check_owner(state: Path) -> None:
    """Leave a state folder alone that is another user's: what root makes in it the service cannot replace."""
    if state.exists() and state.stat().st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"{state} belongs to another user")


def _make(disk: Disk, folder: Path) -> None:
    for path in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            disk.mkdir(path)
            disk.fsync_dir(path.parent)

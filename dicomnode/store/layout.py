"""The folders of the store, the names in them, its salt and its lock.

Names come from a hash of what a peer sent, never from its text: no UID, however hostile, leads out of here.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Final

from dicomnode.faults import STORE_IN_USE, STORE_TOO_NEW, STORE_WRITE_FAILED, NodeError
from dicomnode.store.disk import Disk
from dicomnode.store.whole import write_first

SCHEMA: Final = 1
INCOMING: Final = "incoming"
STUDIES: Final = "studies"
FINDINGS: Final = "findings"
OUTBOX: Final = "outbox"
QUARANTINE: Final = "quarantine"
HISTORY: Final = "history"
NOTICES: Final = "notices"
LABELS: Final = "labels"
FOLDERS: Final = (INCOMING, STUDIES, FINDINGS, OUTBOX, QUARANTINE, HISTORY, NOTICES, LABELS)

_SALT: Final = "salt"
_SALT_BYTES: Final = 32
_MARK: Final = "store.json"
_LOCK: Final = "lock"
# A folder above that may be passed and not read or written: nothing in it was made here
_OF_OTHERS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL})


def hashed(*parts: str) -> str:
    """32 hex digits that stand for `parts`; 128 bits do not meet by chance, nor by a sender's will."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()[:32]


def study_folder(root: Path, study_instance_uid: str) -> Path:
    """Folder of a study's instances."""
    return root / STUDIES / hashed(study_instance_uid)


def make_folders(disk: Disk, root: Path) -> None:
    """Make what is missing of the layout, durably; check that this version can read what is there."""
    mark = root / _MARK
    if not mark.exists():
        _make_root(disk, root)
    for name in FOLDERS:
        ensure_folder(disk, root / name)
    if not mark.exists():
        # Written last: where it stands, all folders above were flushed, by whoever made them
        write_first(disk, mark, json.dumps({"schema": SCHEMA}).encode() + b"\n")
    _check_schema(root)
    # Also when nothing was missing: who made it may have died before it was durable
    disk.fsync_dir(root)


def _make_root(disk: Disk, root: Path) -> None:
    for folder in (*reversed(root.parents), root):
        ensure_folder(disk, folder)
    for folder in root.parents:
        try:
            disk.fsync_dir(folder)
        except OSError as error:
            if error.errno not in _OF_OTHERS:
                raise


def ensure_folder(disk: Disk, folder: Path) -> None:
    """Make a folder that may be there already; its name is durable only after a flush of its parent."""
    if not folder.is_dir():
        try:
            disk.mkdir(folder)
        except FileExistsError:
            if not folder.is_dir():  # else another process was faster
                raise


def _check_schema(root: Path) -> None:
    path = root / _MARK
    try:
        found = json.loads(path.read_bytes())["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise NodeError(STORE_WRITE_FAILED, path=path, error=f"it is damaged ({error})") from error
    if found != SCHEMA:
        raise NodeError(STORE_TOO_NEW, path=root, found=found, known=SCHEMA)


def read_salt(disk: Disk, root: Path) -> bytes:
    """Read the installation's salt; made once, durable before anybody sees it."""
    path = root / _SALT
    if not path.exists():
        write_first(disk, path, os.urandom(_SALT_BYTES))
    salt = path.read_bytes()
    if len(salt) != _SALT_BYTES:
        raise NodeError(STORE_WRITE_FAILED, path=path, error=f"it has {len(salt)} bytes, not {_SALT_BYTES}")
    disk.fsync_dir(root)
    return salt


class Lock:
    """Held while one node has the store; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, root: Path) -> None:
        self._fd = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise NodeError(STORE_IN_USE, path=root, pid=holder) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another node have the store."""
        os.close(self._fd)

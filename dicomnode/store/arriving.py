"""Studies that arrive now: what the receivers' open associations bring, for the scheduler to look at.

A file for each association, in `arriving/`, with a lock on it. It speaks of running processes only: nothing
here is flushed, and the kernel lets go of the lock when the process ends, however it ends. A file without a
lock says nothing, and is taken away by whoever comes upon it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

import structlog

from dicomnode.faults import STORE_WRITE_FAILED, NodeError

log = structlog.get_logger("dicomnode.store")

ARRIVING: Final = "arriving"
_FILE_MODE: Final = 0o640
_FOLDER_MODE: Final = 0o750
_UID_BYTES: Final = 64  # the longest UID, PS3.5 9.1


class Arriving:
    """What one association brings; used by its thread alone."""

    def __init__(self, root: Path) -> None:
        self._folder = root / ARRIVING
        self._study = ""
        self._path: Path | None = None
        self._fd = -1

    def say(self, study_instance_uid: str) -> None:
        """Say whose instances come now: of this study, and no longer of the one before. Never raises.

        Said before an instance is sealed, it is seen by everybody who can see the instance. Only a study that
        is another than the last costs anything.
        """
        if study_instance_uid == self._study:
            return
        self._study = study_instance_uid
        try:
            if self._path is None:
                self._fd, self._path = _locked_file(self._folder)
            # Of one length always, so that it is one write. Who reads in the middle of it may miss a study of
            # which nothing has come by this association yet
            os.pwrite(self._fd, study_instance_uid.encode("ascii").ljust(_UID_BYTES, b"\0"), 0)
        except OSError as error:
            # The instance is no worse for it; its study may be closed while more of it comes
            log.warning("association.not_noted", study=study_instance_uid, error=error.strerror)

    def end(self) -> None:
        """Say that the association has ended; once more does no harm. Never raises."""
        if self._path is None:
            return
        fd, path, self._fd, self._path = self._fd, self._path, -1, None
        try:
            path.unlink(missing_ok=True)
        except OSError as error:  # without its lock it says nothing
            log.warning("association.not_noted", error=error.strerror)
        finally:
            os.close(fd)


def _locked_file(folder: Path) -> tuple[int, Path]:
    """Make a file of a new name and lock it. Raises OSError."""
    folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    while True:
        path = folder / os.urandom(8).hex()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                return fd, path
        except OSError:
            os.close(fd)
            raise
        os.close(fd)  # taken for one without an owner, between these lines


def arriving_studies(root: Path) -> frozenset[str]:
    """Study Instance UIDs that open associations bring now: of each, the study of its last instance.

    Raises NodeError(STORE_WRITE_FAILED).
    """
    try:
        return frozenset(uid for path in _files(root / ARRIVING) if (uid := _read(path)))
    except OSError as error:
        raise NodeError(STORE_WRITE_FAILED, path=root / ARRIVING, error=error) from error


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:  # nothing has ever come
        return []


def _read(path: Path) -> str:
    """Read what an association says, empty if it has ended."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(fd, _UID_BYTES, 0).rstrip(b"\0").decode("ascii", "replace")
    else:
        path.unlink(missing_ok=True)  # its process has ended without a word
        return ""
    finally:
        os.close(fd)

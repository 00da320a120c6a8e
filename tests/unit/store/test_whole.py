"""A file is there whole or not at all, also in a folder that cannot be flushed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from dicomnode.store import Disk, SharedDisk, write_whole


@pytest.fixture
def folder_flush(monkeypatch):
    """Have each flush of a folder fail with an error; the fixture gives a function that sets it."""
    fsync = os.fsync

    def set_error(number: int) -> None:
        def failing(fd: int) -> None:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(number, os.strerror(number))
            fsync(fd)

        monkeypatch.setattr(os, "fsync", failing)

    return set_error


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.ENOTSUP], ids=errno.errorcode.get)
def test_a_shared_folder_that_cannot_be_flushed_takes_a_file(tmp_path: Path, folder_flush, number) -> None:
    folder_flush(number)
    path = tmp_path / "mask.dcm"
    path.write_bytes(b"old")
    write_whole(SharedDisk(), path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
def test_a_disk_that_fails_is_not_a_folder_that_cannot_be_flushed(
    tmp_path: Path, folder_flush, number
) -> None:
    folder_flush(number)
    with pytest.raises(OSError, match=os.strerror(number)):
        write_whole(SharedDisk(), tmp_path / "mask.dcm", b"new")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.ENOTSUP], ids=errno.errorcode.get)
def test_the_stores_own_folders_must_be_flushed(tmp_path: Path, folder_flush, number) -> None:
    folder_flush(number)
    with pytest.raises(OSError, match=os.strerror(number)):
        write_whole(Disk(), tmp_path / "seal", b"new")

"""Files for the user: whole or not there, and a place that takes none is known before the work."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomnode.cli.writing import require_writable, write_file
from dicomnode.faults import FILE_NOT_WRITTEN, NodeError


@contextmanager
def short_disk(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: the kernel ends a write there, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_written_into_a_folder_that_is_made(tmp_path):
    path = tmp_path / "a" / "b" / "seg.dcm"
    write_file(path, b"content")
    assert path.read_bytes() == b"content"
    assert [one.name for one in path.parent.iterdir()] == ["seg.dcm"]


@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_disk_that_fills_up_leaves_what_was_there_and_no_part(tmp_path, before):
    path = tmp_path / "seg.dcm"
    if before is not None:
        path.write_bytes(before)
    with short_disk(1000), pytest.raises(NodeError) as raised:
        write_file(path, bytes(5000))
    assert raised.value.fault is FILE_NOT_WRITTEN
    assert str(path) in str(raised.value)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == (
        {} if before is None else {"seg.dcm": before}
    )


def test_a_folder_that_takes_files_is_found_right_and_left_as_it_was(tmp_path):
    require_writable(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_where_no_file_can_be_made_is_told_though_rights_would_allow_it():
    with pytest.raises(NodeError) as raised:
        require_writable(Path("/proc/dicomnode"))
    assert raised.value.fault is FILE_NOT_WRITTEN
    assert "/proc" in str(raised.value)


def test_a_disk_without_room_is_told_before_the_work(tmp_path):
    with short_disk(0), pytest.raises(NodeError) as raised:
        require_writable(tmp_path)
    assert raised.value.fault is FILE_NOT_WRITTEN
    assert list(tmp_path.iterdir()) == []

"""Opening the store: its folders, its lock, its salt, and where it may lie."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dicomnode.faults import (
    STORE_FULL,
    STORE_IN_USE,
    STORE_NOT_LOCAL,
    STORE_TOO_NEW,
    STORE_WRITE_FAILED,
    NodeError,
)
from dicomnode.store import Disk, Store, require_local
from dicomnode.store.local import filesystem
from dicomnode.store.reserve import Reserve


def test_the_folders_are_made_with_all_parents(tmp_path: Path) -> None:
    with Store.open(tmp_path / "var" / "lib" / "dicomnode") as store:
        found = {path.name for path in store.root.iterdir() if path.is_dir()}
    assert found == {
        "incoming", "studies", "findings", "outbox", "quarantine", "history", "notices", "labels",
    }  # fmt: skip
    assert json.loads((store.root / "store.json").read_text()) == {"schema": 1}


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        salt = store.salt
    before = sorted(store.root.rglob("*"))
    with Store.open(tmp_path / "store") as store:
        assert store.salt == salt
    assert sorted(store.root.rglob("*")) == before


def test_paths_are_absolute_wherever_the_store_was_opened_from(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open(Path("store")) as store:
        assert store.root == tmp_path / "store"


@pytest.mark.parametrize(
    ("number", "refused"), [(errno.EACCES, False), (errno.EROFS, False), (errno.EIO, True)]
)
def test_a_folder_above_that_may_not_be_flushed_is_passed_and_a_failing_disk_is_not(
    tmp_path: Path, number: int, refused: bool
) -> None:
    class Above(Disk):
        def fsync_dir(self, path: Path) -> None:
            if path == tmp_path.parent:
                raise OSError(number, os.strerror(number))
            super().fsync_dir(path)

    if refused:
        with pytest.raises(NodeError, match="Input/output error"):
            Store.open(tmp_path / "store", disk=Above())
    else:
        Store.open(tmp_path / "store", disk=Above()).close()


def test_nothing_of_the_store_is_for_everybody(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        assert store.salt
    assert [path for path in (store.root, *store.root.rglob("*")) if path.stat().st_mode & 0o007] == []


def test_a_store_of_a_later_layout_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path / "store").close()
    (tmp_path / "store" / "store.json").write_text('{"schema": 2}')
    with pytest.raises(NodeError) as caught:
        Store.open(tmp_path / "store")
    assert caught.value.fault is STORE_TOO_NEW


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense"])
def test_a_damaged_mark_is_a_fault(tmp_path: Path, content: str) -> None:
    Store.open(tmp_path / "store").close()
    (tmp_path / "store" / "store.json").write_text(content)
    with pytest.raises(NodeError, match="damaged"):
        Store.open(tmp_path / "store")


def test_a_file_where_the_store_should_be_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(NodeError) as caught:
        Store.open(tmp_path / "store")
    assert caught.value.fault is STORE_WRITE_FAILED


def test_the_salt_is_random_and_kept(tmp_path: Path) -> None:
    with Store.open(tmp_path / "one") as one, Store.open(tmp_path / "two") as two:
        assert len(one.salt) == 32
        assert one.salt == one.salt
        assert one.salt != two.salt


def test_all_who_ask_for_the_salt_at_once_get_the_same(tmp_path: Path) -> None:
    Store.open(tmp_path / "store").close()
    found: list[bytes] = []
    gate = threading.Barrier(8)

    def ask() -> None:
        with Store.open(tmp_path / "store") as store:
            gate.wait(10)
            found.append(store.salt)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_salt_of_another_length_is_a_fault(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        (store.root / "salt").write_bytes(b"short")
        with pytest.raises(NodeError, match="5 bytes"):
            _ = store.salt


def test_one_node_has_the_store_and_others_may_look(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with Store.open(root, exclusive=True), Store.open(root):
        with pytest.raises(NodeError) as caught:
            Store.open(root, exclusive=True)
        assert caught.value.fault is STORE_IN_USE
        assert str(os.getpid()) in str(caught.value)
    Store.open(root, exclusive=True).close()


def test_a_process_that_dies_lets_go_of_the_store(tmp_path: Path) -> None:
    root = tmp_path / "store"
    code = (
        "import os, sys; from pathlib import Path; from dicomnode.store import Store;"
        "store = Store.open(Path(sys.argv[1]), exclusive=True); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(NodeError, match=str(other.pid)):
            Store.open(root, exclusive=True)
        other.kill()
        other.wait(10)
    Store.open(root, exclusive=True).close()


def test_the_store_needs_neither_numpy_nor_pydicom_to_receive(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC;"
        "from dicomnode.store import Store, read_ids; from dicomnode.values import Sender;"
        "from tests.unit.store.part10 import behind_preamble, receive;"
        "store = Store.open(Path(sys.argv[1]), exclusive=True); sealed = receive(store, behind_preamble());"
        "store.adopt(sealed, read_ids(sealed.path)); store.recover();"
        "store.put_object('1.2', b'x'); store.close();"
        "print([name for name in ('numpy', 'pydicom', 'sqlalchemy', 'pynetdicom') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "store")], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


MOUNTS = """\
21 27 0:19 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 27 0:40 / /mnt/pacs rw - nfs4 server:/export rw
32 31 254:3 / /mnt/pacs/local rw master:1 propagate_from:2 - xfs /dev/vdb rw
33 27 0:41 / /mnt/my\\040share rw - cifs //nas/x rw
34 27 0:42 / /mnt/ssh rw - fuse.sshfs me@there rw
35 27 8:1 / /mnt/windows rw - fuseblk /dev/sda1 rw
36 27 0:43 / /mnt/twice rw - ext4 /dev/sdc rw
37 27 0:44 / /mnt/twice rw - nfs server:/other rw
a broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/dicomnode", "ext4"),
        ("/mnt/pacs", "nfs4"),
        ("/mnt/pacs/deep/er", "nfs4"),
        ("/mnt/pacs/local/store", "xfs"),
        ("/mnt/pacsimile", "ext4"),
        ("/mnt/my share/x", "cifs"),
        ("/mnt/ssh/x", "fuse.sshfs"),
        ("/mnt/windows/x", "fuseblk"),
        ("/mnt/twice", "nfs"),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(
    tmp_path: Path, path: str, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert filesystem(Path(path), mounts) == kind


@pytest.mark.parametrize(
    "path", ["/mnt/pacs/store", "/mnt/my share/store", "/mnt/ssh/store", "/mnt/twice/store"]
)
def test_a_folder_on_the_network_is_refused(tmp_path: Path, path: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    with pytest.raises(NodeError) as caught:
        require_local(Path(path), mounts)
    assert caught.value.fault is STORE_NOT_LOCAL


@pytest.mark.parametrize("path", ["/var/lib/dicomnode", "/mnt/pacs/local/store", "/mnt/windows/store"])
def test_a_folder_on_a_local_disk_is_taken(tmp_path: Path, path: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    require_local(Path(path), mounts)
    require_local(Path(path), tmp_path / "there-is-no-such-table")


def test_below_the_reserve_nothing_is_accepted(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", reserve_gb=1e9) as store:
        for ask in (store.check_reserve, store.new_part):
            with pytest.raises(NodeError) as caught:
                ask()
            assert caught.value.fault is STORE_FULL
            assert caught.value.fault.dimse_status == 0xA700
    with Store.open(tmp_path / "store", reserve_gb=0.0) as store:
        store.check_reserve()


def test_free_space_is_asked_for_once_a_second_and_acceptance_comes_back_by_itself(tmp_path: Path) -> None:
    class Shrinking(Disk):
        free = 3e9
        asked = 0

        def free_bytes(self, path: Path) -> int:
            self.asked += 1
            return int(self.free)

    disk, now = Shrinking(), [100.0]
    reserve = Reserve(disk, tmp_path, 2.0, monotonic=lambda: now[0])
    reserve.check()
    disk.free = 1e9
    now[0] += 0.9
    reserve.check()  # not asked again yet
    now[0] += 0.2
    with pytest.raises(NodeError, match=r"has 1\.0 GB free, less than the reserve of 2\.0 GB"):
        reserve.check()
    disk.free = 2e9
    now[0] += 1.1
    reserve.check()
    assert disk.asked == 3

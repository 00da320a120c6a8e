"""Writing and sealing: what is acknowledged is on the disk, what fails is never acknowledged."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import xxhash

from dicomnode.faults import STORE_WRITE_FAILED, NodeError
from dicomnode.store import Disk, Store
from dicomnode.store.pool import NamePool
from dicomnode.store.seal import PREAMBLE, SealedFile, verify
from tests.unit.store.part10 import NOON, SENDER, behind_preamble, receive, write_and_seal


class FailingDisk(Disk):
    """Fails one kind of step with an error; counts the steps of each kind."""

    def __init__(self) -> None:
        self.failing: dict[str, OSError] = {}
        self.calls: dict[str, int] = {}

    def _step(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        if name in self.failing:
            raise self.failing[name]

    def create(self, path):
        self._step("create")
        return super().create(path)

    def write(self, fd, chunks):
        self._step("write")
        super().write(fd, chunks)

    def pwrite(self, fd, data, offset):
        self._step("pwrite")
        super().pwrite(fd, data, offset)

    def fdatasync(self, fd):
        self._step("fdatasync")
        super().fdatasync(fd)

    def close(self, fd):
        super().close(fd)
        self._step("close")

    def rename(self, old, new):
        self._step("rename")
        super().rename(old, new)

    def unlink(self, path):
        self._step("unlink")
        super().unlink(path)

    def fsync_dir(self, path):
        self._step("fsync_dir")
        super().fsync_dir(path)

    def free_bytes(self, path):
        self._step("free_bytes")
        return super().free_bytes(path)


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


@pytest.fixture
def store(tmp_path: Path, disk: FailingDisk) -> Iterator[Store]:
    with Store.open(tmp_path / "store", disk=disk) as store:
        yield store


def files(store: Store) -> list[str]:
    """What lies in incoming with something in it."""
    return sorted(path.name for path in (store.root / "incoming").iterdir() if path.stat().st_size)


def test_a_sealed_file_holds_what_was_written_behind_a_preamble(store: Store) -> None:
    content = behind_preamble()
    sealed = receive(store, content)
    assert sealed.path.read_bytes()[PREAMBLE:] == content
    assert sealed.size == sealed.path.stat().st_size == PREAMBLE + len(content)
    assert sealed.digest == xxhash.xxh3_64_hexdigest(content)
    assert (sealed.received_at, sealed.sender) == (NOON, SENDER)
    assert verify(sealed.path) == sealed
    assert store.sealed() == [sealed]


def test_a_part_says_how_much_was_written(store: Store) -> None:
    with store.new_part() as part:
        assert part.size == 0
        part.write(b"DI")
        part.writev([b"CM", memoryview(b"1234"), b""])
        assert part.size == 8


def test_nothing_waits_until_it_is_sealed(store: Store) -> None:
    with store.new_part() as part:
        part.write(behind_preamble())
        assert store.sealed() == []


def test_what_waits_is_known_without_opening_any_of_it(store: Store, monkeypatch) -> None:
    first = receive(store, behind_preamble())
    second = receive(store, behind_preamble(), NOON + timedelta(seconds=1))
    second.path.write_bytes(b"damaged")
    monkeypatch.delattr(Path, "open")
    assert store.waiting() == [first.path, second.path]


class MeetingDisk(Disk):
    """Lets somebody else do what he will before one kind of step, once."""

    def __init__(self) -> None:
        self.before: dict[str, Callable[[], object]] = {}

    def _step(self, name: str) -> None:
        self.before.pop(name, lambda: None)()

    def link(self, path, target):
        self._step("link")
        super().link(path, target)

    def fsync_dir(self, path):
        self._step("fsync_dir")
        super().fsync_dir(path)

    def unlink(self, path):
        self._step("unlink")
        super().unlink(path)


@pytest.mark.parametrize("step", ["link", "fsync_dir", "unlink"])
def test_two_who_meet_the_same_damaged_file_put_it_aside_once(tmp_path: Path, step: str) -> None:
    disk = MeetingDisk()
    with Store.open(tmp_path / "store", disk=disk) as store:
        whole = receive(store, behind_preamble(), NOON + timedelta(seconds=1))
        receive(store, behind_preamble()).path.write_bytes(b"damaged")
        disk.before[step] = lambda: seen.append(store.sealed())
        seen: list[list[SealedFile]] = []
        assert store.sealed() == [whole]
        assert seen == [[whole]]
        assert len(list((store.root / "quarantine" / "damaged").iterdir())) == 1


def test_many_small_pieces_are_written_whole(store: Store) -> None:
    content = behind_preamble(pixels=os.urandom(5000))
    with store.new_part() as part:
        part.writev([content[at : at + 1] for at in range(len(content))])
        sealed = part.seal(SENDER, NOON)
    assert sealed.path.read_bytes()[PREAMBLE:] == content
    assert verify(sealed.path) is not None


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, chunks: real(fd, [bytes(chunks[0])[:3]]))
    disk, path = Disk(), tmp_path / "x"
    fd = disk.create(path)
    disk.write(fd, [b"", b"0123456789", memoryview(b"ab"), bytearray(b"cdefg")])
    disk.close(fd)
    assert path.read_bytes() == b"0123456789abcdefg"


def test_what_is_not_sealed_leaves_nothing_behind(store: Store) -> None:
    with store.new_part() as part:
        part.write(behind_preamble())
    part.discard()  # a second time does nothing
    assert files(store) == []


def test_a_part_that_ends_with_an_exception_leaves_nothing_behind(store: Store) -> None:
    def break_off() -> None:
        with store.new_part() as part:
            part.write(behind_preamble())
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert files(store) == []


def test_sealing_twice_or_writing_after_the_seal_is_a_bug_of_the_caller(store: Store) -> None:
    with store.new_part() as part:
        part.write(behind_preamble())
        part.seal(SENDER, NOON)
        with pytest.raises(ValueError, match="already"):
            part.seal(SENDER, NOON)
        with pytest.raises(ValueError, match="already"):
            part.write(b"more")
    assert len(store.sealed()) == 1


@pytest.mark.parametrize("start", [b"", b"DIC", b"\0" * 128 + b"DICM"])
def test_a_part_that_does_not_begin_with_the_prefix_is_a_bug_of_the_caller(
    store: Store, start: bytes
) -> None:
    with store.new_part() as part:
        part.write(start)
        with pytest.raises(ValueError, match="must begin with DICM"):
            part.seal(SENDER, NOON)


def test_sealed_files_are_in_the_order_of_their_arrival(store: Store) -> None:
    order = [3, 0, 2, 4, 1]
    made = {n: receive(store, behind_preamble(f"1.2.{n}"), NOON + timedelta(microseconds=n)) for n in order}
    assert store.sealed() == [made[n] for n in sorted(order)]
    assert store.sealed(limit=2) == [made[0], made[1]]


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("step", ["write", "pwrite", "fdatasync", "close", "rename"])
def test_whatever_step_fails_there_is_no_seal_and_the_fault_says_so(store, disk, step: str) -> None:
    part = store.new_part()
    disk.failing[step] = error(errno.EIO)
    with pytest.raises(NodeError) as caught, part:
        write_and_seal(part, behind_preamble())
    assert caught.value.fault is STORE_WRITE_FAILED
    assert caught.value.fault.dimse_status == 0xA700
    disk.failing.clear()
    assert store.sealed() == []


def test_a_full_disk_leaves_no_file_and_the_store_goes_on_when_there_is_space(store, disk) -> None:
    disk.failing["write"] = error(errno.ENOSPC)
    with pytest.raises(NodeError, match="No space left"), store.new_part() as part:
        part.write(behind_preamble())
    assert files(store) == []
    disk.failing.clear()
    assert store.failure is None
    receive(store, behind_preamble())
    assert len(store.sealed()) == 1


def test_a_failed_flush_is_final(store, disk) -> None:
    part = store.new_part()
    part.write(behind_preamble())
    before = disk.calls.get("fdatasync", 0)
    disk.failing["fdatasync"] = error(errno.EIO)
    with pytest.raises(NodeError), part:
        part.seal(SENDER, NOON)
    disk.failing.clear()
    part.discard()
    assert disk.calls["fdatasync"] == before + 1  # never again for this file
    assert files(store) == []
    assert [path.parent.name for path in (store.root / "quarantine").rglob("*.part")] == ["flush-failed"]
    assert store.failure is not None
    for again in (store.new_part, store.check_reserve):
        with pytest.raises(NodeError, match="must be started again"):
            again()


def test_a_name_that_cannot_be_made_is_a_fault_and_not_a_hang(store, disk) -> None:
    for step in ("create", "fsync_dir"):
        disk.failing[step] = error(errno.ENOSPC)
        with pytest.raises(NodeError) as caught:
            store.new_part()
        assert caught.value.fault is STORE_WRITE_FAILED
        disk.failing.clear()
    receive(store, behind_preamble())


def test_names_are_flushed_by_the_batch_and_not_one_by_one(store, disk) -> None:
    receive(store, behind_preamble("1.2.0"))
    before = disk.calls["fsync_dir"]
    for number in range(1, 40):
        receive(store, behind_preamble(f"1.2.{number}"))
    assert disk.calls["fsync_dir"] <= before + 2


def test_many_threads_seal_at_once_and_none_gets_the_name_of_another(store: Store) -> None:
    failed: list[BaseException] = []

    def send(thread: int) -> None:
        try:
            for number in range(30):
                receive(store, behind_preamble(f"1.2.{thread}.{number}", pixels=os.urandom(2000)))
        except BaseException as caught:  # noqa: BLE001  a thread's error must fail the test
            failed.append(caught)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    sealed = store.sealed()
    assert len(sealed) == 240
    assert all(verify(file.path) == file for file in sealed)


def test_closing_the_store_removes_the_names_that_were_not_used(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    receive(store, behind_preamble())
    store.close()
    assert [path.suffix for path in (store.root / "incoming").iterdir()] == [".dcm"]
    with pytest.raises(ValueError, match="closed"):
        store.new_part()


def test_opening_a_store_starts_no_thread_and_makes_no_name(tmp_path: Path) -> None:
    before: Callable[[], int] = threading.active_count
    count = before()
    with Store.open(tmp_path / "store") as store:
        assert threading.active_count() == count
        assert list((store.root / "incoming").iterdir()) == []


def test_a_failed_flush_is_final_even_when_the_file_cannot_be_put_aside(store, disk, monkeypatch) -> None:
    part = store.new_part()
    part.write(behind_preamble())
    monkeypatch.setattr(disk, "link", lambda old, new: (_ for _ in ()).throw(error(errno.EIO)))
    disk.failing["fdatasync"] = error(errno.EIO)
    with pytest.raises(NodeError), part:
        part.seal(SENDER, NOON)
    assert store.failure is not None
    assert store.sealed() == []


def test_a_part_that_cannot_be_removed_is_left_for_the_next_start(store, disk) -> None:
    part = store.new_part()
    part.write(behind_preamble())
    disk.failing["unlink"] = disk.failing["close"] = error(errno.EIO)
    part.discard()
    disk.failing.clear()
    assert len(files(store)) == 1
    assert len(store.recover().torn) == 1


def test_a_refill_that_fails_is_felt_only_when_the_names_are_used_up(tmp_path: Path) -> None:
    disk = FailingDisk()
    (tmp_path / "incoming").mkdir()
    pool = NamePool(disk, tmp_path / "incoming", batch=3, low=2)
    taken = [pool.take()]
    disk.failing["create"] = error(errno.ENOSPC)
    taken += [pool.take() for _ in range(2)]
    with pytest.raises(OSError, match="No space left"):
        pool.take()
    disk.failing.clear()
    taken.append(pool.take())
    assert len({path for _, path in taken}) == 4
    for fd, _ in taken:
        os.close(fd)
    pool.close()


def test_space_that_cannot_be_asked_for_is_a_fault(store, disk) -> None:
    disk.failing["free_bytes"] = error(errno.EIO)
    with pytest.raises(NodeError) as caught:
        store.free_gb()
    assert caught.value.fault is STORE_WRITE_FAILED


def test_a_write_of_a_seal_that_is_cut_short_is_an_error(tmp_path: Path, monkeypatch) -> None:
    disk = Disk()
    fd = disk.create(tmp_path / "x")
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: len(data) - 1)
    with pytest.raises(OSError, match="only 127 of 128"):
        disk.pwrite(fd, bytes(128), 0)
    disk.close(fd)

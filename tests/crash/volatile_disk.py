"""A disk that forgets: every step of the store runs on real files, and on a model of what a power cut leaves.

The model is the weakest disk that POSIX allows: what was not flushed is there or not, each step by itself
and in any order; a write may be there by half. A rename within a folder is one step. Flushing a file makes
its bytes durable, not its name; flushing a folder, the names in it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dicomnode.store import Disk


class PowerCutError(BaseException):
    """The machine is off: no `except` of the code under test may stop it."""


@dataclass(frozen=True)
class Write:
    """Bytes of a file that are not flushed."""

    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Names:
    """A change of a folder that is not flushed: names that go, and names that come (None: a folder)."""

    folder: Path
    gone: tuple[str, ...] = ()
    come: tuple[tuple[str, int | None], ...] = ()


@dataclass
class Durable:
    """What is on the plates for sure."""

    files: dict[int, bytes] = field(default_factory=dict)
    names: dict[Path, dict[str, int | None]] = field(default_factory=dict)

    def apply(self, step: Write | Names) -> None:
        if isinstance(step, Write):
            old = self.files.get(step.inode, b"").ljust(step.offset, b"\0")
            self.files[step.inode] = old[: step.offset] + step.data + old[step.offset + len(step.data) :]
            return
        folder = self.names.setdefault(step.folder, {})
        for name in step.gone:
            folder.pop(name, None)
        folder.update(step.come)

    def copy(self) -> Durable:
        return Durable(dict(self.files), {folder: dict(names) for folder, names in self.names.items()})

    def tree(self, root: Path) -> tuple[tuple[str, bytes | None], ...]:
        """What can be reached from `root`: relative path and content, None for a folder."""
        found: list[tuple[str, bytes | None]] = []
        for name, inode in sorted(self.names.get(root, {}).items()):
            if inode is None:
                found.append((name, None))
                found += [(f"{name}/{below}", content) for below, content in self.tree(root / name)]
            else:
                found.append((name, self.files.get(inode, b"")))
        return tuple(found)


class VolatileDisk(Disk):
    """The real disk, with a model beside it; `cut_after` steps it raises PowerCutError for ever."""

    most_pending = 14

    def __init__(self, root: Path, cut_after: int | None = None) -> None:
        self.root = root
        self.cut_after = cut_after
        self.steps = 0
        self.durable = Durable()
        self.pending: list[Write | Names] = []
        self._inodes = itertools.count(1)
        self._names: dict[Path, int] = {}
        self._open: dict[int, int] = {}
        self._lengths: dict[int, int] = {}
        self._adopt(root)

    def _adopt(self, folder: Path) -> None:
        """What is there at the beginning is durable."""
        names = self.durable.names.setdefault(folder, {})
        for path in folder.iterdir():
            if path.is_dir():
                names[path.name] = None
                self._adopt(path)
            else:
                inode = names[path.name] = self._names[path] = next(self._inodes)
                self.durable.files[inode] = path.read_bytes()
                self._lengths[inode] = path.stat().st_size

    def _step(self) -> None:
        if self.cut_after is not None and self.steps >= self.cut_after:
            raise PowerCutError
        self.steps += 1

    def outcomes(self) -> Iterator[tuple[tuple[str, bytes | None], ...]]:
        """Every tree that a power cut at this instant can leave.

        Where more than `most_pending` steps are not flushed, only the one that has none of them.
        """
        if len(self.pending) > self.most_pending:
            assert self.most_pending == 0, f"{len(self.pending)} steps are not flushed: too many to try all"
            yield self.durable.tree(self.root)
            return
        for chosen in itertools.product((False, True), repeat=len(self.pending)):
            left = self.durable.copy()
            for step, kept in zip(self.pending, chosen, strict=True):
                if kept:
                    left.apply(step)
            yield left.tree(self.root)

    # ── steps ──

    def create(self, path: Path) -> int:
        self._step()
        fd = super().create(path)
        inode = self._names[path] = self._open[fd] = next(self._inodes)
        self._lengths[inode] = 0
        self.pending.append(Names(path.parent, come=((path.name, inode),)))
        return fd

    def open(self, path: Path) -> int:
        self._step()
        fd = super().open(path)
        self._open[fd] = self._names[path]
        return fd

    def write(self, fd: int, chunks) -> None:
        self._step()
        super().write(fd, chunks)
        inode = self._open[fd]
        data = b"".join(bytes(chunk) for chunk in chunks)
        self._change(inode, self._lengths[inode], data)
        self._lengths[inode] += len(data)

    def pwrite(self, fd: int, data: bytes, offset: int) -> None:
        self._step()
        super().pwrite(fd, data, offset)
        self._change(self._open[fd], offset, data)

    def _change(self, inode: int, offset: int, data: bytes) -> None:
        half = len(data) // 2
        for at, piece in ((0, data[:half]), (half, data[half:])):
            if piece:
                self.pending.append(Write(inode, offset + at, piece))

    def fdatasync(self, fd: int) -> None:
        self._step()
        inode = self._open[fd]
        self._flush(lambda step: isinstance(step, Write) and step.inode == inode)

    def close(self, fd: int) -> None:
        self._step()
        super().close(fd)
        del self._open[fd]

    def mkdir(self, path: Path) -> None:
        self._step()
        super().mkdir(path)
        self.pending.append(Names(path.parent, come=((path.name, None),)))

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)
        assert old.parent == new.parent, "a rename across folders is two steps: link and unlink"
        inode = self._names[new] = self._names.pop(old)
        self.pending.append(Names(old.parent, gone=(old.name,), come=((new.name, inode),)))

    def link(self, old: Path, new: Path) -> None:
        self._step()
        super().link(old, new)
        inode = self._names[new] = self._names[old]
        self.pending.append(Names(new.parent, come=((new.name, inode),)))

    def unlink(self, path: Path) -> None:
        self._step()
        super().unlink(path)
        del self._names[path]
        self.pending.append(Names(path.parent, gone=(path.name,)))

    def fsync_dir(self, path: Path) -> None:
        self._step()
        self._flush(lambda step: isinstance(step, Names) and step.folder == path)

    def _flush(self, flushed) -> None:
        for step in self.pending:
            if flushed(step):
                self.durable.apply(step)
        self.pending = [step for step in self.pending if not flushed(step)]

    def power_off(self) -> None:
        """Give back what the dead process had open."""
        for fd in list(self._open):
            os.close(fd)
        self._open.clear()


class LyingDisk(VolatileDisk):
    """Says that the contents of received files are flushed, and does nothing."""

    most_pending = 0

    def fdatasync(self, fd: int) -> None:
        if any(inode == self._open[fd] and path.suffix == ".part" for path, inode in self._names.items()):
            self._step()
        else:
            super().fdatasync(fd)


class ForgetfulDisk(VolatileDisk):
    """Says that names are flushed, and does nothing."""

    most_pending = 0

    def fsync_dir(self, path: Path) -> None:
        self._step()


class CalmDisk(Disk):
    """The real disk without flushes: for looking at what a cut has left, where no other cut comes."""

    def fdatasync(self, fd: int) -> None:
        pass

    def fsync_dir(self, path: Path) -> None:
        pass


def plant(tree: tuple[tuple[str, bytes | None], ...], root: Path) -> None:
    """Make a tree that a cut has left."""
    root.mkdir(parents=True)
    for name, content in tree:
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)

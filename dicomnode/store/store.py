"""The face of the store: opens it, and turns what the disk says into rows of the table of faults."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import structlog

from dicomnode.faults import OBJECT_CONFLICT, SEALED_FILE_DAMAGED, STORE_WRITE_FAILED, NodeError
from dicomnode.store import layout
from dicomnode.store.adoption import Adoption, adopt_all, file_then, never_before
from dicomnode.store.disk import Disk
from dicomnode.store.history import Mark
from dicomnode.store.identity_file import save_identity
from dicomnode.store.ids import InstanceIds
from dicomnode.store.labels import keep_label
from dicomnode.store.likeness import difference
from dicomnode.store.local import require_local
from dicomnode.store.part import SEALED_SUFFIX, PartFile
from dicomnode.store.pool import NamePool
from dicomnode.store.quarantine import keep_new, quarantine
from dicomnode.store.recovery import Recovery, recover
from dicomnode.store.reserve import Reserve
from dicomnode.store.seal import SealedFile, read_seal
from dicomnode.store.whole import write_first

if TYPE_CHECKING:
    from dicomnode.store.likeness import Difference
    from dicomnode.values import Findings, Instance

log = structlog.get_logger("dicomnode.store")

_NOTICE_SUFFIX: Final = ".json"


class Store:
    """The bytes of a node. Safe to use from several threads; several processes may have it open.

    What a method has returned is durable, unless it says otherwise.
    """

    def __init__(self, root: Path, disk: Disk, reserve_gb: float, lock: layout.Lock | None) -> None:
        self.root = root
        self._disk = disk
        self._lock = lock
        self._reserve = Reserve(disk, root, reserve_gb)
        self._pool = NamePool(disk, root / layout.INCOMING)
        self._failure: str | None = None
        self._salt: bytes | None = None
        self._making_salt = threading.Lock()

    @classmethod
    def open(
        cls, root: Path, *, reserve_gb: float = 0.0, exclusive: bool = False, disk: Disk | None = None
    ) -> Store:
        """Open the store below `root`, and make what is missing of it; cheap, and starts nothing.

        exclusive: have it as the one node (released by close() and by the end of the process).
        Raises NodeError: STORE_NOT_LOCAL, STORE_IN_USE, STORE_TOO_NEW, STORE_WRITE_FAILED.
        """
        disk = disk or Disk()
        root = root.absolute()  # its paths go into the journal
        require_local(root)
        with _disk_errors(root):
            layout.make_folders(disk, root)
            lock = layout.Lock(root) if exclusive else None
        return cls(root, disk, reserve_gb, lock)

    def close(self) -> None:
        """Let go of names that were not used, and of the lock."""
        self._pool.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def salt(self) -> bytes:
        """32 random bytes of this installation; UIDs of results are derived from them. Part of the backup."""
        with self._making_salt, _disk_errors(self.root):
            if self._salt is None:
                self._salt = layout.read_salt(self._disk, self.root)
            return self._salt

    @property
    def failure(self) -> str | None:
        """What went wrong when a flush failed; from then on nothing more is accepted until a restart."""
        return self._failure

    # ── receiving ──

    def check_reserve(self) -> None:
        """Raise NodeError: STORE_FULL below the reserve, STORE_WRITE_FAILED after a failed flush."""
        if self._failure is not None:
            raise NodeError(STORE_WRITE_FAILED, path=self.root, error=self._failure)
        self._reserve.check()

    def free_gb(self) -> float:
        """GB (10⁹ bytes) free on the disk of the store, at most a second old."""
        return self._reserve.free_gb()

    def new_part(self) -> PartFile:
        """Begin an instance. Its name is durable already, so that sealing it needs one flush."""
        self.check_reserve()
        with _disk_errors(self.root):
            fd, path = self._pool.take()
        return PartFile(self._disk, fd, path, self._flush_failed)

    def _flush_failed(self, path: Path, error: OSError) -> None:
        # After a failed flush the kernel may call the lost pages clean, and a second flush would succeed:
        # nobody may look at this file again, and nothing more is accepted until a restart has read the disk
        self._failure = f"a flush failed ({error}); the node must be started again"
        log.error("store.flush_failed", code=STORE_WRITE_FAILED.code, path=path.name, error=str(error))
        try:
            quarantine(self._disk, self.root, path, "flush-failed")
        except OSError as again:
            log.error("quarantine.failed", path=path.name, error=str(again))

    def sealed(self, limit: int | None = None) -> list[SealedFile]:
        """Whole files that wait in `incoming/`, oldest first; reads no more than `limit` of them."""
        found: list[SealedFile] = []
        with _disk_errors(self.root):
            for path in self._waiting():
                if limit is not None and len(found) >= limit:
                    break
                with suppress(FileNotFoundError):  # somebody settled it meanwhile, or put it aside
                    sealed = read_seal(path)
                    if sealed is not None:
                        found.append(sealed)
                        continue
                    quarantine(self._disk, self.root, path, "damaged")
                    log.error("file.damaged", code=SEALED_FILE_DAMAGED.code, path=path.name)
        return found

    def waiting(self) -> list[Path]:
        """Paths of what waits in `incoming/`, oldest first; none of it is opened."""
        with _disk_errors(self.root):
            return self._waiting()

    def _waiting(self) -> list[Path]:
        return sorted((self.root / layout.INCOMING).glob(f"*{SEALED_SUFFIX}"))

    def recover(self) -> Recovery:
        """Verify what the last run left in `incoming/`; only while nobody receives."""
        with _disk_errors(self.root):
            return recover(self._disk, self.root)

    # ── notices ──

    def put_notice(self, content: bytes, received_at: datetime) -> str:
        """Keep a notice until the journal has it, durable when this returns; give its name."""
        self.check_reserve()
        name = f"{received_at:%Y%m%dT%H%M%S%f}-{os.urandom(4).hex()}"
        with _disk_errors(self.root):
            write_first(self._disk, self._notice(name), content)
        return name

    def notices(self, limit: int) -> list[tuple[str, bytes]]:
        """Give name and content of notices that wait, oldest first."""
        found: list[tuple[str, bytes]] = []
        with _disk_errors(self.root):
            for path in sorted((self.root / layout.NOTICES).glob(f"*{_NOTICE_SUFFIX}"))[:limit]:
                with suppress(FileNotFoundError):  # somebody settled it meanwhile
                    found.append((path.name.removesuffix(_NOTICE_SUFFIX), path.read_bytes()))
        return found

    def settle_notices(self, names: Iterable[str]) -> None:
        """Take away notices that the journal has; one that has left already is fine."""
        with _disk_errors(self.root):
            for name in names:
                with suppress(FileNotFoundError):
                    self._disk.unlink(self._notice(name))

    def quarantine_notice(self, name: str, reason: str) -> Path:
        """Put a notice aside that cannot be read; give its new path."""
        return self.quarantine(self._notice(name), reason)

    def _notice(self, name: str) -> Path:
        return self.root / layout.NOTICES / f"{name}{_NOTICE_SUFFIX}"

    # ── studies ──

    def adopt(self, sealed: SealedFile, ids: InstanceIds) -> Adoption:
        """Make a received file an instance of its study; see `adopt_all`."""
        return self.adopt_all([(sealed, ids)])[0]

    def adopt_all(self, entries: Sequence[tuple[SealedFile, InstanceIds]]) -> list[Adoption]:
        """Make received files instances of their studies, with one flush a study.

        Their names in `incoming/` stay until `settle`, after the journal has committed: doing all of it
        again after a crash at any step ends the same. Raises NodeError(STORE_WRITE_FAILED).
        """
        with _disk_errors(self.root):
            return adopt_all(self._disk, self.root, entries)

    def file_then(self, instance: Instance, mark: Mark) -> Path | None:
        """Find the file that a corrected instance was when it had this mark; None if it never had.

        Raises NodeError(STORE_WRITE_FAILED).
        """
        with _disk_errors(self.root):
            return file_then(self.root, instance, mark)

    def change_since(self, instance: Instance, then: Path) -> Difference | None:
        """Tell how an instance differs from what it was in another file. Raises NodeError as `file_then`."""
        with _disk_errors(self.root):
            return difference(instance.path, then)

    def never_before(self, instance: Instance, keywords: frozenset[str], mark: Mark) -> frozenset[str]:
        """Which of these name another patient or order than any file of an instance until it had this mark.

        Raises NodeError(STORE_WRITE_FAILED).
        """
        with _disk_errors(self.root):
            return never_before(self.root, instance, keywords, mark)

    def settle(self, *sealed: SealedFile) -> None:
        """Take adopted files out of `incoming/`; one that has left already is fine."""
        with _disk_errors(self.root):
            for file in sealed:
                try:
                    self._disk.unlink(file.path)
                except FileNotFoundError:
                    continue

    # ── results ──

    def save_findings(self, findings: Findings) -> Path:
        """Keep Findings. The first that were kept of a study version, engine and series win and are given."""
        from dicomnode.store.findings_file import save_findings  # noqa: PLC0415  it needs numpy

        with _disk_errors(self.root):
            return save_findings(self._disk, self.root, findings)

    def drop_findings(self, path: Path) -> None:
        """Take away Findings that the journal does not know. Raises NodeError(STORE_WRITE_FAILED)."""
        with _disk_errors(self.root):
            self._disk.unlink(path)

    def load_findings(self, path: Path) -> Findings:
        """Read kept Findings; raises NodeError(FINDINGS_UNREADABLE)."""
        from dicomnode.store.findings_file import load_findings  # noqa: PLC0415  it needs numpy

        return load_findings(path)

    def put_object(self, sop_instance_uid: str, content: bytes) -> Path:
        """Keep a result object in `outbox/`; putting the same again is fine.

        Raises NodeError(OBJECT_CONFLICT) when there is other content under this UID: one of the two may
        have been sent, and one UID never names two objects.
        """
        path = self.root / layout.OUTBOX / f"{layout.hashed(sop_instance_uid)}.dcm"
        with _disk_errors(self.root):
            if not path.exists() and write_first(self._disk, path, content):
                return path
            if path.read_bytes() != content:
                raise NodeError(OBJECT_CONFLICT, sop_instance_uid=sop_instance_uid, path=path)
            # Who put it may have died before its name was durable
            self._disk.fsync_dir(path.parent)
        return path

    def keep_label(self, source: Path, names: tuple[str, str], record: bytes) -> Path:
        """Keep an answer to results as a label; see `labels`. Raises NodeError(STORE_WRITE_FAILED)."""
        with _disk_errors(self.root):
            return keep_label(self._disk, self.root, source, names, record)

    def put_identity(
        self, study_instance_uid: str, values: Mapping[str, str], former: Sequence[Mapping[str, str]] = ()
    ) -> Path:
        """Keep whose a study is, as it was told after its images had come, and who that was before.

        See `load_identity`, `load_former`.
        """
        salt = self.salt
        with _disk_errors(self.root):
            return save_identity(self._disk, self.root, study_instance_uid, values, salt, former)

    def quarantine(self, path: Path, reason: str) -> Path:
        """Put a file aside, with the reason as the name of its folder; give its new path."""
        with _disk_errors(self.root):
            return quarantine(self._disk, self.root, path, reason)

    def quarantine_new(self, files: Mapping[str, bytes], reason: str) -> tuple[Path, ...]:
        """Put aside what was made and is not to be used, name → content; give the paths.

        A name that lies there already is kept as it is. Raises NodeError(STORE_WRITE_FAILED).
        """
        with _disk_errors(self.root):
            return tuple(
                keep_new(self._disk, self.root, content, reason, name) for name, content in files.items()
            )


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    """Translate at the door of the room: what the kernel refuses is a row of the table."""
    try:
        yield
    except OSError as error:
        raise NodeError(STORE_WRITE_FAILED, path=root, error=error) from error

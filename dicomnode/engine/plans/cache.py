"""The folder of plans: what lies in it is verified before anybody gets it, and never half there.

Layout below the root (mode 0700): `DIGEST.plan` (the bytes), `DIGEST.json` (its record, signed, written
last), `key` (what records are signed with), `locks/`, `log/` (of the builds), `work/` (of builds that run)
and `quarantine/` (what was not trusted, each with its reason). DIGEST is `PlanKey.digest`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import structlog

from dicomnode.engine.plans.key import PlanKey
from dicomnode.engine.plans.locks import Held, hold, hold_unless_used
from dicomnode.engine.plans.private import (
    PrivateDisk,
    UntrustedFileError,
    make_private,
    read_private,
    require_private,
)
from dicomnode.engine.plans.record import PlanRecord, PlanState, UntrustedRecordError, read_record
from dicomnode.engine.plans.secret import read_secret
from dicomnode.faults import PLAN_NOT_WRITTEN, PLAN_QUARANTINED, NodeError
from dicomnode.settings import StoreSettings
from dicomnode.store import TEMPORARY_SUFFIX, Disk, write_whole

log = structlog.get_logger("dicomnode.engine")

LOCKS, LOGS, WORK, QUARANTINE = "locks", "log", "work", "quarantine"
_FOLDERS: Final = (LOCKS, LOGS, WORK, QUARANTINE)
_PLAN, _RECORD = ".plan", ".json"
_LARGEST_RECORD: Final = 1 << 20
# Of a slot, so many accepted plans stay: the one that serves and the one before it
_KEPT: Final = 2
# In quarantine so many plans stay with their bytes, which may be a gigabyte each
_KEPT_ASIDE: Final = 4
_TEMPORARIES: Final = f".*{TEMPORARY_SUFFIX}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that was verified: what is known of it, and its bytes as they were when they were verified."""

    record: PlanRecord
    content: bytes

    @property
    def key(self) -> PlanKey:
        """What it is bound to."""
        return self.record.key

    @property
    def accepted(self) -> bool:
        """Whether it may serve."""
        return self.record.state is PlanState.ACCEPTED


class PlanInUse:
    """A plan that stays where it is while a session has it; close it with the session."""

    def __init__(self, plan: Plan, lock: Held) -> None:
        self.plan = plan
        self.lock = lock

    def close(self) -> None:
        """Let it be removed; a second call does nothing."""
        self.lock.close()


class PlanCache:
    """The plans of an installation. Any number of processes may have it open."""

    def __init__(self, root: Path, disk: Disk | None = None, credential: str = "") -> None:
        """Open the folder, made where it is missing, and read the key that records are signed with.

        Raises NodeError: PLANS_UNSAFE, PLAN_SECRET_WRONG, PLAN_NOT_WRITTEN, STORE_NOT_LOCAL.
        """
        self.root = root
        self._disk = disk or PrivateDisk()
        self._secret = b""
        with self._writing():
            for folder in (root, *(root / name for name in _FOLDERS)):
                make_private(self._disk, folder)
        with self._locked(), self._writing():
            self._secret = read_secret(self._disk, root, credential)

    def find(self, key: PlanKey) -> Plan | None:
        """Return the plan of this key, verified, whatever its state; None when there is none. Never builds.

        What is there and cannot be trusted goes to `quarantine/`, and there is none.
        Raises NodeError: PLANS_UNSAFE, PLAN_NOT_WRITTEN.
        """
        with self._locked():
            return self._find(key)

    def use(self, key: PlanKey) -> PlanInUse | None:
        """Do as `find`, and keep the plan from being removed until it is closed."""
        with self._locked():
            plan = self._find(key)
            return None if plan is None else PlanInUse(plan, self._hold_used(key, exclusive=False))

    def serving(self, key: PlanKey) -> Plan | None:
        """Return the plan that may serve for this key now.

        It is the key's own when that is accepted, else the newest accepted one that may stand in for it
        (`PlanKey.may_stand_in`), else None.
        """
        with self._locked():
            records = [record for record in self._records() if record.state is PlanState.ACCEPTED]
            older = sorted(
                (record for record in records if record.key != key and key.may_stand_in(record.key)),
                key=lambda record: -record.number,
            )
            for record in (*(record for record in records if record.key == key), *older):
                plan = self._find(record.key)
                if plan is not None and plan.accepted:
                    return plan
        return None

    def records(self) -> tuple[PlanRecord, ...]:
        """Return the records that are signed, by slot and number; the plans themselves are not read."""
        with self._locked():
            return tuple(self._records())

    def put(
        self, key: PlanKey, content: bytes, build_s: float = 0.0, facts: Mapping[str, Any] | None = None
    ) -> Plan:
        """Keep a plan that was built, durably; it serves only when it is accepted.

        A crash leaves nothing of it, or all. Raises NodeError(PLAN_NOT_WRITTEN).
        """
        with self._locked(), self._writing():
            numbers = [record.number for record in self._records() if record.key.slot == key.slot]
            record = PlanRecord(
                key=key,
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                number=max(numbers, default=0) + 1,
                build_s=build_s,
                facts=facts or {},
            )
            self._remove(key.digest)
            write_whole(self._disk, self._path(key, _PLAN), content)
            self._write_record(record)
        return Plan(record, content)

    def accept(self, key: PlanKey, figures: Mapping[str, Any]) -> Plan | None:
        """Let the plan serve: it agreed with the reference. None when it is gone.

        figures: of the comparison, finite JSON values; they stay in its record.
        """
        return self._decide(key, PlanState.ACCEPTED, figures)

    def reject(self, key: PlanKey, figures: Mapping[str, Any]) -> Plan | None:
        """Keep the plan from serving. It stays, so that it is not built again and again in vain."""
        return self._decide(key, PlanState.REJECTED, figures)

    def judge(self, digest: str, *, passed: bool, figures: Mapping[str, Any]) -> Plan | None:
        """Accept or reject a plan by its digest, as a session's provenance has it; None when it is gone."""
        key = next((record.key for record in self.records() if record.key.digest == digest), None)
        if key is None:
            return None
        return self.accept(key, figures) if passed else self.reject(key, figures)

    def discard(self, key: PlanKey, reason: str) -> None:
        """Move a plan to quarantine: it was verified, and its runtime could not load it after all."""
        with self._locked():
            self._quarantine(key, reason)

    def remove(self, key: PlanKey) -> None:
        """Remove a plan, so that it is built again; whoever has loaded it keeps what he has."""
        with self._locked(), self._writing():
            self._remove(key.digest)
        log.info("plan.removed", plan=key.title, digest=key.digest)

    def prune(self, wanted: Collection[PlanKey] = ()) -> tuple[PlanRecord, ...]:
        """Remove plans that nobody needs; return what was removed.

        What stays of each slot: its two newest accepted plans (one to go back to), its newest plan of any
        state, those of `wanted`, and every plan that a session uses. What dead builds left goes too, and of
        what lies in quarantine the bytes of all but the newest: records and reasons stay.
        """
        with self._locked(), self._writing():
            records = self._records()
            removed = []
            for _, of_slot in itertools.groupby(records, key=lambda record: record.key.slot):
                newest = sorted(of_slot, key=lambda record: -record.number)
                accepted = [record for record in newest if record.state is PlanState.ACCEPTED]
                kept = {record.key for record in (newest[0], *accepted[:_KEPT])} | set(wanted)
                removed += [one for one in newest if one.key not in kept and self._remove_unused(one.key)]
            self._tidy({record.key.digest for record in records})
            return tuple(removed)

    def building(self, key: PlanKey) -> Held:
        """Wait until no other process builds this plan, and keep others from it; close what is returned."""
        return hold(self.root / LOCKS / f"{key.digest}.build", exclusive=True)

    def expected_build_s(self, key: PlanKey) -> float | None:
        """How long the newest plan of the slot took to build; None when there is none."""
        records = [record for record in self.records() if record.key.slot == key.slot]
        return max(records, key=lambda record: record.number).build_s if records else None

    def log_path(self, key: PlanKey) -> Path:
        """Where the build of this slot writes its log; it can be followed while it runs."""
        return self.root / LOGS / f"{key.engine}-{key.network}-{key.flavour}-{key.precision}.log"

    def work_path(self, key: PlanKey) -> Path:
        """Folder of a build that runs."""
        return self.root / WORK / key.digest

    def _find(self, key: PlanKey) -> Plan | None:
        try:
            record = self._record(key)
        except FileNotFoundError:
            return None  # also where a build was cut off before its record: the bytes alone are nothing
        except (UntrustedRecordError, UntrustedFileError, OSError) as error:
            self._quarantine(key, str(error))
            return None
        try:
            content = read_private(self._path(key, _PLAN), record.size)
        except (UntrustedFileError, OSError) as error:
            self._quarantine(key, str(error))
            return None
        if not record.holds(content):
            self._quarantine(key, "its bytes are not those that its record is signed for")
            return None
        return Plan(record, content)

    def _record(self, key: PlanKey) -> PlanRecord:
        record = read_record(read_private(self._path(key, _RECORD), _LARGEST_RECORD), self._secret)
        if record.key != key:
            raise UntrustedRecordError("its record is of another plan")
        return record

    def _records(self) -> list[PlanRecord]:
        records = []
        for path in sorted(self.root.glob(f"*{_RECORD}")):
            try:
                record = read_record(read_private(path, _LARGEST_RECORD), self._secret)
            except (UntrustedRecordError, UntrustedFileError, OSError):
                continue  # whoever asks for its plan moves it to quarantine
            if path.stem == record.key.digest:
                records.append(record)
        return sorted(records, key=lambda record: (repr(record.key.slot), record.number, record.key.digest))

    def _decide(self, key: PlanKey, state: PlanState, figures: Mapping[str, Any]) -> Plan | None:
        with self._locked(), self._writing():
            plan = self._find(key)
            if plan is None:
                return None
            record = replace(plan.record, state=state, figures=figures)
            self._write_record(record)
        log.info("plan.judged", plan=key.title, digest=key.digest, state=state.value)
        return Plan(record, plan.content)

    def _write_record(self, record: PlanRecord) -> None:
        write_whole(self._disk, self._path(record.key, _RECORD), record.pack(self._secret))

    def _quarantine(self, key: PlanKey, reason: str) -> None:
        with self._writing():
            folder, digest = self.root / QUARANTINE, key.digest
            taken = {path.stem for path in folder.iterdir()}
            name = next(f"{digest}-{n}" for n in itertools.count(1) if f"{digest}-{n}" not in taken)
            write_whole(self._disk, folder / f"{name}.txt", f"{key.title}: {reason}\n".encode())
            # The record first: what is left without one is nothing
            for suffix in (_RECORD, _PLAN):
                if os.path.lexists(self._path(key, suffix)):
                    self._disk.rename(self._path(key, suffix), folder / f"{name}{suffix}")
            self._disk.fsync_dir(folder)
            self._disk.fsync_dir(self.root)
        fault = NodeError(PLAN_QUARANTINED, quarantine=folder / f"{name}.txt", reason=reason)
        log.error("plan.quarantined", code=fault.fault.code, plan=key.title, text=str(fault))

    def _remove(self, digest: str) -> None:
        # The record first, and durably: a new plan must not meet an old record
        for suffix in (_RECORD, _PLAN):
            path = self.root / f"{digest}{suffix}"
            if os.path.lexists(path):
                self._disk.unlink(path)
                self._disk.fsync_dir(self.root)

    def _remove_unused(self, key: PlanKey) -> bool:
        held = hold_unless_used(self.root / LOCKS / f"{key.digest}.use")
        if held is None:
            return False
        self._remove(key.digest)
        held.close()
        log.info("plan.removed", plan=key.title, digest=key.digest)
        return True

    def _tidy(self, known: Collection[str]) -> None:
        for path in sorted(self.root.glob(f"*{_PLAN}")):
            if path.stem not in known and not (self.root / f"{path.stem}{_RECORD}").exists():
                self._disk.unlink(path)  # its build was cut off before its record
        for path in (*self.root.glob(_TEMPORARIES), *(self.root / QUARANTINE).glob(_TEMPORARIES)):
            self._disk.unlink(path)  # who writes has the folder alone, as we do now: he is dead
        put_aside = (self.root / QUARANTINE).glob(f"*{_PLAN}")
        for path in sorted(put_aside, key=lambda path: -path.lstat().st_ctime_ns)[_KEPT_ASIDE:]:
            self._disk.unlink(path)
        for folder in sorted((self.root / WORK).iterdir()):
            held = hold_unless_used(self.root / LOCKS / f"{folder.name}.build")
            if held is not None:
                shutil.rmtree(folder)
                held.close()

    def _path(self, key: PlanKey, suffix: str) -> Path:
        return self.root / f"{key.digest}{suffix}"

    def _hold_used(self, key: PlanKey, *, exclusive: bool) -> Held:
        return hold(self.root / LOCKS / f"{key.digest}.use", exclusive=exclusive)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Look at the folder again, and have it alone for as long as a plan is read or written."""
        with self._writing():  # also: the folder is gone
            require_private(self.root)
            held = hold(self.root / LOCKS / "folder", exclusive=True)
        try:
            yield
        finally:
            held.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NodeError(PLAN_NOT_WRITTEN, path=self.root, error=error.strerror or error) from error


def open_plans(settings: StoreSettings) -> PlanCache:
    """Open the plans of a configured node; raises NodeError as `PlanCache` does."""
    return PlanCache(settings.plans_path, credential=settings.plan_key)

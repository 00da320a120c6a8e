"""A plan is there whole and verified, or it is not there: a power cut, or a full disk, at every step."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomnode.engine.plans import PlanCache, PlanState
from dicomnode.engine.plans.private import PrivateDisk
from dicomnode.faults import NodeError
from tests.crash.test_store_power_cut import ground as ground  # noqa: PLC0414  a fixture
from tests.crash.volatile_disk import Names, PowerCutError, VolatileDisk, plant
from tests.unit.engine.plan_keys import KEY, changed

pytestmark = pytest.mark.crash

OLD, NEW = b"the old plan", b"the new plan, which is longer"
NEW_DRIVER = changed(driver="590.01")
FIGURES = {"dice": 1.0}


class PrivateVolatileDisk(VolatileDisk, PrivateDisk):
    """The disk that forgets, with private files; a rename across folders is two changes that may part."""

    def rename(self, old: Path, new: Path) -> None:
        if old.parent == new.parent:
            super().rename(old, new)
            return
        self._step()
        PrivateDisk.rename(self, old, new)
        inode = self._names[new] = self._names.pop(old)
        self.pending.append(Names(new.parent, come=((new.name, inode),)))
        self.pending.append(Names(old.parent, gone=(old.name,)))


class LyingDisk(PrivateVolatileDisk):
    """Says that contents and names are flushed, and does nothing."""

    most_pending = 14

    def fdatasync(self, fd: int) -> None:
        self._step()

    def fsync_dir(self, path: Path) -> None:
        self._step()


class FailingDisk(PrivateDisk):
    """The n-th step fails, and every later one of its kind works again."""

    def __init__(self, at: int) -> None:
        self.left = at

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")

    def create(self, path: Path) -> int:
        self._step()
        return super().create(path)

    def write(self, fd: int, chunks) -> None:
        self._step()
        super().write(fd, chunks)

    def fdatasync(self, fd: int) -> None:
        self._step()
        super().fdatasync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._step()
        super().unlink(path)

    def fsync_dir(self, path: Path) -> None:
        self._step()
        super().fsync_dir(path)

    def mkdir(self, path: Path) -> None:
        self._step()
        super().mkdir(path)


def put_first(cache: PlanCache) -> None:
    cache.put(KEY, OLD)


def put_again(cache: PlanCache) -> None:
    """The same key with other bytes, as when a rejected plan is built once more."""
    cache.put(KEY, NEW)


def accept_first(cache: PlanCache) -> None:
    cache.put(KEY, OLD)
    cache.accept(KEY, FIGURES)


def replace_by_a_new_driver(cache: PlanCache) -> None:
    cache.put(NEW_DRIVER, NEW)
    cache.accept(NEW_DRIVER, FIGURES)
    cache.prune([NEW_DRIVER])


def quarantine(cache: PlanCache) -> None:
    cache.discard(KEY, "the runtime does not load it")


Scenario = Callable[[PlanCache], None]


def trees(
    folder: Path, scenario: Scenario, before: Scenario | None, kind: type[VolatileDisk] = PrivateVolatileDisk
) -> Iterator[tuple[bool, tuple[tuple[str, bytes | None], ...]]]:
    """Run the scenario with a cut after 0, 1, 2 … steps; give whether it had ended, and each tree left."""
    for step in itertools.count():
        run = folder / f"run-{step}"
        run.mkdir()
        if before is not None:
            before(PlanCache(run / "plans"))
        disk, ended = kind(run, cut_after=step), False
        try:
            scenario(PlanCache(run / "plans", disk))
            ended = True
        except PowerCutError:
            pass
        disk.power_off()
        for tree in dict.fromkeys(disk.outcomes()):
            yield ended, tree
        shutil.rmtree(run)
        if ended:
            return


def after(tree: tuple[tuple[str, bytes | None], ...], folder: Path) -> PlanCache:
    """Open what a cut has left; the model of the disk knows no modes."""
    shutil.rmtree(folder, ignore_errors=True)
    plant(tree, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return PlanCache(folder / "plans")


def wrong(cache: PlanCache) -> list[str]:
    """What is found must be one of the plans that were put; a state never comes from nothing."""
    problems = []
    for key, contents in ((KEY, {OLD, NEW}), (NEW_DRIVER, {NEW})):
        plan = cache.find(key)
        if plan is not None and plan.content not in contents:
            problems.append(f"{key.driver}: other bytes")
        if plan is not None and plan.accepted and plan.record.figures != FIGURES:
            problems.append(f"{key.driver}: accepted without figures")
        cache.put(key, NEW)
        if cache.find(key) is None:
            problems.append(f"{key.driver}: cannot be put any more")
    return problems


CASES = {
    "first": (put_first, None),
    "accept": (accept_first, None),
    "again": (put_again, put_first),
    "replace": (replace_by_a_new_driver, accept_first),
    "quarantine": (quarantine, accept_first),
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_power_cut_at_any_step_leaves_nothing_or_a_whole_verified_plan(ground, case):
    scenario, before = CASES[case]
    (ground / case).mkdir()
    count, quarantined = 0, 0
    for ended, tree in trees(ground / case, scenario, before):
        count += 1
        cache = after(tree, ground / "after")
        had_to_be_put_aside = len(list((cache.root / "quarantine").glob("*.txt")))
        if ended and case == "first":
            assert cache.find(KEY).content == OLD
        if ended and case == "again":
            assert cache.find(KEY).content == NEW
        if ended and case in ("accept", "quarantine"):
            assert (cache.find(KEY) is None) == (case == "quarantine")
        # What served before serves until the new one does
        if case == "replace":
            serving = cache.serving(NEW_DRIVER)
            assert serving is not None
            assert serving.content == (NEW if ended else serving.content)
        assert wrong(cache) == []
        quarantined += len(list((cache.root / "quarantine").glob("*.txt"))) - had_to_be_put_aside
    assert count > 20
    if case != "quarantine":
        assert quarantined == 0, "a cut alone must not look like an intrusion"


def test_without_flushing_a_plan_that_was_put_is_lost(ground):
    run = ground / "run"
    run.mkdir()
    PlanCache(run / "plans")
    disk = LyingDisk(run)
    PlanCache(run / "plans", disk).put(KEY, OLD)
    disk.power_off()
    found = [after(tree, ground / "after").find(KEY) for tree in set(disk.outcomes())]
    assert None in found
    assert any(plan is not None and plan.content == OLD for plan in found)


@pytest.mark.parametrize("case", ["first", "again", "replace"])
def test_a_step_that_fails_is_told_and_leaves_nothing_or_a_whole_plan(ground, case):
    scenario, before = CASES[case]
    for step in itertools.count(1):
        root = ground / f"{case}-{step}" / "plans"
        root.parent.mkdir()
        if before is not None:
            before(PlanCache(root))
        disk = FailingDisk(step)
        told = ""
        try:
            scenario(PlanCache(root, disk))
        except NodeError as error:
            told = str(error)
        assert ("No space left" in told) == (disk.left <= 0)
        assert wrong(PlanCache(root)) == []
        if not told:
            break
    assert step > 8
    states = {record.state for record in PlanCache(root).records()}
    assert states <= set(PlanState)

"""No acknowledged thing is lost: a power cut at every step, with every subset of what was not flushed."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from dicomnode.faults import NodeError
from dicomnode.store import SealedFile, Store, read_ids
from dicomnode.store.layout import INCOMING, STUDIES
from dicomnode.store.pool import NamePool
from dicomnode.store.seal import PREAMBLE, verify
from tests.crash.volatile_disk import (
    CalmDisk,
    ForgetfulDisk,
    LyingDisk,
    PowerCutError,
    VolatileDisk,
    plant,
)
from tests.unit.store.part10 import NOON, behind_preamble, receive

pytestmark = pytest.mark.crash

FIRST, SECOND = "1.2.3.1", "1.2.3.2"
RESULT = b"a result object"


@dataclass
class Promises:
    """What was told to somebody outside of the store, and therefore holds after a cut."""

    salt: bytes | None = None
    instances: dict[str, bytes] = field(
        default_factory=dict
    )  # SOP Instance UID → what the sender was told is safe
    rows: dict[Path, bytes] = field(
        default_factory=dict
    )  # relative path, as a committed row of the journal has it
    results: dict[Path, bytes] = field(default_factory=dict)

    def copy(self) -> Promises:
        return Promises(self.salt, dict(self.instances), dict(self.rows), dict(self.results))


def open_store(root: Path, disk: VolatileDisk) -> Store:
    store = Store.open(root, disk=disk)
    # Two names a batch, and no thread: the steps come in one order
    store._pool = NamePool(disk, root / INCOMING, batch=2, low=0, tag="n")
    return store


def receive_both(store: Store, promises: Promises) -> None:
    for number, uid in enumerate((FIRST, SECOND)):
        content = behind_preamble(uid)
        receive(store, content, NOON + timedelta(seconds=number))
        promises.instances[uid] = content


def ingest(store: Store, promises: Promises) -> None:
    waiting = store.sealed()
    adoptions = store.adopt_all([(sealed, read_ids(sealed.path)) for sealed in waiting])
    for adoption in adoptions:  # here the journal commits
        path = adoption.instance.path
        promises.rows[path.relative_to(store.root)] = path.read_bytes()[PREAMBLE:]
    store.settle(*waiting)


def receive_only(store: Store, promises: Promises) -> None:
    promises.salt = store.salt
    receive_both(store, promises)
    ingest(store, promises)


def receive_again(store: Store, promises: Promises) -> None:
    """The same again, and another content under the same UID."""
    receive(store, behind_preamble(FIRST), NOON)
    promises.instances[FIRST] = behind_preamble(FIRST)
    ingest(store, promises)
    receive(store, behind_preamble(FIRST), NOON + timedelta(seconds=1))
    receive(store, behind_preamble(FIRST, pixels=b"\7\7"), NOON + timedelta(seconds=2))
    ingest(store, promises)


def keep_results(store: Store, promises: Promises) -> None:
    for _ in range(2):  # the second time it is there already
        path = store.put_object("1.2.9", RESULT)
        promises.results[path.relative_to(store.root)] = RESULT


def recover_and_ingest(store: Store, promises: Promises) -> None:
    store.recover()
    ingest(store, promises)


Scenario = Callable[[Store, Promises], None]


@dataclass(frozen=True)
class Cut:
    """A power cut: after so many steps, leaving this."""

    step: int
    tree: tuple[tuple[str, bytes | None], ...]
    promises: Promises


def cuts(
    folder: Path, scenario: Scenario, kind: type[VolatileDisk] = VolatileDisk, start: Cut | None = None
) -> Iterator[Cut]:
    """Run the scenario with a cut after 0, 1, 2 … steps; give each tree that can be left, each once."""
    step, seen = 0, set()
    while True:
        ground = folder / f"run-{step}"
        if start is None:
            ground.mkdir()
        else:
            plant(start.tree, ground)
        disk = kind(ground, cut_after=step)
        promises = start.promises.copy() if start is not None else Promises()
        try:
            scenario(open_store(ground / "store", disk), promises)
            ended = True
        except PowerCutError:
            ended = False
        disk.power_off()
        for tree in disk.outcomes():
            if (tree, repr(promises)) not in seen:
                seen.add((tree, repr(promises)))
                yield Cut(step, tree, promises)
        shutil.rmtree(ground)
        if ended:
            return
        step += 1


def broken_promises(cut: Cut, folder: Path) -> list[str]:
    """Start the node on what the cut has left, and compare with what was promised."""
    ground = folder / "after"
    plant(cut.tree, ground)
    try:
        return problems_after(cut, ground / "store")
    except NodeError as error:
        return [f"the node does not start: {error}"]
    finally:
        shutil.rmtree(ground)


def problems_after(cut: Cut, root: Path) -> list[str]:
    found: list[str] = []
    with Store.open(root, disk=CalmDisk()) as store:
        recovery = store.recover()
        if recovery.damaged:
            found.append("an acknowledged file is damaged")
        waiting = store.sealed()
        known = {read_ids(sealed.path).sop_instance_uid: sealed for sealed in waiting}
        for relative, content in {**cut.promises.rows, **cut.promises.results}.items():
            path = root / relative
            # A row may speak of a file that has its first name only: ingest makes the second one again
            if not path.exists() and relative in cut.promises.rows:
                continue
            if not path.exists() or path.read_bytes()[-len(content) :] != content:
                found.append(f"{relative} is lost or changed")
        found += lost_instances(store, cut.promises, known)
        found += wrong_studies(root)
        if cut.promises.salt is not None and store.salt != cut.promises.salt:
            found.append("the salt is another one")
    return found


def lost_instances(store: Store, promises: Promises, known: dict[str, SealedFile]) -> list[str]:
    """Ingest what is there; then every acknowledged instance, and every row, has its file."""
    found = [
        f"{uid} is changed in incoming"
        for uid, sealed in known.items()
        if uid in promises.instances
        and sealed.path.read_bytes()[PREAMBLE:]
        not in (promises.instances[uid], behind_preamble(uid, pixels=b"\7\7"))
    ]
    after = Promises()
    ingest(store, after)
    everything = set(after.rows.values()) | {
        path.read_bytes()[PREAMBLE:] for path in (store.root / STUDIES).glob("*/*.dcm")
    }
    found += [f"{uid} is lost" for uid, content in promises.instances.items() if content not in everything]
    found += [f"row {path} has no file" for path in promises.rows if not (store.root / path).exists()]
    if list((store.root / INCOMING).glob("*.dcm")):
        found.append("something stays in incoming for ever")
    return found


def wrong_studies(root: Path) -> list[str]:
    """No torn file ever enters a study."""
    return [
        f"{path} does not fit its seal" for path in (root / STUDIES).glob("*/*.dcm") if verify(path) is None
    ]


def shape(cut: Cut) -> tuple[object, ...]:
    """What recovery will have to do after a cut, without the bytes."""
    kinds = [(Path(name).parts[1:2], Path(name).suffix, bool(content)) for name, content in cut.tree]
    return len(cut.promises.instances), len(cut.promises.rows), tuple(sorted(kinds))


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: some thousand small trees are made and looked at."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def check_all(folder: Path, found: Iterator[Cut]) -> tuple[int, list[str]]:
    count, broken = 0, []
    for cut in found:
        count += 1
        broken += [f"cut after step {cut.step}: {problem}" for problem in broken_promises(cut, folder)]
    return count, broken


@pytest.mark.parametrize("scenario", [receive_only, receive_again, keep_results], ids=lambda s: s.__name__)
def test_no_promise_is_broken_by_a_power_cut_at_any_step(ground: Path, scenario: Scenario) -> None:
    count, broken = check_all(ground, cuts(ground, scenario))
    assert broken == []
    assert count > 40


def test_without_flushing_contents_acknowledged_instances_are_lost(ground: Path) -> None:
    _, broken = check_all(ground, cuts(ground, receive_only, LyingDisk))
    assert any("is lost" in problem for problem in broken)
    assert any("does not fit its seal" in problem or "damaged" in problem for problem in broken)


def test_without_flushing_names_acknowledged_instances_are_lost(ground: Path) -> None:
    _, broken = check_all(ground, cuts(ground, receive_only, ForgetfulDisk))
    assert any("is lost" in problem for problem in broken)


@pytest.mark.parametrize("one_in", [16, pytest.param(1, marks=pytest.mark.slow)])
def test_a_cut_during_the_recovery_from_a_cut_breaks_no_promise(ground: Path, one_in: int) -> None:
    (ground / "first").mkdir()
    shapes = {shape(cut): cut for cut in cuts(ground / "first", receive_again)}
    starts = [shapes[key] for key in sorted(shapes)][::one_in]
    count, broken = 0, []
    for number, start in enumerate(starts):
        second = ground / f"second-{number}"
        second.mkdir()
        more, problems = check_all(second, cuts(second, recover_and_ingest, start=start))
        count, broken = count + more, broken + problems
    assert broken == []
    assert count > 100


def test_a_process_killed_at_any_step_and_a_power_cut_after_the_restart_break_no_promise(
    ground: Path,
) -> None:
    """What a killed process wrote is in memory: the restart sees it, the power cut may still take it."""
    broken: list[str] = []
    for step in itertools.count():
        start = ground / f"run-{step}"
        start.mkdir()
        disk = VolatileDisk(start, cut_after=step)
        promises = Promises()
        try:
            receive_only(open_store(start / "store", disk), promises)
            ended = True
        except PowerCutError:
            ended = False
        disk.power_off()
        disk.cut_after = None
        recover_and_ingest(open_store(start / "store", disk), promises)
        trees = set(disk.outcomes())
        shutil.rmtree(start)
        broken += check_all(ground, (Cut(step, tree, promises) for tree in trees))[1]
        if ended:
            break
    assert broken == []
    assert step > 30


def test_sealing_costs_exactly_one_flush_and_no_flush_of_a_folder(ground: Path) -> None:
    class CountingDisk(VolatileDisk):
        def __init__(self, root: Path) -> None:
            super().__init__(root)
            self.flushes: list[str] = []

        def fdatasync(self, fd: int) -> None:
            super().fdatasync(fd)
            self.flushes.append("file")

        def fsync_dir(self, path: Path) -> None:
            super().fsync_dir(path)
            self.flushes.append("folder")

    disk = CountingDisk(ground)
    store = open_store(ground / "store", disk)
    receive(store, behind_preamble(FIRST))  # makes the batch of two names
    disk.flushes.clear()
    receive(store, behind_preamble(SECOND))
    assert disk.flushes == ["file"]
    store.close()

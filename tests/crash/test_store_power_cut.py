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
from dicomnode.store import Store, read_ids
from dicomnode.store.layout import HISTORY, INCOMING, QUARANTINE, STUDIES
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
from tests.unit.store.part10 import NOON, behind_preamble, data_set, meta, receive

pytestmark = pytest.mark.crash

FIRST, SECOND = "1.2.3.1", "1.2.3.2"
RESULT = b"a result object"


@dataclass
class Promises:
    """What was told to somebody outside of the store, and therefore holds after a cut."""

    salt: bytes | None = None
    received: list[bytes] = field(default_factory=list)  # what a sender was told is safe
    rows: dict[Path, bytes] = field(default_factory=dict)  # path below the root, as a committed row has it
    results: dict[Path, bytes] = field(default_factory=dict)

    def copy(self) -> Promises:
        return Promises(self.salt, list(self.received), dict(self.rows), dict(self.results))


def open_store(root: Path, disk: VolatileDisk) -> Store:
    store = Store.open(root, disk=disk)
    # Two names a batch, and no thread: the steps come in one order
    store._pool = NamePool(disk, root / INCOMING, batch=2, low=0, tag="n")
    return store


def receive_one(store: Store, promises: Promises, content: bytes, second: int) -> None:
    receive(store, content, NOON + timedelta(seconds=second))
    promises.received.append(content)


def ingest(store: Store, promises: Promises) -> None:
    waiting = store.sealed()
    adoptions = store.adopt_all([(sealed, read_ids(sealed.path)) for sealed in waiting])
    for adoption in adoptions:  # here the journal commits
        path = adoption.instance.path
        promises.rows[path.relative_to(store.root)] = path.read_bytes()[PREAMBLE:]
    store.settle(*waiting)


def receive_two(store: Store, promises: Promises) -> None:
    receive_one(store, promises, behind_preamble(FIRST), 0)
    receive_one(store, promises, behind_preamble(SECOND), 1)
    ingest(store, promises)


def receive_again(store: Store, promises: Promises) -> None:
    """The same again, and another content under the same UID."""
    receive_one(store, promises, behind_preamble(FIRST), 0)
    ingest(store, promises)
    receive_one(store, promises, behind_preamble(FIRST), 1)
    receive_one(store, promises, behind_preamble(FIRST, pixels=b"\7\7"), 2)
    ingest(store, promises)


def correct(store: Store, promises: Promises) -> None:
    """The same pixels with another header, twice, and a late copy of the first."""
    for second, accession in enumerate(("A1", "A2", "A3", "A1")):
        # From now on its row is of the version before, and the instance may be of either
        promises.rows.clear()
        receive_one(store, promises, meta(FIRST) + data_set(FIRST, accession=accession), second)
        ingest(store, promises)


def ask_for_salt(store: Store, promises: Promises) -> None:
    promises.salt = store.salt


def keep_object(store: Store, promises: Promises) -> None:
    path = store.put_object("1.2.9", RESULT)
    promises.results[path.relative_to(store.root)] = RESULT


def keep_results(store: Store, promises: Promises) -> None:
    ask_for_salt(store, promises)
    for _ in range(2):  # the second time it is there already
        keep_object(store, promises)


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
    with Store.open(root, disk=CalmDisk()) as store:
        damaged = store.recover().damaged
        after = Promises()
        ingest(store, after)
        found = lost(root, cut.promises) + wrong_studies(root)
        if cut.promises.salt is not None and store.salt != cut.promises.salt:
            found.append("the salt is another one")
    if damaged:
        found.append("an acknowledged file is damaged")
    if list((root / INCOMING).glob("*.dcm")):
        found.append("something stays in incoming for ever")
    return found


def lost(root: Path, promises: Promises) -> list[str]:
    """After recovery and ingest each received file is an instance or a conflict; each row has its file."""
    kept = {
        path.read_bytes()[PREAMBLE:]
        for folder in (root / STUDIES, root / HISTORY, root / QUARANTINE / "conflict")
        for path in folder.rglob("*.dcm")
    }
    found = [f"received file {number} is lost" for number, c in enumerate(promises.received) if c not in kept]
    for relative, content in {**promises.rows, **promises.results}.items():
        path = root / relative
        if not path.exists() or path.read_bytes()[-len(content) :] != content:
            found.append(f"{relative} is lost or changed")
    return found


def wrong_studies(root: Path) -> list[str]:
    """No torn file ever enters a study."""
    return [
        f"{path} does not fit its seal" for path in (root / STUDIES).glob("*/*.dcm") if verify(path) is None
    ]


def shape(cut: Cut) -> tuple[object, ...]:
    """What recovery will have to do after a cut, without the bytes."""
    kinds = [(Path(name).parts[1:2], Path(name).suffix, bool(content)) for name, content in cut.tree]
    return len(cut.promises.received), len(cut.promises.rows), tuple(sorted(kinds))


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


@pytest.mark.parametrize(
    "scenario", [receive_two, receive_again, correct, keep_results], ids=lambda s: s.__name__
)
def test_no_promise_is_broken_by_a_power_cut_at_any_step(ground: Path, scenario: Scenario) -> None:
    count, broken = check_all(ground, cuts(ground, scenario))
    assert broken == []
    assert count > 40


def test_without_flushing_contents_acknowledged_instances_are_lost(ground: Path) -> None:
    _, broken = check_all(ground, cuts(ground, receive_two, LyingDisk))
    assert any("is lost" in problem for problem in broken)
    assert any("does not fit its seal" in problem or "damaged" in problem for problem in broken)


def test_without_flushing_names_acknowledged_instances_are_lost(ground: Path) -> None:
    _, broken = check_all(ground, cuts(ground, receive_two, ForgetfulDisk))
    assert any("is lost" in problem for problem in broken)


@pytest.mark.parametrize("one_in", [16, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
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


def killed(disk: VolatileDisk, scenario: Scenario, root: Path, promises: Promises, step: int) -> bool:
    """Run the scenario in a process that is killed after `step` more steps; tell whether it was."""
    disk.cut_after = disk.steps + step
    try:
        scenario(open_store(root, disk), promises)
    except PowerCutError:
        return True
    finally:
        disk.power_off()
        disk.cut_after = None
    return False


@pytest.mark.parametrize(
    "scenario", [receive_two, receive_again, correct, keep_results], ids=lambda s: s.__name__
)
def test_a_process_killed_at_any_step_and_a_power_cut_after_the_restart_break_no_promise(
    ground: Path, scenario: Scenario
) -> None:
    """What a killed process wrote is in memory: the restart sees it, the power cut may still take it."""
    broken: list[str] = []
    for step in itertools.count():
        start = ground / f"run-{step}"
        start.mkdir()
        disk, promises = VolatileDisk(start), Promises()
        more = killed(disk, scenario, start / "store", promises, step)
        store = open_store(start / "store", disk)
        store.recover()
        scenario(store, promises)
        disk.power_off()
        trees = set(disk.outcomes())
        shutil.rmtree(start)
        broken += check_all(ground, (Cut(step, tree, promises) for tree in trees))[1]
        if not more:
            break
    assert broken == []
    assert step > 10


@pytest.mark.parametrize("action", [ask_for_salt, keep_object], ids=lambda a: a.__name__)
def test_what_another_process_has_made_and_not_yet_flushed_is_flushed_before_it_is_promised(
    ground: Path, action: Scenario
) -> None:
    broken: list[str] = []
    for step in itertools.count():
        start = ground / f"run-{step}"
        start.mkdir()
        disk, promises = VolatileDisk(start), Promises()
        second = open_store(start / "store", disk)
        more = killed(disk, action, start / "store", Promises(), step)
        action(second, promises)
        trees = set(disk.outcomes())
        shutil.rmtree(start)
        broken += check_all(ground, (Cut(step, tree, promises) for tree in trees))[1]
        if not more:
            break
    assert broken == []
    assert step > 5


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

"""No acknowledged thing is lost: a power cut at every step, with every subset of what was not flushed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

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
    step = 0
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
        for tree in set(disk.outcomes()):
            yield Cut(step, tree, promises)
        shutil.rmtree(ground)
        if ended:
            return
        step += 1


def broken_promises(cut: Cut, folder: Path) -> list[str]:
    """Start the node on what the cut has left, and compare with what was promised."""
    ground = folder / "after"
    plant(cut.tree, ground)
    root = ground / "store"
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
    shutil.rmtree(ground)
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


def check_all(folder: Path, found: Iterator[Cut]) -> tuple[int, list[str]]:
    count, broken = 0, []
    for cut in found:
        count += 1
        broken += [f"cut after step {cut.step}: {problem}" for problem in broken_promises(cut, folder)]
    return count, broken


@pytest.mark.parametrize("scenario", [receive_only, receive_again, keep_results], ids=lambda s: s.__name__)
def test_no_promise_is_broken_by_a_power_cut_at_any_step(tmp_path: Path, scenario: Scenario) -> None:
    count, broken = check_all(tmp_path, cuts(tmp_path, scenario))
    assert broken == []
    assert count > 40


def test_without_flushing_contents_acknowledged_instances_are_lost(tmp_path: Path) -> None:
    _, broken = check_all(tmp_path, cuts(tmp_path, receive_only, LyingDisk))
    assert any("is lost" in problem for problem in broken)
    assert any("does not fit its seal" in problem or "damaged" in problem for problem in broken)


def test_without_flushing_names_acknowledged_instances_are_lost(tmp_path: Path) -> None:
    _, broken = check_all(tmp_path, cuts(tmp_path, receive_only, ForgetfulDisk))
    assert any("is lost" in problem for problem in broken)


def test_a_cut_during_the_recovery_from_a_cut_breaks_no_promise(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    # Of each number of promises, the trees with most files of most kinds: they give recovery most to do
    richest: dict[int, Cut] = {}
    for cut in cuts(tmp_path / "first", receive_again):
        size = len(cut.promises.instances) + len(cut.promises.rows)
        if size not in richest or len(cut.tree) >= len(richest[size].tree):
            richest[size] = cut
    count, broken = 0, []
    for number, start in enumerate(richest.values()):
        ground = tmp_path / f"second-{number}"
        ground.mkdir()
        more, problems = check_all(ground, cuts(ground, recover_and_ingest, start=start))
        count, broken = count + more, broken + problems
    assert broken == []
    assert count > 40


def test_sealing_costs_exactly_one_flush_and_no_flush_of_a_folder(tmp_path: Path) -> None:
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

    disk = CountingDisk(tmp_path)
    store = open_store(tmp_path / "store", disk)
    receive(store, behind_preamble(FIRST))  # makes the batch of two names
    disk.flushes.clear()
    receive(store, behind_preamble(SECOND))
    assert disk.flushes == ["file"]
    store.close()

"""A real process that receives is killed in the middle: what it has acknowledged is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dicomnode.store import Store, read_ids
from dicomnode.store.seal import PREAMBLE, verify
from tests.unit.store.part10 import behind_preamble

pytestmark = pytest.mark.crash

# Four threads, as four associations: each says the UID of what is sealed, and only then
_RECEIVER = """
import sys, threading
from pathlib import Path
from dicomnode.store import Store
from tests.unit.store.part10 import behind_preamble, receive

store, lock = Store.open(Path(sys.argv[1])), threading.Lock()

def associate(thread):
    number = 0
    while True:
        uid = f"1.2.{thread}.{number}"
        receive(store, behind_preamble(uid, pixels=uid.encode() * 2000))
        with lock:
            print(uid, flush=True)
        number += 1

for thread in range(4):
    threading.Thread(target=associate, args=(thread,)).start()
"""


@pytest.mark.parametrize("acknowledged", [1, 60, 300])
def test_all_that_was_acknowledged_is_there_after_a_kill(tmp_path: Path, acknowledged: int) -> None:
    root = tmp_path / "store"
    with subprocess.Popen(
        [sys.executable, "-c", _RECEIVER, str(root)], stdout=subprocess.PIPE, text=True
    ) as receiver:
        assert receiver.stdout is not None
        said = [receiver.stdout.readline() for _ in range(acknowledged)]
        receiver.kill()
        said += receiver.stdout.readlines()
    uids = {line.strip() for line in said if line.endswith("\n")}
    with Store.open(root, exclusive=True) as store:
        recovery = store.recover()
        waiting = {read_ids(sealed.path).sop_instance_uid: sealed for sealed in store.sealed()}
    assert len(uids) >= acknowledged
    assert uids <= set(waiting)
    for uid, sealed in waiting.items():
        assert sealed.path.read_bytes()[PREAMBLE:] == behind_preamble(uid, pixels=uid.encode() * 2000)
        assert verify(sealed.path) == sealed
    assert recovery.damaged == ()
    assert list((root / "incoming").glob("*.part")) == []

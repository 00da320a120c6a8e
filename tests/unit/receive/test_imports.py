"""The receiver's process stays small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys
from pathlib import Path
import pydicom, pynetdicom
theirs = set(sys.modules)
from dicomnode.receive import Receiver
from dicomnode.settings import ReceiveSettings
from dicomnode.store import Store
with_store = Store.open(Path(sys.argv[1]))
receiver = Receiver(ReceiveSettings(address="127.0.0.1", port=0), "DICOMNODE", (), with_store)
receiver.start()
receiver.stop(drain_s=0.0)
with_store.close()
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - theirs}))
print(*sorted(name for name in sys.modules if name.startswith("dicomnode.")))
"""


def test_it_loads_no_library_beyond_those_of_the_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    added, rooms = (set(line.split()) for line in done.stdout.splitlines()[-2:])
    # structlog loads rich where it is installed
    heavy = {"highdicom", "scipy", "onnxruntime", "torch", "sqlalchemy", "numpy", "PIL", "typer"}
    assert not added & heavy
    assert {name.split(".")[1] for name in rooms} == {
        "faults", "net", "receive", "settings", "store", "values",
    }  # fmt: skip
    assert not rooms & {"dicomnode.values.volume", "dicomnode.values.mask", "dicomnode.values.findings"}

"""From the last slice to Findings: with and without decoding what arrived before.

python -m tests.bench.last_slice FOLDER …   (a folder is one study of one CT series)

A store, a journal, the desk and the worker of the service, in one process and without the quiet time: the
worker has its spare time while all slices but the last arrive, then the clock starts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom import dcmread

from dicomnode.journal import Journal, TaskKind
from dicomnode.serve.carry import carry_out
from dicomnode.serve.desk import Desk
from dicomnode.serve.frame import ChildFrame
from dicomnode.serve.ingest import ingest
from dicomnode.serve.line import ChildLine, line_pair
from dicomnode.serve.worker import Worker
from dicomnode.settings import EngineSettings, Settings
from dicomnode.store import Store
from tests.unit.store.part10 import NOON, receive


@contextmanager
def node(settings: Settings) -> Iterator[tuple[Store, Journal, ChildFrame]]:
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = line_pair()
        with (
            Store.open(Path(folder) / "store") as store,
            Journal.open(f"sqlite:///{folder}/store/journal.sqlite") as journal,
        ):
            yield store, journal, ChildFrame(settings=settings, line=ChildLine(theirs), listener=None)
        ours.close()


def from_last_slice(files: list[Path], settings: Settings) -> float:
    """Seconds from the arrival of the last file to Findings in the store."""
    with node(settings) as (store, journal, frame):
        desk = Desk(settings, store, journal, frame.line.stopping)
        worker = Worker(frame, store, journal)
        worker.warm_up()
        for n, path in enumerate(files[:-1]):
            receive(store, path.read_bytes()[128:], NOON + timedelta(seconds=n))
        while ingest(store, journal, datetime.now(UTC)):
            pass
        while worker.aside():
            pass
        began = time.perf_counter()
        receive(store, files[-1].read_bytes()[128:], NOON + timedelta(hours=1))
        ingest(store, journal, datetime.now(UTC))
        uid = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        journal.complete_study(uid, "the bench says so", datetime.now(UTC))
        for kind, work in ((TaskKind.DISPATCH, desk.work), (TaskKind.ANALYSE, worker.work)):
            task = journal.claim([kind], "bench", 600, datetime.now(UTC))
            assert task is not None, f"nothing to {kind}"
            carry_out(task, work, journal, 600)
        took = time.perf_counter() - began
        assert journal.findings(uid), "no findings"
        worker.close()
        return took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    settings = Settings(engine=(EngineSettings(name="lung-ct"),))
    without = replace(settings, analyse=replace(settings.analyse, ahead_gb=0.0))
    for folder in options.folders:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        times: dict[str, list[float]] = {"ahead": [], "without": []}
        for _ in range(options.rounds):
            times["ahead"].append(from_last_slice(files, settings))
            times["without"].append(from_last_slice(files, without))
        medians = {name: round(statistics.median(of), 2) for name, of in times.items()}
        ratio = statistics.median(a / b for a, b in zip(times["ahead"], times["without"], strict=True))
        print(json.dumps({"study": folder.name, "images": len(files), **medians, "ratio": round(ratio, 2)}))


if __name__ == "__main__":
    main()

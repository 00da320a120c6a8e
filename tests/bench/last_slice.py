"""From the last slice to Findings: with and without decoding what arrived before.

python -m tests.bench.last_slice [FOLDER …]   (a folder is one study of one CT series; default: a real scan
of the test data where it is, else the phantom of the demonstration)

A store, a journal, the desk and the worker of the service, in one process and without the quiet time: the
worker has its spare time while all slices but the last arrive, then the clock starts.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from pydicom import dcmread

from dicomnode.journal import Journal, TaskKind
from dicomnode.phantom import demo_study
from dicomnode.serve.intake.ingest import ingest
from dicomnode.serve.process.frame import ChildFrame
from dicomnode.serve.process.line import ChildLine, line_pair
from dicomnode.serve.results.desk import Desk
from dicomnode.serve.work.carry import carry_out
from dicomnode.serve.worker import Worker
from dicomnode.settings import EngineSettings, Settings
from dicomnode.store import Store
from tests.bench.told import data_folder, machine
from tests.unit.journal.world import ALL_HERE
from tests.unit.store.part10 import NOON, receive

SCAN = "chest-ct-nlst-101287/ct"


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


def from_last_slice(files: list[Path], settings: Settings) -> tuple[float, float]:
    """Seconds, and of processor time, from the arrival of the last file to Findings in the store."""
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
        began, cpu = time.perf_counter(), time.process_time()
        receive(store, files[-1].read_bytes()[128:], NOON + timedelta(hours=1))
        ingest(store, journal, datetime.now(UTC))
        uid = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        journal.close_study(uid, ALL_HERE, datetime.now(UTC))
        for kind, work in ((TaskKind.DISPATCH, desk.work), (TaskKind.ANALYSE, worker.work)):
            task = journal.claim([kind], "bench", 600, datetime.now(UTC))
            assert task is not None, f"nothing to {kind}"
            carry_out(task, work, journal, 600)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert journal.findings(uid), "no findings"
        worker.close()
        return took, cpu


def folders() -> list[Path]:
    """The study that is measured where none is named."""
    scan = data_folder() / SCAN
    if scan.is_dir():
        return [scan]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dicomnode"
    return [demo_study(cache).files[0].parent]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = Settings(engine=(EngineSettings(name="lung-ct"),))
    ways = {"ahead": settings, "without": replace(settings, analyse=replace(settings.analyse, ahead_gb=0.0))}
    print("### From the last slice to the findings\n")
    print("| study | images | decoding ahead, s | without, s | ratio | CPU ahead, s | without, s |")
    print("| --- |" + " ---: |" * 6)
    for folder in options.folders or folders():
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for number in range(options.rounds):
            for name in sorted(ways, reverse=bool(number % 2)):  # neither is always the first
                times[name].append(from_last_slice(files, ways[name]))
        wall, cpu = (
            {name: statistics.median(one[n] for one in of) for name, of in times.items()} for n in (0, 1)
        )
        pairs = zip(times["ahead"], times["without"], strict=True)
        ratio = statistics.median(a[0] / b[0] for a, b in pairs)
        cells = [wall["ahead"], wall["without"], ratio, cpu["ahead"], cpu["without"]]
        shown = folder.parent.name if folder.name == "ct" else folder.name
        print(f"| {shown} | {len(files)} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    print(f"\nMedians of {options.rounds} rounds, taking turns, in one process, without the quiet time; the")
    print(f"ratio is the median of those of the rounds; {machine(('numpy', 'pydicom', 'onnxruntime'), 0)}\n")


if __name__ == "__main__":
    main()

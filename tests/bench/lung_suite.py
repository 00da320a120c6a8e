"""What engines for lungs find on the frozen suite: python -m tests.bench.lung_suite [--engine NAME|DIR …].

Prints the tables that cards of engines hold, and writes all of it, case by case, with --json. Phantoms: what
is measured here is no clinical figure. Nobody trains or tunes on these seeds (`phantom.suite`).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import structlog

from dicomnode.analyse import Analyst
from dicomnode.device import cpu_device
from dicomnode.engine import EnginePackage, load_package
from dicomnode.phantom import CHEST_VERSION, SuiteCase, suite_cases
from tests.bench.lung.answer import Look, looking, volume_of
from tests.bench.lung.engines import package_of, title, with_scores
from tests.bench.lung.figures import of_suite
from tests.bench.lung.judging import CaseRow, judged
from tests.bench.lung.page import page

SCHEMA: Final = 1
PACKAGES: Final = ("numpy", "scipy", "onnxruntime", "scikit-learn")

Looks = dict[str, Look]


def measured(case: SuiteCase, looks: Looks) -> dict[str, CaseRow]:
    """Scan a patient once and ask each engine; rows by the folder of the engine."""
    begun = time.perf_counter()
    scan = case.scan()
    made = time.perf_counter() - begun
    rows = {}
    for folder, look in looks.items():
        answer = look(volume_of(scan))
        rows[folder] = judged(scan, answer)
        print(_line(Path(folder).name, rows[folder], made), file=sys.stderr, flush=True)
    return rows


def _line(name: str, row: CaseRow, made: float) -> str:
    hits = sum(one.reported for one in row.nodules)
    alarms = sum(one.reported for one in row.alarms)
    lungs = ", ".join(f"{one.dice:.3f}" for one in row.lungs)
    took = sum(seconds for stage, seconds in row.seconds.items() if stage != "cpu")
    return (
        f"{row.seed} {name}: {hits} of {len(row.nodules)} nodules, {alarms} false alarms, lungs {lungs}"
        f"{' (doubted)' if row.doubts else ''}; drawn in {made:.0f} s, analysed in {took:.0f} s"
    )


_loaded: dict[tuple[str, ...], Looks] = {}  # of this process


def _looks(folders: Sequence[str], threads: int) -> Looks:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    key = (*folders, str(threads))
    if key not in _loaded:
        packages = {folder: load_package(Path(folder)) for folder in folders}
        _loaded[key] = {
            folder: looking(Analyst(package, threads=threads, node_version="bench"))
            for folder, package in packages.items()
        }
    return _loaded[key]


def _of_process(job: tuple[SuiteCase, tuple[str, ...], int]) -> dict[str, CaseRow]:
    case, folders, threads = job
    return measured(case, _looks(folders, threads))


def rows_of(
    cases: Iterable[SuiteCase], folders: Sequence[str], workers: int, threads: int
) -> Iterator[dict[str, CaseRow]]:
    """Measure all cases, in their order; keys are the folders of the engines."""
    jobs = [(case, tuple(folders), threads) for case in cases]
    if workers <= 1:
        yield from map(_of_process, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_of_process, jobs)


def setting(given: argparse.Namespace) -> dict[str, Any]:
    """Say what the figures were measured with and on."""
    return {
        "schema": SCHEMA,
        "chest_version": CHEST_VERSION,
        "size": given.size,
        "threads": given.threads,
        "machine": f"{cpu_device(given.threads).name}, {platform.machine()}",
        "load": [round(one, 1) for one in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {one: metadata.version(one) for one in PACKAGES},
    }


def document_of(
    given: argparse.Namespace, packages: dict[str, EnginePackage], rows: dict[str, list[CaseRow]]
) -> dict[str, Any]:
    """Return the cases of each engine, as far as they are measured; figures are added at the end."""
    return setting(given) | {
        "engines": {
            name: {
                "name": package.manifest.name,
                "version": package.manifest.version,
                "digest": package.digest,
                "cases": [row.document() for row in rows[name]],
            }
            for name, package in packages.items()
        }
    }


def kept(path: Path | None, packages: dict[str, EnginePackage], size: str) -> dict[str, list[CaseRow]]:
    """Return the rows of an earlier run that was stopped: of the very same engines and chests."""
    found: dict[str, list[CaseRow]] = {name: [] for name in packages}
    if path is None or not path.is_file():
        return found
    document = json.loads(path.read_text(encoding="utf-8"))
    if (document["chest_version"], document["size"], document["schema"]) != (CHEST_VERSION, size, SCHEMA):
        return found
    for name, package in packages.items():
        one = document["engines"].get(name)
        if one is not None and one["digest"] == package.digest:
            found[name] = [CaseRow.read(row) for row in one["cases"]]
    return found


def suite(given: argparse.Namespace, packages: dict[str, EnginePackage]) -> dict[str, list[CaseRow]]:
    """Measure the cases that are still to be measured; the JSON is written after each."""
    cases = suite_cases(given.size)[: given.cases]
    rows = kept(given.json if given.resume else None, packages, given.size)
    done = {case.seed for case in cases}
    for some in rows.values():
        done &= {row.seed for row in some}
    rows = {name: [row for row in some if row.seed in done] for name, some in rows.items()}
    names = {str(package.folder): name for name, package in packages.items()}
    to_do = [case for case in cases if case.seed not in done]
    for found in rows_of(to_do, list(names), given.workers, given.threads):
        for folder, row in found.items():
            rows[names[folder]].append(row)
        if given.json:
            _write(given.json, document_of(given, packages, rows))
    return {name: sorted(some, key=lambda row: row.seed) for name, some in rows.items()}


def _write(path: Path, document: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--engine", nargs="+", default=["lung-ct"], help="names of shipped engines, or folders"
    )
    parser.add_argument("--size", choices=("full", "small"), default="full")
    parser.add_argument("--cases", type=int, help="only the first so many")
    parser.add_argument("--json", type=Path, help="write figures and cases there")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the cases in --json, written after each"
    )
    parser.add_argument(
        "--scores", action="store_true", help="each engine with each way to score a candidate"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as copies:
        packages = {}
        for name in given.engine:
            package = package_of(name)
            folders = with_scores(package.folder, Path(copies)) if given.scores else [package.folder]
            packages |= {title(one): one for one in map(load_package, folders)}
        rows = suite(given, packages)
    document = document_of(given, packages, rows)
    for name, one in document["engines"].items():
        one["figures"] = of_suite(rows[name])
    if given.json:
        _write(given.json, document)
    print(f"# Frozen suite of chests {CHEST_VERSION}, {given.size}\n")
    for name, one in document["engines"].items():
        for line in page(name, one["figures"], rows[name]):
            print(line)
        print()
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    print(f"{given.threads} thread(s) of {document['machine']}; Python {document['python']}, {versions}.")


if __name__ == "__main__":
    main()

"""What each stage of the walk takes: `make bench`, or python -m tests.bench.walk [FOLDER ...] [--rounds N].

Prints the block that docs/benchmarks.md holds: median seconds and peak memory of the stages of `try`, each
round in a process of its own. Without a folder: the phantom of the demonstration.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path


def one_round(folder: Path) -> dict[str, float]:
    """Run the walk once; give seconds by stage, and the peak memory in MB."""
    code = (
        "import json, resource, sys\n"
        "from dicomnode.cli import main\n"
        "try: main(['try', sys.argv[1], '--engine', 'lung-ct', '--json'])\n"
        "except SystemExit as ended: assert not ended.code, ended.code\n"
        "finally: sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures: dict[str, float] = dict(json.loads(done.stdout)["timings_s"])
    figures["CPU"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures["peak MB"] = int(done.stderr.split()[-1]) / 1024
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        folders: list[Path] = given.folders
        if not folders:
            from dicomnode.phantom import demo_study

            folders = [demo_study(Path(cache)).folder / "dicom"]
        rounds = [[one_round(folder) for folder in folders] for _ in range(given.rounds)]  # interleaved
    stages = list(rounds[0][0])
    print(f"| study | {' | '.join(stages)} |")
    print("| --- |" + " ---: |" * len(stages))
    for number, folder in enumerate(folders):
        medians = [statistics.median(one[number][stage] for one in rounds) for stage in stages]
        print(f"| {folder.parent.name}/{folder.name} | " + " | ".join(f"{m:.2f}" for m in medians) + " |")
    packages = ("numpy", "scipy", "onnxruntime", "highdicom", "pydicom")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    cores = len(os.sched_getaffinity(0))
    print(f"\n{given.rounds} rounds, median; {cores} cores, {platform.machine()}, Python", end=" ")
    print(f"{platform.python_version()}, {versions}.")


if __name__ == "__main__":
    main()

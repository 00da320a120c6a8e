"""Every recipe that ships, from nothing on drawn studies: make recipes, or python -m tests.recipes [NAME].

Prints one table, and ends with 1 where an engine is no better than who never looks at an image. A recipe
whose head says that drawn studies do not show it is named, and tried only where its name is given. Each
recipe draws, trains its short course and is judged on patients whom it has not seen: some minutes each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicomnode.learn.recipes import Shelved, shelved
from tests.recipes.heads import not_shown
from tests.recipes.trial import Row, try_recipe

_COLUMNS = ("recipe", "cases", "epochs", "seconds", "figure", "value", "from", "to", "blind", "")
_PARTLY = 4  # some studies were left out: told in the card


def main() -> int:
    """Try them."""
    given = _given()
    chosen = [
        one for one in shelved() if not given.names or given.names & {one.name, f"{one.name}/{one.task}"}
    ]
    if not chosen:
        sys.exit(f"no recipe is called {', '.join(sorted(given.names))}")
    rows: list[Row] = []
    failed: list[str] = []
    untried = [] if given.names else [one for one in chosen if not_shown(one)]
    for recipe in (one for one in chosen if one not in untried):
        print(f"{recipe.name} {recipe.task} …", file=sys.stderr, flush=True)
        try:
            rows += _tried(recipe, given)
        except (AssertionError, RuntimeError) as error:
            failed.append(f"{recipe.name} {recipe.task}: {error}")
    _print(rows)
    for one in untried:
        print(f"{one.name} {one.task}: not shown: {not_shown(one)}")
    worse = [
        f"{one.recipe}: {one.figure} is no better than who never looks" for one in rows if not one.better
    ]
    print(*failed, *worse, sep="\n", file=sys.stderr)
    return 1 if failed or worse else 0


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.recipes", description=__doc__)
    parser.add_argument("names", nargs="*", help="NAME or NAME/TASK; all unless given")
    parser.add_argument("--cases", type=int, help="studies of each, instead of those that its head names")
    parser.add_argument("--threads", type=int, default=1, help="with 1 the figures repeat to the last bit")
    given = parser.parse_args()
    given.names = set(given.names)
    return given


def _tried(recipe: Shelved, given: argparse.Namespace) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="dn-recipe-") as folder:

        def run(words: list[str]) -> Mapping[str, Any]:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "dicomnode", *words, "--json"],
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": str(given.threads)},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode not in {0, _PARTLY}:
                said = (done.stdout + done.stderr).strip()[-600:]
                raise RuntimeError(f"`dicomnode {' '.join(words)}` ended with {done.returncode}: {said}")
            found: dict[str, Any] = json.loads(done.stdout)
            return found

        return try_recipe(recipe, Path(folder), run, cases=given.cases, threads=given.threads)


def _print(rows: list[Row]) -> None:
    lines = [_COLUMNS] + [
        (
            one.recipe,
            str(one.cases),
            str(one.epochs),
            f"{one.seconds:.0f}",
            one.figure,
            *(f"{value:.3f}" for value in (one.value, one.low, one.high, one.blind)),
            "" if one.better else "NO BETTER",
        )
        for one in rows
    ]
    widths = [max(len(line[n]) for line in lines) for n in range(len(_COLUMNS))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())

"""Engines that ship and were not tried, and whether they would take the images: so that nobody misses one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.cli.output import print_table, result_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicomnode.engine import EnginePackage
    from dicomnode.serve import FolderWalk
    from dicomnode.values import Verdict


def print_offered(walked: FolderWalk, tried: Sequence[EnginePackage]) -> None:
    """Print a line for each: what it is, and what its rules say of the headers; nothing is run."""
    from dicomnode.engine import list_engines

    names = {package.manifest.name for package in tried}
    others = [package for package in list_engines() if package.manifest.name not in names]
    if not others:
        return
    rows = [(one.manifest.name, one.manifest.title, _answer(one, walked)) for one in others]
    columns = ("engine", "what it is", "by the headers of these images")
    print_table("Shipped as well, not run", columns, rows)
    told = f"Only {', '.join(sorted(names))} was asked, as no engine was named. Another: --engine NAME."
    result_console.print(told, markup=False)


def _answer(package: EnginePackage, walked: FolderWalk) -> str:
    from dicomnode.engine import match

    found: list[Verdict] = []
    for walk in walked.studies:
        facts = [stack.facts for series in walk.study.series for stack in series.stacks]
        found += match(package.manifest, facts)
    if any(one.chosen for one in found):
        return "fits"
    first = next(iter(found), None)
    if first is None:
        return "there are none"
    if first.score is not None or first.found.startswith("DN-"):
        return f"does not run: {first.rule} ({first.found})"
    return f"does not fit: wanted {first.rule}; found {first.found}"

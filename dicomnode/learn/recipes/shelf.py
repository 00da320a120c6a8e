"""The recipes that ship, found by name and task: files beside this one."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomnode.faults import RECIPE_UNKNOWN, NodeError
from dicomnode.learn.recipes.about import About
from dicomnode.settings import read_table
from dicomnode.settings.reader import nearest

SHELF: Final = Path(__file__).parent
_SUFFIX: Final = ".toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """A recipe that ships. name: as --recipe takes it; task: the verb; network: that it trains."""

    name: str
    task: str
    network: str
    about: About
    path: Path

    @property
    def text(self) -> str:
        """The file as it is, with its head."""
        return self.path.read_text(encoding="utf-8")


def shelved() -> tuple[Shelved, ...]:
    """Return all recipes that ship, by name and task."""
    return tuple(_read(path) for path in sorted(SHELF.glob(f"*/*{_SUFFIX}")))


def recipe_file(given: Path, task: str) -> Path:
    """Return the file that --recipe means: a path is itself, a bare word the recipe that ships for the task.

    A file of that very name comes first. Raises NodeError(RECIPE_UNKNOWN) for a word that no recipe has.
    """
    name = str(given)
    if given.suffix or len(given.parts) != 1 or given.exists():
        return given
    file = SHELF / name / f"{task}{_SUFFIX}"
    if file.is_file():
        return file
    names = sorted({path.parent.name for path in SHELF.glob(f"*/*{_SUFFIX}")})
    if name in names:
        tasks = ", ".join(sorted(path.stem for path in (SHELF / name).glob(f"*{_SUFFIX}")))
        raise NodeError(RECIPE_UNKNOWN, name=name, task=task, there=f"for {name} there are: {tasks}")
    there = nearest(name, names) or f"There are: {', '.join(names)}."
    raise NodeError(RECIPE_UNKNOWN, name=name, task=task, there=there.rstrip("."))


def _read(path: Path) -> Shelved:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    about, problems = read_table(About, table["about"], "about")
    if about is None:
        raise ValueError(f"{path.name} of {path.parent.name}: {'; '.join(map(str, problems))}")
    return Shelved(name=path.parent.name, task=path.stem, network=table["network"], about=about, path=path)

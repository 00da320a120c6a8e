"""The commands in the head of a recipe that ships: read, so that what is run is what people read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from dicomnode.learn.recipes import Shelved

_DRAWN = "# On drawn ones"
_COMMAND = "#   dicomnode "
_NOT_SHOWN = "# Not shown: "


def drawn_commands(recipe: Shelved) -> list[list[str]]:
    """Return the commands on drawn studies, without the word dicomnode."""
    head = recipe.text.partition(f"\n{_DRAWN}")[2].partition("\n\n")[0]
    lines = head.replace("\\\n#  ", "").splitlines()
    return [shlex.split(line)[2:] for line in lines if line.startswith(_COMMAND)]


def not_shown(recipe: Shelved) -> str:
    """Return why drawn studies do not show that it learns, as its head says, or ""."""
    lines = [line for line in recipe.text.splitlines() if line.startswith(_NOT_SHOWN)]
    return " ".join(line.removeprefix(_NOT_SHOWN) for line in lines)


def own_commands(recipe: Shelved) -> list[list[str]]:
    """Return the commands on studies of a site."""
    head = recipe.text.partition("\n# On your own studies:")[2].partition(f"\n{_DRAWN}")[0]
    lines = head.replace("\\\n#  ", "").splitlines()
    return [shlex.split(line)[2:] for line in lines if line.startswith(_COMMAND)]


def option(words: Sequence[str], name: str) -> str | None:
    """Return the value of an option of a command."""
    return words[words.index(name) + 1] if name in words else None


def options(words: Sequence[str], name: str) -> tuple[str, ...]:
    """Return all values of an option that may come several times."""
    return tuple(words[n + 1] for n, word in enumerate(words) if word == name)


def with_option(words: Sequence[str], name: str, value: object) -> list[str]:
    """Return the command with another value of an option, or with the option."""
    if name not in words:
        return [*words, name, str(value)]
    place = words.index(name) + 1
    return [*words[:place], str(value), *words[place + 1 :]]

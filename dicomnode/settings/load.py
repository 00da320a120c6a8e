"""dicomnode.toml → frozen `Settings`, or all of its problems at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from dicomnode.faults import SETTINGS_NOT_FOUND, SETTINGS_WRONG, NodeError
from dicomnode.settings.checks import check
from dicomnode.settings.lines import find_lines, line_of
from dicomnode.settings.problem import Problem
from dicomnode.settings.reader import read_leniently
from dicomnode.settings.schema import Settings

_POSITION = re.compile(r"\s*\(at line (\d+), column \d+\)|\s*\(at end of document\)")


def load_settings(path: Path) -> Settings:
    """Read dicomnode.toml.

    Relative paths in it start from its folder. Raises NodeError: SETTINGS_NOT_FOUND when there is no such
    file, SETTINGS_WRONG when anything in it is wrong, with all problems in
    its `values["problems"]`.
    """
    settings, problems = read_settings(path)
    if settings is None:
        raise NodeError(SETTINGS_WRONG, path=path, count=len(problems), problems=tuple(problems))
    return settings


def read_settings(path: Path, text: str | None = None) -> tuple[Settings | None, list[Problem]]:
    """Read dicomnode.toml, or `text` as if it stood there; None when anything is wrong, with all problems.

    A file that cannot be read, or is no TOML, is one problem with the key "file". Raises NodeError
    SETTINGS_NOT_FOUND when there is no such file.
    """
    if text is None:
        try:
            text = path.read_bytes().decode("utf-8-sig")  # some editors of Windows put a mark before it
        except UnicodeDecodeError as error:
            return None, [_not_utf8(path, error)]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NodeError(SETTINGS_NOT_FOUND, path=path) from error
        except OSError as error:
            return None, [_not_read(path, error)]
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [_not_toml(path, text, str(error))]
    settings, problems = read_leniently(Settings, table, "", base=path.absolute().parent)
    problems = [_elsewhere(problem) for problem in problems]
    if settings is not None:
        named = {problem.key for problem in problems}
        problems += [problem for problem in check(settings, table) if problem.key not in named]
    return (None if problems else settings), located(problems, path, text)


def located(problems: Iterable[Problem], path: Path, text: str) -> list[Problem]:
    """Put file and line into problems that were found in `text` of the file at `path`, in its order."""
    lines = find_lines(text)
    found = [replace(problem, file=str(path), line=line_of(problem.key, lines)) for problem in problems]
    return sorted(found, key=lambda problem: problem.line or 0)


def _not_read(path: Path, error: OSError) -> Problem:
    what, hint = error.strerror or str(error), ""
    if isinstance(error, PermissionError):
        what = "a file that this user may not read"
        hint = "Run the command as the user of the service, or let this user read the file."
    elif isinstance(error, IsADirectoryError):
        what, hint = "a folder", "Name the file itself, as --config FOLDER/dicomnode.toml."
    return Problem(key="file", value=what, expected="a file that can be read", hint=hint, file=str(path))


def _not_utf8(path: Path, error: UnicodeDecodeError) -> Problem:
    line = error.object[: error.start].count(b"\n") + 1
    value = f"byte 0x{error.object[error.start]:02X}"
    hint = "Save the file as UTF-8."
    return Problem(key="file", value=value, expected="UTF-8 text", hint=hint, file=str(path), line=line)


def _not_toml(path: Path, text: str, message: str) -> Problem:
    position = _POSITION.search(message)
    line = int(position[1]) if position and position[1] else None
    what = _POSITION.sub("", message)
    hint = f"{what}."
    if "overwrite" in what or "twice" in what:
        hint += " A key or a [section] stands twice."
    lines = text.splitlines() or [""]
    value = lines[min(line or len(lines), len(lines)) - 1].strip()
    return Problem(key="file", value=value, expected="TOML", hint=hint, file=str(path), line=line)


def _elsewhere(problem: Problem) -> Problem:
    """Where an unknown key is a key of another section, say so."""
    if not problem.expected.startswith("a key "):
        return problem
    name = problem.key.rpartition(".")[2]
    for section, hint in get_type_hints(Settings).items():
        kinds: tuple[Any, ...] = get_args(hint) or (hint,)
        if is_dataclass(kinds[0]) and name in {entry.name for entry in fields(kinds[0])}:
            header = f"[[{section}]]" if get_args(hint) else f"[{section}]"
            return replace(problem, hint=f"It is a key of {header}.")
    return problem
